package org.apache.spark.sql.hearth

import java.io.OutputStream

import org.apache.spark.rdd.RDD
import org.apache.spark.sql.{DataFrame, Dataset, SparkSession, SparkSessionExtensions}
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan
import org.apache.spark.sql.execution.CachedData
import org.apache.spark.sql.execution.arrow.{ArrowBatchStreamWriter, ArrowConverters}
import org.apache.spark.sql.types.StructType

/** The ways into Spark SQL that are not public and differ between the lines of Spark; these are Spark 3's. */
object SparkSql {
  def frame(session: SparkSession, plan: LogicalPlan): DataFrame = Dataset.ofRows(session, plan)

  def cached(frame: Dataset[_]): Option[CachedData] = frame.sparkSession.sharedState.cacheManager.lookupCachedData(frame)

  def extensions(session: SparkSession): SparkSessionExtensions = session.extensions

  /** The rows as serialized Arrow record batches. */
  def arrow(frame: DataFrame): RDD[Array[Byte]] = frame.toArrowBatchRdd

  def writer(schema: StructType, zone: String, out: OutputStream): ArrowBatchStreamWriter =
    new ArrowBatchStreamWriter(schema, out, zone, false)

  def fromArrow(session: SparkSession, batches: Iterator[Array[Byte]], schema: StructType): DataFrame =
    ArrowConverters.toDataFrame(batches, schema.json, session)
}
