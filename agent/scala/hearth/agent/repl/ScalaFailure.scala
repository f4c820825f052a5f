package hearth.agent.repl

import scala.collection.mutable
import scala.util.matching.Regex
import scala.tools.nsc.interpreter.lines.{Lines, Said}

import hearth.agent.{Outcome, Trace}

/** Failures of Scala code as a person reads them: lines are counted in the user's own statement, wrappers are left out. */
private final class ScalaFailure(lines: Lines) {

  /** By number of the REPL's line: what to add to a line number of the compiled class to get the user's. */
  private val offsets = mutable.HashMap.empty[Int, Int]

  def locate(line: Int, offset: Int): Unit = offsets(line) = offset

  /** What the compiler refused.
    *
    * @param code what it was given
    * @param line number of its first line in the statement, from 0
    */
  def refused(said: Seq[Said], code: String, line: Int): Outcome.Failed = {
    val rendered = said.filter(_.isError).flatMap(render(_, code, line))
    val all = if (rendered.isEmpty) Seq("the code does not compile\n") else rendered
    Outcome.Failed("Error", all.head.stripLineEnd, all.tail)
  }

  /** As the REPL prints it: place and message, then the line of code with a caret under the place. */
  def render(said: Said, code: String, line: Int): Seq[String] = {
    val severity = if (said.isError) "error" else "warning"
    val message = said.message.linesIterator.toSeq
    val place = said.place.fold("")(at => s"<console>:${line + at.lineIn(code) + 1}: ")
    val head = s"$place$severity: ${message.headOption.getOrElse("")}"
    val source = said.place.toSeq.flatMap(at => Seq("       " + at.line, "       " + at.caret))
    (head +: (message.drop(1) ++ source)).map(_ + "\n")
  }

  /** What the code threw. */
  def thrown(failure: Throwable, line: Int): Outcome.Failed = {
    val real = Lines.unwrapped(failure)
    Outcome.Failed("Error", unmangled(Trace.headline(real)), Trace.lines(real, ScalaFailure.users, show).map(located))
  }

  private def show(frame: StackTraceElement): String = {
    val number = Registry.lineOf(frame.getClassName)
    if (number < 0) frame.toString
    else {
      val place =
        if (frame.getLineNumber < 1) "Unknown Source"
        else offsets.get(number).fold("<console>")(offset => s"<console>:${frame.getLineNumber + offset}")
      val owner = unmangled(frame.getClassName).stripPrefix(".")
      val name = Seq(owner, if (frame.getMethodName == "<init>") "" else frame.getMethodName).filter(_.nonEmpty).mkString(".")
      if (name.isEmpty) place else s"$name($place)"
    }
  }

  /** A line of text with the user's line numbers in it; the stacks of tasks come as text. */
  private def located(text: String): String = unmangled(ScalaFailure.frame.replaceAllIn(text, found => {
    val offset = scala.util.Try(found.group(2).toInt).toOption.flatMap(offsets.get).getOrElse(0)
    Regex.quoteReplacement(s"${found.group(1)}(<console>:${found.group(3).toInt + offset})")
  }))

  /** Text without the REPL's own names. */
  def unmangled(text: String): String = Registry.unmangled(text)
}

private object ScalaFailure {

  private val frame: Regex = """(\$line(\d{1,9})\.[^()\s]*)\(<console>:(\d{1,9})\)""".r

  /** Frames down to where the REPL begins to run the statement. */
  private def users(frames: Array[StackTraceElement]): Int = {
    val start = frames.indexWhere { frame =>
      Registry.lineOf(frame.getClassName) >= 0 && frame.getMethodName == "<init>" && frame.getClassName.matches(""".*\.\$read(\$\$iw|\$iw)*""")
    }
    if (start < 0) frames.length else start + 1
  }
}
