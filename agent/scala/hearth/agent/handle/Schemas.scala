package hearth.agent.handle

import scala.collection.JavaConverters._

import hearth.agent.result.JsonValue
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

  def row(value: Any, schema: StructType): Row = (value, schema.fieldNames) match {
    case (single, Array("value")) if !fields(single).exists(_.map(_._1) == Seq("value")) => Row(cell(single, schema.head.dataType))
    case (product, _) => cell(product, schema).asInstanceOf[Row]
  }

  /** A value as Spark SQL takes it for a column of this type.
    *
    * @throws HandleException `bad_columns` if it is of another
    */
  def cell(value: Any, kind: DataType): Any = (kind, value) match {
    case (_, null | None)                       => null
    case (_, Some(inner))                       => cell(inner, kind)
    case (StringType, text: String)             => text
    case (StringType, one: Char)                => one.toString
    case (StringType, other)                    => JsonValue.wire(other)
    case (LongType, _: Byte | _: Short | _: Int | _: Long) => value.asInstanceOf[Number].longValue
    case (DoubleType, number: Number)           => number.doubleValue
    case (BooleanType, is: Boolean)             => is
    case (BinaryType, bytes: Array[Byte])       => bytes
    case (BinaryType, bytes: Bytes)             => bytes.array
    case (_: DecimalType, number: Number)       => new java.math.BigDecimal(number.toString)
    case (DateType, date: java.sql.Date)        => date
    case (DateType, date: java.time.LocalDate)  => java.sql.Date.valueOf(date)
    case (TimestampType, time: java.sql.Timestamp) => time
    case (TimestampType, time: java.time.Instant)  => java.sql.Timestamp.from(time)
    case (ArrayType(of, _), items)              => elements(items).getOrElse(throw misfit(value, kind)).map(cell(_, of))
    case (MapType(keys, items, _), map)         =>
      entries(map).getOrElse(throw misfit(value, kind)).map { case (key, item) => cell(key, keys) -> cell(item, items) }.toMap
    case (struct: StructType, product) =>
      val found = fields(product).getOrElse(throw misfit(value, kind)).toMap
      Row.fromSeq(struct.fields.toSeq.map(field => cell(found.getOrElse(field.name, null), field.dataType)))
    case _ => throw misfit(value, kind)
  }

  private def one(value: Any): DataType = value match {
    case null | None                                       => NullType
    case Some(inner)                                       => one(inner)
    case _: String | _: Char                               => StringType
    case _: Byte | _: Short | _: Int | _: Long             => LongType
    case _: Float | _: Double                              => DoubleType
    case _: Boolean                                        => BooleanType
    case _: Array[Byte] | _: Bytes                         => BinaryType
    case _: BigDecimal | _: java.math.BigDecimal | _: BigInt | _: java.math.BigInteger => DecimalType(38, 18)
    case _: java.sql.Timestamp | _: java.time.Instant      => TimestampType
    case _: java.sql.Date | _: java.time.LocalDate         => DateType
    case row: Row if row.schema != null                    => row.schema
    case other => entries(other).map(map => MapType(all(map.map(_._1)), all(map.map(_._2))))
        .orElse(elements(other).map(items => ArrayType(all(items))))
        .orElse(fields(other).map(list => StructType(list.map { case (name, item) => StructField(name, one(item)) })))
        .getOrElse(StringType)
  }

  private def all(values: Iterable[Any]): DataType = values.map(one).foldLeft(NullType: DataType)(common)

  private def common(left: DataType, right: DataType): DataType = (left, right) match {
    case (same, other) if same == other                => same
    case (NullType, other)                             => other
    case (other, NullType)                             => other
    case (LongType, DoubleType) | (DoubleType, LongType) => DoubleType
    case (LongType | DoubleType, wide: DecimalType)    => wide
    case (wide: DecimalType, LongType | DoubleType)    => wide
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

  private def misfit(value: Any, kind: DataType): HandleException = new HandleException(
    "bad_columns",
    s"${Values.brief(value)} (a ${Values.nameOf(value)}) does not fit into a column of type ${kind.catalogString}, which the first values " +
      "of the handle have: make all values of one type, or share a DataFrame with the schema that you want")
}
