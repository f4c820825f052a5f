package org.apache.spark.hearth

import scala.reflect.ClassTag

import org.apache.spark.SparkContext
import org.apache.spark.rdd.{RDD, ReliableCheckpointRDD}
import org.apache.spark.util.Utils

/** RDDs in files, as Spark writes checkpoints. */
object WrittenRdds {

  /** Writes an RDD whole, as it is cached where it is, and returns it as it is read from there. */
  def write[T: ClassTag](rdd: RDD[T], folder: String): RDD[T] = ReliableCheckpointRDD.writeRDDToCheckpointDirectory(rdd, folder)

  /** A new folder of this machine that is gone with the JVM. */
  def localFolder(context: SparkContext): String = Utils.createTempDir(Utils.getLocalDir(context.getConf), "hearth-index").toURI.toString
}
