package hearth.agent.handle

import org.apache.spark.broadcast.Broadcast
import org.apache.spark.rdd.RDD
import org.apache.spark.sql.types.StructType
import org.apache.spark.storage.StorageLevel
import org.apache.spark.util.SizeEstimator

/** The life of a key-value handle between two `share`s: its newest content, changed by puts and deletes, and now and then merged into a
  * new index.
  *
  * @param source the index as it was made; never cached itself but as the first index
  * @param key    the kind of the keys, if there are some
  */
final class Pairs(source: RDD[PairIndex.Index], key: Option[String], columns: StructType, level: StorageLevel) {
  import Pairs._

  @volatile private var newest = PairVersion(0, new PairContent(keep(source), PairIndex.unchanged, 0, key, columns, keptBy(source)))

  /** What has been merged since the source was made, in order. */
  private var merged = Vector.empty[Broadcast[Map[Int, PairIndex.Changes]]]
  private var merging = false
  private var retired = false

  def now: PairVersion = newest

  /** Gives the first version its number. */
  def number(first: Long): Unit = synchronized { newest = newest.copy(number = first) }

  /** Puts (values) and deletes (None), under keys as they were given; waits while the driver has no room.
    *
    * @return the number of the version that has them
    */
  def change(changes: Seq[(Any, Option[Any])]): Long = {
    if (changes.size > mostEntries)
      throw HandleException.badValue(s"${changes.size} entries at once are too many: put at most $mostEntries, or share a new RDD")
    val size = SizeEstimator.estimate(changes.toArray)
    if (size > mostBytes / 4)
      throw HandleException.badValue(s"the entries take ${size >> 20} MiB, more than the ${mostBytes >> 22} MiB of one put: share a new RDD")
    synchronized {
      val limit = System.nanoTime + patienceNanos
      while (newest.content.bytes + size > mostBytes && merging) {
        val left = (limit - System.nanoTime) / 1000000
        if (left <= 0) throw HandleException.failed("earlier changes are still being merged: try again")
        wait(left)
      }
      val content = newest.content
      var kind = content.key
      val normal = changes.map { case (key, value) =>
        val made = Keys.of(key, kind)
        kind = kind.orElse(Some(Keys.kind(made)))
        made -> value
      }
      newest = PairVersion(newest.number + 1, content.changed(normal, size, kind, columnsWith(normal)))
      newest.number
    }
  }

  /** Whether so much has changed that it should be merged, by the caller of this, who then does. */
  def claimMerge(): Boolean = synchronized {
    val due = !merging && (newest.content.overlay.size >= mergeEntries || newest.content.bytes >= mergeBytes)
    if (due) merging = true
    due
  }

  /** Makes a new index of the old one and the changes, on the executors; changes that come meanwhile stay over it. The version is
    * the same as before.
    */
  def merge(): Unit =
    try {
      val begun = newest.content
      val context = begun.index.sparkContext
      val last = context.broadcast(PairIndex.split(begun.overlay, begun.partitioner))
      val all = compact(merged :+ last)
      val made = keep(new MergedIndex(source, begun.index.id, last, all))
      context.runJob(made, (parts: Iterator[PairIndex.Index]) => parts.foreach(_ => ()))
      synchronized(if (retired) made.unpersist(blocking = false) else {
        merged = all
        val content = newest.content
        val rest = content.overlay.filter { case (key, change) => !begun.overlay.get(key).exists(_ eq change) }
        val size = if (rest.isEmpty) 0L else SizeEstimator.estimate(rest)
        newest = newest.copy(content = new PairContent(made, rest, size, content.key, content.columns, keptBy(made)))
        content.kept.leave()
      })
    } finally synchronized {
      merging = false
      notifyAll()
    }

  /** The handle no longer needs it. */
  def retire(): Unit = synchronized {
    retired = true
    newest.content.kept.leave()
  }

  /** Columns that hold what is put as well, where the first values were of no kind or of one that holds it. */
  private def columnsWith(changes: Seq[(Any, Option[Any])]): StructType =
    if (newest.content.key.isDefined) newest.content.columns
    else PairContent.columns(changes.collect { case (key, Some(value)) => key -> value })

  /** One set of changes in the place of many, so that what makes an index anew never reads more than a few. */
  private def compact(all: Vector[Broadcast[Map[Int, PairIndex.Changes]]]) =
    if (all.size <= mostMerged) all
    else {
      val joined = all.map(_.value).reduce((before, after) =>
        (before.keySet ++ after.keySet).map(part =>
          part -> PairIndex.after(before.getOrElse(part, PairIndex.unchanged), after.getOrElse(part, PairIndex.unchanged))).toMap)
      Vector(source.sparkContext.broadcast(joined))
    }

  private def keep(index: RDD[PairIndex.Index]): RDD[PairIndex.Index] =
    if (level == StorageLevel.NONE) index else index.persist(level)

  private def keptBy(index: RDD[PairIndex.Index]) = new Kept(() => index.unpersist(blocking = false))
}

/** A version's number and its entries. */
final case class PairVersion(number: Long, content: PairContent)

object Pairs {

  /** Entries of one put or delete. */
  private val mostEntries = 100000

  /** Bytes of changes that the driver holds before a put waits for a merge. */
  private val mostBytes = 256L * 1024 * 1024

  /** Changes, in number or bytes, from which on they are merged. */
  private val mergeEntries = 20000
  private val mergeBytes = 32L * 1024 * 1024

  /** Sets of changes that are kept apart. */
  private val mostMerged = 8
  private val patienceNanos = 300L * 1000000000
}
