package org.apache.spark.hearth

import java.io.OutputStream
import java.nio.{ByteBuffer, ByteOrder}
import java.nio.charset.StandardCharsets.US_ASCII

import scala.collection.JavaConverters._

import net.razorvine.pickle.{IObjectConstructor, IObjectPickler, Opcodes, PickleException, Pickler, Unpickler}
import org.apache.spark.api.java.JavaRDD
import org.apache.spark.api.python.SerDeUtil
import org.apache.spark.rdd.RDD

import _root_.hearth.agent.handle.{Bytes, HandleException, PythonRow, PythonTime, Values}

/** Python's values, by pickle. */
object Pickled {
  SerDeUtil.initialize()
  Unpickler.registerConstructor("pyspark.sql.types", "_create_row", new IObjectConstructor {
    override def construct(arguments: Array[Object]): Object = PythonRow(items(arguments(0)).map(String.valueOf), items(arguments(1)))
  })

  Pickler.registerCustomPickler(classOf[Bytes], new IObjectPickler {
    // As bytes: the pickler alone makes a bytearray of an array, and that can be no key.
    override def pickle(value: Object, out: OutputStream, pickler: Pickler): Unit = {
      val bytes = value.asInstanceOf[Bytes].array
      out.write(Opcodes.BINBYTES)
      out.write(ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putInt(bytes.length).array)
      out.write(bytes)
    }
  })
  Pickler.registerCustomPickler(classOf[PythonTime], new IObjectPickler {
    // The pickler alone makes a datetime with a zone of a package that Python may not have.
    override def pickle(value: Object, out: OutputStream, pickler: Pickler): Unit = {
      val time = value.asInstanceOf[PythonTime].time.toLocalDateTime
      out.write(Opcodes.GLOBAL)
      out.write("datetime\ndatetime\n".getBytes(US_ASCII))
      out.write(Opcodes.MARK)
      Seq(time.getYear, time.getMonthValue, time.getDayOfMonth, time.getHour, time.getMinute, time.getSecond, time.getNano / 1000)
        .foreach(part => pickler.save(Integer.valueOf(part)))
      out.write(Opcodes.TUPLE)
      out.write(Opcodes.REDUCE)
    }
  })

  /** Makes this JVM, an executor's perhaps, know all of this. */
  private def ready(): Unit = ()

  /** @throws HandleException `bad_value` for an object of a class that the JVM has no like of */
  def read(bytes: Array[Byte]): Any =
    try new Unpickler().loads(bytes)
    catch { case unlike: PickleException => throw Values.cannotCross(className(unlike)) }

  def write(value: Any): Array[Byte] = new Pickler(true, false).dumps(Values.toPython(value))

  /** The elements of a Python RDD as Scala knows them; read when they are asked for.
    *
    * @param pickled as PySpark's `_pickled()` has it: an element, or a list of some, at a time
    */
  def elements(pickled: RDD[Array[Byte]]): RDD[Any] = pickled.mapPartitions { batches =>
    batches.flatMap { batch =>
      read(batch) match {
        case list: java.util.List[_] => list.asScala.iterator.map(Values.fromPython)
        case one                     => Iterator.single(Values.fromPython(one))
      }
    }
  }

  /** Elements of Scala's for Python to read. */
  def forPython(elements: RDD[_]): JavaRDD[Array[Byte]] =
    SerDeUtil.javaToPython(elements.mapPartitions { values =>
      ready()
      values.map(Values.toPython)
    }.toJavaRDD())

  private def items(value: Object): Seq[Any] = value match {
    case array: Array[AnyRef]    => array.toVector
    case list: java.util.List[_] => list.asScala.toVector
    case other                   => Vector(other)
  }

  /** "expected zero arguments for construction of ClassDict (for numpy.core.multiarray._reconstruct)…": the class it speaks of. */
  private def className(failure: PickleException): String =
    """\(for ([^)]*)\)""".r.findFirstMatchIn(String.valueOf(failure.getMessage)).map(_.group(1))
      .filterNot(_.contains("cloudpickle")).getOrElse("Python object of a class of its own")
}
