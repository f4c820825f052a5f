package hearth.agent

/** Exceptions as a person reads them. */
object Trace {
  private val mostFrames = 40
  private val mostCauses = 8

  /** The class and the first line of the message. */
  def headline(failure: Throwable): String = String.valueOf(failure).linesIterator.toSeq.headOption.getOrElse("").trim

  /** The lines below the headline, each with its line end: the rest of the message, the frames and the causes.
    *
    * @param keep  how many frames of a stack are the user's business, from the top
    * @param show  how a frame reads
    */
  def lines(failure: Throwable, keep: Array[StackTraceElement] => Int, show: StackTraceElement => String): Seq[String] = {
    val causes = chain(failure)
    causes.zipWithIndex.flatMap { case (one, depth) =>
      val message = String.valueOf(one).linesIterator.toSeq
      val head = if (depth == 0) message.drop(1) else ("Caused by: " + message.headOption.getOrElse("")) +: message.drop(1)
      val frames = one.getStackTrace
      val kept = math.min(keep(frames), mostFrames)
      val rest = frames.length - kept
      head ++ frames.take(kept).map(frame => "  at " + show(frame)) ++ (if (rest > 0) Seq(s"  ... $rest elided") else Nil)
    }.map(_ + "\n")
  }

  /** The exception and its causes, outermost first. */
  def chain(failure: Throwable): Seq[Throwable] = {
    val seen = new java.util.IdentityHashMap[Throwable, Unit]
    Iterator.iterate(failure)(_.getCause).takeWhile(one => one != null && seen.put(one, ()) == null && seen.size <= mostCauses).toSeq
  }
}
