package hearth.agent.python

import java.lang.ref.WeakReference
import java.util.Properties
import java.util.concurrent.ConcurrentHashMap

import org.apache.spark.SparkContext
import org.apache.spark.api.java.JavaSparkContext
import org.apache.spark.hearth.SparkInternals
import org.apache.spark.sql.{Dataset, SparkSession}

import hearth.agent.{Running, Workspace}
import hearth.agent.handle.SessionHandles
import hearth.agent.result.{Table, Types}
import hearth.agent.sql.{SqlFailure, SqlInterpreter}

/** What the Python processes call, by Py4J: each finds its own session here. */
object PythonSessions {

  /** A session, the statement that it runs, and what its own thread has set for that: job group, pool and the like, and the loader
    * that finds the classes of Scala code in the same context.
    */
  private final class Entry(workspace: Workspace) {
    val spark: SparkSession = workspace.spark
    @volatile var statement: Option[Running] = None
    val handles = new SessionHandles(workspace, () => statement.map(_.number))
    @volatile var properties = new Properties
    @volatile var loader: ClassLoader = Thread.currentThread.getContextClassLoader
  }

  private val threads = new ConcurrentHashMap[Long, WeakReference[Thread]]
  private val entries = new ConcurrentHashMap[Int, Entry]
  @volatile private var shared: JavaSparkContext = _

  /** The SparkContext of all sessions. */
  def context(): JavaSparkContext = shared

  /** @throws IllegalArgumentException for a number that is no open session's */
  def session(number: Int): SparkSession = entry(number).spark

  /** The context's handles for a session. */
  def handles(number: Int): SessionHandles = entry(number).handles

  /** Makes the calling thread one of the session's statement: its jobs belong to the statement's group, and code that asks for
    * the active SparkSession gets this one. Called by each Python thread before the first call it makes in a statement.
    *
    * @return what [[abandon]] takes
    */
  def begin(number: Int, statement: Int): Long = {
    val entry = this.entry(number)
    val thread = Thread.currentThread
    threads.put(thread.getId, new WeakReference(thread))
    SparkInternals.setLocalProperties(shared.sc, entry.properties)
    thread.setContextClassLoader(entry.loader)
    SparkSession.setActiveSession(entry.spark)
    thread.getId
  }

  /** Interrupts a thread that still does what Python has given up waiting for. Its connection is closed, so it serves nothing else. */
  def abandon(thread: Long): Unit = Option(threads.remove(thread)).flatMap(held => Option(held.get)).foreach(_.interrupt())

  /** A frame's columns, as JSON. */
  def columns(frame: Dataset[_]): String = Replies.text(Types.columns(frame.schema))

  /** The outcome of `%table`, as JSON. */
  def table(frame: Dataset[_], maxRows: Int): String = Replies.text(Table.of(frame, maxRows))

  /** The outcome of `%json`, as JSON. */
  def json(frame: Dataset[_], maxRows: Int): String = Replies.text(Frames.json(frame, maxRows))

  /** The outcome of `%sql`, as JSON. */
  def sql(number: Int, query: String, maxRows: Int): String = {
    val entry = this.entry(number)
    Replies.text(
      try SqlInterpreter.execute(entry.spark, query, maxRows, () => entry.statement.exists(_.cancelled))
      catch { case failure: Exception => SqlFailure.of(failure) })
  }

  private[python] def share(context: SparkContext): Unit = synchronized {
    if (shared == null || (shared.sc ne context)) shared = JavaSparkContext.fromSparkContext(context)
  }

  private[python] def add(workspace: Workspace): Unit = entries.put(workspace.number, new Entry(workspace))

  private[python] def remove(number: Int): Unit = Option(entries.remove(number)).foreach(_.handles.abandon())

  /** Takes over what the calling thread has set for the statement it is about to run. */
  private[python] def prepare(number: Int, statement: Running): Unit = {
    val entry = this.entry(number)
    entry.properties = SparkInternals.localProperties(shared.sc)
    entry.loader = Thread.currentThread.getContextClassLoader
    entry.statement = Some(statement)
  }

  /** Does something, in which a process makes its session the default of the JVM as PySpark always does, and undoes that. */
  private[python] def keepingDefault[A](action: => A): A = synchronized {
    val before = SparkSession.getDefaultSession
    try action
    finally before match {
      case Some(session) => SparkSession.setDefaultSession(session)
      case None => SparkSession.clearDefaultSession()
    }
  }

  private def entry(number: Int): Entry =
    Option(entries.get(number)).getOrElse(throw new IllegalArgumentException(s"session $number is not open"))
}
