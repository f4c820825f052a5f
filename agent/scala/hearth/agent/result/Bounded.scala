package hearth.agent.result

import java.io.Writer

import com.fasterxml.jackson.core.JsonGenerator
import hearth.agent.{Json, Outcome}

/** JSON written to memory, no longer than a statement may answer. */
object Bounded {

  /** The most bytes of JSON that a statement may answer with. */
  val mostBytes: Int = 16 * 1024 * 1024

  /** Why a larger result is refused, and what to do. */
  val tooLarge: Outcome.Failed = Outcome.Failed(
    "ResultTooLarge",
    s"The result is more than ${mostBytes / (1024 * 1024)} MiB of JSON, the most that a statement may answer. " +
      "Show fewer rows or columns, or write the result to storage.",
    Nil)

  /** What `write` writes.
    *
    * @throws TooLarge as soon as it is longer than allowed
    */
  def json(write: JsonGenerator => Unit): String = {
    val buffer = new Buffer
    val generator = Json.mapper.getFactory.createGenerator(buffer)
    write(generator)
    generator.close()
    buffer.toString
  }

  final class TooLarge extends RuntimeException("the result is too large")

  private final class Buffer extends Writer {
    private val text = new java.lang.StringBuilder

    override def write(part: Array[Char], from: Int, length: Int): Unit = {
      if (text.length + length > mostBytes) throw new TooLarge
      text.append(part, from, length)
    }
    override def flush(): Unit = ()
    override def close(): Unit = ()
    override def toString: String = text.toString
  }
}
