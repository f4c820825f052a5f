package hearth.agent.handle

import java.nio.file.Paths
import java.util.concurrent.ScheduledExecutorService

import com.fasterxml.jackson.databind.JsonNode

import hearth.agent.{Json, Settings}
import hearth.agent.link.Door
import org.apache.spark.sql.SparkSession

/** The handles of a driver for tests, with lines of JSON in the place of the link. */
final class HandleDriver(
    spark: () => SparkSession,
    timer: ScheduledExecutorService,
    gateway: Option[String],
    answer: (String, Seq[(String, Any)]) => Unit) {
  private val settings = new Settings(Nil, None, "application", "token", Paths.get(""), Nil, Paths.get(""))
  private val link = new HandleLink(new Door(settings, () => gateway), timer, spark, send, send(_, None, None, _), _())

  /** Spark is there. */
  def started(root: SparkSession): Unit = link.started(root)

  /** Does what a message of the gateway says, or tells what is cached. */
  def take(command: JsonNode): Unit = command.path("tag").asText match {
    case "cached" =>
      // What a reader has let go of is known to be garbage only then.
      if (command.path("collect").asBoolean) System.gc()
      val ids = spark().sparkContext.getRDDStorageInfo.filter(_.isCached).map(_.id).toSeq.sorted
      answer("cached", Seq("rdds" -> Json.mapper.valueToTree[JsonNode](ids.toArray)))
    case "owner" => link.handles.owned(command.path("body").path("session").asText, command.path("body").path("owner").asText)
    case tag => link.take(tag, command.path("body"))
  }

  private def send(tag: String, session: Option[String], statement: Option[Int], body: JsonNode): Unit =
    answer("link", Seq("tag" -> tag, "session" -> session.orNull, "statement" -> statement.getOrElse(-1), "body" -> body))
}
