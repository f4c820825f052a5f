package org.apache.spark.sql.hearth

import java.io.InputStream
import java.nio.channels.Channels

import org.apache.arrow.vector.ipc.ReadChannel
import org.apache.arrow.vector.ipc.message.MessageSerializer
import org.apache.spark.sql.{DataFrame, Dataset, SparkSession}
import org.apache.spark.sql.catalyst.TableIdentifier
import org.apache.spark.sql.catalyst.catalog.{CatalogStorageFormat, CatalogTable, CatalogTableType, TemporaryViewRelation}
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan
import org.apache.spark.sql.execution.SparkPlan
import org.apache.spark.sql.execution.adaptive.AdaptiveSparkPlanExec
import org.apache.spark.sql.execution.arrow.ArrowConverters
import org.apache.spark.sql.execution.columnar.InMemoryTableScanExec
import org.apache.spark.sql.execution.exchange.Exchange
import org.apache.spark.sql.util.ArrowUtils

/** Frames by their plans, which is how they go from one SparkSession to another, and the views that all sessions see. */
object Plans {

  /** The plan with every name resolved as the frame's own session sees it: temp views, functions and SQL conf stay its maker's. */
  def of(frame: Dataset[_]): LogicalPlan = frame.queryExecution.analyzed

  def sameResult(one: LogicalPlan, other: LogicalPlan): Boolean = one.sameResult(other)

  /** The id of the RDD that holds a cached frame's rows, once something has asked for them. */
  def cachedIn(frame: Dataset[_]): Option[Int] =
    SparkSql.cached(frame).map(_.cachedRepresentation.cacheBuilder).filter(_.isCachedColumnBuffersLoaded).map(_.cachedColumnBuffers.id)

  /** How many partitions a frame has, where that is known without running a job; else as many as are planned, which may be 0. */
  def partitions(frame: Dataset[_]): Int = {
    val plan = frame.queryExecution.executedPlan
    if (needsJob(plan)) plan.outputPartitioning.numPartitions else frame.rdd.getNumPartitions
  }

  private def needsJob(plan: SparkPlan): Boolean = plan.exists {
    case _: AdaptiveSparkPlanExec | _: Exchange => true
    case scan: InMemoryTableScanExec            => needsJob(scan.relation.cachedPlan)
    case other                                  => other.subqueries.nonEmpty
  }

  /** Puts the frame under `global_temp.NAME`, in one step and, unlike `createOrReplaceGlobalTempView`, without dropping the cached
    * rows of the frame that was there.
    */
  def view(name: String, frame: DataFrame): Unit = {
    val plan = of(frame)
    val table = CatalogTable(
      TableIdentifier(name), CatalogTableType.VIEW, CatalogStorageFormat.empty, plan.schema,
      properties = Map(CatalogTable.VIEW_STORING_ANALYZED_PLAN -> "true"))
    frame.sparkSession.sessionState.catalog.createGlobalTempView(
      name, TemporaryViewRelation(table, Some(plan)), overrideIfExists = true)
  }

  def dropView(session: SparkSession, name: String): Unit = session.sessionState.catalog.dropGlobalTempView(name)

  def timeZone(session: SparkSession): String = session.sessionState.conf.sessionLocalTimeZone

  /** A frame of what an Arrow stream holds.
    *
    * @param most bytes of record batches that are taken
    * @throws IllegalStateException if there is more
    */
  def read(session: SparkSession, stream: InputStream, most: Long): DataFrame = {
    val channel = Channels.newChannel(stream)
    val schema = ArrowUtils.fromArrowSchema(MessageSerializer.deserializeSchema(new ReadChannel(channel)))
    var taken = 0L
    val batches = ArrowConverters.getBatchesFromStream(channel).map { batch =>
      taken += batch.length
      if (taken > most) throw new IllegalStateException(s"more than $most bytes")
      batch
    }
    SparkSql.fromArrow(session, batches.toVector.iterator, schema)
  }
}
