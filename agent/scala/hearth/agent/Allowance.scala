package hearth.agent

/** Counts text against a limit of UTF-8 bytes; what is beyond it is refused and counted. Safe for many threads. */
final class Allowance(val limit: Long) {
  private var used = 0L
  private var over = 0L

  /** The part of `text` that still fits, and whether this was the first that did not fit whole. */
  def take(text: String): (String, Boolean) = synchronized {
    val bytes = Allowance.utf8Length(text, text.length)
    if (over == 0 && used + bytes <= limit) {
      used += bytes
      (text, false)
    } else {
      val first = over == 0
      val fitting = if (first) Allowance.fitting(text, limit - used) else 0
      val kept = Allowance.utf8Length(text, fitting)
      used += kept
      over += bytes - kept
      (text.substring(0, fitting), first)
    }
  }

  /** Bytes refused. */
  def refused: Long = synchronized(over)

  /** The line that tells a reader of the cut. */
  def notice: String = s"\n[output cut here: more than $limit bytes]\n"
}

object Allowance {

  /** Bytes of the first `end` code units in UTF-8 (each half of a surrogate pair counts two). */
  def utf8Length(text: String, end: Int): Long = {
    var bytes = 0L
    var at = 0
    while (at < end) {
      val c = text.charAt(at)
      bytes += (if (c < 0x80) 1 else if (c < 0x800) 2 else if (Character.isSurrogate(c)) 2 else 3)
      at += 1
    }
    bytes
  }

  /** The most code units of `text` that take no more than `room` bytes, not splitting a pair. */
  private def fitting(text: String, room: Long): Int = {
    var bytes = 0L
    var at = 0
    while (at < text.length) {
      bytes += utf8Length(text.substring(at, at + 1), 1)
      if (bytes > room) return if (at > 0 && Character.isHighSurrogate(text.charAt(at - 1))) at - 1 else at
      at += 1
    }
    at
  }
}
