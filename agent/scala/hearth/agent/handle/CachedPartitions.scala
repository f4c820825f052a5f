package org.apache.spark.hearth

import org.apache.spark.{SparkContext, SparkEnv}
import org.apache.spark.rdd.RDD
import org.apache.spark.storage.{RDDBlockId, RDDInfo}

/** What is cached of an RDD. */
object CachedPartitions {

  /** The single element of a cached partition, wherever it is cached; None if it is not. */
  def get(rdd: Int, partition: Int): Option[Any] =
    SparkEnv.get.blockManager.get[Any](RDDBlockId(rdd, partition)).flatMap { block =>
      // To its end, which is where Spark lets go of the block.
      block.data.foldLeft(Option.empty[Any])((_, found) => Some(found))
    }

  /** Asked for in the driver. */
  def hosts(rdd: Int, partition: Int): Seq[String] =
    SparkEnv.get.blockManager.master.getLocations(RDDBlockId(rdd, partition)).map(_.host).distinct

  /** What is cached of an RDD takes this, in memory and on disk. */
  def bytes(rdd: RDD[_]): Long = stored(rdd.sparkContext).get(rdd.id).fold(0L)(info => info.memSize + info.diskSize)

  def stored(context: SparkContext): Map[Int, RDDInfo] = context.getRDDStorageInfo.map(info => info.id -> info).toMap
}
