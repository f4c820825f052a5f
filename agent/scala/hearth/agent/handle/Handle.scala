package hearth.agent.handle

import java.util.concurrent.{CompletableFuture, ExecutionException, TimeUnit, TimeoutException}

import scala.annotation.tailrec
import scala.util.control.NonFatal

import hearth.agent.{Column, Log, Trace}
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

/** A version in the handle store, and where. */
final case class Written(path: String, version: Long)

/** Where a handle of an earlier application is written, and how it is opened when it is first used. */
trait Origin {
  def path: String

  /** Runs something soon, where it is the work of no statement. */
  def begin(work: () => Unit): Unit

  /** Reads what the handle holds.
    *
    * @throws HandleException `lost` if nothing is there; whatever else is thrown may be otherwise at the next try
    */
  def read(): Handle.Data

  /** It has been opened, and whoever reads it finds it so. */
  def opened(): Unit
}

/** A version's number and what it holds. */
final case class Version(number: Long, content: Content)

/** A name from its `share` on until the next one or its end: its newest version, and the older ones as long as somebody reads them.
  *
  * @param claim  whose it is
  * @param number the first version's number
  * @param known  what is told of it before it has been opened
  * @param source what it holds; or where that comes from, for a durable handle of an earlier application
  */
final class Handle(
    val name: String,
    val maker: Maker,
    val options: Options,
    val claim: Claim,
    number: Long,
    known: Handle.Known,
    source: Either[Handle => Origin, Handle.Data]) {

  private val from: Option[Origin] = source.left.toOption.map(_(this))
  @volatile private var data: Option[Handle.Data] = source.toOption
  @volatile private var over: Option[Handle.Over] = None
  @volatile private var newest = number
  private var opening: Option[CompletableFuture[Handle.Data]] = None
  private var ends = List.empty[() => Unit]

  @volatile var lastUsed: Long = System.currentTimeMillis

  /** Where the newest durable version is written. */
  @volatile private[handle] var written: Option[Written] = origin.map(Written(_, number))

  data.foreach(_.foreach(_.number(number)))

  /** Where it was written by an earlier application. */
  def origin: Option[String] = from.map(_.path)

  /** A newer version has been written; returns false if the handle is over. */
  private[handle] def wrote(made: Written): Boolean = synchronized {
    if (over.isEmpty) written = Some(made)
    over.isEmpty
  }

  def kind: String = known.kind

  /** The newest version's number. */
  def version: Long = data.fold(newest)(Handle.now(newest, _).number)

  /** What it holds now, if it has been opened. */
  def opened: Option[Content] = if (over.isDefined) None else data.map(Handle.now(newest, _).content)

  def schema: Option[StructType] = opened.map(_.schema).getOrElse(known.schema)

  def key: Option[String] = opened.flatMap { case pairs: PairContent => pairs.key; case _ => None }.orElse(known.key)

  def columns: Option[Seq[Column]] = schema.map(Types.columns)

  /** Reads the newest version, which stays as it is and is kept until `work` has ended. If there is another handle in its place by
    * now, that one is read.
    *
    * @throws HandleException if the handle is over or lost
    */
  def reading[T](work: Version => T): T = readingMeant(None)(work)

  /** The same, if the data that take its place are meant by this id, too; see [[Claim]].
    *
    * @throws HandleException `not_found` if they are not
    */
  def readingMeant[T](meant: Option[String])(work: Version => T): T = {
    val version = enter(meant)
    try HandleException.unwrapped(work(version))
    finally version.content.kept.leave()
  }

  /** Puts and deletes.
    *
    * @param isCancelled whether nobody wants it any more: then nothing is changed
    * @return the number of the version that has them; None if another handle is taking its place
    * @throws HandleException `not_pairs` where there are no keys, `cancelled`
    */
  @tailrec final def change(changes: Seq[(Any, Option[Any])], isCancelled: () => Boolean): Option[Long] = over match {
    case Some(Handle.Ended(why))  => throw why
    case Some(Handle.Replaced(_)) => None
    case None =>
      lastUsed = System.currentTimeMillis
      ready() match {
        case Some(Right(pairs)) => pairs.change(changes, isCancelled)
        case Some(Left(_))      => throw Handle.notPairs(name, kind)
        case None               => change(changes, isCancelled)
      }
  }

  /** Makes the handle that is to take its place, of the number after its last version's. No change is taken any more. */
  private[handle] def next(make: Long => Handle): Handle = {
    data.foreach(_.foreach(_.close()))
    make(version + 1)
  }

  /** The next one has taken its place; what it holds itself is freed when the last reader has left. */
  private[handle] def replaced(by: Handle): Unit = finish(Handle.Replaced(by))

  /** Ends it: no one enters any more, and what it holds is freed when the last reader has left. */
  def end(why: HandleException): Unit = finish(Handle.Ended(why))

  /** Does something when it is over. */
  def whenOver(work: () => Unit): Unit = {
    val isOver = synchronized {
      if (over.isEmpty) ends ::= work
      over.isDefined
    }
    if (isOver) work()
  }

  private def finish(how: Handle.Over): Unit = {
    val work = synchronized {
      if (over.isDefined) Nil
      else {
        newest = version
        over = Some(how)
        val held = data
        val last = ends
        // Whoever still has the handle in his hands shall not keep its data alive.
        data = None
        opening = None
        ends = Nil
        (() => held.foreach(Handle.release)) :: last
      }
    }
    work.foreach(_())
  }

  /** @throws HandleException `not_found` if not these data are meant by this id, but such as had the name before */
  private[handle] def meant(by: Option[String]): Handle = if (claim.isMeant(by)) this else throw HandleException.others(name)

  private def enter(meant: Option[String]): Version = over match {
    case Some(Handle.Ended(why))     => throw why
    case Some(Handle.Replaced(next)) =>
      // Nor does an old one hold all that came after it.
      val newest = Handle.newest(next)
      over = Some(Handle.Replaced(newest))
      newest.meant(meant).enter(meant)
    case None =>
      lastUsed = System.currentTimeMillis
      ready().map(Handle.now(newest, _)) match {
        case Some(found) if found.content.kept.enter() => found
        // A merge has just put a new index in the place of the one that was found, or the handle is over.
        case _ => enter(meant)
      }
  }

  /** What it holds, as soon as it is open; None if it is over. */
  private def ready(): Option[Handle.Data] = data.orElse {
    val waiting = synchronized {
      if (over.isEmpty && opening.isEmpty && data.isEmpty) opening = from.map(begin)
      if (over.isEmpty) opening else None
    }
    try waiting.map(_.get(Handle.patienceSeconds, TimeUnit.SECONDS))
    catch {
      case failed: ExecutionException => throw failed.getCause
      case _: TimeoutException        => throw HandleException.failed(s"the handle $name is still being opened: try again soon")
    }
  }

  /** Opens it where a cancel of the first one who reads it stops nothing: all others wait for it too. */
  private def begin(from: Origin): CompletableFuture[Handle.Data] = {
    val result = new CompletableFuture[Handle.Data]
    from.begin { () =>
      try {
        val made = from.read()
        made.foreach(_.number(number))
        val isWanted = synchronized {
          if (over.isEmpty) data = Some(made)
          opening = None
          over.isEmpty
        }
        if (isWanted) told(from) else Handle.release(made)
        result.complete(made)
      } catch {
        case failure: Throwable =>
          // Whoever uses it next tries again.
          synchronized { opening = None }
          result.completeExceptionally(HandleException.within(failure) match {
            case ours: HandleException => ours
            case other => HandleException.failed(s"the handle $name cannot be opened now, try again: ${Trace.headline(other)}")
          })
      }
    }
    result
  }

  private def told(from: Origin): Unit =
    try from.opened()
    catch { case NonFatal(failure) => Log.error(s"opening of the handle $name", failure) }
}

object Handle {

  /** How long the opening of a handle is waited for; it goes on all the same. */
  private val patienceSeconds = 120L

  /** What it holds: a content that never changes, or entries that do. */
  type Data = Either[Content, Pairs]

  /** How a handle came to its end. */
  private sealed trait Over
  private final case class Ended(why: HandleException) extends Over
  private final case class Replaced(by: Handle) extends Over

  @tailrec private def newest(handle: Handle): Handle = handle.over match {
    case Some(Replaced(next)) => newest(next)
    case _                    => handle
  }

  private def now(number: Long, data: Data): Version = data match {
    case Left(content) => Version(number, content)
    case Right(pairs)  =>
      val newest = pairs.now
      Version(newest.number, newest.content)
  }

  /** The handle no longer needs them. */
  private def release(data: Data): Unit = data.fold(_.kept.leave(), _.retire())

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
