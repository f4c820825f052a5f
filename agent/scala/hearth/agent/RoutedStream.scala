package hearth.agent

import java.io.PrintStream
import java.nio.charset.StandardCharsets.UTF_8

/** A standard stream of the JVM that gives each thread's text to the statement the thread works for, and to `fallback` (the
  * driver's log) when there is none. It holds no lock while it does, so that a session that must wait delays no other.
  */
final class RoutedStream(fallback: PrintStream, pick: Performance => String => Unit) extends PrintStream(fallback, true) {

  private def text(value: String): Unit = {
    val performance = Stage.performance
    if (performance == null) fallback.print(value) else pick(performance)(value)
  }

  override def write(byte: Int): Unit = write(Array(byte.toByte), 0, 1)
  override def write(bytes: Array[Byte]): Unit = write(bytes, 0, bytes.length)
  override def write(bytes: Array[Byte], from: Int, length: Int): Unit = text(new String(bytes, from, length, UTF_8))

  override def print(value: Boolean): Unit = text(String.valueOf(value))
  override def print(value: Char): Unit = text(String.valueOf(value))
  override def print(value: Int): Unit = text(String.valueOf(value))
  override def print(value: Long): Unit = text(String.valueOf(value))
  override def print(value: Float): Unit = text(String.valueOf(value))
  override def print(value: Double): Unit = text(String.valueOf(value))
  override def print(value: Array[Char]): Unit = text(new String(value))
  override def print(value: String): Unit = text(String.valueOf(value))
  override def print(value: Object): Unit = text(String.valueOf(value))

  override def println(): Unit = text("\n")
  override def println(value: Boolean): Unit = line(String.valueOf(value))
  override def println(value: Char): Unit = line(String.valueOf(value))
  override def println(value: Int): Unit = line(String.valueOf(value))
  override def println(value: Long): Unit = line(String.valueOf(value))
  override def println(value: Float): Unit = line(String.valueOf(value))
  override def println(value: Double): Unit = line(String.valueOf(value))
  override def println(value: Array[Char]): Unit = line(new String(value))
  override def println(value: String): Unit = line(String.valueOf(value))
  override def println(value: Object): Unit = line(String.valueOf(value))

  override def flush(): Unit = fallback.flush()
  override def checkError(): Boolean = false
  override def close(): Unit = flush()

  private def line(value: String): Unit = text(value + "\n")
}

object RoutedStream {

  /** Puts routed streams in the place of System.out and System.err; done once, before the Scala console is first used. */
  def install(): Unit = {
    System.setOut(new RoutedStream(System.out, _.out))
    System.setErr(new RoutedStream(System.err, _.err))
  }
}
