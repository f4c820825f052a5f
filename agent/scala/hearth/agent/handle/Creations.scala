package hearth.agent.handle

import java.util.concurrent.{CompletableFuture, ExecutionException, TimeUnit, TimeoutException}

import scala.collection.mutable

/** Who is making which handle for `getOrElseCreate`: one creator for each name, and all others wait for it. */
private[handle] final class Creations {
  private final class Creation(val by: AnyRef) {
    val done = new CompletableFuture[Unit]
  }

  private val open = mutable.HashMap.empty[String, Creation]

  /** Returns true to the one who is to make it, and false as soon as it is there.
    *
    * @param by who asks, for [[abandon]]
    * @throws HandleException what the creator failed with, or that it took too long
    */
  def begin(name: String, by: AnyRef, waitMillis: Long)(exists: => Boolean): Boolean = {
    val waiting = synchronized {
      if (exists) return false
      open.get(name) match {
        case None =>
          open(name) = new Creation(by)
          return true
        case found => found.get
      }
    }
    try waiting.done.get(waitMillis, TimeUnit.MILLISECONDS)
    catch {
      case failed: ExecutionException => throw failed.getCause
      case _: TimeoutException => throw HandleException.failed(
          s"the handle $name was not made within ${waitMillis / 1000} s by the one who is making it: wait longer, or look at that statement")
    }
    false
  }

  /** The creator has done it, or has failed: then all who wait get its error, and the next one to ask makes it anew. */
  def end(name: String, failure: Option[Throwable]): Unit =
    synchronized(open.remove(name)).foreach { creation =>
      failure.fold(creation.done.complete(()))(creation.done.completeExceptionally)
    }

  /** Who was making something is no more. */
  def abandon(by: AnyRef): Unit = {
    val left = synchronized(open.collect { case (name, creation) if creation.by == by => name }.toSeq)
    left.foreach(name => end(name, Some(HandleException.failed(s"the session that was making the handle $name has ended"))))
  }
}
