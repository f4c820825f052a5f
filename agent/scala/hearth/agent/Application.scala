package hearth.agent

import java.util.UUID
import java.util.concurrent.{CompletableFuture, ConcurrentHashMap, ExecutionException, ScheduledExecutorService, ScheduledThreadPoolExecutor, ThreadFactory, TimeUnit}
import java.util.concurrent.atomic.AtomicBoolean

import scala.collection.JavaConverters._

import com.fasterxml.jackson.databind.JsonNode
import com.fasterxml.jackson.databind.node.ObjectNode
import hearth.agent.handle.{Addresses, HandleLink}
import hearth.agent.link.{Door, Envelope, Link}
import org.apache.spark.SparkContext
import org.apache.spark.scheduler.{SparkListener, SparkListenerApplicationEnd}
import org.apache.spark.sql.SparkSession

/** The Spark application as the gateway sees it: its state, its sessions, its end. */
final class Application(override val settings: Settings) extends Link.Owner with Session.Host {
  private val incarnation = UUID.randomUUID.toString
  private val sessions = new ConcurrentHashMap[String, Session]

  /** The last statement number of sessions that have ended, the newest of them. Until the gateway has written down that one has ended it
    * asks for it again; none is opened twice, for its statements would run twice. Guards the moment between the two maps.
    */
  private val past = new java.util.LinkedHashMap[String, Integer] {
    override def removeEldestEntry(eldest: java.util.Map.Entry[String, Integer]): Boolean = size > Application.mostPast
  }
  private val leaving = new AtomicBoolean
  private val spark0 = new CompletableFuture[SparkSession]
  @volatile private var jobs: Option[Jobs] = None

  override val timer: ScheduledExecutorService = {
    val named: ThreadFactory = work => {
      val made = new Thread(work, "hearth-timer")
      made.setDaemon(true)
      made
    }
    val made = new ScheduledThreadPoolExecutor(1, named)
    // Started now, so that it inherits nothing from a session's or a listener's thread.
    made.prestartCoreThread()
    // What is cancelled holds on to handles and sessions.
    made.setRemoveOnCancelPolicy(true)
    made
  }
  override val spares = new Spares(settings)
  override val link = new Link(settings, this)
  private val progress = new Progress(link, timer)
  private val handles = new HandleLink(new Door(settings, () => link.gateway), timer, () => spark(), link.force, link.send(_, None, None, _), link.settled)

  override def spark(): SparkSession =
    try spark0.get
    catch { case failed: ExecutionException => throw failed.getCause }

  /** Spark has started. */
  def ready(spark: SparkSession): Unit = {
    val context = spark.sparkContext
    val cancelling = new Jobs(context)
    context.addSparkListener(cancelling)
    context.addSparkListener(progress)
    context.addSparkListener(new SparkListener {
      override def onApplicationEnd(end: SparkListenerApplicationEnd): Unit = stopped()
    })
    jobs = Some(cancelling)
    val body = Json.obj().put("state", "ready").put("app_id", context.applicationId)
    body.put("ui_url", shownUi(context).orNull).put("reason", null: String)
    link.send("context_state", None, None, body)
    handles.started(spark)
    spark0.complete(spark)
  }

  /** The Spark UI's address, if anybody may open it: where the gateway has closed it to all, nobody is sent there. */
  private def shownUi(context: SparkContext): Option[String] =
    context.uiWebUrl.filterNot(_ => context.getConf.get("spark.ui.filters", "").split(',').contains(classOf[ui.GatewayOnly].getName))

  /** Spark could not be started. */
  def failed(failure: Throwable): Unit = {
    spark0.completeExceptionally(failure)
    val causes = Trace.chain(failure).map(Trace.headline).distinct
    leave("failed", "Spark could not be started: " + causes.mkString("; caused by "), 1)
  }

  /** Tells the gateway why the JVM is going down when it is not the agent that ends it. */
  def watchExit(): Unit = Runtime.getRuntime.addShutdownHook(new Thread(() => {
    if (leaving.compareAndSet(false, true)) {
      val (state, reason) = Exit.cause(sessionOf)
      tell(state, reason)
      link.drained(1500)
    }
  }, "hearth-exit"))

  override def hello(): ObjectNode = {
    val body = Json.obj().put("incarnation", incarnation)
    val open = body.putObject("sessions")
    past.synchronized {
      past.asScala.foreach { case (id, last) => open.put(id, last) }
      sessions.asScala.foreach { case (id, session) => open.put(id, session.last) }
    }
    body.put("spark", org.apache.spark.SPARK_VERSION)
      .put("scala", scala.util.Properties.versionNumberString)
      .put("java", System.getProperty("java.version"))
      .put("pid", ProcessHandle.current.pid)
  }

  override def take(envelope: Envelope): Unit = {
    val body = envelope.body
    def session(act: Session => Unit): Unit = envelope.session.flatMap(id => Option(sessions.get(id))).foreach(act)
    envelope.tag match {
      case "open_session" => envelope.session.foreach(open(_, body))
      case "close_session" => envelope.session.foreach(close)
      case "run" =>
        for (number <- envelope.statement) session(_.run(number, body.path("kind").asText, body.path("code").asText))
      case "cancel" => for (number <- envelope.statement) session(_.cancel(number))
      case "complete" =>
        session(_.complete(
          body.path("request").asText, body.path("kind").asText, body.path("code").asText, body.path("cursor").asInt))
      case "shutdown" => leave("stopping", body.path("reason").asText("stopped"), 0)
      case tag if handles.take(tag, body) => ()
      case other => Log.warn(s"ignored a message of unknown type ${other.take(40)}")
    }
  }

  override def abandoned(reason: String): Unit = leave("stopping", reason, 1)

  override def started(statement: Running, session: String): Unit = progress.watch(statement.group, session, statement.number)

  override def finished(statement: Running): Unit = {
    progress.forget(statement.group)
    jobs.foreach(_.forget(statement.group))
  }

  override def cancelJobs(statement: Running): Unit = jobs.foreach(_.cancel(statement.group))

  override def closed(session: Session): Unit = past.synchronized {
    Addresses.remove(session.order.names)
    handles.handles.closed(session.order.session)
    past.put(session.order.session, session.last)
    sessions.remove(session.order.session, session)
  }

  /** Closes a session; one that was never opened never will be. */
  private def close(id: String): Unit = {
    val open = past.synchronized {
      val known = Option(sessions.get(id))
      if (known.isEmpty) past.putIfAbsent(id, -1)
      known
    }
    open match {
      case Some(session) =>
        session.close("closed")
        handles.handles.creations.abandon(id)
      case None => dead(id)
    }
  }

  /** Tells the gateway, perhaps again, that a session is no more. */
  private def dead(id: String): Unit =
    link.force("session_state", Some(id), None, Json.obj().put("state", "dead").put("reason", "closed"))

  private def open(id: String, body: JsonNode): Unit = if (!leaving.get) {
    val order = Session.Order(
      id,
      body.path("number").asInt,
      Option(body.get("kind")).filter(_.isTextual).map(_.asText),
      Option(body.get("livy_id")).filter(_.isIntegralNumber).map(_.asInt),
      Option(body.get("name")).filter(_.isTextual).map(_.asText),
      body.path("max_rows").asInt(1000),
      body.path("max_output").asInt(1024 * 1024),
      body.path("conf").properties.asScala.map(entry => entry.getKey -> entry.getValue.asText).toMap)
    val made = new Session(order, this)
    val (isNew, isPast) = past.synchronized {
      val ended = past.containsKey(id)
      (!ended && sessions.putIfAbsent(id, made) == null, ended)
    }
    if (isNew) {
      for (owner <- Option(body.path("owner").asText(null))) handles.handles.owned(id, owner)
      Addresses.add(order.names)
      made.start()
    }
    if (isPast) dead(id)
  }

  /** The SparkContext has been stopped; if not by the agent, then by user code or by the cluster. */
  private def stopped(): Unit = if (!leaving.get && !Exit.underWay) {
    val who = Exit.within("org.apache.spark.SparkContext", "stop", sessionOf)
    leave("failed", s"the SparkContext was stopped by ${who.getOrElse("the cluster or by code outside of a statement")}", 1)
  }

  private def sessionOf(thread: Thread): Option[Int] = sessions.values.asScala.find(_.runsOn(thread)).map(_.order.number)

  private def tell(state: String, reason: String): Unit = {
    val body = Json.obj().put("state", state).put("app_id", null: String).put("ui_url", null: String).put("reason", reason)
    link.force("context_state", None, None, body)
  }

  /** Ends the application, once, on a thread of its own; halts the JVM if that takes too long. */
  private def leave(state: String, reason: String, code: Int): Unit = if (leaving.compareAndSet(false, true)) {
    Log.info(s"leaving: $reason")
    tell(state, reason)
    timer.schedule((() => Runtime.getRuntime.halt(code)): Runnable, 30, TimeUnit.SECONDS)
    // The thread is made on the timer's: one made by a listener could not stop the SparkContext.
    timer.execute(() => new Thread(() => end(state, reason, code), "hearth-leave").start())
  }

  private def end(state: String, reason: String, code: Int): Unit =
    try {
      val open = sessions.values.asScala.toSeq
      // A statement that has stopped the SparkContext itself gets the time to answer.
      if (state == "failed") open.foreach(_.awaitQuiet(2000))
      open.foreach(_.close(reason))
      open.foreach(_.awaitEnd(3000))
      spares.close()
      link.drained(3000)
      if (spark0.isDone && !spark0.isCompletedExceptionally) spark0.get.stop()
      link.stop()
    } catch { case failure: Throwable => Log.error("stopping", failure) }
    finally System.exit(code)
}

private object Application {

  /** Sessions that have ended and are remembered. */
  private val mostPast = 1000
}
