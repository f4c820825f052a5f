package hearth.agent.handle

import com.fasterxml.jackson.databind.node.ObjectNode

import hearth.agent.Trace

/** Why something could not be done with a handle, and the way out, in words for a person.
  *
  * @param code one of the codes of `handle_answer`
  */
final class HandleException(val code: String, message: String) extends RuntimeException(message) {
  def getCode: String = code
  override def toString: String = message
}

object HandleException {
  def notFound(name: String): HandleException =
    new HandleException("not_found", s"there is no handle $name in this context: share it first, or look at hearth.handles()")

  def badKey(why: String): HandleException = new HandleException("bad_key", why)

  def badValue(why: String): HandleException = new HandleException("bad_value", why)

  def failed(why: String): HandleException = new HandleException("failed", why)

  def cancelled: HandleException = new HandleException("cancelled", "the request was cancelled")

  def gone(name: String): HandleException = new HandleException("not_found", s"the handle $name was unshared or has expired")

  def others(name: String): HandleException =
    new HandleException("not_found", s"the name $name stands for other data by now, which somebody else has shared: look for it anew")

  def lost(name: String, why: String): HandleException = new HandleException("lost", s"the data of the handle $name are lost: $why")

  /** The exception of ours that made a job fail, or what was thrown. */
  def within(thrown: Throwable): Throwable =
    Trace.chain(thrown).collectFirst { case ours: HandleException => ours }.getOrElse(thrown)

  /** A failure in the words of the link: `code` and `message`. */
  def told(thrown: Throwable, into: ObjectNode): ObjectNode = within(thrown) match {
    case ours: HandleException => into.put("code", ours.code).put("message", ours.getMessage.take(longest))
    case other =>
      // What the code threw comes after the headline; the stacks of the JVM are nobody's business here.
      val said = String.valueOf(other).linesIterator.filterNot(line => line.startsWith("\tat ") || line.startsWith("Driver stacktrace")).mkString("\n")
      into.put("code", "failed").put("message", said.trim.take(longest))
  }

  /** Characters of a message. */
  private val longest = 2000

  /** Runs `work`; a failed job of ours tells why without Spark's stacks around it. */
  def unwrapped[T](work: => T): T =
    try work
    catch { case thrown: Exception => throw within(thrown) }
}
