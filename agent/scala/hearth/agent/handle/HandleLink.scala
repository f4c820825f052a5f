package hearth.agent.handle

import java.net.URLEncoder
import java.util.concurrent.{ScheduledExecutorService, TimeUnit}
import java.util.concurrent.atomic.AtomicBoolean

import scala.collection.JavaConverters._
import scala.collection.mutable
import scala.util.Try

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
      case "cancel_request" => requests.cancel(body.path("request").asText)
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

  /** One at a time, so that the last that is told is the newest. */
  private def tell(handle: Handle, maker: Maker): Unit = telling.synchronized {
    send("handle", maker.session, maker.statement, Described.version(handle, "ready", None))
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

  /** Takes the store, and the durable handles of earlier applications, which are opened when they are first used. */
  private def durable(body: JsonNode): Unit = {
    val durable = body.path("durable").elements.asScala.toSeq
    if (body.path("store").isTextual) {
      // It may be told again in the same application, which goes on with what it has written.
      val store = handles.store.getOrElse(new Store(body.path("store").asText, handles.work, spark, timer))
      handles.store = Some(store)
      store.sweep(durable.map(_.path("path").asText).toSet)
    }
    durable.foreach { node =>
      val columns = node.path("columns").elements.asScala.map(column => (column.path("name").asText, column.path("type").asText)).toSeq
      // Not every type can be read as it is shown, names with signs in them, and too many columns are not kept: such a handle is in SQL once it
      // has been opened.
      val schema = if (node.path("columns").isArray) Try(Handle.schema(columns)).toOption else None
      val known = Handle.Known(node.path("kind").asText, schema, Option(node.path("key").asText(null)))
      val path = node.path("path").asText
      val ttl = Some(node.path("ttl_ms")).filter(_.isIntegralNumber).map(_.asLong)
      val options = Options(node.path("storage").asText(Namespace.usual), force = false, ttl, durable = true)
      lazy val handle: Handle = new Handle(
        node.path("name").asText, Maker.outside, options, node.path("version").asLong(1), known, None, () => open(handle, path, known), Some(path))
      handles.register(handle)
    }
  }

  private def open(handle: Handle, path: String, known: Handle.Known): Handle.Data =
    try {
      val found = Store.open(spark(), path, known, handle.options.level, handles.merges)
      if (known.schema.isEmpty) handles.work.inBackground(s"view of ${handle.name}") {
        handle.reading(_ => ())
        handles.show(handle)
      }
      found
    } catch {
      case failure: Exception =>
        send("handle", None, None, Described.version(handle, "lost", Some(s"what was written at $path cannot be read: ${failure.getMessage}".take(2000))))
        throw failure
    }

  private def read[T](context: String, name: String)(take: java.io.InputStream => T): T = {
    val answer =
      try door.get(s"/driver/handles/${URLEncoder.encode(context, "UTF-8")}/$name?format=arrow")
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

  /** How long puts are joined before they are told, and how often use is. */
  private val joinMillis = 250L
  private val usageMillis = 5000L

  /** Bytes of a problem that are read. */
  private val longestProblem = 16 * 1024
}
