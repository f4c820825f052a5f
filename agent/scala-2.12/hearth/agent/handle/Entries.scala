package hearth.agent.handle

import scala.collection.AbstractMap
import scala.collection.immutable.Map

/** What a map has to say of itself in Scala 2.12, by what it has to say in both. */
private[handle] abstract class Entries extends AbstractMap[Any, Any] with Map[Any, Any] with Serializable {

  /** With this entry. */
  protected def having(key: Any, value: Any): Entries

  /** Without the entry of this key. */
  protected def lacking(key: Any): Entries

  override def +[V >: Any](entry: (Any, V)): Map[Any, V] = having(entry._1, entry._2)

  override def -(key: Any): Map[Any, Any] = lacking(key)
}
