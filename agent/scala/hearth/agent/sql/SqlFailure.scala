package hearth.agent.sql

import hearth.agent.{Outcome, Trace}
import org.apache.spark.sql.AnalysisException
import org.apache.spark.sql.catalyst.parser.ParseException

/** Failures of a query as a person reads them: Spark's error class and position first, no frames of Spark's own. */
object SqlFailure {

  /** Lines of an executor's stack that are shown. */
  private val mostLines = 30

  def of(failure: Throwable): Outcome.Failed = {
    val message = failure match {
      case parsing: ParseException     => parsing.getMessage
      case analysis: AnalysisException => analysis.getSimpleMessage
      case other                       => Option(other.getMessage).getOrElse(other.toString)
    }
    val trimmed = message.dropWhile(c => c == '\n' || c == '\r')
    // A failed task's message ends in the executor's stack, which belongs below.
    val stack = trimmed.indexOf("\n\tat ")
    val (head, below) = if (stack < 0) (trimmed, "") else (trimmed.substring(0, stack), trimmed.substring(stack + 1))
    val causes = Trace.chain(failure).drop(1).map(cause => s"Caused by: ${Trace.headline(cause)}\n")
    Outcome.Failed("Error", head, below.linesIterator.take(mostLines).map(_ + "\n").toSeq ++ causes)
  }
}
