package hearth.agent.handle

import java.net.URLEncoder
import java.util.concurrent.{ScheduledExecutorService, TimeUnit}
import java.util.concurrent.atomic.AtomicBoolean

import scala.collection.JavaConverters._
import scala.collection.mutable

import com.fasterxml.jackson.databind.JsonNode
import com.fasterxml.jackson.databind.node.ObjectNode

import hearth.agent.{Json, Log}
import hearth.agent.link.Door
import org.apache.spark.hearth.CachedPartitions
import org.apache.spark.sql.SparkSession

/** The context's handles on the link: tells the gateway of them, and does what it asks.
  *
  * @param send    sends a numbered message without ever waiting: type, session, statement and body
  * @param patient sends one without session or statement, waiting while too much is unacknowledged
  * @param after   does something once the gateway has acknowledged all that has been sent
  */
private[agent] final class HandleLink(
    door: Door,
    timer: ScheduledExecutorService,
    spark: () => SparkSession,
    send: (String, Option[String], Option[Int], JsonNode) => Unit,
    patient: (String, JsonNode) => Unit,
    after: (() => Unit) => Unit)
    extends Handles.News {
  import HandleLink._

  val handles = new Handles(spark, this, timer)
  private val requests = new Requests(handles, patient("handle_answer", _), send("handle_answer", None, None, _))
  private val streams = new Streams(handles, door)

  /** Handles that have been put to since they were last told of, and by whom. */
  private val changed = mutable.LinkedHashMap.empty[Handle, Maker]

  private val telling = new Object

  /** What was told of each handle's use. */
  private var told = Map.empty[String, ObjectNode]
  private val looking = new AtomicBoolean

  Handles.start(handles)
  Elsewhere.ask = Some(new Elsewhere.Asking {
    override def read[T](context: String, name: String)(take: java.io.InputStream => T): T = HandleLink.this.read(context, name)(take)
  })

  /** Takes a message; returns whether it was one for handles. Never blocks. */
  def take(tag: String, body: JsonNode): Boolean = {
    tag match {
      case "handle_request" => requests.take(body)
      case "cancel_request" =>
        // Of a request or of a stream.
        requests.cancel(body.path("request").asText)
        streams.cancel(body.path("request").asText)
      case "open_stream"    => streams.take(body)
      case "handles"        => durable(body)
      case _                => return false
    }
    true
  }

  /** Spark is there, and no session uses it yet. Begins to tell of memory and use. */
  def started(root: SparkSession): Unit = {
    handles.started(root)
    timer.scheduleWithFixedDelay(() => look(), usageMillis, usageMillis, TimeUnit.MILLISECONDS)
  }

  /** Has usage told, unless the last time is still to come. */
  private def look(): Unit = if (looking.compareAndSet(false, true)) {
    val begun = handles.work.answer(try usage() finally looking.set(false))
    if (!begun) looking.set(false)
  }

  override def shared(handle: Handle): Unit = tell(handle, handle.maker, isShared = true)

  override def version(handle: Handle): Unit = tell(handle, handle.maker)

  override def put(handle: Handle, maker: Maker): Unit = changed.synchronized {
    if (changed.isEmpty) timer.schedule((() => tellChanged()): Runnable, joinMillis, TimeUnit.MILLISECONDS)
    changed(handle) = maker
  }

  override def gone(handle: Handle, maker: Maker, reason: String): Unit = {
    changed.synchronized(changed.remove(handle))
    send("handle", maker.session, maker.statement, Described.version(handle, "gone", Some(reason)))
  }

  override def settled(work: => Unit): Unit = after(() => work)

  override def lost(handle: Handle, reason: String): Unit = telling.synchronized {
    send("handle", None, None, Described.version(handle, "lost", Some(reason)))
  }

  /** One at a time, so that the last that is told is the newest. */
  private def tell(handle: Handle, maker: Maker, isShared: Boolean = false): Unit = telling.synchronized {
    val body = Described.version(handle, "ready", None)
    if (isShared) body.put("shared", true)
    send("handle", maker.session, maker.statement, body)
  }

  private def tellChanged(): Unit = {
    val list = changed.synchronized {
      val list = changed.toSeq
      changed.clear()
      list
    }
    list.foreach { case (handle, maker) => handles.whileCurrent(handle)(tell(handle, maker)) }
  }

  private def usage(): Unit = synchronized {
    val stored = CachedPartitions.stored(handles.root.sparkContext)
    val now = handles.all.map(handle => handle.name -> Described.usage(handle, stored)).toMap
    val news = now.collect { case (name, usage) if !told.get(name).contains(usage) => usage }
    told = now
    if (news.nonEmpty) {
      val body = Json.obj()
      val list = body.putArray("handles")
      news.foreach(list.add)
      send("handle_usage", None, None, body)
    }
  }

  /** Takes the context's names, the store, and the durable handles of earlier applications, which are opened when they are first used. */
  private def durable(body: JsonNode): Unit = {
    Addresses.here(Seq("id", "name").map(body.path("context").path(_)).filter(_.isTextual).map(_.asText))
    val durable = body.path("durable").elements.asScala.toSeq
    val told = Option(body.path("store").asText(null))
    // It may be told again in the same application, which goes on with what it has written.
    handles.store = handles.store.orElse(told.map(new Store(_, handles.work, spark, timer)))
    handles.unstored = Option(body.path("unstored").asText(null))
    durable.foreach(node => handles.register(Earlier.handle(node, handles, this), Earlier.left(node)))
    if (told.isDefined) handles.store.foreach(_.sweep(durable.map(_.path("path").asText).toSet))
  }

  private def read[T](context: String, name: String)(take: java.io.InputStream => T): T = {
    val answer =
      try door.get(s"/driver/handles/${part(context)}/$name?format=arrow")
      catch { case failure: java.io.IOException => throw HandleException.failed(s"no gateway answers: ${failure.getMessage}") }
    val stream = answer.body
    try
      if (answer.statusCode == 200) take(stream)
      else throw refused(answer.statusCode, new String(stream.readNBytes(longestProblem), "UTF-8"), s"$context/$name")
    finally stream.close()
  }

  private def refused(status: Int, problem: String, address: String): HandleException = {
    val detail =
      try Json.parse(problem).path("detail").asText("")
      catch { case _: java.io.IOException => "" }
    Log.info(s"the gateway answered $status for the handle $address")
    new HandleException(
      if (status == 404) "not_found" else "failed",
      s"$address cannot be read: ${if (detail.isEmpty) s"the gateway answered $status" else detail}")
  }
}

private object HandleLink {

  /** A part of a path, in which, other than in a form, a plus is a plus. */
  private def part(text: String): String = URLEncoder.encode(text, "UTF-8").replace("+", "%20")

  /** How long puts are joined before they are told, and how often use is. */
  private val joinMillis = 250L
  private val usageMillis = 5000L

  /** Bytes of a problem that are read. */
  private val longestProblem = 16 * 1024
}
