package hearth.agent.result

import hearth.agent.{Json, Outcome, Truncated}
import org.apache.spark.sql.{DataFrame, Row}

/** A query's rows as Livy's SQL sessions answer them: `{"schema": …, "data": [[…], …]}`. */
object SqlResult {

  def of(frame: DataFrame, maxRows: Int): Outcome = {
    val schema = frame.schema
    val fetched =
      if (schema.isEmpty) Array.empty[Row]
      // Taking some is a query of its own, to be analysed once more.
      else if (frame.queryExecution.analyzed.maxRows.exists(_ <= maxRows)) frame.collect()
      else frame.take(math.max(maxRows, 0) + 1)
    val shown = fetched.take(maxRows)
    try {
      val json = Bounded.json { out =>
        val values = new JsonValue(out, livyRows = true)
        out.writeStartObject()
        out.writeFieldName("schema")
        out.writeRawValue(schema.json)
        out.writeArrayFieldStart("data")
        shown.foreach { row =>
          out.writeStartArray()
          row.toSeq.foreach(values.write(_))
          out.writeEndArray()
        }
        out.writeEndArray()
        out.writeEndObject()
      }
      Outcome.Ok(Map("application/json" -> Json.raw(ascii(json))), Some(Types.columns(schema)), Limits.rows(fetched.length, maxRows))
    } catch { case _: Bounded.TooLarge => Bounded.tooLarge }
  }

  /** The schema is written raw; names in it may be outside ASCII. */
  private def ascii(json: String): String =
    if (json.forall(_ < 0x80)) json
    else json.flatMap(c => if (c < 0x80) c.toString else f"\\u${c.toInt}%04x")
}

/** How a cut in rows is told. */
object Limits {

  /** @param fetched rows fetched, one more than the limit if there were more */
  def rows(fetched: Int, maxRows: Int): Option[Truncated] =
    if (fetched <= maxRows) None else Some(Truncated(None, maxRows, s"only the first $maxRows rows are shown"))
}
