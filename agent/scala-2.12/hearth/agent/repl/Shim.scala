package scala.tools.nsc.interpreter.lines

import scala.reflect.internal.util.Position
import scala.tools.nsc.Settings
import scala.tools.nsc.interpreter.{IMain, JPrintWriter, PresentationCompilerCompleter, ReplReporter}

/** What differs between the REPLs of Scala 2.12 and 2.13; this is 2.12's. */
object Shim {

  /** Makes the REPL; what the compiler says goes to `heard`. */
  def repl(settings: Settings, parent: ClassLoader, heard: Heard): IMain = {
    val made = new IMain(settings, new JPrintWriter(Silence)) {
      override protected def parentClassLoader: ClassLoader = parent
      override lazy val reporter: ReplReporter = new ReplReporter(this) {
        override def doReport(pos: Position, message: String, severity: Severity): Unit =
          heard.say(pos, message, isError = severity == ERROR)
      }
    }
    made.initializeSynchronous()
    made
  }

  /** The statements of a piece of code. */
  def parse(repl: IMain)(code: String): Parsed[repl.global.Tree] = repl.parse(code) match {
    case repl.parse.Success(trees)  => Whole(trees)
    case repl.parse.Incomplete(_)   => Unfinished
    case repl.parse.Error(_)        => Wrong
  }

  /** How many lines stand before the user's first one in what was compiled. */
  def linesBefore(repl: IMain)(request: repl.Request, code: String): Int = {
    val source = request.lineRep.packaged(request.ObjectSourceCode.preamble)
    val at = source.lastIndexOf(code)
    if (at < 0) 0 else source.substring(0, at).count(_ == '\n')
  }

  def complete(repl: IMain, code: String, cursor: Int): Seq[String] =
    new PresentationCompilerCompleter(repl).complete(code, cursor).candidates
}
