package hearth.agent.handle

import java.math.RoundingMode

import scala.collection.JavaConverters._

import hearth.agent.Json
import hearth.agent.result.{Bounded, JsonValue}
import org.apache.spark.sql.Row
import org.apache.spark.sql.catalyst.expressions.GenericRowWithSchema
import org.apache.spark.sql.types._

/** Columns for values that have none: told from some of them, and the values put into them. */
object Schemas {

  /** The type that holds all of these. Values of different kinds are text, in JSON. */
  def of(values: Seq[Any]): DataType = values.map(one).foldLeft(NullType: DataType)(common) match {
    case NullType => StringType
    case found    => filled(found)
  }

  /** A table whose rows are these: a column for each field of products and rows, else one column `value`. */
  def table(values: Seq[Any]): StructType = of(values) match {
    case struct: StructType if struct.nonEmpty => struct
    case other              => new StructType().add("value", other)
  }

  /** A row of these, with the types that they are of. */
  def named(names: Seq[String], values: Seq[Any]): Row =
    new GenericRowWithSchema(values.toArray, StructType(names.zip(values).map { case (name, value) => StructField(name, one(value)) }))

  def row(value: Any, schema: StructType): Row =
    if (isSingle(value, schema)) Row(cell(value, schema.head.dataType))
    else cell(value, schema) match {
      case row: Row => row
      case _        => Row.fromSeq(schema.map(_ => null))
    }

  /** Whether an element is the one cell of its row. */
  def isSingle(value: Any, schema: StructType): Boolean =
    schema.fieldNames.sameElements(Array("value")) && !fields(value).exists(_.map(_._1) == Seq("value"))

  /** A value as Spark SQL takes it for a column of this type.
    *
    * @throws HandleException `bad_columns` if it is of another
    */
  def cell(value: Any, kind: DataType): Any = (kind, value) match {
    case (_, null | None)                       => null
    case (_, Some(inner))                       => cell(inner, kind)
    case (StringType, other)                    => text(other)
    case (LongType, whole(number))              => number
    case (IntegerType, whole(number)) if number.isValidInt  => number.toInt
    case (ShortType, whole(number)) if number.isValidShort  => number.toShort
    case (ByteType, whole(number)) if number.isValidByte    => number.toByte
    case (DoubleType, number: Number)           => number.doubleValue
    case (FloatType, number: Number)            => number.floatValue
    case (BooleanType, is: Boolean)             => is
    case (BinaryType, bytes: Array[Byte])       => bytes
    case (BinaryType, bytes: Bytes)             => bytes.array
    case (wide: DecimalType, number: Number)    => decimal(number, wide)
    case (DateType, date: java.sql.Date)        => date
    case (DateType, date: java.time.LocalDate)  => java.sql.Date.valueOf(date)
    case (TimestampType, time: java.sql.Timestamp) => time
    case (TimestampType, time: java.time.Instant)  => java.sql.Timestamp.from(time)
    case (TimestampType, time: java.time.OffsetDateTime) => java.sql.Timestamp.from(time.toInstant)
    case (TimestampType, time: java.time.LocalDateTime)  => java.sql.Timestamp.valueOf(time)
    case (ArrayType(of, _), items)              => elements(items).getOrElse(throw misfit(value, kind)).map(cell(_, of))
    case (MapType(keys, items, _), map)         =>
      entries(map).getOrElse(throw misfit(value, kind)).map { case (key, item) =>
        // Spark has no null as a key.
        (if (key == null && keys == StringType) "null" else Option(cell(key, keys)).getOrElse(throw misfit(value, kind))) -> cell(item, items)
      }.toMap
    case (struct: StructType, product) => parts(product, struct)
    case (LongType | IntegerType | ShortType | ByteType | DoubleType | FloatType | BooleanType | BinaryType | DateType | TimestampType, _) =>
      throw misfit(value, kind)
    // Of a type that only Spark itself gives, with a value that it has given.
    case _ => value
  }

  /** Has a value checked against the column that it would be in, before anybody gets it.
    *
    * @param column  its name
    * @param refused makes the error
    */
  def check(value: Any, kind: DataType, column: String, refused: String => HandleException): Unit =
    try cell(value, kind)
    catch {
      case unlike: HandleException if unlike.code == "bad_value" => throw refused(unlike.getMessage)
      case _: HandleException => throw refused(
          s"${described(value)} does not fit into the column `$column` of type ${kind.catalogString}, which the first values of the handle " +
            "have: make it of that type, or share the handle anew with such a value among its first ones")
    }

  /** A value as text: what is none is JSON.
    *
    * @throws HandleException `bad_value` for what JSON has no form for
    */
  private def text(value: Any): String = value match {
    case text: String => Values.whole(text)
    case one: Char    => Values.whole(one.toString)
    case other =>
      val json =
        try JsonValue.wire(other)
        catch {
          case _: Bounded.TooLarge => throw HandleException.badValue(s"a ${Values.nameOf(other)} is too large for a column of text")
          case _: JsonValue.NotSerialisable | _: java.io.IOException => throw Values.cannotCross(Values.nameOf(other))
        }
      Values.whole(json)
      // A day or the like: what JSON has as text is that text.
      if (json.startsWith("\"")) Json.parse(json).asText else json
  }

  /** Whole numbers of all sizes that are a Long. */
  private object whole {
    def unapply(value: Any): Option[Long] = value match {
      case _: Byte | _: Short | _: Int | _: Long                       => Some(value.asInstanceOf[Number].longValue)
      case number: BigInt if number.isValidLong                        => Some(number.toLong)
      case number: java.math.BigInteger if number.bitLength < 64       => Some(number.longValue)
      case _                                                           => None
    }
  }

  /** A number as a decimal of a type; rounded to its scale, but never cut. */
  private def decimal(number: Number, kind: DecimalType): java.math.BigDecimal = {
    val given =
      try new java.math.BigDecimal(number.toString)
      catch { case _: NumberFormatException => throw misfit(number, kind) }
    // Looked at before: to write out all digits of 1E+1000000000 takes all memory.
    if (digits(given) > kind.precision - kind.scale) throw misfit(number, kind)
    val made = if (digits(given) < -kind.scale) java.math.BigDecimal.ZERO else given.setScale(kind.scale, RoundingMode.HALF_UP)
    if (made.precision > kind.precision) throw misfit(number, kind)
    made
  }

  /** How many digits a number has before the point; less than none if it begins after some zeros behind it. */
  private def digits(number: java.math.BigDecimal): Long = number.precision.toLong - number.scale

  /** A tuple, case class, row or map as a struct. A part that there is not is null; one that has no column must not be lost. */
  private def parts(value: Any, struct: StructType): Row = {
    val found = fields(value).orElse(named(value)).orElse(numbered(value, struct)).getOrElse(throw misfit(value, struct)).toMap
    val isWhole = found.keysIterator.forall(struct.fieldNames.contains) && (!Values.isOfTuple(struct.fieldNames) || found.size == struct.size)
    if (!isWhole) throw misfit(value, struct)
    Row.fromSeq(struct.fields.toSeq.map(field => cell(found.getOrElse(field.name, null), field.dataType)))
  }

  /** The entries of a dict, by which a program without the class gives an object. */
  private def named(value: Any): Option[Seq[(String, Any)]] = entries(value).map(_.toSeq).collect {
    case list if list.forall(_._1.isInstanceOf[String]) => list.map { case (name, item) => (String.valueOf(name), item) }
  }

  /** The elements of a list, by which JSON gives a tuple. */
  private def numbered(value: Any, struct: StructType): Option[Seq[(String, Any)]] =
    if (Values.isOfTuple(struct.fieldNames)) elements(value).map(_.zipWithIndex.map { case (item, at) => (s"_${at + 1}", item) }) else None

  private def one(value: Any): DataType = value match {
    case null | None                                       => NullType
    case Some(inner)                                       => one(inner)
    case _: String | _: Char                               => StringType
    case _: Byte | _: Short | _: Int | _: Long             => LongType
    case _: Float | _: Double                              => DoubleType
    case _: Boolean                                        => BooleanType
    case _: Array[Byte] | _: Bytes                         => BinaryType
    case number: BigInt                                    => wide(new java.math.BigDecimal(number.bigInteger), 0)
    case number: java.math.BigInteger                      => wide(new java.math.BigDecimal(number), 0)
    case number: BigDecimal                                => wide(number.bigDecimal, usualScale)
    case number: java.math.BigDecimal                      => wide(number, usualScale)
    case _: java.sql.Timestamp | _: java.time.Instant | _: java.time.OffsetDateTime | _: java.time.LocalDateTime => TimestampType
    case _: java.sql.Date | _: java.time.LocalDate         => DateType
    case row: Row if row.schema != null                    => row.schema
    case other => entries(other).map(map => MapType(all(map.map(_._1)), all(map.map(_._2))))
        .orElse(elements(other).map(items => ArrayType(all(items))))
        .orElse(fields(other).map(list => StructType(list.map { case (name, item) => StructField(name, one(item)) })))
        .getOrElse(StringType)
  }

  /** The type of a large number: text where there is no decimal so large. */
  private def wide(number: java.math.BigDecimal, scale: Int): DataType =
    if (digits(number) <= DecimalType.MAX_PRECISION - scale) DecimalType(DecimalType.MAX_PRECISION, scale) else StringType

  private def all(values: Iterable[Any]): DataType = values.map(one).foldLeft(NullType: DataType)(common)

  private def common(left: DataType, right: DataType): DataType = (left, right) match {
    case (same, other) if same == other                => same
    case (NullType, other)                             => other
    case (other, NullType)                             => other
    case (LongType, DoubleType) | (DoubleType, LongType) => DoubleType
    case (LongType, other: DecimalType)                => common(longs, other)
    case (other: DecimalType, LongType)                => common(other, longs)
    case (one: DecimalType, other: DecimalType)        =>
      val scale = math.max(one.scale, other.scale)
      val all = math.max(one.precision - one.scale, other.precision - other.scale) + scale
      if (all <= DecimalType.MAX_PRECISION) DecimalType(all, scale) else StringType
    case (DoubleType, _: DecimalType) | (_: DecimalType, DoubleType) => DoubleType
    case (ArrayType(one, _), ArrayType(other, _))      => ArrayType(common(one, other))
    case (MapType(key, value, _), MapType(other, item, _)) => MapType(common(key, other), common(value, item))
    case (one: StructType, other: StructType) if one.fieldNames.sameElements(other.fieldNames) =>
      StructType(one.fields.zip(other.fields).map { case (a, b) => StructField(a.name, common(a.dataType, b.dataType)) })
    case _ => StringType
  }

  /** Without the types that no column can have. */
  private def filled(kind: DataType): DataType = kind match {
    case NullType              => StringType
    case ArrayType(of, _)      => ArrayType(filled(of))
    case MapType(key, item, _) => MapType(filled(key), filled(item))
    // Neither can be written.
    case struct: StructType if struct.isEmpty || struct.fieldNames.map(_.toLowerCase).distinct.length < struct.size => StringType
    case struct: StructType    => StructType(struct.fields.map(field => field.copy(dataType = filled(field.dataType), nullable = true)))
    case other                 => other
  }

  private def entries(value: Any): Option[Iterable[(Any, Any)]] = value match {
    case map: scala.collection.Map[_, _] => Some(map)
    case map: java.util.Map[_, _]        => Some(map.asScala)
    case _                               => None
  }

  private def elements(value: Any): Option[Seq[Any]] = value match {
    case _: Bytes | _: Array[Byte]        => None
    case items: Array[_]                  => Some(items.toSeq)
    case items: Iterable[_]               => Some(items.toSeq)
    case items: java.util.Collection[_]   => Some(items.asScala.toSeq)
    case _                                => None
  }

  private def fields(value: Any): Option[Seq[(String, Any)]] = value match {
    case row: Row if row.schema != null => Some(row.schema.fieldNames.toSeq.zip(row.toSeq))
    case _: Iterable[_] | _: Option[_]  => None
    case product: Product               => Some(JsonValue.fields(product))
    case _                              => None
  }

  /** The decimals that hold all longs, and the digits after the point of those that hold a bit of everything. */
  private val longs = DecimalType(20, 0)
  private val usualScale = 18

  private def misfit(value: Any, kind: DataType): HandleException = new HandleException(
    "bad_columns",
    s"${described(value)} does not fit into a column of type ${kind.catalogString}, which the first values of the handle have: make all " +
      "values of one type, or share a DataFrame with the schema that you want")

  /** A value and its type, in the words of the columns if it has some. */
  private def described(value: Any): String = s"${Values.brief(value)} (${of(Seq(value)) match {
      case StringType if !value.isInstanceOf[String] => s"a ${Values.nameOf(value)}"
      case known                                     => s"of type ${known.catalogString}"
    }})"
}
