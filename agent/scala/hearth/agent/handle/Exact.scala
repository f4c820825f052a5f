package hearth.agent.handle

import java.io.{ByteArrayInputStream, ByteArrayOutputStream, DataInputStream, DataOutputStream}
import java.nio.charset.StandardCharsets.UTF_8

import scala.collection.JavaConverters._

import hearth.agent.result.JsonValue
import org.apache.spark.sql.Row
import org.apache.spark.sql.types.StringType

/** A value as bytes from which that value comes back, of the same type, in whatever application and on whatever Spark: what durable
  * handles keep of values that their columns would change.
  *
  * A case class comes back as a map of its fields, for its class may be no more, and what no other language knows as its text.
  */
private[handle] object Exact {

  /** @throws HandleException `bad_value` for a value that has not even a text */
  def write(value: Any): Array[Byte] = Values.bounded {
    val bytes = new ByteArrayOutputStream
    val out = new DataOutputStream(bytes)
    out.writeByte(form)
    new ExactWriter(out).write(value)
    bytes.toByteArray
  }

  /** @throws HandleException `failed` for what an agent of another version has written */
  def read(bytes: Array[Byte]): Any = {
    val in = new DataInputStream(new ByteArrayInputStream(bytes))
    if (in.readByte() != form) throw unknown
    new ExactReader(in).read()
  }

  def unknown: HandleException = HandleException.failed("these values were written by an agent of another version, which knows more types")

  /** Changes when bytes that were written before would be read as something else; new types need none. */
  private val form: Byte = 1

  /** The types; the numbers are in the files. */
  object Tag {
    val Null = 0
    val True = 1
    val False = 2
    val Byte = 3
    val Short = 4
    val Int = 5
    val Long = 6
    val Float = 7
    val Double = 8
    val Char = 9
    val Text = 10
    val Binary = 11
    val Whole = 12
    val ScalaWhole = 13
    val Decimal = 14
    val ScalaDecimal = 15
    val Absent = 16
    val Present = 17
    val Timestamp = 18
    val Date = 19
    val NamedRow = 20
    val PlainRow = 21
    val Map = 22
    val Set = 23
    val Tuple = 24
    val List = 25
    val Vector = 26
    val Array = 27
    val Told = 28
  }

  /** Arrays of these come back as such; the places in the list are in the files. */
  val arrays: Vector[Class[_]] = Vector(
    java.lang.Boolean.TYPE, java.lang.Short.TYPE, Integer.TYPE, java.lang.Long.TYPE, java.lang.Float.TYPE, java.lang.Double.TYPE,
    Character.TYPE, classOf[String])

  /** Classes whose text says all of a value, and how it is read; the places in the list are in the files. */
  val told: Vector[(Class[_], String => Any)] = Vector(
    classOf[java.time.LocalDate]      -> (java.time.LocalDate.parse(_)),
    classOf[java.time.LocalDateTime]  -> (java.time.LocalDateTime.parse(_)),
    classOf[java.time.Instant]        -> (java.time.Instant.parse(_)),
    classOf[java.time.OffsetDateTime] -> (java.time.OffsetDateTime.parse(_)),
    classOf[java.time.Duration]       -> (java.time.Duration.parse(_)),
    classOf[java.time.ZonedDateTime]  -> (java.time.ZonedDateTime.parse(_)),
    classOf[java.time.LocalTime]      -> (java.time.LocalTime.parse(_)),
    classOf[java.time.Period]         -> (java.time.Period.parse(_)),
    classOf[java.util.UUID]           -> (java.util.UUID.fromString(_)),
    classOf[java.net.URI]             -> (java.net.URI.create(_)))
}

private final class ExactWriter(out: DataOutputStream) {
  import Exact.{arrays, told, Tag}

  def write(value: Any): Unit = value match {
    case null | ()                    => out.writeByte(Tag.Null)
    case is: Boolean                  => out.writeByte(if (is) Tag.True else Tag.False)
    case number: Byte                 => as(Tag.Byte)(out.writeByte(number))
    case number: Short                => as(Tag.Short)(out.writeShort(number))
    case number: Int                  => as(Tag.Int)(out.writeInt(number))
    case number: Long                 => as(Tag.Long)(out.writeLong(number))
    case number: Float                => as(Tag.Float)(out.writeFloat(number))
    case number: Double               => as(Tag.Double)(out.writeDouble(number))
    case one: Char                    => as(Tag.Char)(out.writeChar(one))
    case text: String                 => as(Tag.Text)(utf8(text))
    case bytes: Array[Byte]           => as(Tag.Binary)(block(bytes))
    case bytes: Bytes                 => as(Tag.Binary)(block(bytes.array))
    case number: java.math.BigInteger => as(Tag.Whole)(block(number.toByteArray))
    case number: BigInt               => as(Tag.ScalaWhole)(block(number.toByteArray))
    case number: java.math.BigDecimal => as(Tag.Decimal)(decimal(number))
    case number: BigDecimal           => as(Tag.ScalaDecimal)(decimal(number.bigDecimal))
    case None                         => out.writeByte(Tag.Absent)
    case Some(inner)                  => as(Tag.Present)(write(inner))
    case time: java.sql.Timestamp => as(Tag.Timestamp) {
        out.writeLong(Math.floorDiv(time.getTime, 1000L))
        out.writeInt(time.getNanos)
      }
    case day: java.sql.Date => as(Tag.Date)(out.writeLong(day.toLocalDate.toEpochDay))
    case row: Row if row.schema != null => as(Tag.NamedRow) {
        all(row.schema.fieldNames.toSeq)
        all(row.toSeq)
      }
    case row: Row                        => as(Tag.PlainRow)(all(row.toSeq))
    case map: scala.collection.Map[_, _] => entries(map)
    case map: java.util.Map[_, _]        => entries(map.asScala)
    case items: scala.collection.Set[_]  => as(Tag.Set)(all(items))
    case items: java.util.Set[_]         => as(Tag.Set)(all(items.asScala))
    case tuple: LongTuple                => as(Tag.Tuple)(all(tuple))
    case items: List[_]                  => as(Tag.List)(all(items))
    case items: Iterable[_]              => as(Tag.Vector)(all(items))
    case items: java.util.Collection[_]  => as(Tag.Vector)(all(items.asScala))
    case items: Array[_]                 => array(items, arrays.indexOf(items.getClass.getComponentType))
    case tuple: Product if Values.isTuple(tuple) => as(Tag.Tuple)(all(tuple.productIterator.toVector))
    case other                           => others(other, told.indexWhere(_._1 == other.getClass))
  }

  private def as(tag: Int)(content: => Unit): Unit = {
    out.writeByte(tag)
    content
  }

  private def block(bytes: Array[Byte]): Unit = {
    out.writeInt(bytes.length)
    out.write(bytes)
  }

  private def utf8(text: String): Unit = block(Values.whole(text).getBytes(UTF_8))

  private def decimal(number: java.math.BigDecimal): Unit = {
    out.writeInt(number.scale)
    block(number.unscaledValue.toByteArray)
  }

  private def all(items: Iterable[Any]): Unit = {
    out.writeInt(items.size)
    items.foreach(write)
  }

  private def entries(items: Iterable[(Any, Any)]): Unit = as(Tag.Map) {
    out.writeInt(items.size)
    items.foreach { case (key, item) =>
      write(key)
      write(item)
    }
  }

  private def array(items: Array[_], of: Int): Unit =
    if (of < 0) as(Tag.Vector)(all(items.toVector))
    else as(Tag.Array) {
      out.writeByte(of)
      all(items.toVector)
    }

  private def others(value: Any, told: Int): Unit = value match {
    case _ if told >= 0 => as(Tag.Told) {
        out.writeByte(told)
        utf8(value.toString)
      }
    case product: Product => entries(JsonValue.fields(product))
    case _                => as(Tag.Text)(utf8(String.valueOf(Schemas.cell(value, StringType))))
  }
}

private final class ExactReader(in: DataInputStream) {
  import Exact.{arrays, told, unknown, Tag}

  def read(): Any = in.readByte().toInt match {
    case Tag.Null         => null
    case Tag.True         => true
    case Tag.False        => false
    case Tag.Byte         => in.readByte()
    case Tag.Short        => in.readShort()
    case Tag.Int          => in.readInt()
    case Tag.Long         => in.readLong()
    case Tag.Float        => in.readFloat()
    case Tag.Double       => in.readDouble()
    case Tag.Char         => in.readChar()
    case Tag.Text         => utf8()
    case Tag.Binary       => block()
    case Tag.Whole        => new java.math.BigInteger(block())
    case Tag.ScalaWhole   => BigInt(block())
    case Tag.Decimal      => decimal()
    case Tag.ScalaDecimal => BigDecimal.exact(decimal())
    case Tag.Absent       => None
    case Tag.Present      => Some(read())
    case Tag.Timestamp =>
      val made = new java.sql.Timestamp(in.readLong() * 1000)
      made.setNanos(in.readInt())
      made
    case Tag.Date => java.sql.Date.valueOf(java.time.LocalDate.ofEpochDay(in.readLong()))
    case Tag.NamedRow =>
      val names = all().map(String.valueOf)
      Schemas.named(names, all())
    case Tag.PlainRow => Row.fromSeq(all())
    case Tag.Map      => OrderedMap.of(Vector.fill(in.readInt())((read(), read())).iterator)
    case Tag.Set      => all().toSet
    case Tag.Tuple    => Values.tuple(all())
    case Tag.List     => all().toList
    case Tag.Vector   => all()
    case Tag.Array =>
      val of = arrays(in.readByte().toInt)
      val items = all()
      val made = java.lang.reflect.Array.newInstance(of, items.length)
      items.indices.foreach(at => java.lang.reflect.Array.set(made, at, items(at)))
      made
    case Tag.Told => told(in.readByte().toInt)._2(utf8())
    case _        => throw unknown
  }

  private def block(): Array[Byte] = {
    val bytes = new Array[Byte](in.readInt())
    in.readFully(bytes)
    bytes
  }

  private def utf8(): String = new String(block(), UTF_8)

  private def decimal(): java.math.BigDecimal = {
    val scale = in.readInt()
    new java.math.BigDecimal(new java.math.BigInteger(block()), scale)
  }

  private def all(): Vector[Any] = Vector.fill(in.readInt())(read())
}
