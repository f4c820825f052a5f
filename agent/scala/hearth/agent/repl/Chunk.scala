package hearth.agent.repl

/** A piece of a statement's code: Scala, or a magic with what follows its name. */
sealed trait Chunk

object Chunk {

  /** @param line number of its first line in the statement, from 0 */
  final case class Code(text: String, line: Int) extends Chunk
  final case class Magic(name: String, argument: String) extends Chunk

  private val magic = """%([A-Za-z_]\w*)(?:\s+(.*?))?\s*""".r

  /** Livy's rule: a line that begins with `%` is a magic, the lines between are code. `%sql` takes the lines after it as well. */
  def of(code: String): Seq[Chunk] = {
    val chunks = scala.collection.mutable.ArrayBuffer.empty[Chunk]
    var pending = Vector.empty[String]
    var first = 0
    def flush(): Unit = {
      if (pending.exists(_.trim.nonEmpty)) {
        val text = pending.mkString("\n")
        chunks.lastOption match {
          case Some(Magic("sql", argument)) => chunks(chunks.size - 1) = Magic("sql", (argument + "\n" + text).trim)
          case _                            => chunks += Code(text, first)
        }
      }
      pending = Vector.empty
    }
    val all = code.split("\r?\n", -1)
    val start = all.indexWhere(_.trim.nonEmpty)
    all.zipWithIndex.foreach { case (line, at) =>
      // An indented % goes on with an expression, save at the very beginning.
      (if (at == start) line.trim else line) match {
        case magic(name, argument) =>
          flush()
          chunks += Magic(name, Option(argument).getOrElse(""))
        case _ =>
          if (pending.isEmpty) first = at
          pending = pending :+ line
      }
    }
    flush()
    chunks.toList
  }
}
