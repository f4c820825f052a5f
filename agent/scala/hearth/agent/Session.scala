package hearth.agent

import java.util.concurrent.{CountDownLatch, LinkedBlockingDeque, TimeUnit}
import java.util.concurrent.atomic.{AtomicBoolean, AtomicReference}

import scala.collection.mutable
import scala.util.control.NonFatal

import com.fasterxml.jackson.databind.node.ObjectNode
import hearth.agent.link.Link
import org.apache.spark.sql.SparkSession

/** One session: its own SparkSession, an interpreter for each language on first use, and a thread that runs its statements in
  * order.
  *
  * The methods of other threads (`run`, `cancel`, `complete`, `close`) never block.
  */
final class Session(val order: Session.Order, host: Session.Host) {
  import Session._

  private val id = Some(order.session)
  private val tasks = new LinkedBlockingDeque[Task]
  private val interpreters = mutable.LinkedHashMap.empty[String, Interpreter]
  private val gate = new Object
  private val closing = new AtomicReference[Option[String]](None)
  @volatile private var workspace: Option[Workspace] = None
  @volatile private var current: Option[(Running, Option[Interpreter])] = None
  @volatile private var taken = -1

  private val thread = new Thread(() => live(), s"hearth-session-${order.number}")
  thread.setDaemon(true)

  def start(): Unit = thread.start()

  /** The last statement number taken, −1 before the first. */
  def last: Int = taken

  /** Whether `other` is the thread that runs this session's statements. */
  def runsOn(other: Thread): Boolean = other eq thread

  /** Takes a statement, unless its number has been taken before. */
  def run(number: Int, kind: String, code: String): Unit = if (number > taken) {
    taken = number
    tasks.add(Run(number, kind, code))
  }

  /** Stops a statement that runs, answers one that waits, and ignores any other. */
  def cancel(number: Int): Unit = {
    val waiting = tasks.removeIf {
      case Run(`number`, _, _) => true
      case _                   => false
    }
    if (waiting) {
      val now = System.currentTimeMillis
      host.link.force("statement_done", id, Some(number), Answer.unstarted(now))
    } else current.filter(_._1.number == number).foreach { case (statement, _) => stop(statement) }
  }

  /** Answers with what could stand at the cursor, or with nothing if a statement keeps the session busy or it takes too long: the
    * first time a compiler may have to be started.
    */
  def complete(request: String, kind: String, code: String, cursor: Int): Unit = {
    val answered = new AtomicBoolean
    def answer(candidates: Seq[String]): Unit = if (answered.compareAndSet(false, true)) {
      val body = Json.obj().put("request", request)
      body.set[ObjectNode]("candidates", Json.texts(candidates))
      host.link.force("completion", id, None, body)
    }
    host.after(busyMillis)(if (current.nonEmpty) answer(Nil))
    host.after(completionMillis)(answer(Nil))
    tasks.add(Complete(kind, code, cursor, answered, answer))
  }

  /** Ends the session; what runs is stopped and what waits is forgotten. */
  def close(reason: String): Unit = if (closing.compareAndSet(None, Some(reason))) {
    tasks.clear()
    tasks.add(Close)
    current.foreach { case (statement, _) => stop(statement) }
  }

  /** Waits until no statement runs, at most `millis`. */
  def awaitQuiet(millis: Long): Unit = {
    val quiet = new CountDownLatch(1)
    tasks.add(Quiet(quiet))
    quiet.await(millis, TimeUnit.MILLISECONDS)
  }

  /** Waits until the session's thread has ended, at most `millis`. */
  def awaitEnd(millis: Long): Unit = thread.join(millis)

  private def live(): Unit =
    try {
      open()
      settle()
      var going = true
      while (going) {
        next() match {
          case run: Run => perform(run)
          case complete: Complete => candidates(complete)
          case Quiet(reached) => reached.countDown()
          case Close => going = false
        }
      }
    } catch {
      case failure: Throwable if closing.get.isEmpty =>
        Log.error(s"session ${order.number} died", failure)
        state("dead", Some(Trace.headline(failure)))
    } finally {
      interpreters.values.foreach(interpreter => try interpreter.close() catch { case NonFatal(e) => Log.error("closing", e) })
      closing.get.foreach(reason => state("dead", Some(reason)))
      host.closed(this)
    }

  /** The next task; user code that interrupts its thread late does no harm. */
  private def next(): Task =
    try tasks.take()
    catch { case _: InterruptedException => next() }

  /** Waits for Spark, makes the SparkSession and the interpreter of the session's own kind. */
  private def open(): Unit = {
    val made = host.spark().newSession()
    order.conf.foreach { case (key, value) => made.conf.set(key, value) }
    SparkSession.setActiveSession(made)
    made.sparkContext.setLocalProperty("spark.scheduler.pool", s"hearth-${order.number}")
    workspace = Some(new Workspace {
      override def session: String = order.session
      override def number: Int = order.number
      override def livyId: Option[Int] = order.livyId
      override def spark: SparkSession = made
      override def settings: Settings = host.settings
    })
    order.kind.foreach(interpreter)
    state("idle")
  }

  /** With nothing to do, makes ready for the first statement. */
  private def settle(): Unit = interpreters.values.foreach { interpreter =>
    if (tasks.isEmpty && Session.settled.add(interpreter.kind))
      try interpreter.settle()
      catch { case NonFatal(failure) => Log.error(s"settling ${interpreter.kind}", failure) }
  }

  private def interpreter(kind: String): Interpreter = interpreters.getOrElse(kind, {
    val place = workspace.getOrElse(throw new IllegalStateException("the session has no Spark yet"))
    val made = host.spares.take(kind).getOrElse(throw UnknownKind(kind)).open(place)
    interpreters(kind) = made
    if (host.settings.spares) host.after(spareMillis)(host.spares.prepare(kind, Some(place.spark.sparkContext)))
    made
  })

  private def perform(task: Run): Unit = {
    val output = new StatementOutput(host.link, host.timer, order.session, task.number)
    val group = s"hearth-${order.number}-${task.number}"
    val statement = new Running(task.number, task.code, group, order.maxRows, order.maxOutput, output)
    val started = System.currentTimeMillis
    current = Some((statement, None))
    host.link.send("statement_started", id, Some(task.number), Json.obj().put("at", started))
    val (outcome, micros) =
      try {
        host.started(statement, order.session)
        execute(task, statement)
      } finally {
        gate.synchronized {
          current = None
          // A cancel that came late must not hit the next statement.
          Thread.interrupted()
        }
        host.finished(statement)
        output.finish()
      }
    val answer = new Answer(statement, outcome, started, System.currentTimeMillis, micros)
    host.link.send("statement_done", id, Some(task.number), answer.body)
  }

  /** Runs the statement; returns how it ended and the microseconds that the interpreter took. */
  private def execute(task: Run, statement: Running): (Outcome, Long) = {
    var began = System.nanoTime
    val outcome =
      try {
        val chosen = interpreter(task.kind)
        current = Some((statement, Some(chosen)))
        val context = workspace.map(_.spark.sparkContext)
        context.foreach(_.setJobGroup(statement.group, headline(task.code), interruptOnCancel = true))
        began = System.nanoTime
        if (statement.cancelled) Outcome.Failed("Cancelled", "the statement was cancelled", Nil)
        else
          try chosen.run(statement)
          finally context.foreach(_.clearJobGroup())
      } catch {
        case Session.UnknownKind(kind) => Outcome.Failed("UnknownKind", s"no interpreter for kind $kind", Nil)
        case failure: Throwable =>
          if (!statement.cancelled) Log.error(s"statement ${task.number} of session ${order.number}", failure)
          Outcome.Failed(failure.getClass.getSimpleName, Trace.headline(failure), Nil)
      }
    (outcome, (System.nanoTime - began) / 1000)
  }

  /** Stops a statement, and again twice a second until it has stopped: code may swallow what is thrown into it. */
  private def stop(statement: Running): Unit = gate.synchronized {
    current.filter(_._1 eq statement).foreach { case (_, interpreter) =>
      statement.cancelled = true
      Check.arm()
      host.cancelJobs(statement)
      interpreter.foreach(_.cancel(statement))
      host.after(cancelMillis)(stop(statement))
    }
  }

  private def candidates(task: Complete): Unit = if (!task.answered.get) {
    val found =
      try interpreter(task.kind).complete(task.code, task.cursor)
      catch {
        case NonFatal(failure) =>
          Log.error(s"completion in session ${order.number}", failure)
          Nil
      }
    task.answer(found.take(mostCandidates))
  }

  private def state(name: String, reason: Option[String] = None): Unit = {
    val body = Json.obj().put("state", name)
    body.put("reason", reason.orNull)
    host.link.send("session_state", id, None, body)
  }
}

object Session {

  /** Kinds that have been settled in this JVM. */
  private val settled = java.util.concurrent.ConcurrentHashMap.newKeySet[String]

  /** What `open_session` asks for. */
  final case class Order(
      session: String,
      number: Int,
      kind: Option[String],
      livyId: Option[Int],
      name: Option[String],
      maxRows: Int,
      maxOutput: Int,
      conf: Map[String, String]) {

    /** By what an address may call it: its uuid, the number by which Livy's clients know it, and its name. */
    def names: Seq[String] = session +: (livyId.map(_.toString).toSeq ++ name)
  }

  /** What a session needs of the application around it. */
  trait Host {
    def settings: Settings
    def link: Link
    def spares: Spares
    def timer: java.util.concurrent.ScheduledExecutorService

    /** The application's first SparkSession, once Spark has started. */
    def spark(): SparkSession

    def started(statement: Running, session: String): Unit
    def finished(statement: Running): Unit

    /** Cancels the Spark jobs of a statement, at once, and those that it starts later as they start. */
    def cancelJobs(statement: Running): Unit
    def closed(session: Session): Unit

    def after(millis: Long)(work: => Unit): Unit =
      timer.schedule((() => work): Runnable, millis, TimeUnit.MILLISECONDS)
  }

  private final case class UnknownKind(kind: String) extends RuntimeException(s"no interpreter for kind $kind")

  private sealed trait Task
  private final case class Run(number: Int, kind: String, code: String) extends Task
  private final case class Complete(kind: String, code: String, cursor: Int, answered: AtomicBoolean, answer: Seq[String] => Unit) extends Task
  private final case class Quiet(reached: CountDownLatch) extends Task
  private case object Close extends Task

  /** How long a completion waits for a statement's end. */
  private val busyMillis = 3000L

  /** How long a completion may take; a little less than the gateway waits. */
  private val completionMillis = 9000L
  private val cancelMillis = 500L

  /** How long after an interpreter was opened the next one is made ready: its own first statement comes before. */
  private val spareMillis = 5000L
  private val mostCandidates = 500

  /** The code as the Spark UI shows it. */
  private def headline(code: String): String = {
    val line = code.trim.takeWhile(c => c != '\n' && c != '\r')
    if (line.length <= 100) line else line.take(99) + "…"
  }
}
