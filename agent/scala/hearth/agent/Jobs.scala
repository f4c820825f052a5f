package hearth.agent

import java.util.concurrent.ConcurrentHashMap

import org.apache.spark.SparkContext
import org.apache.spark.scheduler.{SparkListener, SparkListenerJobStart}

/** Cancels the Spark jobs of statements, those that start after the cancel as well. */
final class Jobs(context: SparkContext) extends SparkListener {
  private val unwanted = ConcurrentHashMap.newKeySet[String]

  def cancel(group: String): Unit = {
    unwanted.add(group)
    context.cancelJobGroup(group)
  }

  /** The statement is over: no more jobs of it will come. */
  def forget(group: String): Unit = unwanted.remove(group)

  override def onJobStart(event: SparkListenerJobStart): Unit = {
    val group = Jobs.group(event)
    if (group != null && unwanted.contains(group)) context.cancelJobGroup(group)
  }
}

object Jobs {

  /** The job group of a job, null if it has none. */
  def group(event: SparkListenerJobStart): String =
    if (event.properties == null) null else event.properties.getProperty("spark.jobGroup.id")
}
