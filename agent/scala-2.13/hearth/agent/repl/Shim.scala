package scala.tools.nsc.interpreter.lines

import java.io.PrintWriter

import scala.reflect.internal.util.{CodeAction, Position}
import scala.tools.nsc.Settings
import scala.tools.nsc.interpreter.{IMain, Results}
import scala.tools.nsc.interpreter.shell.{ReplCompletion, ReplReporterImpl, ShellConfig}

/** What differs between the REPLs of Scala 2.12 and 2.13; this is 2.13's. */
object Shim {

  /** Makes the REPL; what the compiler says goes to `heard`.
    *
    * @param isShown asked when a line is compiled and what shows its values is not: whether that need not be
    */
  def repl(settings: Settings, parent: ClassLoader, heard: Heard, isShown: () => Boolean): IMain = {
    val reporter = new ReplReporterImpl(ShellConfig(settings), settings, new PrintWriter(Silence)) {
      override def doReport(pos: Position, message: String, severity: Severity, actions: List[CodeAction]): Unit =
        heard.say(pos, message, isError = severity == ERROR)
    }
    val made = new IMain(settings, Some(parent), settings, reporter) {
      override def withoutWarnings[T](compile: => T): T = if (isShown()) true.asInstanceOf[T] else super.withoutWarnings(compile)
    }
    made.initializeCompiler()
    made
  }

  /** The statements of a piece of code. */
  def parse(repl: IMain)(code: String): Parsed[repl.global.Tree] = repl.parse(code) match {
    case Right((trees, _, _))        => Whole(trees)
    case Left(Results.Incomplete)    => Unfinished
    case Left(_)                     => Wrong
  }

  /** How many lines stand before the user's first one in what was compiled: positions are the user's own here. */
  def linesBefore(repl: IMain)(request: repl.Request, code: String): Int = 0

  def complete(repl: IMain, code: String, cursor: Int): Seq[String] =
    new ReplCompletion(repl).complete(code, cursor).candidates.map(_.name)
}
