package hearth.agent.handle

import java.io.{NotSerializableException, ObjectOutputStream, OutputStream}

import org.apache.spark.sql.types.StructType

/** What changes of key-value handles have to be like. One that is not would be everybody's trouble: as soon as it is among the others, no
  * query, stream or file of the handle could be made any more.
  */
private[handle] object ChangeCheck {

  /** @param entries keys in their normal form
    * @throws HandleException `bad_key` or `bad_value` for what does not fit into the columns
    */
  def fits(entries: Seq[(Any, Option[Any])], columns: StructType): Unit = Values.bounded {
    val Array(keys, values) = columns.fields
    entries.foreach {
      case (key, Some(value)) =>
        // A key of one part has the handle's kind, and so its type.
        if (Values.isTuple(key)) Schemas.check(key, keys.dataType, keys.name, HandleException.badKey)
        Schemas.check(value, values.dataType, values.name, HandleException.badValue)
      case _ => ()
    }
  }

  /** Whether changes can go to the executors.
    *
    * @throws HandleException `bad_value` for what Java cannot serialize
    */
  def crosses(entries: Seq[(Any, Option[Any])]): Unit = Values.bounded {
    try new ObjectOutputStream(OutputStream.nullOutputStream).writeObject(entries.toArray)
    catch {
      case unlike: NotSerializableException => throw HandleException.badValue(
          s"a ${hearth.agent.repl.Registry.unmangled(String.valueOf(unlike.getMessage))} cannot be sent to the executors, for it is not " +
            "serializable: put a strict copy of it (toMap, toVector), or a case class")
    }
  }
}
