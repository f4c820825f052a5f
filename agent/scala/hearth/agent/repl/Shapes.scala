package hearth.agent.repl

import scala.tools.nsc.interpreter.lines.Lines

import hearth.agent.Column
import hearth.agent.result.Types
import org.apache.spark.sql.{Dataset, Row}

/** What the value that a statement ends in looks like as a table, told from types alone: no job is run for it. */
private object Shapes {

  /** The columns; None for a value that is no table. */
  def of(lines: Lines)(line: lines.Line): Option[Seq[Column]] =
    try line.result.flatMap(name => line.value(name) match {
      case data: Dataset[_] => Some(Types.columns(data.schema))
      case rows: Array[_] if rows.headOption.exists(isRow)    => schema(rows.head)
      case rows: Iterable[_] if rows.headOption.exists(isRow) => schema(rows.head)
      case null             => None
      case value            => line.columns(name, keys(value))
    })
    // A value whose type is beyond us is shown all the same.
    catch { case _: Exception | _: LinkageError => None }

  private def isRow(value: Any): Boolean = value match {
    case row: Row => row.schema != null
    case _        => false
  }

  private def schema(row: Any): Option[Seq[Column]] = Some(Types.columns(row.asInstanceOf[Row].schema))

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
