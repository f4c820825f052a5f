package hearth.agent.handle

import java.util.concurrent.ConcurrentHashMap

import scala.collection.JavaConverters._

import com.fasterxml.jackson.databind.JsonNode

import hearth.agent.Json
import hearth.agent.result.{Bounded, JsonValue, Types}

/** Answers what is asked of handles from outside. The gateway has decided that it may be asked.
  *
  * @param answer sends the body of a `handle_answer`, waiting while there is no room for it
  * @param refuse sends a small one, without waiting
  */
private[agent] final class Requests(handles: Handles, answer: JsonNode => Unit, refuse: JsonNode => Unit) {
  import Requests._

  /** Requests under way, and whether they have been cancelled. */
  private val running = new ConcurrentHashMap[String, java.util.concurrent.atomic.AtomicBoolean]

  /** Answers to the newest of those that change something, which are not done twice. One that was cancelled has changed nothing. */
  private val changes = new java.util.LinkedHashMap[String, JsonNode] {
    override def removeEldestEntry(eldest: java.util.Map.Entry[String, JsonNode]): Boolean = size > mostRemembered
  }

  /** Takes a request, which may be a repeat; never blocks. */
  def take(body: JsonNode): Unit = {
    val id = body.path("request").asText
    if (running.putIfAbsent(id, new java.util.concurrent.atomic.AtomicBoolean) == null) {
      // Looked at only now: one that has just been done is either among these or was running.
      val before = changes.synchronized(Option(changes.get(id)))
      if (before.isDefined || !begin(body.path("op").asText)(perform(id, body))) {
        running.remove(id)
        refuse(before.getOrElse(failure(id, HandleException.failed("this context has too many requests for handles already: ask again soon"))))
      }
    }
  }

  /** Stops a request, if it is one; it is answered as cancelled. */
  def cancel(id: String): Unit = running.computeIfPresent(id, (_, cancelled) => {
    cancelled.set(true)
    handles.cancelJobs(group(id))
    cancelled
  })

  private def begin(op: String)(task: => Unit): Boolean =
    if (op == "put" || op == "delete") handles.work.change(task) else handles.work.answer(task)

  private def perform(id: String, body: JsonNode): Unit = {
    val cancelled = running.get(id)
    val op = body.path("op").asText
    val told =
      try {
        if (cancelled.get) throw HandleException.cancelled
        handles.work.group(group(id), s"$op of handle ${body.path("name").asText}")
        val made = Json.obj().put("request", id).putNull("error")
        made.set[JsonNode]("result", result(op, body, () => cancelled.get))
        made
      } catch {
        case thrown: Throwable => failure(id, if (cancelled.get) HandleException.cancelled else thrown)
      }
    if (changing(op) && !(cancelled.get && failed(told))) changes.synchronized(changes.put(id, told))
    running.remove(id)
    handles.forgetJobs(group(id))
    answer(told)
  }

  private def result(op: String, body: JsonNode, isCancelled: () => Boolean): JsonNode = {
    val name = body.path("name").asText
    val meant = Option(body.path("share").asText(null))
    def handle = handles(name, meant)
    def keyed(node: JsonNode): Any = WireValues.key(node, handle.key)
    op match {
      case "get" => entries(handle, meant) { (version, content) =>
          val found = content.get(body.path("keys").elements.asScala.map(keyed).toVector.distinct)
          bounded(s"""{"version":$version,"entries":""", found.toSeq.map { case (key, value) => ListEntry(key, value) }, "}")
        }
      case "put" =>
        changed(handles.change(name, Maker.outside, body.path("entries").elements.asScala.map { entry =>
          if (entry.size != 2) throw HandleException.badValue("each entry is an array of a key and a value")
          (keyed(entry.get(0)), Some(WireValues.value(entry.get(1))))
        }.toVector, isCancelled, meant))
      case "delete" =>
        changed(handles.change(name, Maker.outside, body.path("keys").elements.asScala.map(key => (keyed(key), None)).toVector, isCancelled, meant))
      case "count" => handle.readingMeant(meant) {
          case Version(number, content: PairContent) => counted(number, content.count())
          case Version(number, content: RddContent)  => counted(number, content.rdd match {
              case _ if content.isPython => content.elements.count()
              case own                   => own.count()
            })
          case Version(number, content) => counted(number, content.frame(handles.root).count())
        }
      case "rows" => handle.readingMeant(meant)(rows(_, body))
      case "unshare" =>
        handles.unshare(name, Maker.outside, meant)
        Json.obj()
      case other => throw HandleException.failed(s"this agent does not know how to $other")
    }
  }

  private def entries(handle: Handle, meant: Option[String])(work: (Long, PairContent) => JsonNode): JsonNode = handle.readingMeant(meant) {
    case Version(number, content: PairContent) => work(number, content)
    case Version(_, other)                     => throw Handle.notPairs(handle.name, other.kind)
  }

  private def rows(version: Version, body: JsonNode): JsonNode = {
    val limit = math.min(math.max(body.path("limit").asInt(mostRows), 0), mostRows)
    version.content match {
      case single: ValueContent =>
        bounded(s"""{"version":${version.number},"columns":[],"more":false,"rows":""", Seq(Seq(single.value)), "}")
      case content =>
        val frame = Projection.of(content.frame(handles.root), body)
        val fetched = frame.take(limit + 1)
        val head = s"""{"version":${version.number},"columns":${Json.write(Described.columns(Types.columns(frame.schema)))},""" +
          s""""more":${fetched.length > limit},"rows":"""
        bounded(head, fetched.take(limit).toSeq.map(_.toSeq), "}")
    }
  }

  private def changed(version: Long): JsonNode = Json.obj().put("version", version)

  private def counted(version: Long, count: Long): JsonNode = Json.obj().put("version", version).put("count", count)

  private def failed(told: JsonNode): Boolean = !told.path("error").isNull

  private def failure(id: String, thrown: Throwable): JsonNode = {
    val made = Json.obj().put("request", id).putNull("result")
    HandleException.told(thrown, made.putObject("error"))
    made
  }
}

private[agent] object Requests {
  private val mostRows = 10000
  private val mostRemembered = 10000

  /** Bytes of one answer. */
  private val mostBytes = 8 * 1024 * 1024
  private val changing = Set("put", "delete", "unshare")

  private def group(id: String): String = s"hearth-request-$id"

  /** An entry as an object with `key` and `value`. */
  private final case class ListEntry(key: Any, value: Any)

  /** JSON with these values in the middle, no longer than an answer may be. */
  private def bounded(before: String, values: Seq[Any], after: String): JsonNode = {
    val text =
      try JsonValue.wire(values)
      catch {
        case _: Bounded.TooLarge => throw tooLarge
        case unlike: JsonValue.NotSerialisable => throw HandleException.badValue(unlike.getMessage)
      }
    if (text.length + before.length > mostBytes) throw tooLarge
    Json.raw(before + text + after)
  }

  private def tooLarge: HandleException = HandleException.failed(
    s"the answer is more than ${mostBytes >> 20} MiB of JSON: ask for fewer rows, columns or keys, or for an Arrow stream")
}
