package hearth.agent.link

import com.fasterxml.jackson.databind.JsonNode
import hearth.agent.Json

/** One frame of the link. `seq` 0 is control, without number; `epoch` is the sender's. */
final case class Envelope(
    seq: Long,
    epoch: Long,
    session: Option[String],
    statement: Option[Int],
    tag: String,
    body: JsonNode)

object Envelope {

  /** @throws IllegalArgumentException when the frame is not an envelope */
  def parse(frame: String): Envelope = {
    val node =
      try Json.parse(frame)
      catch { case bad: java.io.IOException => throw new IllegalArgumentException("not JSON: " + bad.getMessage) }
    val tag = node.path("type")
    require(tag.isTextual, "an envelope without type")
    Envelope(
      node.path("seq").asLong(0),
      node.path("epoch").asLong(0),
      Option(node.get("session")).filter(_.isTextual).map(_.asText),
      Option(node.get("statement")).filter(_.isIntegralNumber).map(_.asInt),
      tag.asText,
      Option(node.get("body")).filter(_.isObject).getOrElse(Json.obj()))
  }

  /** All of a frame but its number and epoch, which are put before it at each sending. */
  def rest(session: Option[String], statement: Option[Int], tag: String, body: JsonNode): String = {
    val node = Json.obj()
    session.foreach(node.put("session", _))
    statement.foreach(number => node.put("statement", number: Integer))
    node.put("type", tag)
    node.set[JsonNode]("body", body)
    Json.write(node)
  }

  def frame(seq: Long, epoch: Long, rest: String): String =
    new java.lang.StringBuilder(rest.length + 48)
      .append("{\"seq\":").append(seq).append(",\"epoch\":").append(epoch).append(',')
      .append(rest, 1, rest.length).toString
}
