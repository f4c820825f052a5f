package hearth.agent.repl

import scala.tools.nsc.interpreter.Results
import scala.tools.nsc.interpreter.lines.Lines

import hearth.agent._
import hearth.agent.handle.Namespace

/** Runs Scala in a session: statement after statement of the code, as if typed into spark-shell. */
final class ScalaInterpreter(lines: Lines, range: Int, workspace: Workspace, handles: Namespace) extends Interpreter {
  private val stage = new Stage
  private val interruptible = new Interruptible
  private val failures = new ScalaFailure(lines)
  private val magics = new Magics(lines, workspace)

  override def kind: String = "spark"

  override def run(statement: Running): Outcome = {
    val transcript = new Transcript(statement)
    stage.play(new Performance(statement, transcript.stdout, statement.stderr)) {
      Console.withOut(System.out)(Console.withErr(System.err)(runChunks(statement, transcript)))
    }
  }

  override def cancel(statement: Running): Unit = interruptible.interrupt()

  /** Compiles and runs a definition that nobody will see. */
  override def settle(): Unit = {
    lines.compile("def settled: String = (1 + 1).toString").foreach(_.run())
    lines.said()
  }

  override def complete(code: String, cursor: Int): Seq[String] = {
    val found = lines.complete(code, cursor)
    lines.said()
    found.map(_.trim).filter(_.nonEmpty).distinct
  }

  override def close(): Unit = {
    interruptible.interrupt()
    handles.session.abandon()
    ScalaLanguage.close(lines, range)
  }

  /** The last chunk's value is the statement's; text of chunks that follow one another is joined. */
  private def runChunks(statement: Running, transcript: Transcript): Outcome = {
    var outcome: Outcome = transcript.outcome(None)
    Chunk.of(statement.code).foreach { chunk =>
      outcome = chunk match {
        case code: Chunk.Code   => runCode(code, statement, transcript)
        case magic: Chunk.Magic =>
          try inContext(interruptible.run(magics.run(magic, statement)))
          catch { case failure: Throwable => failures.thrown(failure, 0) }
      }
      if (outcome.isInstanceOf[Outcome.Failed] || statement.cancelled) return outcome
    }
    outcome
  }

  private def runCode(code: Chunk.Code, statement: Running, transcript: Transcript): Outcome = {
    var last: Option[lines.Line] = None
    for (slice <- Slices.of(lines, code.text)) {
      lines.said()
      lines.compile(slice.text) match {
        case Left(Results.Incomplete) => return Outcome.Failed("Error", "incomplete statement", Nil)
        case Left(_)                  => return failures.refused(lines.said(), slice.text, code.line + slice.line)
        case Right(line) =>
          warn(slice, code, statement)
          failures.locate(line.number, code.line + slice.line - line.linesBefore)
          if (statement.cancelled) return Outcome.Failed("Cancelled", "", Nil)
          try {
            val shown = inContext(interruptible.run(line.run()))
            line.record()
            if (handles.waits) interruptible.run(inContext(line.names.foreach(name => handles.held(name, line.value(name)))))
            transcript.result(failures.unmangled(shown))
            last = Some(line)
          } catch { case failure: Throwable => return failures.thrown(failure, line.number) }
      }
    }
    transcript.outcome(last.flatMap(line => Shapes.of(lines)(line)))
  }

  /** Warnings go to stderr: the text of the result is read by programs. */
  private def warn(slice: Slice, code: Chunk.Code, statement: Running): Unit =
    lines.said().filterNot(_.isError).foreach { said =>
      statement.stderr(failures.render(said, slice.text, code.line + slice.line).mkString)
    }

  /** User code sees its session's classes through the context class loader, as in spark-shell. */
  private def inContext[T](work: => T): T = {
    val thread = Thread.currentThread
    val before = thread.getContextClassLoader
    thread.setContextClassLoader(lines.loader)
    try work
    finally thread.setContextClassLoader(before)
  }
}
