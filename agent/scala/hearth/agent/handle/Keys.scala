package hearth.agent.handle

import scala.reflect.ClassTag
import scala.util.hashing.MurmurHash3

import org.apache.spark.Partitioner

/** Bytes that are equal when their content is. */
final class Bytes(val array: Array[Byte]) extends Serializable {
  override def equals(other: Any): Boolean = other match {
    case bytes: Bytes => java.util.Arrays.equals(array, bytes.array)
    case _            => false
  }
  override def hashCode: Int = java.util.Arrays.hashCode(array)
  override def toString: String = s"${array.length} bytes"
}

/** The keys of key-value handles: strings, longs, doubles, booleans, bytes and tuples of them, whatever language they come from. */
object Keys {

  /** A key of any language as the one JVM value that stands for it.
    *
    * @throws HandleException `bad_key` for what cannot be a key
    */
  def normal(key: Any): Any = key match {
    case null | None           => throw HandleException.badKey("a key cannot be null: filter such entries out")
    case text: String          => whole(text)
    case number: Long          => number
    case number: Int           => number.toLong
    case number: Short         => number.toLong
    case number: Byte          => number.toLong
    case number: Float         => real(number.toDouble)
    case number: Double        => real(number)
    case is: Boolean           => is
    case one: Char             => whole(one.toString)
    case bytes: Array[Byte]    => new Bytes(bytes)
    case bytes: Bytes          => bytes
    case number: BigInt if number.isValidLong                           => number.toLong
    case number: java.math.BigInteger if number.bitLength < 64          => number.longValue
    case Some(inner)                                                    => normal(inner)
    case tuple: Product if Values.isTuple(tuple)                        => Values.tuple(tuple.productIterator.map(normal).toVector)
    case other =>
      throw HandleException.badKey(
        s"a key cannot be a ${Values.nameOf(other)}: make it a string, a whole number, a double, a boolean, bytes or a tuple of at most 22 of " +
          "these")
  }

  /** What a normal key is in the words of the link. */
  def kind(key: Any): String = key match {
    case _: String  => "string"
    case _: Long    => "long"
    case _: Double  => "double"
    case _: Boolean => "boolean"
    case _: Bytes   => "binary"
    case _          => "tuple"
  }

  /** A key of any language as a normal key of one kind.
    *
    * @param wanted the kind of the handle's keys, if it is known yet
    * @throws HandleException `bad_key` if it is of another kind
    */
  def of(key: Any, wanted: Option[String]): Any = (normal(key), wanted) match {
    case (whole: Long, Some("double")) if isDouble(whole) => whole.toDouble
    case (found, Some(other)) if kind(found) != other => throw HandleException.badKey(
        s"the keys of this handle are of kind $other, and ${Values.brief(found)} is of kind ${kind(found)}")
    case (found, _) => found
  }

  /** A normal key as a program of a static language knows it. */
  def as[K](key: Any)(implicit wanted: ClassTag[K]): K = {
    val made: Any = (key, wanted.runtimeClass) match {
      case (number: Long, java.lang.Integer.TYPE)  => number.toInt
      case (number: Long, java.lang.Short.TYPE)    => number.toShort
      case (number: Long, java.lang.Byte.TYPE)     => number.toByte
      case (number: Double, java.lang.Float.TYPE)  => number.toFloat
      case (text: String, java.lang.Character.TYPE) if text.length == 1 => text.charAt(0)
      case (bytes: Bytes, _)                       => bytes.array
      case (other, _)                              => other
    }
    made.asInstanceOf[K]
  }

  /** A normal key as a value: bytes are an array again. */
  def value(key: Any): Any = key match {
    case bytes: Bytes                            => bytes.array
    case tuple: Product if Values.isTuple(tuple) => Values.tuple(tuple.productIterator.map(value).toVector)
    case other                                   => other
  }

  private def whole(text: String): String =
    try Values.whole(text)
    catch { case half: HandleException => throw HandleException.badKey(half.getMessage) }

  /** Whether there is a double of this number, and not only one that is near. */
  private def isDouble(whole: Long): Boolean = BigDecimal(whole) == BigDecimal.exact(whole.toDouble)

  private def real(number: Double): Double =
    if (number.isNaN) throw HandleException.badKey("a key cannot be NaN: filter such entries out")
    else if (number == 0.0) 0.0
    else number
}

/** Where a normal key lives: the same for every language, as keys are made the same before. */
final class KeyPartitioner(override val numPartitions: Int) extends Partitioner {
  override def getPartition(key: Any): Int = {
    val hash = MurmurHash3.finalizeHash(MurmurHash3.mix(0x48656172, key.##), 1) % numPartitions
    if (hash < 0) hash + numPartitions else hash
  }
  override def equals(other: Any): Boolean = other match {
    case same: KeyPartitioner => same.numPartitions == numPartitions
    case _                    => false
  }
  override def hashCode: Int = numPartitions
}
