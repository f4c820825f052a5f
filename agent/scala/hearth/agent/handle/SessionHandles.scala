package hearth.agent.handle

import hearth.agent.{Json, Workspace}
import org.apache.spark.hearth.{CachedPartitions, Pickled}
import org.apache.spark.rdd.RDD
import org.apache.spark.sql.{DataFrame, Dataset}
import org.apache.spark.sql.hearth.Readers

/** The context's handles as one session uses them, in whatever language.
  *
  * @param statement the statement that the session runs
  */
final class SessionHandles(workspace: Workspace, statement: () => Option[Int]) {
  private def handles: Handles = Handles.here

  def maker: Maker = Maker(Some(workspace.session), statement())

  def spark = workspace.spark

  def shareFrame(name: String, options: Options, frame: Dataset[_]): Handle = handles.share(name, maker, options) {
    val rows = Readers.held(frame)
    val kept = handles.caches.frame(rows, options.level)
    orFreed(kept) {
      if (options.force) HandleException.unwrapped(rows.count())
      Left(new FrameContent(rows, opened = false, kept))
    }
  }

  /** @param isPython whether it is in Python's pickled form */
  def shareRdd(name: String, options: Options, rdd: RDD[_], isPython: Boolean): Handle = handles.share(name, maker, options) {
    val kept = handles.caches.rdd(rdd, options.level)
    orFreed(kept) {
      if (options.force) HandleException.unwrapped(rdd.count())
      val elements = new RddContent(rdd, isPython, None, Kept.nothing).elements
      val columns =
        try Some(Schemas.table(HandleException.unwrapped(elements.take(SessionHandles.looked)).toSeq))
        // It can still be shared among sessions that know its elements.
        catch { case unlike: HandleException if unlike.code == "bad_value" => None }
      Left(new RddContent(rdd, isPython, columns, kept))
    }
  }

  def sharePairs(name: String, options: Options, pairs: RDD[(Any, Any)]): Handle = handles.share(name, maker, options)(Right {
    val first = HandleException.unwrapped(pairs.take(SessionHandles.looked)).toSeq
    val key = first.headOption.map(entry => Keys.kind(Keys.normal(entry._1)))
    first.foreach(entry => Keys.of(entry._1, key))
    val columns = PairContent.columns(first)
    // They can still be shared among sessions that know their class.
    val isOwn =
      try { ChangeCheck.fits(first.map { case (key, value) => (Keys.normal(key), Some(value)) }, columns); false }
      catch { case _: HandleException => true }
    val made = new Pairs(PairIndex.of(pairs, key), key, columns, options.level, handles.merges, isOwn)
    orFreed(made.now.content.kept) {
      if (options.force) HandleException.unwrapped(made.now.content.count())
      made
    }
  })

  def shareValue(name: String, options: Options, value: Any): Handle = handles.share(name, maker, options)(Left {
    val size = Pickled.write(value).length
    if (size > SessionHandles.largestValue) throw HandleException.badValue(
      s"a value of ${size >> 20} MiB is too large to share: share at most ${SessionHandles.largestValue >> 20} MiB, or an RDD or DataFrame of it")
    new ValueContent(value, size)
  })

  def handle(name: String): Handle = handles(name)

  def change(name: String, changes: Seq[(Any, Option[Any])]): Long = handles.change(name, maker, changes)

  /** Reads the entries' newest version. */
  def pairs[T](name: String)(work: PairContent => T): T = handle(name).reading {
    case Version(_, content: PairContent) => work(content)
    case Version(_, other)                => throw Handle.notPairs(name, other.kind)
  }

  def frame(name: String): DataFrame =
    if (name.contains("/")) Elsewhere.frame(name, spark)
    else handle(name).reading(_.content.lent(spark))

  def unshare(name: String): Unit = handles.unshare(name, maker)

  /** Makes a handle if there is none of that name, in one place at a time; all who ask meanwhile wait, and get the maker's error if it
    * fails.
    *
    * @param make shares it under that name
    */
  def getOrElseCreate(name: String, waitMillis: Long)(make: => Unit): Unit = begin(name, waitMillis).foreach { id =>
    try {
      make
      end(id, None)
    } catch {
      case failure: Throwable =>
        end(id, Some(failure))
        throw failure
    }
  }

  def begin(name: String, waitMillis: Long): Option[Long] = {
    Handle.checkName(name)
    handles.checkFree(name)
    handles.creations.begin(name, maker, waitMillis)(handles.get(name).isDefined)
  }

  def end(id: Long, failure: Option[Throwable]): Unit = handles.creations.end(id, failure)

  /** The session, or its process, is no more. */
  def abandon(): Unit = handles.creations.abandon(workspace.session)

  /** A statement was cancelled, and is over. */
  def abandon(statement: Int): Unit = handles.creations.abandon(workspace.session, statement)

  /** What there is, as JSON. */
  def list: String = {
    val stored = CachedPartitions.stored(spark.sparkContext)
    val made = Json.array()
    handles.all.foreach(handle => made.add(Described(handle, stored)))
    Json.write(made)
  }

  /** Does what may fail with data that are cached already. */
  private def orFreed[T](kept: Kept)(work: => T): T =
    try work
    catch {
      case failure: Throwable =>
        kept.leave()
        throw failure
    }
}

object SessionHandles {

  /** Elements that are looked at to tell what all of them are. */
  private val looked = 20

  /** Bytes of a shared value's pickle. */
  private val largestValue = 8 * 1024 * 1024
}
