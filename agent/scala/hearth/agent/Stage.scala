package hearth.agent

/** Where a session's code prints, and by which its threads are known.
  *
  * A thread belongs to the statement in which it, or the thread that started it, began.
  */
final class Stage {

  /** The performance that is on, if any. */
  @volatile private var now: Performance = null

  /** Runs `body` as a part of `performance`: what it prints, on this thread and on those it starts, goes there. */
  def play[T](performance: Performance)(body: => T): T = {
    now = performance
    Stage.local.set(new Stage.Place(this, performance))
    try body
    finally {
      performance.over = true
      now = null
      Stage.local.remove()
    }
  }
}

/** One statement on the stage. */
final class Performance(val statement: Running, val out: String => Unit, val err: String => Unit) {
  @volatile var over = false
}

object Stage {
  private final class Place(val stage: Stage, val performance: Performance)

  private val local = new InheritableThreadLocal[Place]

  /** What the calling thread works for now: its own statement; if that is over, or the thread is one of a shared pool, what its
    * session is running; null outside of sessions and when the session is idle.
    */
  def performance: Performance = {
    val place = local.get
    if (place == null) null
    else if (place.performance.over || Thread.currentThread.isInstanceOf[java.util.concurrent.ForkJoinWorkerThread]) place.stage.now
    else place.performance
  }

  /** What the calling thread began in, over or not; null outside of sessions. */
  def began: Performance = {
    val place = local.get
    if (place == null) null
    else if (Thread.currentThread.isInstanceOf[java.util.concurrent.ForkJoinWorkerThread]) place.stage.now
    else place.performance
  }
}
