package hearth.agent.repl

import scala.collection.mutable
import scala.tools.nsc.interpreter.lines.Lines

/** A part of the code that is compiled and run by itself.
  *
  * @param line number of its first line in the code, from 0
  */
final case class Slice(text: String, line: Int)

/** Cuts code into the statements that spark-shell would see one after the other, so that each has its own result, and what was
  * done before a failure stays done. Definitions that run nothing stay together: a class finds its companion, and one
  * compilation is cheaper than ten.
  */
object Slices {

  /** The slices, in order. Code that does not parse is one slice: compiling it tells why. */
  def of(lines: Lines, code: String): Seq[Slice] =
    if (!code.trim.contains('\n')) single(lines, code)
    else lines.statements(code) match {
      case None                              => Seq(Slice(code, 0))
      case Some(statements) if statements.isEmpty => Nil
      case Some(statements)                  => cut(lines)(code, statements)
    }

  /** One line may hold nothing but a comment. */
  private def single(lines: Lines, code: String): Seq[Slice] =
    if (code.trim.startsWith("//") || code.trim.startsWith("/*")) lines.statements(code) match {
      case Some(none) if none.isEmpty => Nil
      case _                          => Seq(Slice(code, 0))
    }
    else if (code.trim.isEmpty) Nil
    else Seq(Slice(code, 0))

  private def cut(lines: Lines)(code: String, statements: Seq[lines.Statement]): Seq[Slice] = {
    val slices = mutable.ArrayBuffer.empty[Slice]
    var from = 0
    var group = Vector.empty[lines.Statement]
    statements.zipWithIndex.foreach { case (statement, at) =>
      group :+= statement
      val next = statements.lift(at + 1)
      val end = next.fold(code.length)(following => code.lastIndexOf('\n', following.start) + 1)
      val text = code.substring(from, math.max(from, end))
      val together = next.exists(following => joins(lines)(group, following))
      // A statement that begins where another ends, or before where the parser says, shows by not parsing alone.
      if (next.isEmpty || (!together && end > from && lines.statements(text).exists(_.size == group.size))) {
        slices += Slice(text, code.substring(0, from).count(_ == '\n'))
        from = end
        group = Vector.empty
      }
    }
    lines.said()
    slices.toList
  }

  private def joins(lines: Lines)(group: Seq[lines.Statement], next: lines.Statement): Boolean =
    group.forall(_.isDefinition) && next.isDefinition && {
      val names = group.flatMap(_.defines)
      // The same name twice is a redefinition, unless it is a class and its companion.
      next.defines.forall(name => !names.contains(name) || next.companionOf(group))
    }
}
