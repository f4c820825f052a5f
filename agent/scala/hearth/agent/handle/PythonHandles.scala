package hearth.agent.handle

import scala.collection.JavaConverters._

import hearth.agent.python.PythonSessions
import org.apache.spark.api.java.JavaRDD
import org.apache.spark.hearth.Pickled
import org.apache.spark.sql.{DataFrame, Dataset}

/** The context's handles as Python processes call them, by Py4J; values go as pickles. `number` is that of the calling session. */
object PythonHandles {
  private def session(number: Int): SessionHandles = PythonSessions.handles(number)

  def options(storage: String, force: Boolean, ttlMillis: Long, durable: Boolean): Options =
    Options(storage, force, if (ttlMillis < 0) None else Some(ttlMillis), durable)

  def shareFrame(number: Int, name: String, options: Options, frame: Dataset[_]): Unit = session(number).shareFrame(name, options, frame)

  def shareRdd(number: Int, name: String, options: Options, pickled: JavaRDD[Array[Byte]]): Unit =
    session(number).shareRdd(name, options, pickled.rdd, isPython = true)

  def sharePairs(number: Int, name: String, options: Options, pickled: JavaRDD[Array[Byte]]): Unit =
    session(number).sharePairs(name, options, Pickled.elements(pickled.rdd).map {
      case (key, value) => (key, value)
      case Seq(key, value) => (key, value)
      case other => throw HandleException.badValue(
        s"${Values.brief(other)} is no pair of key and value: map the RDD to tuples of two, or share it by hearth.share(rdd, name)")
    })

  def shareValue(number: Int, name: String, options: Options, pickle: Array[Byte]): Unit =
    session(number).shareValue(name, options, Pickled.read(pickle))

  /** @throws HandleException `not_found` */
  def kind(number: Int, name: String): String = session(number).handle(name).kind

  def version(number: Int, name: String): Long = session(number).handle(name).version

  def schema(number: Int, name: String): String = session(number).handle(name).schema.map(_.json).orNull

  def frame(number: Int, name: String): DataFrame = session(number).frame(name)

  def rdd(number: Int, name: String): JavaRDD[Array[Byte]] = session(number).handle(name).reading {
    case Version(_, content: RddContent) =>
      val pickled =
        if (content.isPython) content.rdd.asInstanceOf[org.apache.spark.rdd.RDD[Array[Byte]]].mapPartitions(identity, preservesPartitioning = true)
        else Pickled.forPython(content.elements).rdd
      content.kept.lend(pickled).toJavaRDD()
    case Version(_, content: PairContent) =>
      content.kept.lend(Pickled.forPython(content.entries).rdd).toJavaRDD()
    case Version(_, other) => throw Handle.otherKind(name, other.kind)
  }

  def value(number: Int, name: String): Array[Byte] = session(number).handle(name).reading {
    case Version(_, content: ValueContent) => Pickled.write(content.value)
    case Version(_, other)                 => throw Handle.otherKind(name, other.kind)
  }

  /** @param keys pickle of a list; the answer is that of a list of pairs */
  def get(number: Int, name: String, keys: Array[Byte]): Array[Byte] = session(number).pairs(name) { content =>
    pairs(content.get(items(keys).map(Keys.of(_, content.key)).distinct))
  }

  /** @param entries pickle of a list of pairs */
  def put(number: Int, name: String, entries: Array[Byte]): Long = session(number).change(name, items(entries).map {
    case (key, value) => (key, Some(value))
    case other        => throw HandleException.badValue(s"${Values.brief(other)} is no pair of key and value")
  })

  def delete(number: Int, name: String, keys: Array[Byte]): Long = session(number).change(name, items(keys).map(key => (key, None)))

  def take(number: Int, name: String, n: Int): Array[Byte] = session(number).pairs(name)(content => pairs(content.entries.take(n)))

  def count(number: Int, name: String): Long = session(number).pairs(name)(_.count())

  def unshare(number: Int, name: String): Unit = session(number).unshare(name)

  def list(number: Int): String = session(number).list

  /** The number by which the caller, who is to make it, says by [[end]] how that went; 0 if it is there. */
  def begin(number: Int, name: String, waitMillis: Long): Long = session(number).begin(name, waitMillis).getOrElse(0L)

  /** @param error what it failed with; null if it did not */
  def end(number: Int, id: Long, name: String, error: String): Unit =
    session(number).end(id, Option(error).map(why => HandleException.failed(s"making the handle $name failed: $why")))

  /** Makes sure that an address like `host/sessions/7` means this context.
    *
    * @throws HandleException which says the way out
    */
  def checkAddress(number: Int, address: String, name: String): Unit = Addresses.check(address, name)

  private def items(pickle: Array[Byte]): Seq[Any] = Pickled.read(pickle).asInstanceOf[Seq[Any]]

  private def pairs(entries: Iterable[(Any, Any)]): Array[Byte] = Pickled.write(entries.map { case (key, value) => (Keys.value(key), value) }.toVector)
}
