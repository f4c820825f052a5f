package hearth.agent.handle

import org.apache.spark.rdd.RDD
import org.apache.spark.sql.{DataFrame, Row, SparkSession}
import org.apache.spark.sql.types.StructType

/** One version of a key-value handle: an index on the executors, and over it what has changed since, in the driver. Versions share
  * the index and the unchanged parts of the overlay, so that a new one costs what it changes.
  *
  * @param key     the kind of the keys; None as long as there are none
  * @param overlay what has been put and deleted since the index was made
  * @param bytes   what the overlay takes, about
  * @param columns types of key and value
  */
final class PairContent(
    val index: RDD[PairIndex.Index],
    val overlay: PairIndex.Changes,
    val bytes: Long,
    val key: Option[String],
    val columns: StructType,
    override val kept: Kept) extends Content {

  override def kind: String = "pairs"
  override def schema: Option[StructType] = Some(columns)
  override def storedIn: Option[Int] = Some(index.id)
  override def partitions: Int = index.getNumPartitions
  override def driverBytes: Long = bytes

  def partitioner: KeyPartitioner = index.partitioner match {
    case Some(ours: KeyPartitioner) => ours
    case _                          => throw new IllegalStateException("an index without its partitioner")
  }

  /** The entries of some normal keys; one task for each partition that holds one of them and is not known in the driver. */
  def get(keys: Seq[Any]): Map[Any, Any] = {
    val (near, far) = keys.partition(overlay.contains)
    val here = near.flatMap(key => overlay(key).map(key -> _)).toMap
    if (far.isEmpty) here
    else {
      val places = far.groupBy(partitioner.getPartition)
      val find = (part: Int, parts: Iterator[PairIndex.Index]) => {
        val found = PairIndex.only(parts)
        places(part).flatMap(key => found.get(key).map(key -> _))
      }
      val found = index.sparkContext.runJob(
        index, (task: org.apache.spark.TaskContext, parts: Iterator[PairIndex.Index]) => find(task.partitionId(), parts), places.keys.toSeq)
      here ++ found.toSeq.flatten
    }
  }

  def count(): Long = {
    val split = PairIndex.split(overlay, partitioner)
    val base = index.sparkContext.runJob(
      index,
      (task: org.apache.spark.TaskContext, parts: Iterator[PairIndex.Index]) => {
        val found = PairIndex.only(parts)
        found.size.toLong - split.getOrElse(task.partitionId(), PairIndex.unchanged).keysIterator.count(found.contains)
      },
      0 until index.getNumPartitions)
    base.sum + overlay.valuesIterator.count(_.isDefined)
  }

  /** All entries, keys in their normal form. */
  def entries: RDD[(Any, Any)] =
    if (overlay.isEmpty) index.mapPartitions(_.flatMap(_.iterator))
    else {
      val changes = index.sparkContext.broadcast(PairIndex.split(overlay, partitioner))
      index.mapPartitionsWithIndex { (part, parts) =>
        parts.flatMap(found => PairIndex.merge(found, changes.value.getOrElse(part, PairIndex.unchanged)).iterator)
      }
    }

  override def frame(session: SparkSession): DataFrame = session.createDataFrame(PairContent.rows(entries, columns), columns)

  override def lent(session: SparkSession): DataFrame = session.createDataFrame(kept.lend(PairContent.rows(entries, columns)), columns)

  /** With some changes over it. */
  def changed(changes: Seq[(Any, Option[Any])], size: Long, key: Option[String], columns: StructType): PairContent =
    new PairContent(index, PairIndex.after(overlay, changes), bytes + size, key, columns, kept)
}

object PairContent {
  def rows(entries: RDD[(Any, Any)], table: StructType): RDD[Row] = {
    val Array(keys, values) = table.fields.map(_.dataType)
    entries.map { case (key, value) => Row(Schemas.cell(key, keys), Schemas.cell(value, values)) }
  }

  /** The columns of some entries. */
  def columns(entries: Seq[(Any, Any)]): StructType =
    new StructType().add("key", Schemas.of(entries.map(_._1))).add("value", Schemas.of(entries.map(_._2)))
}
