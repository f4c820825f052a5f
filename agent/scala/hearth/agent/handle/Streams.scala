package hearth.agent.handle

import java.net.http.HttpRequest.BodyPublishers
import java.nio.charset.StandardCharsets.UTF_8
import java.util.Base64

import com.fasterxml.jackson.databind.JsonNode

import hearth.agent.{Json, Log, Trace}
import hearth.agent.link.Door

/** Sends handles' rows to the gateway that has asked for them, over connections of their own. */
private[agent] final class Streams(handles: Handles, door: Door) {

  /** The newest that were asked for; none is opened twice. */
  private val known = new java.util.LinkedHashMap[String, Unit] {
    override def removeEldestEntry(eldest: java.util.Map.Entry[String, Unit]): Boolean = size > 1000
  }

  /** Takes an `open_stream`, which may be a repeat; never blocks. */
  def take(body: JsonNode): Unit = {
    val id = body.path("stream").asText
    val isNew = known.synchronized { val isNew = !known.containsKey(id); known.put(id, ()); isNew }
    if (isNew && !handles.work.stream(send(id, body))) {
      val busy = HandleException.failed(s"${Work.mostStreams} streams of this context's handles are under way already: try again soon")
      handles.work.answer(refuse(id, busy))
    }
  }

  private def send(id: String, body: JsonNode): Unit = {
    val group = s"hearth-stream-$id"
    var begun = false
    try handles(body.path("name").asText).reading { version =>
      handles.work.group(group, s"stream of handle ${body.path("name").asText}")
      val whole = Projection.of(version.content.frame(handles.root), body)
      val frame = if (body.path("limit").isIntegralNumber) whole.limit(body.path("limit").asInt) else whole
      @volatile var over = false
      val stream = new StreamBody(Formatted.of(frame, body.path("format").asText), () => over)
      stream.begin()
      begun = true
      val sent = door.post(
        path(id),
        Seq("X-Hearth-Handle-Version" -> version.number.toString, "Content-Type" -> "application/octet-stream"),
        BodyPublishers.ofByteArrays(stream))
      sent.whenComplete { (_, failure) =>
        over = true
        if (failure != null) handles.root.sparkContext.cancelJobGroup(group)
      }
      try stream.produce()
      finally sent.handle[Unit]((_, _) => ()).get()
    } catch {
      // One that has begun is known to have failed by its broken connection.
      case failure: Throwable if begun => Log.warn(s"a stream of a handle broke off: ${Trace.headline(failure)}")
      case failure: Throwable          => refuse(id, failure)
    }
  }

  /** Tells that there will be no stream, and why. */
  private def refuse(id: String, why: Throwable): Unit = {
    val told = Base64.getEncoder.encodeToString(Json.write(HandleException.told(why, Json.obj())).getBytes(UTF_8))
    try door.post(path(id), Seq("X-Hearth-Error" -> told), BodyPublishers.noBody()).get()
    catch { case failure: Exception => Log.warn(s"a stream's failure could not be told: ${failure.getMessage}") }
  }

  private def path(id: String): String = s"/driver/streams/$id"
}
