package hearth.agent.link

import java.nio.file.Path
import java.util.{ArrayDeque, HashMap}

/** Numbered messages that the gateway has not acknowledged yet.
  *
  * Nothing is ever dropped: what memory may not hold goes to disk, and what the disk may not hold makes the writer wait.
  *
  * @param memoryLimit bytes kept in memory
  * @param diskLimit   bytes kept in `folder` beyond that
  */
final class Outbox(memoryLimit: Long, diskLimit: Long, folder: Path) {
  private sealed trait Kept
  private final case class InMemory(text: String) extends Kept
  private final case class OnDisk(at: Long, length: Int) extends Kept

  private val kept = new HashMap[Long, Kept]
  private val awaited = new ArrayDeque[(Long, () => Unit)]
  private val spill = new Spill(folder.resolve("outbox.spill"))
  private var lowest = 1L
  private var next = 1L
  private var inMemory = 0L
  private var onDisk = 0
  private var closed = false

  /** Takes a message, waiting while there is no room for it; an interrupt is kept for the caller, not obeyed. */
  def append(text: String): Unit = synchronized {
    var interrupted = false
    while (!closed && !fits(text.length)) {
      try wait()
      catch { case _: InterruptedException => interrupted = true }
    }
    add(text)
    if (interrupted) Thread.currentThread.interrupt()
  }

  /** Takes a message only when it fits in memory, for what may be left out or tried again. */
  def offer(text: String): Boolean = synchronized {
    val fits = inMemory + text.length <= memoryLimit
    if (fits) add(text)
    fits
  }

  /** Takes a message whatever is waiting: for small ones, from threads that must not wait. */
  def force(text: String): Unit = synchronized(add(text))

  /** Does something once everything that has been taken is acknowledged, on the thread that says so. */
  def afterwards(work: () => Unit): Unit = {
    val isDone = synchronized {
      if (lowest < next) awaited.add((next - 1, work))
      lowest == next
    }
    if (isDone) work()
  }

  /** The gateway has everything up to `seq`. */
  def acknowledged(seq: Long): Unit = remove(seq).foreach(_())

  private def remove(seq: Long): Seq[() => Unit] = synchronized {
    while (lowest <= seq && lowest < next) {
      kept.remove(lowest) match {
        case InMemory(text) => inMemory -= text.length
        case OnDisk(_, _)   => onDisk -= 1
      }
      lowest += 1
    }
    if (onDisk == 0) spill.clear()
    notifyAll()
    val settled = Seq.newBuilder[() => Unit]
    while (!awaited.isEmpty && awaited.peek._1 < lowest) settled += awaited.poll()._2
    settled.result()
  }

  /** The lowest number not acknowledged, or the next one to be given. */
  def first: Long = synchronized(lowest)

  /** The highest number given. */
  def last: Long = synchronized(next - 1)

  /** The message of a number that is not acknowledged. */
  def get(seq: Long): Option[String] = synchronized {
    kept.get(seq) match {
      case null                => None
      case InMemory(text)      => Some(text)
      case OnDisk(at, length)  => Some(spill.read(at, length))
    }
  }

  /** Waits until everything is acknowledged, at most `millis`. */
  def drained(millis: Long): Boolean = synchronized {
    val deadline = System.nanoTime + millis * 1000000
    var left = millis
    while (lowest < next && left > 0) {
      wait(left)
      left = (deadline - System.nanoTime) / 1000000
    }
    lowest == next
  }

  /** Lets every waiting writer go and removes the file. */
  def close(): Unit = synchronized {
    closed = true
    spill.close()
    notifyAll()
  }

  private def fits(length: Int): Boolean =
    inMemory + length <= memoryLimit || lowest == next || spill.length + length <= diskLimit

  private def add(text: String): Unit = {
    if (closed || inMemory + text.length <= memoryLimit || lowest == next || spill.length + text.length > diskLimit) {
      kept.put(next, InMemory(text))
      inMemory += text.length
    } else {
      kept.put(next, OnDisk(spill.write(text), text.length))
      onDisk += 1
    }
    next += 1
  }
}
