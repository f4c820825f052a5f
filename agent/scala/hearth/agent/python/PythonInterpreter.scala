package hearth.agent.python

import java.util.concurrent.atomic.AtomicInteger

import scala.util.control.NonFatal

import hearth.agent.{Interpreter, Outcome, Running, Workspace}

/** Python in one session. When its process dies, the statement says so, and the next one gets a new process.
  *
  * @param first  the process to begin with
  * @param another makes a new one
  */
private[python] final class PythonInterpreter(first: AttachedPython, another: () => AttachedPython, workspace: Workspace)
    extends Interpreter {
  import PythonProcess._

  override val kind = "pyspark"

  private val requests = new AtomicInteger
  @volatile private var closed = false
  @volatile private var python = first
  PythonSessions.add(workspace)
  try python.open(workspace)
  catch {
    case NonFatal(failure) =>
      close()
      throw failure
  }

  override def run(statement: Running): Outcome = {
    val anew = renew()
    PythonSessions.prepare(workspace.number, statement)
    val process = python.process
    process.attribute(statement)
    val sent =
      try {
        process.send("run") { message =>
          message.put("id", statement.number).put("code", statement.code)
            .put("max_rows", statement.maxRows).put("max_output", statement.maxOutput)
          anew.foreach(message.put("notice", _))
        }
        true
      } catch { case _: java.io.IOException => false }
    // A cancel that came while a new process was being started has not reached it.
    if (sent && statement.cancelled) cancel(statement)
    if (sent) finish(process, statement) else died(process)
  }

  override def cancel(statement: Running): Unit =
    try python.process.send("cancel")(_.put("id", statement.number))
    catch { case _: java.io.IOException => } // its end ends the statement

  override def complete(code: String, cursor: Int): Seq[String] = {
    val request = requests.incrementAndGet()
    val process = python.process
    try {
      process.send("complete")(_.put("id", request).put("code", code).put("cursor", cursor))
      candidates(process, request)
    } catch { case _: java.io.IOException => Nil }
  }

  override def close(): Unit = {
    closed = true
    python.close()
    PythonSessions.remove(workspace.number)
  }

  private def finish(process: PythonProcess, statement: Running): Outcome = {
    var outcome: Option[Outcome] = None
    while (outcome.isEmpty) process.answer() match {
      case Reply("done", body) if body.path("id").asInt == statement.number => outcome = Some(Replies.outcome(body))
      case Reply(_, _) => // the answer to a completion that nobody waits for any more
      case Gone => outcome = Some(died(process))
    }
    // What its code was making when it was cut short, it did not always get to say.
    if (statement.cancelled) PythonSessions.handles(workspace.number).abandon(statement.number)
    outcome.get
  }

  private def candidates(process: PythonProcess, request: Int): Seq[String] =
    process.answer(PythonInterpreter.completionSeconds) match {
      case Some(Reply("completion", body)) if body.path("id").asInt == request => Replies.texts(body.path("candidates"))
      case Some(Reply("completion", _)) => candidates(process, request)
      case _ => Nil
    }

  /** Livy's words for it, and what Livy does not say. */
  private def died(process: PythonProcess): Outcome = {
    if (!closed) PythonSessions.handles(workspace.number).abandon()
    if (closed) Outcome.Failed("Error", "Interpreter died: the session was closed", Nil)
    else Outcome.Failed("Error", s"Interpreter died: ${process.obituary}\n${PythonInterpreter.consequence}", Nil)
  }

  /** Gets a new process where the old one has ended, and says so.
    *
    * @throws PythonFailure if it cannot
    */
  private def renew(): Option[String] =
    if (closed || !python.process.ended) None
    else {
      val how = python.process.end
      python.close()
      python = another()
      python.open(workspace)
      Some(s"[Python was started anew, because $how: variables of earlier statements are gone.]\n")
    }
}

private object PythonInterpreter {
  private val completionSeconds = 5L
  private val consequence = "The next statement gets a new process; the variables are gone."
}
