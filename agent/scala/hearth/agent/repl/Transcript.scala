package hearth.agent.repl

import hearth.agent.{Allowance, Column, Json, Outcome, Running, Truncated}
import hearth.agent.result.Bounded

/** The text of a statement's result: what its code prints and what the REPL shows, in order, bounded. */
private final class Transcript(statement: Running) {
  private val text = new java.lang.StringBuilder
  private val allowance = new Allowance(math.min(statement.maxOutput, Bounded.mostBytes / 3))

  /** Takes what the code prints, and sends it on. Threads of the code may call it at any time. */
  val stdout: String => Unit = printed => {
    add(printed)
    statement.stdout(printed)
  }

  /** Takes what the REPL shows for a value. */
  def result(shown: String): Unit = add(if (shown.isEmpty || shown.endsWith("\n")) shown else shown + "\n")

  def outcome(columns: Option[Seq[Column]]): Outcome.Ok = synchronized {
    val refused = allowance.refused
    val cut =
      if (refused == 0) None
      else Some(Truncated(None, 0, s"$refused bytes of text beyond the first ${allowance.limit} were left out"))
    Outcome.Ok(Map("text/plain" -> Json.text(text.toString)), columns, cut)
  }

  private def add(part: String): Unit = synchronized {
    val (kept, first) = allowance.take(part)
    text.append(kept)
    if (first) text.append(allowance.notice)
  }
}
