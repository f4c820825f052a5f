package hearth.agent.handle

import scala.collection.mutable

import org.apache.spark.rdd.RDD
import org.apache.spark.sql.DataFrame
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan
import org.apache.spark.sql.hearth.Plans
import org.apache.spark.storage.StorageLevel

/** What is cached for handles. Several of them, or versions of one, may be made of the same frame or RDD: it stays cached until the last
  * of them is freed. What user code has cached is dropped when user code wants.
  */
final class Caches {

  /** What is cached, once for each that wants it so. */
  private val frames = mutable.ArrayBuffer.empty[LogicalPlan]
  private val rdds = mutable.HashMap.empty[Int, Int]

  /** Caches a frame, unless the level is NONE, for one more. */
  def frame(rows: DataFrame, level: StorageLevel): Kept = {
    val plan = Plans.of(rows)
    val isOurs = synchronized {
      val ours = level != StorageLevel.NONE && (rows.storageLevel == StorageLevel.NONE || isCached(plan))
      if (ours) frames += plan
      ours
    }
    if (!isOurs) Kept.nothing
    else {
      val kept = new Kept(() => synchronized {
        frames.remove(frames.indexWhere(_ eq plan))
        if (!isCached(plan)) rows.unpersist()
      })
      // Not under the lock: it is planned for that, which may take its time.
      try rows.persist(level)
      catch { case failure: Throwable => kept.leave(); throw failure }
      kept
    }
  }

  /** Caches an RDD, unless the level is NONE, for one more. */
  def rdd(data: RDD[_], level: StorageLevel): Kept = synchronized {
    val users = rdds.getOrElse(data.id, 0)
    if (level == StorageLevel.NONE || (data.getStorageLevel != StorageLevel.NONE && users == 0)) Kept.nothing
    else {
      if (data.getStorageLevel == StorageLevel.NONE) data.persist(level)
      rdds(data.id) = users + 1
      new Kept(() => synchronized {
        val left = rdds(data.id) - 1
        if (left > 0) rdds(data.id) = left
        else {
          rdds.remove(data.id)
          data.unpersist(blocking = false)
        }
      })
    }
  }

  private def isCached(plan: LogicalPlan): Boolean = frames.exists(Plans.sameResult(_, plan))
}
