package hearth.agent

/** Lets another thread interrupt a piece of work, but never what its thread does before or after. */
final class Interruptible {
  private var worker: Option[Thread] = None

  def run[T](work: => T): T = {
    synchronized { worker = Some(Thread.currentThread) }
    try work
    finally synchronized {
      worker = None
      Thread.interrupted()
    }
  }

  /** Interrupts the work, if some is being done. */
  def interrupt(): Unit = synchronized(worker.foreach(_.interrupt()))
}
