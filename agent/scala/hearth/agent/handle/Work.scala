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
  private val answers = pool("hearth-handle", 8, 1000)
  private val streams = pool("hearth-stream", Work.mostStreams, Work.mostStreams)
  private val merges = pool("hearth-merge", 2, 10000)
  private val background = pool("hearth-handle-background", 1, 10000)
  private val endings = pool("hearth-handle-end", 1, 10000)
  private val openings = pool("hearth-handle-open", 4, 2 * Handles.most)

  /** Runs it soon; returns whether there was room for it. */
  def answer(task: => Unit): Boolean = run(answers, task)

  def stream(task: => Unit): Boolean = run(streams, task)

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

  private def run(pool: ThreadPoolExecutor, task: => Unit): Boolean =
    try {
      pool.execute(() => try task catch { case failure: Throwable => Log.error("work for handles", failure) })
      true
    } catch { case _: RejectedExecutionException => false }

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

  /** Streams at the same time, and as many that wait. */
  val mostStreams = 8
}
