package hearth.agent.link

import java.io.RandomAccessFile
import java.nio.charset.StandardCharsets.US_ASCII
import java.nio.file.{Files, Path}

/** A file that grows until it is cleared as a whole. Frames are ASCII, so characters are bytes. Not safe for several threads. */
private final class Spill(path: Path) {
  private var file: Option[RandomAccessFile] = None
  private var end = 0L

  def length: Long = end

  /** Writes `text` and returns where it stands. */
  def write(text: String): Long = {
    val open = file.getOrElse {
      Files.createDirectories(path.getParent)
      val made = new RandomAccessFile(path.toFile, "rw")
      file = Some(made)
      made
    }
    val at = end
    open.seek(at)
    open.write(text.getBytes(US_ASCII))
    end += text.length
    at
  }

  def read(at: Long, length: Int): String = {
    val bytes = new Array[Byte](length)
    file.foreach { open =>
      open.seek(at)
      open.readFully(bytes)
    }
    new String(bytes, US_ASCII)
  }

  def clear(): Unit = if (end > 0) {
    file.foreach(_.setLength(0))
    end = 0
  }

  def close(): Unit = {
    file.foreach(_.close())
    file = None
    Files.deleteIfExists(path)
  }
}
