package hearth.agent

import java.util.concurrent.{ScheduledExecutorService, TimeUnit}
import java.util.concurrent.locks.ReentrantLock

import hearth.agent.link.Link

/** Joins what a statement prints for a few milliseconds, then sends it in the order in which it was printed. */
final class StatementOutput(link: Link, timer: ScheduledExecutorService, session: String, statement: Int) extends Running.Output {
  import StatementOutput._

  private val lock = new ReentrantLock
  private val pending = new java.lang.StringBuilder
  private var stream = ""
  private var scheduled = false
  private var over = false

  override def write(on: String, text: String): Unit = locked {
    if (!over) {
      if (on != stream) flush()
      stream = on
      pending.append(text)
      if (pending.length >= longest) flush()
      else if (!scheduled) schedule()
    }
  }

  /** Sends what is left; later text is dropped. */
  def finish(): Unit = locked {
    flush()
    over = true
  }

  private def flush(): Unit = while (pending.length > 0) {
    link.send("output", Some(session), Some(statement), body(nextPart()))
  }

  /** The timer's turn: it never waits, neither for a writer nor for room. */
  private def flushSoon(): Unit =
    if (lock.tryLock()) {
      try {
        scheduled = false
        while (pending.length > 0 && !scheduled) {
          val part = nextPart()
          if (!link.offer("output", Some(session), Some(statement), body(part))) {
            pending.insert(0, part)
            schedule()
          }
        }
      } finally lock.unlock()
    } else schedule()

  private def schedule(): Unit = {
    scheduled = true
    timer.schedule((() => flushSoon()): Runnable, joinMillis, TimeUnit.MILLISECONDS)
  }

  private def nextPart(): String = {
    var end = math.min(pending.length, longest)
    if (end < pending.length && Character.isHighSurrogate(pending.charAt(end - 1))) end -= 1
    val part = pending.substring(0, end)
    pending.delete(0, end)
    part
  }

  private def body(text: String) = Json.obj().put("stream", stream).put("text", text)

  private def locked(work: => Unit): Unit = {
    lock.lock()
    try work
    finally lock.unlock()
  }
}

object StatementOutput {
  private val joinMillis = 20L

  /** The longest text of one message, in code units. */
  private val longest = 64 * 1024
}
