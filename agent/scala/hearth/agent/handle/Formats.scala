package hearth.agent.handle

import java.io.ByteArrayOutputStream
import java.nio.charset.StandardCharsets.UTF_8

import hearth.agent.Json
import hearth.agent.result.JsonValue
import org.apache.spark.rdd.RDD
import org.apache.spark.sql.{DataFrame, Row}
import org.apache.spark.sql.hearth.{Plans, SparkSql}

/** A frame as bytes: what comes first, the parts that each partition gives, and what comes last.
  */
private[handle] final class Formatted(val head: Array[Byte], val parts: RDD[Array[Byte]], val tail: Array[Byte])

private[handle] object Formatted {

  /** @throws HandleException `failed` for a format that there is not */
  def of(frame: DataFrame, format: String): Formatted = format match {
    case "arrow" => arrow(frame)
    case "jsonl" =>
      val names = frame.columns
      new Formatted(none, lines(frame, row => JsonLines.line(names, row)), none)
    case "csv" => new Formatted(Csv.line(frame.columns.toSeq).getBytes(UTF_8), lines(frame, row => Csv.line(row.toSeq)), none)
    case other => throw HandleException.failed(s"this agent knows no format $other")
  }

  private val none = Array.emptyByteArray

  /** An Arrow IPC stream; each part is a record batch as it stands there. */
  private def arrow(frame: DataFrame): Formatted = {
    val out = new ByteArrayOutputStream
    val writer = SparkSql.writer(frame.schema, Plans.timeZone(frame.sparkSession), out)
    val head = out.toByteArray
    out.reset()
    writer.end()
    new Formatted(head, SparkSql.arrow(frame), out.toByteArray)
  }

  /** Lines of text, joined to parts of some size. */
  private def lines(frame: DataFrame, line: Row => String): RDD[Array[Byte]] = frame.rdd.mapPartitions { rows =>
    new Iterator[Array[Byte]] {
      override def hasNext: Boolean = rows.hasNext
      override def next(): Array[Byte] = {
        val text = new java.lang.StringBuilder
        while (rows.hasNext && text.length < partLength) text.append(line(rows.next()))
        text.toString.getBytes(UTF_8)
      }
    }
  }

  private val partLength = 256 * 1024
}

/** One JSON object a line, nulls and all. */
private[handle] object JsonLines {
  def line(names: Array[String], row: Row): String =
    JsonValue.wire(OrderedMap.of(names.iterator.zip(row.toSeq.iterator))) + "\n"
}

/** RFC 4180, with what is nested as JSON. */
private[handle] object Csv {
  def line(cells: Seq[Any]): String = cells.map(cell).mkString("", ",", "\r\n")

  private def cell(value: Any): String = value match {
    case null         => ""
    case text: String => quoted(text)
    case bytes: Array[Byte] => java.util.Base64.getEncoder.encodeToString(bytes)
    case other =>
      val json = JsonValue.wire(other)
      quoted(if (json.startsWith("\"")) Json.parse(json).asText else json)
  }

  private def quoted(text: String): String =
    if (text.isEmpty || text.exists(c => c == '"' || c == ',' || c == '\n' || c == '\r')) "\"" + text.replace("\"", "\"\"") + "\"" else text
}
