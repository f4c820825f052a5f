package org.apache.spark.hearth

import java.io.OutputStream
import java.nio.{ByteBuffer, ByteOrder}
import java.nio.charset.StandardCharsets.US_ASCII

import scala.collection.JavaConverters._

import net.razorvine.pickle.{IObjectPickler, Opcodes, PickleException, Pickler}
import org.apache.spark.api.java.JavaRDD
import org.apache.spark.api.python.SerDeUtil
import org.apache.spark.rdd.RDD

import _root_.hearth.agent.handle.{Bytes, PythonCall, Values}

/** Python's values, by pickle. */
object Pickled {
  SerDeUtil.initialize()

  Pickler.registerCustomPickler(classOf[Bytes], new IObjectPickler {
    // As bytes: the pickler alone makes a bytearray of an array, and that can be no key.
    override def pickle(value: Object, out: OutputStream, pickler: Pickler): Unit = {
      val bytes = value.asInstanceOf[Bytes].array
      out.write(Opcodes.BINBYTES)
      out.write(ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putInt(bytes.length).array)
      out.write(bytes)
    }
  })
  Pickler.registerCustomPickler(classOf[PythonCall], new IObjectPickler {
    override def pickle(value: Object, out: OutputStream, pickler: Pickler): Unit = {
      val call = value.asInstanceOf[PythonCall]
      out.write(Opcodes.GLOBAL)
      out.write(s"${call.module}\n${call.name}\n".getBytes(US_ASCII))
      out.write(Opcodes.MARK)
      call.arguments.foreach(argument => pickler.save(argument.asInstanceOf[Object]))
      out.write(Opcodes.TUPLE)
      out.write(Opcodes.REDUCE)
    }
  })

  /** Makes this JVM, an executor's perhaps, know all of this. */
  private def ready(): Unit = ()

  /** A value as Scala knows it.
    *
    * @throws HandleException `bad_value` for an object of a class that the JVM has no like of
    */
  def read(bytes: Array[Byte]): Any = Values.bounded(Values.fromPython(unpickled(bytes)))

  def write(value: Any): Array[Byte] = Values.bounded(new Pickler(true, false).dumps(Values.toPython(value)))

  /** The elements of a Python RDD as Scala knows them; read when they are asked for.
    *
    * @param pickled as PySpark's `_pickled()` has it: an element, or a list of some, at a time
    */
  def elements(pickled: RDD[Array[Byte]]): RDD[Any] = pickled.mapPartitions { batches =>
    batches.flatMap { batch =>
      unpickled(batch) match {
        case list: java.util.List[_] => list.asScala.iterator.map(item => Values.bounded(Values.fromPython(item)))
        case one                     => Iterator.single(Values.bounded(Values.fromPython(one)))
      }
    }
  }

  /** Elements of Scala's for Python to read. */
  def forPython(elements: RDD[_]): JavaRDD[Array[Byte]] =
    SerDeUtil.javaToPython(elements.mapPartitions { values =>
      ready()
      values.map(value => Values.bounded(Values.toPython(value)))
    }.toJavaRDD())

  private def unpickled(bytes: Array[Byte]): Any =
    try new Unpickled().loads(bytes)
    catch {
      case unlike: PickleException   => throw Values.cannotCross(className(unlike))
      case _: ClassCastException     => throw Values.cannotCross("Python object of a class of its own")
    }

  /** "expected zero arguments for construction of ClassDict (for numpy.core.multiarray._reconstruct)…": the class it speaks of. */
  private def className(failure: PickleException): String =
    """\(for ([^)]*)\)""".r.findFirstMatchIn(String.valueOf(failure.getMessage)).map(_.group(1))
      .filterNot(_.contains("cloudpickle")).getOrElse("Python object of a class of its own")
}
