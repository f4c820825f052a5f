package scala.tools.nsc.interpreter.lines

import scala.util.matching.Regex

/** What the REPL shows for a line, as the pieces of the program that it would compile to show it.
  *
  * For every line the REPL compiles a second class, whose only purpose is to join a few texts and `toString` of the values: two thirds of the
  * time that a short statement takes. Where the program is as simple as that, it need not be compiled to be known.
  */
private[lines] object Shown {
  sealed trait Piece
  final case class Text(text: String) extends Piece

  /** A value, by the name of its accessor, shown with so many elements at most. */
  final case class Value(accessor: String, most: Int) extends Piece

  /** Longer programs are compiled, characters. */
  private val longest = 10000

  /** A literal, or the call that shows a value (`any2stringOf` of the REPL's `MemberHandlers`). */
  private val piece: Regex =
    """\s*\+\s*(?:"([^"\\]*+(?:\\[nrt"\\][^"\\]*+)*+)"|_root_\.scala\.runtime\.ScalaRunTime\.replStringOf\(([^\s,()"]+), (\d{1,9})\))\s*""".r

  /** The pieces of such a program, None of one that does anything else.
    *
    * @param accessors the names of the accessors of the line's values by the paths that the program knows them by
    */
  def of(program: String, accessors: Map[String, String]): Option[Seq[Piece]] = {
    if (program.length > longest) return None
    val pieces = Seq.newBuilder[Piece]
    var rest: CharSequence = program
    while (rest.toString.trim.nonEmpty) piece.findPrefixMatchOf(rest) match {
      case Some(found) if found.group(2) == null => pieces += Text(StringContext.treatEscapes(found.group(1))); rest = found.after
      case Some(found) =>
        accessors.get(found.group(2)) match {
          case Some(accessor) => pieces += Value(accessor, found.group(3).toInt); rest = found.after
          case None           => return None
        }
      case None => return None
    }
    Some(pieces.result())
  }
}
