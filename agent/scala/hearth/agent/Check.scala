package hearth.agent

import org.apache.spark.{TaskContext, TaskKilledException}

/** Where loops of session code ask whether they have been cancelled; the loader of REPL classes puts the calls in. */
object Check {

  /** Whether anything has been cancelled lately: the only thing a loop looks at, as a rule. */
  @volatile private var armed = false
  @volatile private var until = 0L

  /** Called by instrumented code. */
  def poll(): Unit = if (armed) look()

  /** Makes loops look closely for the next half minute. */
  def arm(): Unit = {
    until = System.nanoTime + 30000000000L
    armed = true
  }

  private def look(): Unit = {
    val performance = Stage.began
    if (performance != null && performance.statement.cancelled) throw new Cancelled
    val task = TaskContext.get
    if (task != null && task.isInterrupted) throw new TaskKilledException("cancelled")
    if (System.nanoTime > until) armed = false
  }
}

/** Thrown into session code by a cancel; not caught as `NonFatal`. */
final class Cancelled extends scala.util.control.ControlThrowable {
  override def getMessage: String = "the statement was cancelled"
}
