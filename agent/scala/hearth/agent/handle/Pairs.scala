package hearth.agent.handle

import scala.annotation.tailrec
import scala.util.control.NonFatal

import hearth.agent.{Log, Trace}
import org.apache.spark.broadcast.Broadcast
import org.apache.spark.hearth.CachedPartitions
import org.apache.spark.rdd.RDD
import org.apache.spark.sql.types.StructType
import org.apache.spark.storage.StorageLevel
import org.apache.spark.util.SizeEstimator

/** The life of a key-value handle between two `share`s: its newest content, changed by puts and deletes, and now and then merged into a
  * new index.
  *
  * @param source the index as it was made
  * @param key    the kind of the keys, if there are some
  * @param isOwn  whether the values are of a class that has no columns, so that they are for those alone who know it
  */
final class Pairs(
    source: RDD[PairIndex.Index], key: Option[String], columns: StructType, level: StorageLevel, merges: Merges, isOwn: Boolean = false) {
  import Pairs._

  /** What all indexes are made of, were nothing cached; never cached itself but as the first index. */
  private var base = new Base(source, Kept.nothing)

  /** What has been merged since that was made, in order. */
  private var merged = Vector.empty[Merged]

  @volatile private var newest = PairVersion(0, new PairContent(keep(source), PairIndex.unchanged, 0, key, columns, keptBy(source, base)))
  private var merging = false
  private var closed = false
  private var retired = false

  /** Why the last merge failed, and when the next one may be tried. */
  private var failed = Option.empty[String]
  private var again = System.nanoTime

  def now: PairVersion = newest

  /** Gives the first version its number. */
  def number(first: Long): Unit = synchronized { newest = newest.copy(number = first) }

  /** Puts (values) and deletes (None), under keys as they were given; waits while the driver has no room.
    *
    * @param isCancelled whether nobody wants it any more: then nothing is changed
    * @return the number of the version that has them; None if no more changes are taken
    * @throws HandleException `bad_key` or `bad_value` for one that others could not read: nobody gets any of these changes then
    */
  def change(changes: Seq[(Any, Option[Any])], isCancelled: () => Boolean): Option[Long] = {
    if (changes.size > mostEntries)
      throw HandleException.badValue(s"${changes.size} entries at once are too many: put at most $mostEntries, or share a new RDD")
    val size = SizeEstimator.estimate(changes.toArray)
    if (size > merges.room / 4)
      throw HandleException.badValue(s"the entries take ${size >> 20} MiB, more than the ${merges.room >> 22} MiB of one put: share a new RDD")
    val known = newest.content
    val made = checked(changes, known)
    ChangeCheck.crosses(made.entries)
    awaitRoom(size, isCancelled)
    synchronized(if (closed) None else {
      if (isCancelled()) throw HandleException.cancelled
      val content = newest.content
      // The first entries of all, which say what the others are to be like, may have come meanwhile.
      val Checked(entries, kind, table) = if (content.key == known.key) made else checked(changes, content)
      newest = PairVersion(newest.number + 1, content.changed(entries, size, kind, table))
      merges.changed(this)
      if (newest.content.overlay.size >= mergeEntries || newest.content.bytes >= mergeBytes) begin()
      Some(newest.number)
    })
  }

  /** Takes no more changes. */
  def close(): Unit = synchronized {
    closed = true
    notifyAll()
  }

  /** Has what has changed merged soon, if something has and that is not under way. */
  def begin(): Unit = synchronized {
    if (!merging && !retired && newest.content.overlay.nonEmpty && System.nanoTime >= again) merging = merges.begin(() => merge())
  }

  /** Makes a new index of the old one and the changes, on the executors; changes that come meanwhile stay over it. The version is
    * the same as before.
    */
  private def merge(): Unit = {
    var failure = Option.empty[String]
    val begun = newest.content
    try if (begun.kept.enter())
      try {
        val context = begun.index.sparkContext
        val changes = PairIndex.split(begun.overlay, begun.partitioner)
        val last = Merged(context.broadcast(changes), SizeEstimator.estimate(changes))
        val fresh = rebased(begun.index)
        val (from, before) = fresh.fold((base, merged))((_, Vector.empty))
        try {
          val all = compact(before :+ last)
          val made = keep(new MergedIndex(from.index, begun.index.id, last.changes, all.map(_.changes)))
          try context.runJob(made, (parts: Iterator[PairIndex.Index]) => parts.foreach(_ => ()))
          catch {
            case thrown: Throwable =>
              made.unpersist(blocking = false)
              throw thrown
          }
          take(begun, made, from, all)
        } catch {
          case thrown: Throwable =>
            fresh.foreach(_.kept.leave())
            throw thrown
        }
      } finally begun.kept.leave()
    catch {
      case thrown: Throwable =>
        failure = Some(Trace.headline(HandleException.within(thrown)))
        throw thrown
    } finally synchronized {
      failed = failure
      if (failure.isDefined) again = System.nanoTime + pauseNanos
      merging = false
      notifyAll()
    }
  }

  private def take(begun: PairContent, made: RDD[PairIndex.Index], from: Base, all: Vector[Merged]): Unit = synchronized {
    if (retired) {
      made.unpersist(blocking = false)
      if (from ne base) from.kept.leave()
    } else {
      val content = newest.content
      val rest = content.overlay.filter { case (key, change) => !begun.overlay.get(key).exists(_ eq change) }
      val size = if (rest.isEmpty) 0L else SizeEstimator.estimate(rest)
      newest = newest.copy(content = new PairContent(made, rest, size, content.key, content.columns, keptBy(made, from)))
      if (from ne base) base.kept.leave()
      base = from
      merged = all
      content.kept.leave()
    }
  }

  /** An index as what later ones are made of, when what has been merged since the last base takes more than it is worth: much of that has been
    * overwritten by now, or deleted.
    */
  private def rebased(index: RDD[PairIndex.Index]): Option[Base] = {
    val taken = merged.map(_.bytes).sum
    if (taken <= mostJoined || taken <= 2 * CachedPartitions.bytes(index)) None
    else
      try merges.bases.write(index)
      catch {
        case NonFatal(thrown) =>
          Log.warn(s"an index could not be written, and its changes pile up: ${Trace.headline(thrown)}")
          None
      }
  }

  /** The handle no longer needs it. */
  def retire(): Unit = synchronized {
    close()
    retired = true
    merges.forget(this)
    newest.content.kept.leave()
    base.kept.leave()
  }

  private def awaitRoom(size: Long, isCancelled: () => Boolean): Unit = {
    val limit = System.nanoTime + patienceNanos
    var tried = false
    while (merges.taken + size > merges.room && !synchronized(closed)) {
      if (isCancelled()) throw HandleException.cancelled
      merges.relieve()
      synchronized {
        if (tried) failed.foreach(why => throw HandleException.failed(s"earlier changes cannot be merged, and there is no room for more: $why"))
        if (System.nanoTime > limit) throw HandleException.failed("earlier changes are still being merged: try again")
        tried = true
        if (merges.taken + size > merges.room) wait(stepMillis)
      }
    }
  }

  /** Changes under normal keys, which fit into the columns; where there are no entries yet, the kind of keys and columns they make. */
  private def checked(changes: Seq[(Any, Option[Any])], content: PairContent): Checked = {
    var kind = content.key
    val entries = changes.map { case (key, value) =>
      val made = Keys.of(key, kind)
      kind = kind.orElse(Some(Keys.kind(made)))
      made -> value
    }
    val table =
      if (content.key.isDefined) content.columns
      else PairContent.columns(entries.collect { case (key, Some(value)) => key -> value })
    if (!isOwn) ChangeCheck.fits(entries, table)
    Checked(entries, kind, table)
  }

  /** Joins sets of changes of about the same size, so that what makes an index anew reads only a few of them, and each entry is copied
    * only now and then; large ones stay apart, for to join them takes the driver's memory.
    */
  @tailrec private def compact(all: Vector[Merged]): Vector[Merged] = all match {
    case earlier :+ before :+ last if before.bytes <= 2 * last.bytes && before.bytes + last.bytes <= mostJoined =>
      val (old, late) = (before.changes.value, last.changes.value)
      val joined = (old.keySet ++ late.keySet).map(part =>
        part -> PairIndex.after(old.getOrElse(part, PairIndex.unchanged), late.getOrElse(part, PairIndex.unchanged))).toMap
      compact(earlier :+ Merged(base.index.sparkContext.broadcast(joined), SizeEstimator.estimate(joined)))
    case few => few
  }

  private def keep(index: RDD[PairIndex.Index]): RDD[PairIndex.Index] =
    if (level == StorageLevel.NONE) index else index.persist(level)

  private def keptBy(index: RDD[PairIndex.Index], from: Base): Kept = {
    from.kept.enter()
    new Kept(() => {
      index.unpersist(blocking = false)
      from.kept.leave()
    })
  }
}

/** A version's number and its entries. */
final case class PairVersion(number: Long, content: PairContent)

object Pairs {

  /** Changes that may be made. */
  private final case class Checked(entries: Seq[(Any, Option[Any])], kind: Option[String], table: StructType)

  /** Changes that have been merged, and what they take, about. */
  private final case class Merged(changes: Broadcast[Map[Int, PairIndex.Changes]], bytes: Long)

  /** Entries of one put or delete. */
  private val mostEntries = 100000

  /** Changes, in number or bytes, from which on they are merged. */
  private val mergeEntries = 20000
  private val mergeBytes = 32L * 1024 * 1024

  /** Bytes of a set of merged changes that is made of smaller ones. */
  private val mostJoined = 64L * 1024 * 1024

  /** How long a put waits for room, and how often it looks. */
  private val patienceNanos = 300L * 1000000000
  private val stepMillis = 200L

  /** How long nothing is merged after a merge has failed. */
  private val pauseNanos = 10L * 1000000000
}
