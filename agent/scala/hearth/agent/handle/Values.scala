package hearth.agent.handle

import java.time.{Duration, Instant, LocalDate, LocalDateTime, OffsetDateTime}
import java.util.{ArrayList, HashSet, LinkedHashMap}

import scala.collection.JavaConverters._

import com.esotericsoftware.kryo.DefaultSerializer
import com.esotericsoftware.kryo.serializers.FieldSerializer

import hearth.agent.result.JsonValue
import org.apache.spark.sql.Row
import org.apache.spark.sql.catalyst.expressions.GenericRowWithSchema

/** Values that go from one language to another. What Python knows as tuple, list, dict, set and Row, Scala knows as tuple, Vector, Map,
  * Set and Row; whole numbers are Long; case classes are dicts to Python. For days and times see [[Times]].
  */
object Values {

  /** A value as Python's unpickled form has it in the JVM, as Scala knows it.
    *
    * @throws HandleException `bad_value` for what Scala has no like of
    */
  def fromPython(value: Any): Any = value match {
    case null | _: String | _: Boolean | _: Long | _: Double | _: Array[Byte] | _: java.math.BigDecimal => value
    case _: java.sql.Date | _: java.sql.Timestamp | _: LocalDate | _: LocalDateTime | _: Instant | _: OffsetDateTime | _: Duration => value
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
      OrderedMap.of(map.asScala.iterator.map { case (key, item) => (fromPython(key), fromPython(item)) })
    case other => throw cannotCross(nameOf(other))
  }

  /** A value of Scala's in the form that Python's pickle is made from.
    *
    * @throws HandleException `bad_value` for what Python has no like of
    */
  def toPython(value: Any): Any = value match {
    case null | None | () => null
    case Some(inner)      => toPython(inner)
    case text: String     => whole(text)
    case _: Boolean | _: Int | _: Long | _: Double | _: java.math.BigDecimal | _: java.math.BigInteger => value
    case bytes: Array[Byte] => new Bytes(bytes)
    case number: Byte       => number.toInt
    case number: Short      => number.toInt
    case number: Float      => number.toDouble
    case one: Char          => whole(one.toString)
    case bytes: Bytes       => bytes
    case number: BigInt     => number.bigInteger
    case number: BigDecimal => number.bigDecimal
    case date: java.sql.Date      => PythonCall.date(date.toLocalDate)
    case date: LocalDate          => PythonCall.date(date)
    case time: java.sql.Timestamp => PythonCall.datetime(Times.state(time))
    case time: LocalDateTime      => PythonCall.datetime(Times.state(time))
    case time: Instant            => PythonCall.datetime(Times.utc(time))
    case time: OffsetDateTime     => PythonCall.datetime(time)
    case span: Duration           => PythonCall.timedelta(span)
    case row: Row if row.schema != null => PythonCall.row(row.schema.fieldNames, row.toSeq.map(toPython))
    case row: Row                       => array(row.toSeq.map(toPython))
    case map: scala.collection.Map[_, _] => dict(map)
    case map: java.util.Map[_, _]        => dict(map.asScala)
    case items: scala.collection.Set[_]  => set(items)
    case items: java.util.Set[_]         => set(items.asScala)
    case tuple: LongTuple                => array(tuple.map(toPython))
    case items: Iterable[_]              => list(items)
    case items: java.util.Collection[_]  => list(items.asScala)
    case items: Array[_]                 => list(items.toSeq)
    case tuple: Product if isTuple(tuple) => array(tuple.productIterator.map(toPython).toSeq)
    case product: Product                 => dict(JsonValue.fields(product))
    case other @ (_: java.util.UUID | _: Enum[_] | _: Enumeration#Value | _: Symbol | _: java.net.URI) => other.toString
    case other => throw cannotCross(nameOf(other))
  }

  /** A value that a dict has as a key, or a set, which Python has to be able to hash. */
  private def hashable(value: Any): Any = value match {
    case Some(inner)                      => hashable(inner)
    case items: scala.collection.Set[_]   => PythonCall.frozenset(items.toSeq.map(hashable))
    case row: Row if row.schema != null   => PythonCall.row(row.schema.fieldNames, row.toSeq.map(hashable))
    case tuple: LongTuple                 => array(tuple.map(hashable))
    case tuple: Product if isTuple(tuple) => array(tuple.productIterator.map(hashable).toSeq)
    case other => toPython(other) match {
        case _: ArrayList[_] | _: LinkedHashMap[_, _] | _: HashSet[_] => throw HandleException.badValue(
            s"a ${nameOf(other)} cannot be a key of a dict, or in a set, in Python: make it a tuple or a text")
        case found => found
      }
  }

  /** Cells of a table, as the values that were written there: a tuple is written as a struct of its parts. */
  def plain(value: Any): Any = value match {
    case row: Row if row.schema != null && isOfTuple(row.schema.fieldNames) => tuple(row.toSeq.map(plain).toVector)
    case row: Row if row.schema != null  => new GenericRowWithSchema(row.toSeq.map(plain).toArray, row.schema)
    case map: scala.collection.Map[_, _] => OrderedMap.of(map.iterator.map { case (key, item) => (plain(key), plain(item)) })
    case items: scala.collection.Seq[_]  => items.map(plain).toVector
    case other                           => other
  }

  /** Whether these are the names of a tuple's parts. */
  def isOfTuple(names: Array[String]): Boolean =
    names.length >= 1 && names.length <= mostParts && names.indices.forall(at => names(at) == s"_${at + 1}")

  def isTuple(value: Any): Boolean = value.getClass.getName.startsWith("scala.Tuple")

  /** A tuple of these, as Python knows them of any length. */
  def tuple(items: Vector[Any]): Any =
    if (items.isEmpty || items.length > mostParts) new LongTuple(items)
    else makers(items.length - 1).newInstance(items.map(_.asInstanceOf[AnyRef]): _*)

  private val mostParts = 22
  private val makers = (1 to mostParts).map(length => Class.forName(s"scala.Tuple$length").getConstructors.head)

  /** A text that has whole characters alone, which each language can have.
    *
    * @throws HandleException `bad_value` if it has half of one
    */
  def whole(text: String): String = {
    var at = 0
    while (at < text.length) {
      val c = text.charAt(at)
      if (Character.isSurrogate(c)) {
        if (!Character.isHighSurrogate(c) || at + 1 == text.length || !Character.isLowSurrogate(text.charAt(at + 1)))
          throw HandleException.badValue(halfCharacter)
        at += 1
      }
      at += 1
    }
    text
  }

  val halfCharacter = "a text with half of a character (a surrogate alone, such as '\\ud800' in Python) cannot go from one language to " +
    "another: encode it as bytes, or leave such characters out"

  /** Does what goes down into a value, which may be deeper than the stack. */
  def bounded[T](work: => T): T =
    try work
    catch { case _: StackOverflowError => throw HandleException.badValue("the value is nested too deep, or holds itself: make it flat") }

  /** The type of a value as its user knows it. */
  def nameOf(value: Any): String = value match {
    case null => "null"
    case named: java.util.Map[_, _] if named.containsKey("__class__") => String.valueOf(named.get("__class__"))
    case function if function.getClass.getName.contains("$Lambda") => "function"
    case tuple: LongTuple => s"tuple of ${tuple.length} parts"
    case theirs if theirs.getClass.getName.startsWith("net.razorvine.") => theirs.getClass.getSimpleName
    case other => hearth.agent.repl.Registry.unmangled(other.getClass.getName)
  }

  /** A value, short enough for a message. */
  def brief(value: Any): String = {
    val text = String.valueOf(value)
    if (text.length <= 60) text else text.take(59) + "…"
  }

  def cannotCross(name: String): HandleException = HandleException.badValue(
    s"a $name cannot go from one language to another: make it of strings, numbers, booleans, bytes, dates, datetimes, tuples, lists, dicts (maps, case " +
      "classes) or sets of these, or share it as a DataFrame")

  private def dict(entries: Iterable[(Any, Any)]) = {
    val made = new LinkedHashMap[Any, Any]
    entries.foreach { case (key, item) => made.put(hashable(key), toPython(item)) }
    made
  }

  private def set(items: Iterable[Any]) = {
    val made = new HashSet[Any]
    items.foreach(item => made.add(hashable(item)))
    made
  }

  private def list(items: Iterable[Any]) = {
    val made = new ArrayList[Any]
    items.foreach(item => made.add(toPython(item)))
    made
  }

  private[handle] def array(items: Seq[Any]): Array[AnyRef] = items.map(_.asInstanceOf[AnyRef]).toArray
}

/** A tuple of Python's that Scala has no tuple for: of none, or more than 22. Kryo would make a Vector of it. */
@DefaultSerializer(classOf[FieldSerializer[_]])
final class LongTuple(items: Vector[Any])
    extends scala.collection.AbstractSeq[Any] with scala.collection.immutable.IndexedSeq[Any] with Serializable {
  override def apply(at: Int): Any = items(at)
  override def length: Int = items.length
}

/** A Row of PySpark, as its pickle is read. */
final case class PythonRow(fields: Seq[String], values: Seq[Any])
