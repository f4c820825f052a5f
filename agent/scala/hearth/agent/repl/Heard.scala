package scala.tools.nsc.interpreter.lines

import java.io.Writer

import scala.collection.mutable
import scala.reflect.internal.util.Position

/** What the compiler said about one piece of code. */
final class Heard {
  private val all = mutable.ArrayBuffer.empty[Said]

  def say(pos: Position, message: String, isError: Boolean): Unit = all += (
    if (pos == null || !pos.isDefined) Said(message, isError, None)
    else Said(message, isError, Some(Place(new String(pos.source.content), pos.point, pos.lineContent, pos.lineCaret))))

  /** Everything since the last call. */
  def take(): Seq[Said] = {
    val said = all.toList
    all.clear()
    said
  }
}

final case class Said(message: String, isError: Boolean, place: Option[Place])

/** Where in what was compiled, which holds the user's code and may hold more before it. */
final case class Place(source: String, at: Int, line: String, caret: String) {

  /** The line in the user's code, from 0. */
  def lineIn(code: String): Int = {
    val start = math.max(source.lastIndexOf(code), 0)
    source.substring(math.min(start, at), at).count(_ == '\n')
  }
}

/** What the parser makes of a piece of code. */
sealed trait Parsed[+T]
final case class Whole[T](trees: List[T]) extends Parsed[T]
case object Unfinished extends Parsed[Nothing]
case object Wrong extends Parsed[Nothing]

/** Takes what the REPL prints by itself and needs not be seen. */
private[lines] object Silence extends Writer {
  override def write(text: Array[Char], from: Int, length: Int): Unit = ()
  override def flush(): Unit = ()
  override def close(): Unit = ()
}
