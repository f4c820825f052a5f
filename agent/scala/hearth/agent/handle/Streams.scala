package hearth.agent.handle

import java.net.http.HttpRequest.BodyPublishers
import java.nio.charset.StandardCharsets.UTF_8
import java.util.Base64
import java.util.concurrent.{CompletableFuture, ConcurrentHashMap, TimeUnit}

import com.fasterxml.jackson.databind.JsonNode

import hearth.agent.{Json, Log, Trace}
import hearth.agent.link.Door

/** Sends handles' rows to the gateway that has asked for them, over connections of their own. */
private[agent] final class Streams(handles: Handles, door: Door) {
  import Streams._

  /** The newest that were asked for; none is opened twice. */
  private val known = new java.util.LinkedHashMap[String, Unit] {
    override def removeEldestEntry(eldest: java.util.Map.Entry[String, Unit]): Boolean = size > 1000
  }

  /** Those that wait or are under way. */
  private val open = new ConcurrentHashMap[String, Sending]

  /** Takes an `open_stream`, which may be a repeat; never blocks. */
  def take(body: JsonNode): Unit = {
    val id = body.path("stream").asText
    val isNew = known.synchronized { val isNew = !known.containsKey(id); known.put(id, ()); isNew }
    if (isNew && !begin(id, body)) {
      val busy = HandleException.failed(s"${Work.mostStreams} streams of this context's handles are under way already: try again soon")
      handles.work.answer(refuse(id, busy))
    }
  }

  /** Returns whether there is room for it. */
  private def begin(id: String, body: JsonNode): Boolean = open.size < 2 * Work.mostStreams && {
    val sending = new Sending
    open.put(id, sending)
    sending.waiting = handles.work.stream(try send(id, body, sending) finally close(id))
    if (sending.waiting.isEmpty) close(id)
    sending.waiting.isDefined
  }

  /** Ends a stream that nobody waits for any longer, if it is one; nothing is told of it. */
  def cancel(id: String): Unit = {
    stop(id)
    // What still waited for others before it never begins.
    Option(open.get(id)).flatMap(_.waiting).foreach { takeBack => if (takeBack()) close(id) }
  }

  private def stop(id: String): Unit = {
    val stopped = open.computeIfPresent(id, (_, sending) => {
      sending.isOver = true
      handles.cancelJobs(group(id))
      sending
    })
    Option(stopped).flatMap(_.sent).foreach(_.cancel(true))
  }

  private def close(id: String): Unit = {
    open.remove(id)
    handles.forgetJobs(group(id))
  }

  private def send(id: String, body: JsonNode, sending: Sending): Unit = {
    var begun = false
    // It may have waited long: what the name stood for when it was asked for, or nothing.
    val meant = Option(body.path("share").asText(null))
    try if (!sending.isOver) handles(body.path("name").asText, meant).readingMeant(meant) { version =>
      handles.work.group(group(id), s"stream of handle ${body.path("name").asText}")
      val whole = Projection.of(version.content.frame(handles.root), body)
      val frame = if (body.path("limit").isIntegralNumber) whole.limit(body.path("limit").asInt) else whole
      val stream = new StreamBody(Formatted.of(frame, body.path("format").asText), () => sending.isOver)
      try {
        stream.begin()
        if (!sending.isOver) {
          begun = true
          post(id, version, stream, sending)
        }
      } finally stream.close()
    } catch {
      case _: Throwable if sending.isOver && !begun => ()
      // One that has begun is known to have failed by its broken connection.
      case failure: Throwable if begun => Log.warn(s"a stream of a handle broke off: ${Trace.headline(failure)}")
      case failure: Throwable          => refuse(id, failure)
    }
  }

  private def post(id: String, version: Version, stream: StreamBody, sending: Sending): Unit = {
    val sent = door.post(
      path(id),
      Seq("X-Hearth-Handle-Version" -> version.number.toString, "Content-Type" -> "application/octet-stream"),
      BodyPublishers.ofByteArrays(stream))
    sending.sent = Some(sent)
    sent.whenComplete((_, _) => stop(id))
    if (sending.isOver) sent.cancel(true)
    try stream.produce()
    finally sent.handle[Unit]((_, _) => ()).get()
  }

  /** Tells that there will be no stream, and why. */
  private def refuse(id: String, why: Throwable): Unit = {
    val told = Base64.getEncoder.encodeToString(Json.write(HandleException.told(why, Json.obj())).getBytes(UTF_8))
    try door.post(path(id), Seq("X-Hearth-Error" -> told), BodyPublishers.noBody()).get(patienceSeconds, TimeUnit.SECONDS)
    catch { case failure: Exception => Log.warn(s"a stream's failure could not be told: ${failure.getMessage}") }
  }

  private def path(id: String): String = s"/driver/streams/$id"
}

private object Streams {

  /** A stream that waits or is under way. */
  private final class Sending {

    /** Whether nobody takes it any more. */
    @volatile var isOver = false

    /** Takes it back while it still waits; returns whether it did. */
    @volatile var waiting = Option.empty[() => Boolean]
    @volatile var sent = Option.empty[CompletableFuture[_]]
  }

  /** How long a refusal may take to be told. */
  private val patienceSeconds = 30L

  private def group(id: String): String = s"hearth-stream-$id"
}
