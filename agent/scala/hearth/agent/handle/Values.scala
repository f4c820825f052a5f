package hearth.agent.handle

import java.util.{ArrayList, Calendar, HashSet, LinkedHashMap}

import scala.collection.JavaConverters._
import scala.collection.immutable.ListMap

import hearth.agent.result.JsonValue
import org.apache.spark.sql.Row

/** Values that go from one language to another. What Python knows as tuple, list, dict and set, Scala knows as tuple, Vector, Map and
  * Set; whole numbers are Long; case classes and rows are dicts to Python.
  */
object Values {

  /** A value as Python's unpickled form has it in the JVM, as Scala knows it.
    *
    * @throws HandleException `bad_value` for what Scala has no like of
    */
  def fromPython(value: Any): Any = value match {
    case null | _: String | _: Boolean | _: Long | _: Double | _: Array[Byte] | _: java.math.BigDecimal => value
    case number: Int                  => number.toLong
    case number: Short                => number.toLong
    case number: Byte                 => number.toLong
    case number: Float                => number.toDouble
    case number: java.math.BigInteger => if (number.bitLength < 64) number.longValue else number
    case items: Array[AnyRef]         => tuple(items.toVector.map(fromPython))
    case numbers: Array[_]            => numbers.toVector
    case items: java.util.List[_]     => items.asScala.iterator.map(fromPython).toVector
    case items: java.util.Set[_]      => items.asScala.iterator.map(fromPython).toSet
    case row: PythonRow               => Schemas.named(row.fields, row.values.map(fromPython))
    case map: java.util.Map[_, _] if !map.getClass.getName.startsWith("net.razorvine") =>
      ListMap(map.asScala.iterator.map { case (key, item) => (fromPython(key), fromPython(item)) }.toSeq: _*)
    case time: Calendar => new java.sql.Timestamp(time.getTimeInMillis)
    case other          => throw cannotCross(nameOf(other))
  }

  /** A value of Scala's in the form that Python's pickle is made from.
    *
    * @throws HandleException `bad_value` for what Python has no like of
    */
  def toPython(value: Any): Any = value match {
    case null | None | () => null
    case Some(inner)      => toPython(inner)
    case _: String | _: Boolean | _: Int | _: Long | _: Double | _: java.math.BigDecimal | _: java.math.BigInteger | _: java.sql.Date => value
    case bytes: Array[Byte]       => new Bytes(bytes)
    case time: java.sql.Timestamp => new PythonTime(time)
    case number: Byte       => number.toInt
    case number: Short      => number.toInt
    case number: Float      => number.toDouble
    case one: Char          => one.toString
    case bytes: Bytes       => bytes
    case number: BigInt     => number.bigInteger
    case number: BigDecimal => number.bigDecimal
    case time: java.time.Instant       => new PythonTime(java.sql.Timestamp.from(time))
    case time: java.time.LocalDateTime => new PythonTime(java.sql.Timestamp.valueOf(time))
    case date: java.time.LocalDate     => java.sql.Date.valueOf(date)
    case row: Row if row.schema != null => dict(row.schema.fieldNames.toSeq.zip(row.toSeq))
    case row: Row                       => row.toSeq.map(item => toPython(item).asInstanceOf[AnyRef]).toArray
    case map: scala.collection.Map[_, _] => dict(map.toSeq)
    case map: java.util.Map[_, _]        => dict(map.asScala.toSeq)
    case items: scala.collection.Set[_]  => new HashSet[Any](items.toSeq.map(toPython).asJava)
    case items: Iterable[_]              => list(items)
    case items: java.util.Collection[_]  => list(items.asScala)
    case items: Array[_]                 => list(items.toSeq)
    case tuple: Product if isTuple(tuple) => tuple.productIterator.map(item => toPython(item).asInstanceOf[AnyRef]).toArray
    case product: Product                 => dict(JsonValue.fields(product))
    case other @ (_: java.util.UUID | _: Enum[_] | _: Enumeration#Value | _: Symbol | _: java.net.URI) => other.toString
    case other => throw cannotCross(nameOf(other))
  }

  /** A row or a case class out of a file or a frame, as a value without a class of its own. */
  def plain(value: Any): Any = value match {
    case row: Row if row.schema != null  => ListMap(row.schema.fieldNames.toSeq.zip(row.toSeq.map(plain)): _*)
    case map: scala.collection.Map[_, _] => ListMap(map.toSeq.map { case (key, item) => (plain(key), plain(item)) }: _*)
    case items: scala.collection.Seq[_]  => items.map(plain).toVector
    case number: Int                     => number.toLong
    case number: Short                   => number.toLong
    case number: Byte                    => number.toLong
    case number: Float                   => number.toDouble
    case other                           => other
  }

  def isTuple(value: Any): Boolean = value.getClass.getName.matches("scala\\.Tuple\\d+.*")

  /** A tuple of these; a Vector where Scala has no tuple so long. */
  def tuple(items: Vector[Any]): Any =
    if (items.isEmpty || items.length > 22) items
    else makers(items.length - 1).newInstance(items.map(_.asInstanceOf[AnyRef]): _*)

  private val makers = (1 to 22).map(length => Class.forName(s"scala.Tuple$length").getConstructors.head)

  /** The type of a value as its user knows it. */
  def nameOf(value: Any): String = value match {
    case null => "null"
    case named: java.util.Map[_, _] if named.containsKey("__class__") => String.valueOf(named.get("__class__"))
    case function if function.getClass.getName.contains("$Lambda") => "function"
    case other => hearth.agent.repl.Registry.unmangled(other.getClass.getName)
  }

  /** A value, short enough for a message. */
  def brief(value: Any): String = {
    val text = String.valueOf(value)
    if (text.length <= 60) text else text.take(59) + "…"
  }

  def cannotCross(name: String): HandleException = HandleException.badValue(
    s"a $name cannot go from one language to another: make it of strings, numbers, booleans, bytes, dates, tuples, lists, dicts (maps, case " +
      "classes) or sets of these, or share it as a DataFrame")

  private def dict(entries: Seq[(Any, Any)]) = {
    val made = new LinkedHashMap[Any, Any]
    entries.foreach { case (key, item) => made.put(toPython(key), toPython(item)) }
    made
  }

  private def list(items: Iterable[Any]) = {
    val made = new ArrayList[Any]
    items.foreach(item => made.add(toPython(item)))
    made
  }
}

/** A time for Python, whose pickle is that of a `datetime` without a zone. */
final class PythonTime(val time: java.sql.Timestamp) extends Serializable

/** A Row of PySpark, as its pickle is read. */
final case class PythonRow(fields: Seq[String], values: Seq[Any])
