package hearth.agent.handle

import java.util.concurrent.{CompletableFuture, ExecutionException, TimeUnit, TimeoutException}

import scala.annotation.tailrec
import scala.collection.mutable

import hearth.agent.Cancelled

/** Who is making which handle for `getOrElseCreate`: one creator for each name, and all others wait for it. */
private[handle] final class Creations {

  /** What somebody is making.
    *
    * @param thread the thread that does: when it has ended, nothing will come
    */
  private final class Creation(val id: Long, val name: String, val by: Maker, val thread: Thread) {
    val done = new CompletableFuture[Unit]
  }

  private val open = mutable.HashMap.empty[String, Creation]

  /** What threads wait for. */
  private val waiting = mutable.HashMap.empty[Thread, Creation]
  private var last = 0L

  /** Returns the number by which the one who is to make it says [[end]], and None as soon as it is there.
    *
    * @throws HandleException what the creator failed with, that it took too long, or that the caller would wait for itself
    */
  def begin(name: String, by: Maker, waitMillis: Long)(exists: => Boolean): Option[Long] = {
    val me = Thread.currentThread
    val wanted = synchronized {
      if (exists) return None
      open.get(name) match {
        case None =>
          last += 1
          open(name) = new Creation(last, name, by, me)
          return Some(last)
        case Some(found) =>
          if (leadsTo(found, me)) throw HandleException.failed(
            s"the handle $name is being made by code that asks for $name itself, and would wait for itself for ever: make it of something else")
          waiting(me) = found
          found
      }
    }
    try await(wanted, System.nanoTime + TimeUnit.MILLISECONDS.toNanos(waitMillis), waitMillis)
    finally synchronized(waiting.remove(me))
    None
  }

  /** The creator has done it, or has failed: then all who wait get its error, and the next one to ask makes it anew. */
  def end(id: Long, failure: Option[Throwable]): Unit =
    synchronized {
      val found = open.values.find(_.id == id)
      found.foreach(creation => open.remove(creation.name))
      found
    }.foreach { creation =>
      failure match {
        case None                                             => creation.done.complete(())
        case Some(_: Cancelled) | Some(_: InterruptedException) => creation.done.completeExceptionally(cancelled(creation.name))
        case Some(why)                                        => creation.done.completeExceptionally(why)
      }
    }

  /** A session, or its process, is no more. */
  def abandon(session: String): Unit = abandon(_.by.session.contains(session), ended)

  /** A statement was cancelled. */
  def abandon(session: String, statement: Int): Unit = abandon(_.by == Maker(Some(session), Some(statement)), cancelled)

  private def abandon(which: Creation => Boolean, why: String => HandleException): Unit =
    synchronized(open.values.filter(which).toVector).foreach(creation => end(creation.id, Some(why(creation.name))))

  /** Waits in steps, for a creator that has died tells nobody. */
  @tailrec private def await(wanted: Creation, limit: Long, waitMillis: Long): Unit = {
    val left = limit - System.nanoTime
    val isDone =
      try {
        wanted.done.get(math.min(math.max(left, 0), lookNanos), TimeUnit.NANOSECONDS)
        true
      } catch {
        case failed: ExecutionException => throw failed.getCause
        case _: TimeoutException        => false
      }
    if (!isDone) {
      if (left <= 0) throw HandleException.failed(
        s"the handle ${wanted.name} was not made within ${waitMillis / 1000.0} s by the one who is making it: wait longer, or look at that statement")
      if (!wanted.thread.isAlive) end(wanted.id, Some(ended(wanted.name)))
      await(wanted, limit, waitMillis)
    }
  }

  /** Whether the one who makes this is, or waits by way of others for, a thread. */
  @tailrec private def leadsTo(creation: Creation, thread: Thread): Boolean =
    (creation.thread eq thread) || (waiting.get(creation.thread) match {
      case Some(next) => leadsTo(next, thread)
      case None       => false
    })

  private def ended(name: String) = HandleException.failed(s"the session that was making the handle $name has ended: ask again")

  private def cancelled(name: String) = HandleException.failed(s"the statement that was making the handle $name was cancelled: ask again")

  /** How often those who wait look whether the creator lives. */
  private val lookNanos = 500L * 1000000
}
