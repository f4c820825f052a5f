package hearth.agent.handle

import java.util.Properties
import java.util.concurrent.{LinkedBlockingQueue, RejectedExecutionException, ThreadFactory, ThreadPoolExecutor, TimeUnit}
import java.util.concurrent.atomic.AtomicInteger

import hearth.agent.Log
import org.apache.spark.hearth.SparkInternals
import org.apache.spark.sql.SparkSession

/** The threads on which the handles' own work is done: answers, streams, merges, files. They belong to no session.
  *
  * Made before any session, so that they inherit nothing from one.
  */
final class Work(spark: () => SparkSession) {
  private val answers = pool("hearth-handle", Work.mostAnswers, 1000)
  private val changes = pool("hearth-handle-change", 4, 1000)
  private val streams = pool("hearth-stream", Work.mostStreams, 2 * Work.mostStreams)
  private val merges = pool("hearth-merge", 2, 10000)
  private val background = pool("hearth-handle-background", 1, 10000)
  private val endings = pool("hearth-handle-end", 1, 10000)
  private val openings = pool("hearth-handle-open", 4, 2 * Handles.most)

  /** Runs it soon; returns whether there was room for it. */
  def answer(task: => Unit): Boolean = run(answers, task)

  /** Makes a change, which may have to wait for room; nothing else waits for that. */
  def change(task: => Unit): Boolean = run(changes, task)

  /** Runs it soon, if there is room for it; what is returned takes it back while it still waits, and returns whether it did. */
  def stream(task: => Unit): Option[() => Boolean] = submit(streams, task).map(waiting => () => streams.remove(waiting))

  /** Ends a handle: beside all that computes, and runs no job. */
  def end(task: => Unit): Boolean = run(endings, task)

  /** Opens a handle. */
  def open(what: String)(task: => Unit): Boolean = run(openings, {
    group(s"hearth: $what", what)
    task
  })

  /** As the others; a failure is told in the log alone. */
  def merge(task: => Unit): Boolean = run(merges, {
    group("hearth: merge", "merge of changes")
    task
  })

  /** Runs it when what was asked for before is done; a failure is told in the log alone. */
  def inBackground(what: String)(task: => Unit): Boolean = run(background, {
    group(s"hearth: $what", what)
    task
  })

  /** Makes the calling thread's jobs those of a group, and of nothing that it did before. */
  def group(id: String, description: String): Unit = {
    val context = spark().sparkContext
    SparkInternals.setLocalProperties(context, new Properties)
    context.setLocalProperty("spark.scheduler.pool", "hearth-handles")
    context.setJobGroup(id, description, interruptOnCancel = true)
    Thread.currentThread.setContextClassLoader(hearth.agent.repl.Registry.all)
    Thread.interrupted()
  }

  private def run(pool: ThreadPoolExecutor, task: => Unit): Boolean = submit(pool, task).isDefined

  private def submit(pool: ThreadPoolExecutor, task: => Unit): Option[Runnable] = {
    val made: Runnable = () => try task catch { case failure: Throwable => Log.error("work for handles", failure) }
    try {
      pool.execute(made)
      Some(made)
    } catch { case _: RejectedExecutionException => None }
  }

  private def pool(name: String, threads: Int, waiting: Int): ThreadPoolExecutor = {
    val numbers = new AtomicInteger
    val named: ThreadFactory = work => {
      val made = new Thread(work, s"$name-${numbers.incrementAndGet()}")
      made.setDaemon(true)
      made
    }
    val made = new ThreadPoolExecutor(threads, threads, 0, TimeUnit.SECONDS, new LinkedBlockingQueue[Runnable](waiting), named)
    made.prestartAllCoreThreads()
    made
  }
}

object Work {

  /** Answers at the same time: twice as many as the gateway asks for one person. */
  val mostAnswers = 16

  /** Streams at the same time, and as many that wait. */
  val mostStreams = 8
}
