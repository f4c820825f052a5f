package hearth.agent.link

import com.fasterxml.jackson.core.JsonToken
import com.fasterxml.jackson.databind.JsonNode
import hearth.agent.{Json, Log}

/** One frame of the link. `seq` 0 is control, without number; `epoch` is the sender's. */
final case class Envelope(
    seq: Long,
    epoch: Long,
    session: Option[String],
    statement: Option[Int],
    tag: String,
    body: JsonNode)

object Envelope {

  /** Stands for the type of an envelope that cannot be read: there is none of that name. */
  val unreadable = "unreadable"

  /** The envelope of a frame. One that cannot be read, but has a number, is as one of an unknown type: it would not be otherwise if it
    * came again.
    *
    * @throws IllegalArgumentException when the frame is not an envelope
    */
  def read(frame: String): Envelope =
    try parse(frame)
    catch {
      case bad: IllegalArgumentException =>
        val found = head(frame).filter(_.seq > 0).getOrElse(throw bad)
        Log.warn(s"message ${found.seq} of the gateway cannot be read: ${bad.getMessage}")
        found
    }

  /** As much of a frame as can be read before its body. */
  private def head(frame: String): Option[Envelope] = {
    val parser = Json.mapper.getFactory.createParser(frame)
    var seq, epoch = Option.empty[Long]
    try {
      parser.nextToken()
      while (parser.nextToken() == JsonToken.FIELD_NAME) {
        val name = parser.currentName
        val isWhole = parser.nextToken() == JsonToken.VALUE_NUMBER_INT
        if (isWhole && name == "seq") seq = Some(parser.getLongValue)
        else if (isWhole && name == "epoch") epoch = Some(parser.getLongValue)
        else parser.skipChildren()
      }
    } catch { case _: java.io.IOException => () }
    finally parser.close()
    for (number <- seq; of <- epoch) yield Envelope(number, of, None, None, unreadable, Json.obj())
  }

  /** @throws IllegalArgumentException when the frame is not an envelope */
  def parse(frame: String): Envelope = {
    val node =
      try Json.parse(frame)
      // What it says may hold some of the frame, which is nobody's business here.
      catch { case bad: java.io.IOException => throw new IllegalArgumentException("not JSON: " + bad.getClass.getSimpleName) }
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
