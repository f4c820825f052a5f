package hearth.agent.handle

import scala.collection.immutable.{AbstractMap, Map}

/** What a map has to say of itself in Scala 2.13, by what it has to say in both. */
private[handle] abstract class Entries extends AbstractMap[Any, Any] with Serializable {

  /** With this entry. */
  protected def having(key: Any, value: Any): Entries

  /** Without the entry of this key. */
  protected def lacking(key: Any): Entries

  override def updated[V >: Any](key: Any, value: V): Map[Any, V] = having(key, value)

  override def removed(key: Any): Map[Any, Any] = lacking(key)
}
