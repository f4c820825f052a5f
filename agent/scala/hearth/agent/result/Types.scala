package hearth.agent.result

import hearth.agent.Column
import org.apache.spark.sql.types._

/** Spark's types in the words of those who read results. */
object Types {

  def columns(schema: StructType): Seq[Column] =
    schema.fields.toSeq.map(field => Column(field.name, field.dataType.catalogString, category(field.dataType)))

  /** `text`, `number`, `time`, `boolean`, `binary`, `nested` or `other`. */
  def category(kind: DataType): String = kind match {
    case _: StringType | _: CharType | _: VarcharType            => "text"
    case _: NumericType                                          => "number"
    case DateType | TimestampType                                => "time"
    case BooleanType                                             => "boolean"
    case BinaryType                                              => "binary"
    case _: StructType | _: ArrayType | _: MapType               => "nested"
    case other if other.typeName.startsWith("timestamp") || other.typeName.startsWith("time") => "time"
    case _                                                       => "other"
  }

  /** The type of a table's column in Livy's words. */
  def livy(kind: DataType): String = kind match {
    case ByteType | ShortType | IntegerType | LongType => "BIGINT_TYPE"
    case FloatType | DoubleType                        => "DOUBLE_TYPE"
    case _: DecimalType                                => "DECIMAL_TYPE"
    case BooleanType                                   => "BOOLEAN_TYPE"
    case DateType                                      => "DATE_TYPE"
    case TimestampType                                 => "TIMESTAMP_TYPE"
    case NullType                                      => "NULL_TYPE"
    case _: ArrayType | BinaryType                     => "ARRAY_TYPE"
    case _: MapType | _: StructType                    => "MAP_TYPE"
    case other if other.typeName.startsWith("timestamp") => "TIMESTAMP_TYPE"
    case _                                             => "STRING_TYPE"
  }

  /** What a column of a table in Livy's words is to Spark SQL. */
  def column(name: String, livy: String): Column = livy match {
    case "BIGINT_TYPE"    => Column(name, "bigint", "number")
    case "DOUBLE_TYPE"    => Column(name, "double", "number")
    case "DECIMAL_TYPE"   => Column(name, "decimal(38,18)", "number")
    case "BOOLEAN_TYPE"   => Column(name, "boolean", "boolean")
    case "DATE_TYPE"      => Column(name, "date", "time")
    case "TIMESTAMP_TYPE" => Column(name, "timestamp", "time")
    case "STRING_TYPE"    => Column(name, "string", "text")
    case "NULL_TYPE"      => Column(name, "void", "other")
    case "ARRAY_TYPE"     => Column(name, "array", "nested")
    case _                => Column(name, "map", "nested")
  }
}
