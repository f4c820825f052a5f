package hearth.agent.repl

import scala.tools.nsc.interpreter.lines.Lines

import hearth.agent.Column
import hearth.agent.result.Types
import org.apache.spark.sql.Dataset

/** What the value that a statement ends in looks like as a table, told from types alone: no job is run for it. */
private object Shapes {

  /** The columns; None for a value that is no table. */
  def of(lines: Lines)(line: lines.Line): Option[Seq[Column]] =
    try line.result.flatMap(name => line.value(name) match {
      case data: Dataset[_] => Some(Types.columns(data.schema))
      case null             => None
      case value            => line.columns(name, keys(value))
    })
    // A value whose type is beyond us is shown all the same.
    catch { case _: Exception | _: LinkageError => None }

  /** The keys of the first elements of a local collection of maps. */
  private def keys(value: Any): Seq[String] = {
    val elements = value match {
      case items: Iterable[_] => items.iterator
      case items: Array[_]    => items.iterator
      case _                  => Iterator.empty
    }
    elements.take(20).collect { case map: scala.collection.Map[_, _] => map.keys.map(String.valueOf(_: Any)) }.flatten.toSeq.distinct.sorted
  }
}
