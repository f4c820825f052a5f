package org.apache.spark.hearth

import java.io.{ByteArrayInputStream, SequenceInputStream}
import java.nio.ByteBuffer
import java.nio.charset.CharacterCodingException
import java.nio.charset.StandardCharsets.{ISO_8859_1, UTF_8}
import java.time.{Duration, ZoneOffset}
import java.util.{HashMap, HashSet, LinkedHashMap, Map => Dict}

import scala.collection.JavaConverters._

import net.razorvine.pickle.{IObjectConstructor, Opcodes, PickleUtils, Unpickler}

import _root_.hearth.agent.handle.{HandleException, PythonRow, Times, Values}

/** Reads Python's pickles as the plain unpickler does, but for what that would change on the way: dicts keep their order, a text is whole
  * or refused, a day is no time. It knows these by itself, so that Spark's own unpicklers in this JVM stay as they are.
  */
private[hearth] final class Unpickled extends Unpickler {
  import Unpickled._

  override protected def dispatch(key: Short): Object = key match {
    case Opcodes.SHORT_BINUNICODE => push(text(PickleUtils.readbytes(input, PickleUtils.readbyte(input).toInt)))
    case Opcodes.BINUNICODE       => push(text(PickleUtils.readbytes(input, PickleUtils.bytes_to_integer(PickleUtils.readbytes(input, 4)))))
    case Opcodes.BINUNICODE8      => push(text(PickleUtils.readbytes(input, PickleUtils.bytes_to_long(PickleUtils.readbytes(input, 8), 0))))
    case Opcodes.EMPTY_DICT       => push(new LinkedHashMap[Object, Object])
    case Opcodes.SETITEMS =>
      val items = stack.pop_all_since_marker.asScala.grouped(2).toSeq
      val dict = stack.peek.asInstanceOf[Dict[Object, Object]]
      items.foreach(item => dict.put(item.head, item.last))
      goOn()
    case Opcodes.BUILD =>
      // The state of an object; it is taken as this class alone.
      val state = stack.pop() match {
        case ordered: LinkedHashMap[_, _] => new HashMap[Any, Any](ordered)
        case other                        => other
      }
      stack.add(state)
      super.dispatch(key)
    case Opcodes.STACK_GLOBAL =>
      val name = stack.pop()
      val module = stack.pop()
      constructors.get(s"$module.$name") match {
        case Some(ours) => push(ours)
        case None =>
          stack.add(module)
          stack.add(name)
          super.dispatch(key)
      }
    case Opcodes.GLOBAL =>
      val module = PickleUtils.readline(input)
      val name = PickleUtils.readline(input)
      constructors.get(s"$module.$name") match {
        case Some(ours) => push(ours)
        case None =>
          val rest = input
          input = new SequenceInputStream(new ByteArrayInputStream(s"$module\n$name\n".getBytes(UTF_8)), rest)
          try super.dispatch(key)
          finally input = rest
      }
    case _ => super.dispatch(key)
  }

  /** Puts it on the stack, and goes on. */
  private def push(value: Object): Object = {
    stack.add(value)
    goOn()
  }

  /** What says that there is more to come. */
  private def goOn(): Object = {
    val more = super.dispatch(Opcodes.NONE)
    stack.pop()
    more
  }
}

private object Unpickled {

  /** A time zone with a name: what its offset is, each language looks up in tables of its own. */
  private final case class NamedZone(name: String)

  private val constructors: Map[String, IObjectConstructor] = Map(
    "pyspark.sql.types._create_row" -> made { case Array(names, values) => PythonRow(items(names).map(String.valueOf), items(values)) },
    "datetime.date" -> made { case Array(state) => Times.date(bytes(state)) },
    "datetime.datetime" -> made {
      case Array(state)                   => Times.local(bytes(state))
      case Array(state, zone: ZoneOffset) => Times.zoned(bytes(state), zone)
      case Array(_, NamedZone(name))      => throw Times.otherZone(s"the time zone $name")
      case Array(_, _)                    => throw Times.otherZone("such a time zone")
    },
    "datetime.timedelta" -> made { case Array(days: Number, seconds: Number, micros: Number) =>
      Times.timedelta(days.longValue, seconds.longValue, micros.longValue)
    },
    // With or without its name.
    "datetime.timezone" -> made { case Array(offset: Duration, _*) => Times.offset(offset) },
    "datetime.time"     -> made { case _ => throw Values.cannotCross("datetime.time") },
    "pytz._UTC"         -> made { case _ => ZoneOffset.UTC },
    "pytz._p"           -> made { case Array(name, _*) => NamedZone(String.valueOf(name)) },
    "builtins.frozenset" -> made { case Array(elements) => new HashSet(items(elements).asJava) },
    // A ZoneInfo is made by a method of its class.
    "builtins.getattr" -> made {
      case Array(found: ZoneInfo.type, _) => found
      case _                              => throw Values.cannotCross("Python object of a class of its own")
    },
    "zoneinfo.ZoneInfo" -> ZoneInfo,
    "decimal.Decimal" -> made { case Array(number: String) =>
      try new java.math.BigDecimal(number)
      catch { case _: NumberFormatException => throw Values.cannotCross(s"Decimal('$number')") }
    })

  private object ZoneInfo extends IObjectConstructor {
    override def construct(arguments: Array[Object]): Object = arguments match {
      case Array("UTC", _*)  => ZoneOffset.UTC
      case Array(name, _*)   => NamedZone(String.valueOf(name))
      case _                 => NamedZone("of a file")
    }
  }

  private def made(from: PartialFunction[Array[Object], Any]): IObjectConstructor = new IObjectConstructor {
    override def construct(arguments: Array[Object]): Object =
      from.applyOrElse(arguments, (_: Array[Object]) => throw Values.cannotCross("Python object of a form of its own")).asInstanceOf[Object]
  }

  /** Python's texts can hold halves of characters, which no other language has. */
  private def text(utf8: Array[Byte]): String =
    try UTF_8.newDecoder.decode(ByteBuffer.wrap(utf8)).toString
    catch { case _: CharacterCodingException => throw HandleException.badValue(Values.halfCharacter) }

  private def bytes(state: Object): Array[Byte] = state match {
    case found: Array[Byte] => found
    // As protocols of Python 2 have it.
    case latin: String => latin.getBytes(ISO_8859_1)
    case _             => throw Values.cannotCross("date of a form of its own")
  }

  private def items(value: Object): Seq[Any] = value match {
    case array: Array[AnyRef]    => array.toVector
    case list: java.util.List[_] => list.asScala.toVector
    case other                   => Vector(other)
  }
}
