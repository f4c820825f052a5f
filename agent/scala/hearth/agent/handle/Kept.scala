package hearth.agent.handle

import java.lang.ref.Cleaner

import scala.util.control.NonFatal

import hearth.agent.Log

/** Something that takes room, and who still needs it: the handle as long as it is current, and each reader of it. The last one to
  * leave frees it.
  *
  * @param free frees it; called once
  */
final class Kept(free: () => Unit) {
  private var users = 1
  private var afterwards = List.empty[() => Unit]

  /** One more user, unless it has been freed; returns whether it has not. */
  def enter(): Boolean = synchronized {
    val there = users > 0
    if (there) users += 1
    there
  }

  def leave(): Unit = {
    val work = synchronized {
      users -= 1
      if (users == 0) free +: afterwards else Nil
    }
    work.foreach(Kept.attempt)
  }

  /** Does something once it has been freed. */
  def whenFreed(work: () => Unit): Unit = {
    val isFree = synchronized {
      if (users > 0) afterwards :+= work
      users == 0
    }
    if (isFree) Kept.attempt(work)
  }

  /** Users now, the handle itself among them. */
  def count: Int = synchronized(users)

  /** Counts something that was given to a session's code as a user until it is garbage there. */
  def lend[T <: AnyRef](given: T): T = {
    if (enter()) Kept.cleaner.register(given, () => leave())
    given
  }
}

object Kept {
  private val cleaner = Cleaner.create()

  def nothing: Kept = new Kept(() => ())

  private def attempt(work: () => Unit): Unit =
    try work()
    catch { case NonFatal(failure) => Log.warn(s"a handle's data could not be freed: ${failure.getMessage}") }
}
