package scala.tools.nsc.interpreter.lines

import scala.reflect.internal.util.{Position, SourceFile}
import scala.tools.nsc.Settings
import scala.tools.nsc.interpreter.{IMain, JPrintWriter, PresentationCompilerCompleter, ReplReporter}

/** What differs between the REPLs of Scala 2.12 and 2.13; this is 2.12's. */
object Shim {

  /** Makes the REPL; what the compiler says goes to `heard`.
    *
    * @param isShown asked when a line is compiled and what shows its values is not: whether that need not be
    */
  def repl(settings: Settings, parent: ClassLoader, heard: Heard, isShown: () => Boolean): IMain = {
    val made = new IMain(settings, new JPrintWriter(Silence)) {
      override protected def parentClassLoader: ClassLoader = parent
      private var last: global.Run = _
      override def compileSourcesKeepingRun(sources: SourceFile*): (Boolean, global.Run) =
        if (sources.forall(shows) && isShown()) (true, last)
        else {
          val (isGood, run) = super.compileSourcesKeepingRun(sources: _*)
          last = run
          (isGood, run)
        }
      override lazy val reporter: ReplReporter = new ReplReporter(this) {
        override def doReport(pos: Position, message: String, severity: Severity): Unit =
          heard.say(pos, message, isError = severity == ERROR)
      }
    }
    made.initializeSynchronous()
    made
  }

  /** Whether it is the class that shows the values of a line (`ResultObjectSourceCode` of the REPL's `Request`). */
  private def shows(source: SourceFile): Boolean = showing.findPrefixOf(new String(source.content, 0, math.min(source.length, 200))).isDefined
  private val showing = """\s*package \S+\s+object \$eval\s""".r

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
