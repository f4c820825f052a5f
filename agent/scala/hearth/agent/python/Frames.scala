package hearth.agent.python

import org.apache.spark.sql.Dataset

import hearth.agent.{Json, Outcome}
import hearth.agent.result.{Bounded, JsonValue, Limits, Types}

/** A frame's rows as a list of objects. */
private[python] object Frames {
  def json(frame: Dataset[_], maxRows: Int): Outcome = {
    val rows = frame.toDF()
    val fetched = rows.take(maxRows + 1)
    try
      Outcome.Ok(
        Map("application/json" -> Json.raw(JsonValue.text(fetched.take(maxRows)))),
        Some(Types.columns(rows.schema)),
        Limits.rows(fetched.length, maxRows))
    catch {
      case _: Bounded.TooLarge => Bounded.tooLarge
      case why: JsonValue.NotSerialisable => Outcome.Failed("TypeError", why.getMessage, Nil)
    }
  }
}
