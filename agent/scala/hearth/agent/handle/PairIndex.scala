package hearth.agent.handle

import scala.collection.immutable.HashMap

import org.apache.spark.{Partition, TaskContext}
import org.apache.spark.broadcast.Broadcast
import org.apache.spark.hearth.CachedPartitions
import org.apache.spark.rdd.RDD

/** The RDDs behind key-value handles: each partition is one persistent map of the keys that live there. */
object PairIndex {

  /** Normal keys to values. */
  type Index = HashMap[Any, Any]

  /** What has changed since an index was made: a value that was put, or None for a key that was deleted. */
  type Changes = HashMap[Any, Option[Any]]

  val unchanged: Changes = HashMap.empty

  /** The index of some pairs. Where a key comes more than once the last one in the order of the source holds, however often it is
    * computed.
    *
    * @param kind the kind of its keys, if it is known
    */
  def of(pairs: RDD[(Any, Any)], kind: Option[String]): RDD[Index] = {
    val placed = pairs.mapPartitionsWithIndex { (part, entries) =>
      entries.zipWithIndex.map { case ((key, value), at) => (Keys.of(key, kind), (part, at, value)) }
    }
    val partitions = math.min(math.max(pairs.getNumPartitions, 1), mostPartitions)
    placed.partitionBy(new KeyPartitioner(partitions)).mapPartitions(build, preservesPartitioning = true)
  }

  def merge(index: Index, changes: Iterable[(Any, Option[Any])]): Index = changes.foldLeft(index) {
    case (made, (key, Some(value))) => made.updated(key, value)
    case (made, (key, None))        => made - key
  }

  /** Changes and later ones; costs what the later ones are. */
  def after(before: Changes, later: Iterable[(Any, Option[Any])]): Changes =
    later.foldLeft(before) { case (made, (key, change)) => made.updated(key, change) }

  /** Changes by the partition that they concern. */
  def split(changes: Changes, partitioner: KeyPartitioner): Map[Int, Changes] =
    changes.groupBy { case (key, _) => partitioner.getPartition(key) }

  /** The index of a partition; reads to the end, which is where Spark lets go of the block. */
  def only(parts: Iterator[Index]): Index = parts.reduce((_, last) => last)

  private def build(entries: Iterator[(Any, (Int, Int, Any))]): Iterator[Index] = {
    val last = new java.util.HashMap[Any, (Int, Int, Any)]
    entries.foreach { case (key, found @ (part, at, _)) =>
      val before = last.get(key)
      if (before == null || before._1 < part || (before._1 == part && before._2 < at)) last.put(key, found)
    }
    var index: Index = HashMap.empty
    last.forEach((key, found) => index = index.updated(key, found._3))
    Iterator.single(index)
  }

  private val mostPartitions = 10000
}

/** An index with changes merged in. It depends on its base alone, however often changes have been merged, so that its lineage stays as
  * short as it began and what an executor loses is computed anew. As long as the index before it is cached it is made from that and the last
  * changes.
  *
  * @param base     the index that was made of the source, or a later one that was written
  * @param previous id of the index before this one
  * @param last     what has changed since that one
  * @param all      what has changed since the base, in order; `last` is the end of it
  */
final class MergedIndex(
    base: RDD[PairIndex.Index],
    previous: Int,
    last: Broadcast[Map[Int, PairIndex.Changes]],
    all: Seq[Broadcast[Map[Int, PairIndex.Changes]]])
    extends RDD[PairIndex.Index](base) {

  override val partitioner = base.partitioner

  override protected def getPartitions: Array[Partition] = firstParent[PairIndex.Index].partitions

  override def compute(split: Partition, context: TaskContext): Iterator[PairIndex.Index] = {
    def changes(from: Broadcast[Map[Int, PairIndex.Changes]]) = from.value.getOrElse(split.index, PairIndex.unchanged)
    val made = CachedPartitions.get(previous, split.index) match {
      case Some(found: HashMap[_, _]) => PairIndex.merge(found.asInstanceOf[PairIndex.Index], changes(last))
      case _ => all.foldLeft(PairIndex.only(firstParent[PairIndex.Index].iterator(split, context)))((index, next) => PairIndex.merge(index, changes(next)))
    }
    Iterator.single(made)
  }

  override protected def getPreferredLocations(split: Partition): Seq[String] = CachedPartitions.hosts(previous, split.index)
}
