package hearth.agent.result

import java.sql.{Date, Timestamp}
import java.time.{Instant, LocalDate, LocalDateTime}

import scala.collection.JavaConverters._

import com.fasterxml.jackson.core.JsonGenerator
import com.fasterxml.jackson.databind.JsonNode
import hearth.agent.Json
import hearth.agent.handle.Bytes
import org.apache.spark.sql.Row

/** Scala values as JSON, the way Livy's clients know them: case classes and maps are objects, collections are arrays.
  *
  * @param livyRows nested rows as `{"schema": …, "values": […]}`, which Livy's SQL answers have, instead of as objects
  * @param wire     as handles' values go to the gateway: bytes as `{"$binary": base64}`, tuples as arrays
  */
final class JsonValue(out: JsonGenerator, livyRows: Boolean, wire: Boolean = false) {
  import JsonValue._

  /** @throws NotSerialisable for a value that has no form in JSON */
  def write(value: Any, depth: Int = 0): Unit = {
    if (depth > deepest) throw new NotSerialisable("it is nested too deep")
    value match {
      case null | () | None => out.writeNull()
      case text: CharSequence => out.writeString(text.toString)
      case c: Char => out.writeString(c.toString)
      case is: Boolean => out.writeBoolean(is)
      case number: Byte => out.writeNumber(number.toInt)
      case number: Short => out.writeNumber(number.toInt)
      case number: Int => out.writeNumber(number)
      case number: Long => out.writeNumber(number)
      case number: Float => if (number.isNaN) out.writeNull() else out.writeNumber(number)
      case number: Double => if (number.isNaN) out.writeNull() else out.writeNumber(number)
      case number: BigDecimal => out.writeNumber(number.bigDecimal)
      case number: BigInt => out.writeNumber(number.bigInteger)
      case number: java.math.BigDecimal => out.writeNumber(number)
      case number: java.math.BigInteger => out.writeNumber(number)
      case Some(inner) => write(inner, depth + 1)
      case node: JsonNode => Json.mapper.writeTree(out, node)
      case row: Row if livyRows && row.schema != null => nestedRow(row, depth)
      case row: Row if row.schema != null => obj(row.schema.fieldNames.zip(row.toSeq), depth)
      case row: Row => list(row.toSeq, depth)
      case map: scala.collection.Map[_, _] => entries(map.iterator, depth)
      case map: java.util.Map[_, _] => entries(map.asScala.iterator, depth)
      case items: Iterable[_] => list(items, depth)
      case items: java.lang.Iterable[_] if items.isInstanceOf[java.util.Collection[_]] => list(items.asScala, depth)
      case bytes: Array[Byte] if wire => binary(bytes)
      case bytes: Bytes => binary(bytes.array)
      case items: Array[_] => list(items, depth)
      case tuple: Product if wire && tuple.getClass.getName.startsWith("scala.Tuple") => list(tuple.productIterator.toSeq, depth)
      case product: Product => obj(fields(product), depth)
      case other => out.writeString(plain(other))
    }
  }

  private def binary(bytes: Array[Byte]): Unit = {
    out.writeStartObject()
    out.writeStringField("$binary", java.util.Base64.getEncoder.encodeToString(bytes))
    out.writeEndObject()
  }

  /** In the order of the map; what a change of its keys to text made would be in another. */
  private def entries(all: Iterator[(Any, Any)], depth: Int): Unit =
    obj(all.map { case (key, item) => (String.valueOf(key), item) }.toSeq, depth)

  private def obj(entries: Iterable[(String, Any)], depth: Int): Unit = {
    out.writeStartObject()
    entries.foreach { case (key, item) =>
      out.writeFieldName(key)
      write(item, depth + 1)
    }
    out.writeEndObject()
  }

  private def list(items: Iterable[Any], depth: Int): Unit = {
    out.writeStartArray()
    items.foreach(write(_, depth + 1))
    out.writeEndArray()
  }

  private def nestedRow(row: Row, depth: Int): Unit = {
    out.writeStartObject()
    out.writeArrayFieldStart("schema")
    row.schema.foreach { field =>
      out.writeStartObject()
      out.writeStringField("name", field.name)
      out.writeObjectFieldStart("dataType")
      out.writeEndObject()
      out.writeBooleanField("nullable", field.nullable)
      out.writeObjectFieldStart("metadata")
      out.writeObjectFieldStart("map")
      out.writeEndObject()
      out.writeEndObject()
      out.writeEndObject()
    }
    out.writeEndArray()
    out.writeFieldName("values")
    list(row.toSeq, depth)
    out.writeEndObject()
  }
}

object JsonValue {
  private val deepest = 100

  final class NotSerialisable(why: String) extends RuntimeException(why)

  /** `value` as JSON text.
    *
    * @throws NotSerialisable  for a value that has no form in JSON
    * @throws Bounded.TooLarge for one that is too long
    */
  def text(value: Any): String = Bounded.json(out => new JsonValue(out, livyRows = false).write(value))

  /** `value` as JSON text, in the form of the wire. */
  def wire(value: Any): String = Bounded.json(out => new JsonValue(out, livyRows = false, wire = true).write(value))

  /** The names and values of a case class or tuple, as declared. */
  def fields(product: Product): Seq[(String, Any)] = {
    val declared = product.getClass.getDeclaredFields.toSeq.filter { field =>
      !field.isSynthetic && !java.lang.reflect.Modifier.isStatic(field.getModifiers) && field.getName != "$outer"
    }.map(field => scala.reflect.NameTransformer.decode(field.getName).trim)
    val names =
      if (product.getClass.getName.startsWith("scala.Tuple")) (1 to product.productArity).map("_" + _)
      else declared.take(product.productArity).padTo(product.productArity, "")
    names.zip(product.productIterator.toSeq)
  }

  /** Values that JSON has no type for, but that have one obvious text.
    *
    * @throws NotSerialisable for any other
    */
  private def plain(value: Any): String = value match {
    case date: Date           => date.toString
    case time: Timestamp      => time.toInstant.toString
    case time: Instant        => time.toString
    case date: LocalDate      => date.toString
    case time: LocalDateTime  => DateTimes.local(time)
    case _: java.time.temporal.TemporalAmount | _: java.time.temporal.Temporal | _: java.util.UUID | _: Enum[_] |
        _: Enumeration#Value | _: Symbol | _: java.net.URI | _: java.net.URL => value.toString
    case other if other.getClass.getName.startsWith("org.apache.spark.unsafe.types.") => other.toString
    case other => throw new NotSerialisable(s"a ${other.getClass.getName} has no form in JSON")
  }

  private object DateTimes {
    def local(time: LocalDateTime): String = java.time.format.DateTimeFormatter.ISO_LOCAL_DATE_TIME.format(time)
  }
}
