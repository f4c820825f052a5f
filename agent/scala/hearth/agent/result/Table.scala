package hearth.agent.result

import java.sql.{Date, Timestamp}
import java.time.{Instant, LocalDate, LocalDateTime}
import java.time.format.DateTimeFormatter

import scala.collection.JavaConverters._
import scala.collection.mutable

import hearth.agent.{Json, Outcome}
import org.apache.spark.rdd.RDD
import org.apache.spark.sql.{Dataset, Row}

/** A value as Livy's table (`application/vnd.livy.table.v1+json`), with a type for each column. */
object Table {
  val mime = "application/vnd.livy.table.v1+json"

  /** @param maxRows the most rows that are fetched and shown */
  def of(value: Any, maxRows: Int): Outcome = {
    val (rows, headers) = fetch(value, maxRows + 1)
    val shown = rows.take(maxRows)
    val types = mutable.LinkedHashMap(headers: _*)
    shown.foreach(_.foreach { case (name, cell) =>
      unify(types.getOrElse(name, nothing), typeOf(cell)) match {
        case Some(kind) => types(name) = kind
        case None       => return Outcome.Failed("TypeError", "table rows have different types", Nil)
      }
    })
    try
      Outcome.Ok(
        Map(mime -> Json.raw(write(shown, types.toSeq))),
        Some(types.toSeq.map { case (name, kind) => Types.column(name, kind) }),
        Limits.rows(rows.length, maxRows))
    catch {
      case _: Bounded.TooLarge => Bounded.tooLarge
      case _: JsonValue.NotSerialisable => Outcome.Failed("ValueError", "Failed to convert value into a JSON value", Nil)
    }
  }

  private type Cells = Seq[(String, Any)]

  /** At most `most` rows, and the headers that are known without looking at rows. */
  private def fetch(value: Any, most: Int): (Seq[Cells], Seq[(String, String)]) = value match {
    case data: Dataset[_] =>
      val frame = data.toDF()
      (frame.take(most).toSeq.map(cells), frame.schema.fields.toSeq.map(field => field.name -> Types.livy(field.dataType)))
    case rdd: RDD[_]                     => (rdd.take(most).toSeq.map(cells), Nil)
    case map: scala.collection.Map[_, _] => (Seq(cells(map)), Nil)
    case items: Iterable[_]              => (items.iterator.take(most).map(cells).toList, Nil)
    case items: Array[_]                 => (items.iterator.take(most).map(cells).toList, Nil)
    case items: java.util.Collection[_]  => (items.asScala.iterator.take(most).map(cells).toList, Nil)
    case single                          => (Seq(cells(single)), Nil)
  }

  /** A row by column. Livy sorts the keys of maps and case classes. */
  private def cells(row: Any): Cells = row match {
    case row: Row if row.schema != null  => row.schema.fieldNames.toSeq.zip(row.toSeq)
    case row: Row                        => indexed(row.toSeq)
    case map: scala.collection.Map[_, _] => map.toSeq.map { case (key, cell) => (String.valueOf(key), cell) }.sortBy(_._1)
    case map: java.util.Map[_, _]        => cells(map.asScala)
    case items: Iterable[_]              => indexed(items.toSeq)
    case items: Array[_]                 => indexed(items.toSeq)
    case items: java.util.Collection[_]  => indexed(items.asScala.toSeq)
    case option: Option[_]               => indexed(Seq(option.orNull[Any]))
    case product: Product =>
      val named = JsonValue.fields(product)
      if (product.getClass.getName.startsWith("scala.Tuple")) named else named.sortBy(_._1)
    case single => indexed(Seq(single))
  }

  private def indexed(cells: Seq[Any]): Cells = cells.zipWithIndex.map { case (cell, at) => (at.toString, cell) }

  private val nothing = "NULL_TYPE"

  private def typeOf(cell: Any): String = cell match {
    case null | None => nothing
    case Some(inner) => typeOf(inner)
    case _: Boolean => "BOOLEAN_TYPE"
    case _: Byte | _: Short | _: Int | _: Long | _: BigInt | _: java.math.BigInteger => "BIGINT_TYPE"
    case _: Float | _: Double => "DOUBLE_TYPE"
    case _: BigDecimal | _: java.math.BigDecimal => "DECIMAL_TYPE"
    case _: Date | _: LocalDate => "DATE_TYPE"
    case _: Timestamp | _: Instant | _: LocalDateTime => "TIMESTAMP_TYPE"
    case _: scala.collection.Map[_, _] | _: java.util.Map[_, _] | _: Row => "MAP_TYPE"
    case _: Iterable[_] | _: Array[_] | _: java.util.Collection[_] => "ARRAY_TYPE"
    case _: Product => "MAP_TYPE"
    case _ => "STRING_TYPE"
  }

  /** The type of a column that holds both; None if no type does. */
  private def unify(one: String, other: String): Option[String] =
    if (one == other || other == nothing) Some(one)
    else if (one == nothing) Some(other)
    else if (numbers(one) && numbers(other)) Some("DOUBLE_TYPE")
    else None

  private val numbers = Set("BIGINT_TYPE", "DOUBLE_TYPE", "DECIMAL_TYPE")

  private def write(rows: Seq[Cells], headers: Seq[(String, String)]): String = Bounded.json { out =>
    val values = new JsonValue(out, livyRows = false)
    out.writeStartObject()
    out.writeArrayFieldStart("headers")
    headers.foreach { case (name, kind) =>
      out.writeStartObject()
      out.writeStringField("type", kind)
      out.writeStringField("name", name)
      out.writeEndObject()
    }
    out.writeEndArray()
    out.writeArrayFieldStart("data")
    rows.foreach { row =>
      val cell = row.toMap
      out.writeStartArray()
      headers.foreach { case (name, _) => values.write(clock(cell.getOrElse(name, null))) }
      out.writeEndArray()
    }
    out.writeEndArray()
    out.writeEndObject()
  }

  /** Times as Livy's tables have them: local, with a space. */
  private def clock(cell: Any): Any = cell match {
    case time: Timestamp     => text(time.toLocalDateTime)
    case time: Instant       => text(LocalDateTime.ofInstant(time, java.time.ZoneId.systemDefault))
    case time: LocalDateTime => text(time)
    case other               => other
  }

  private val seconds = DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss")

  private def text(time: LocalDateTime): String = {
    val micros = time.getNano / 1000
    seconds.format(time) + (if (micros == 0) "" else f".$micros%06d".reverse.dropWhile(_ == '0').reverse)
  }
}
