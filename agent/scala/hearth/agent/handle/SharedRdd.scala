package hearth.agent.handle

import scala.reflect.ClassTag

import org.apache.spark.rdd.RDD
import org.apache.spark.sql.DataFrame
import org.apache.spark.sql.types.StructType

/** A key-value handle in the hands of Scala code. Each call works on the version that is the newest at that moment.
  *
  * Keys are looked up under what stands for them in every language: whole numbers are long, so the parts of a tuple key that are whole
  * numbers come back as Long.
  *
  * It can be sent along with the code of tasks, as lines of the REPL send what is defined before them, but works in the driver alone.
  */
final class SharedRdd[K, V] private[handle] (@transient private val home: SessionHandles, given: Option[String])(implicit keys: ClassTag[K])
    extends Serializable {
  @volatile private var known = given

  private def session: SessionHandles =
    if (home != null) home
    else throw HandleException.failed(s"$this works in the driver alone: in tasks, join with its rdd(), or get the entries before")

  /** The name; one that was made without gets that of the variable that holds it.
    *
    * @throws HandleException `failed` as long as no variable holds it
    */
  def name: String = known.getOrElse(throw SharedRdd.nameless)

  /** The entry of a key; empty if there is none. Reads one partition. */
  def get(key: K): Map[K, V] = getAll(Seq(key))

  /** The entries of those of the keys that there are. */
  def getAll(wanted: Iterable[K]): Map[K, V] = session.pairs(name) { content =>
    val asked = wanted.map(key => Keys.of(key, content.key) -> key).toMap
    content.get(asked.keys.toSeq).map { case (key, value) => asked(key) -> value.asInstanceOf[V] }
  }

  /** Puts entries and returns the number of the version that has them. Costs what they take, not what the handle does. */
  def put(entries: Map[K, V]): Long = session.change(name, entries.toSeq.map { case (key, value) => (key, Some(value)) })

  def put(entries: (K, V)*): Long = put(entries.toMap)

  def delete(keys: K*): Long = session.change(name, keys.map(key => (key, None)))

  def take(n: Int): Array[(K, V)] = session.pairs(name)(_.entries.take(n).map(SharedRdd.typed[K, V]))

  def count(): Long = session.pairs(name)(_.count())

  /** Types of key and value. */
  def schema: StructType = session.pairs(name)(_.columns)

  def version: Long = session.handle(name).version

  /** All entries of the version that is the newest now. */
  def rdd(): RDD[(K, V)] = session.pairs(name) { content =>
    val tag = keys
    content.kept.lend(content.entries.map(entry => SharedRdd.typed[K, V](entry)(tag)))
  }

  /** The same as a frame with the columns `key` and `value`. */
  def df(): DataFrame = session.frame(name)

  def unshare(): Unit = session.unshare(name)

  override def toString: String = known.fold("SharedRdd without a name")(name => s"SharedRdd($name)")

  private[handle] def called(name: String): Unit = known = Some(name)
}

object SharedRdd {
  private def typed[K: ClassTag, V](entry: (Any, Any)): (K, V) = (Keys.as[K](entry._1), entry._2.asInstanceOf[V])

  private[handle] def nameless: HandleException =
    HandleException.failed("this key-value RDD has no name yet: keep it in a variable of its own, or give a name, as in ShareableRdd(rdd, \"states\")")
}
