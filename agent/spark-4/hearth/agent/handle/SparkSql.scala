package org.apache.spark.sql.hearth

import java.io.OutputStream

import org.apache.spark.rdd.RDD
import org.apache.spark.sql.{DataFrame, Dataset, SparkSession, SparkSessionExtensions}
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan
import org.apache.spark.sql.classic
import org.apache.spark.sql.execution.CachedData
import org.apache.spark.sql.execution.arrow.{ArrowBatchStreamWriter, ArrowConverters}
import org.apache.spark.sql.types.StructType

/** The ways into Spark SQL that are not public and differ between the lines of Spark; these are Spark 4's. */
object SparkSql {
  def frame(session: SparkSession, plan: LogicalPlan): DataFrame = classic.Dataset.ofRows(own(session), plan)

  def cached(frame: Dataset[_]): Option[CachedData] =
    own(frame.sparkSession).sharedState.cacheManager.lookupCachedData(frame.asInstanceOf[classic.Dataset[_]])

  def extensions(session: SparkSession): SparkSessionExtensions = own(session).extensions

  /** The rows as serialized Arrow record batches. */
  def arrow(frame: DataFrame): RDD[Array[Byte]] = frame.asInstanceOf[classic.Dataset[_]].toArrowBatchRdd

  def writer(schema: StructType, zone: String, out: OutputStream): ArrowBatchStreamWriter =
    new ArrowBatchStreamWriter(schema, out, zone, false, false)

  def fromArrow(session: SparkSession, batches: Iterator[Array[Byte]], schema: StructType): DataFrame =
    ArrowConverters.toDataFrame(batches, schema.json, own(session))

  private def own(session: SparkSession) = session.asInstanceOf[classic.SparkSession]
}
