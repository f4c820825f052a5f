package hearth.agent.repl

import scala.tools.nsc.interpreter.lines.Lines

import hearth.agent.{Json, Outcome, Running, Workspace}
import hearth.agent.result.{Bounded, JsonValue, Limits, Table, Types}
import hearth.agent.sql.{SqlFailure, SqlInterpreter}
import org.apache.spark.rdd.RDD
import org.apache.spark.sql.Dataset

/** The magics of Scala sessions: `%json NAME`, `%table NAME`, `%sql QUERY`. */
private final class Magics(lines: Lines, workspace: Workspace) {

  def run(magic: Chunk.Magic, statement: Running): Outcome = magic.name match {
    case "json"  => value(magic.argument).fold[Outcome](missing(magic.argument))(json(_, statement.maxRows))
    case "table" => value(magic.argument).fold[Outcome](missing(magic.argument))(Table.of(_, statement.maxRows))
    case "sql" =>
      try SqlInterpreter.execute(workspace.spark, magic.argument, statement.maxRows, () => statement.cancelled)
      catch { case failure: Exception => SqlFailure.of(failure) }
    case other => Outcome.Failed("UnknownMagic", s"Unknown magic command $other", Nil)
  }

  private def value(name: String): Option[Any] = lines.defining(name).map(_.value(name)).orElse(Prelude.value(name, workspace.spark))

  private def missing(name: String) = Outcome.Failed("NameError", s"Value $name does not exist", Nil)

  private def json(value: Any, maxRows: Int): Outcome =
    try
      value match {
        case data: Dataset[_] =>
          val frame = data.toDF()
          val rows = frame.take(maxRows + 1)
          Outcome.Ok(rendered(rows.take(maxRows)), Some(Types.columns(frame.schema)), Limits.rows(rows.length, maxRows))
        case rdd: RDD[_] =>
          val items = rdd.take(maxRows + 1)
          Outcome.Ok(rendered(items.take(maxRows)), None, Limits.rows(items.length, maxRows))
        case other => Outcome.Ok(rendered(other))
      }
    catch {
      case _: Bounded.TooLarge             => Bounded.tooLarge
      case why: JsonValue.NotSerialisable  => Outcome.Failed("ValueError", "Failed to convert value into a JSON value", Seq(why.getMessage + "\n"))
    }

  private def rendered(value: Any) = Map("application/json" -> Json.raw(JsonValue.text(value)))
}
