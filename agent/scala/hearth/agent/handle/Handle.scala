package hearth.agent.handle

import hearth.agent.{Column, Trace}
import hearth.agent.result.Types
import org.apache.spark.sql.types.{DataType, StructType}
import org.apache.spark.storage.StorageLevel

/** Who makes a change: a statement of a session, or a call from outside. */
final case class Maker(session: Option[String], statement: Option[Int])

object Maker {
  val outside: Maker = Maker(None, None)
}

/** How a handle is to be kept.
  *
  * @param storage   one of Spark's storage levels, by its name
  * @param force     whether to compute it before it is shared
  * @param ttlMillis how long it lives from then on; None: as long as the context
  * @param durable   whether to write it to the handle store
  */
final case class Options(storage: String, force: Boolean, ttlMillis: Option[Long], durable: Boolean) {

  /** @throws HandleException `failed` for a name that Spark does not know */
  def level: StorageLevel =
    try StorageLevel.fromString(storage)
    catch {
      case _: IllegalArgumentException => throw HandleException.failed(
        s"$storage is no storage level: take MEMORY_AND_DISK, MEMORY_ONLY, DISK_ONLY, OFF_HEAP, NONE or another one of Spark's")
    }
}

/** A version's number and what it holds. */
final case class Version(number: Long, content: Content)

/** A name from its `share` on until the next one or its end: its newest version, and the older ones as long as somebody reads them.
  *
  * @param number the first version's number
  * @param known  what is told of it before it has been opened
  * @param open   gives what it holds, now or, for a durable handle of an earlier application, when it is first used
  * @param pairs  the life of its entries, once it has been opened, if it is a key-value handle
  */
final class Handle(
    val name: String,
    val maker: Maker,
    val options: Options,
    number: Long,
    known: Handle.Known,
    open: () => Either[Content, Pairs]) {

  @volatile private var made: Option[Either[Content, Pairs]] = None
  @volatile private var over: Option[HandleException] = None
  @volatile var lastUsed: Long = System.currentTimeMillis

  /** Where the newest durable version is written. */
  @volatile var path: Option[String] = None

  def kind: String = known.kind

  /** The newest version's number. */
  def version: Long = made.fold(number)(newest(_).number)

  /** What it holds now, if it has been opened. */
  def opened: Option[Content] = if (over.isDefined) None else made.map(newest(_).content)

  def schema: Option[StructType] = opened.map(_.schema).getOrElse(known.schema)

  def key: Option[String] = opened.flatMap { case pairs: PairContent => pairs.key; case _ => None }.orElse(known.key)

  def columns: Option[Seq[Column]] = schema.map(Types.columns)

  /** Reads the newest version, which stays as it is and is kept until `work` has ended.
    *
    * @throws HandleException if the handle is over or lost
    */
  def reading[T](work: Version => T): T = {
    val version = enter()
    try HandleException.unwrapped(work(version))
    finally version.content.kept.leave()
  }

  /** Puts and deletes.
    *
    * @return the number of the version that has them
    * @throws HandleException `not_pairs` where there are no keys
    */
  def change(changes: Seq[(Any, Option[Any])]): Long = {
    lastUsed = System.currentTimeMillis
    entries().change(changes)
  }

  /** Its entries, to change or to merge them. */
  def entries(): Pairs = ready() match {
    case Right(pairs) => pairs
    case Left(_)      => throw Handle.notPairs(name, kind)
  }

  /** Ends it: no one enters any more, and what it holds is freed when the last reader has left. */
  def end(why: HandleException): Unit = synchronized {
    if (over.isEmpty) {
      over = Some(why)
      made.foreach(_.fold(_.kept.leave(), _.retire()))
    }
  }

  private def enter(): Version = {
    lastUsed = System.currentTimeMillis
    val version = newest(ready())
    // If not, a merge has just put a new index in the place of the one that was found.
    if (version.content.kept.enter()) version else enter()
  }

  private def ready(): Either[Content, Pairs] = {
    over.foreach(throw _)
    made.getOrElse(synchronized {
      if (made.isEmpty) {
        val opened =
          try open()
          catch { case failure: Exception => throw HandleException.lost(name, Trace.headline(HandleException.within(failure))) }
        opened.foreach(_.number(number))
        made = Some(opened)
      }
      made.get
    })
  }

  private def newest(made: Either[Content, Pairs]): Version = made match {
    case Left(content) => Version(number, content)
    case Right(pairs)  =>
      val now = pairs.now
      Version(now.number, now.content)
  }
}

object Handle {

  /** What is known of a handle without its data. */
  final case class Known(kind: String, schema: Option[StructType], key: Option[String])

  object Known {
    def of(content: Content): Known = Known(
      content.kind, content.schema, content match { case pairs: PairContent => pairs.key; case _ => None })
  }

  /** Columns of the catalogue, as Spark's. */
  def schema(columns: Seq[(String, String)]): StructType =
    StructType(columns.map { case (name, typed) => org.apache.spark.sql.types.StructField(name, DataType.fromDDL(typed)) })

  def notPairs(name: String, kind: String): HandleException = new HandleException(
    "not_pairs", s"the handle $name is of kind $kind and has no keys: share an RDD of pairs by ShareableRdd(rdd, name)")

  def otherKind(name: String, kind: String): HandleException =
    HandleException.failed(s"the handle $name is of kind $kind: read it by hearth.shared(name)")

  private val form = "[A-Za-z_][A-Za-z0-9_]{0,127}"

  /** @throws HandleException `failed` for a name that SQL could not say */
  def checkName(name: String): String =
    if (name != null && name.matches(form)) name
    else throw HandleException.failed(
      s"${Values.brief(name)} cannot be a handle's name: a letter or underscore, then at most 127 letters, digits and underscores")
}
