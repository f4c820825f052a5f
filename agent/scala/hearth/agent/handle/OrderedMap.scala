package hearth.agent.handle

import scala.collection.mutable

import com.esotericsoftware.kryo.DefaultSerializer
import com.esotericsoftware.kryo.serializers.FieldSerializer

/** A map in the order in which its entries came, as Python's dicts and JSON's objects are. It is equal to any other map of the same
  * entries.
  *
  * `ListMap` has no index, so that making one of n entries takes n² steps, and in Scala 2.12 it is a chain, which to serialize takes as
  * many frames of the stack as it has entries. This one is serialized as two arrays, by Java and by Kryo, which takes every map for one of
  * Scala's if it is not told.
  */
@DefaultSerializer(classOf[FieldSerializer[_]])
final class OrderedMap private (names: Array[Any], items: Array[Any]) extends Entries {

  /** Where the keys stand; made when it is first asked for. Scala's own map, for keys are equal as Scala's `==` says: 1 and 1L. */
  @transient private lazy val places: mutable.HashMap[Any, Int] = {
    val made = new mutable.HashMap[Any, Int]
    names.indices.foreach(at => made(names(at)) = at)
    made
  }

  override def get(key: Any): Option[Any] = place(key) match {
    case -1 => None
    case at => Some(items(at))
  }

  override def iterator: Iterator[(Any, Any)] = names.iterator.zip(items.iterator)

  override def size: Int = names.length

  override protected def having(key: Any, value: Any): Entries = place(key) match {
    case -1 => new OrderedMap(names :+ key, items :+ value)
    case at => new OrderedMap(names, items.updated(at, value))
  }

  override protected def lacking(key: Any): Entries = place(key) match {
    case -1 => this
    case at => new OrderedMap(names.patch(at, Nil, 1), items.patch(at, Nil, 1))
  }

  private def place(key: Any): Int = if (names.length <= OrderedMap.few) names.indexWhere(_ == key) else places.getOrElse(key, -1)
}

object OrderedMap {

  /** A map of these entries. Of several of one key the last one holds, in the place of the first. */
  def of(entries: Iterator[(Any, Any)]): OrderedMap = {
    val made = mutable.LinkedHashMap.empty[Any, Any]
    entries.foreach { case (key, item) => made(key) = item }
    new OrderedMap(made.keysIterator.toArray, made.valuesIterator.toArray)
  }

  /** A map of these entries, in their order. */
  def apply(entries: (Any, Any)*): OrderedMap = of(entries.iterator)

  /** Entries that are looked through without an index. */
  private val few = 8
}
