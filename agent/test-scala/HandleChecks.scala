package hearth.agent.handle

import java.util.concurrent.{CountDownLatch, Executors}

import scala.collection.immutable.ListMap
import scala.util.Try

import hearth.agent.Json
import hearth.agent.result.JsonValue
import org.apache.spark.hearth.Pickled
import org.apache.spark.sql.types._

/** Checks of what handles need no Spark for: keys, values, columns, who creates and who frees. Ends with 1 if one fails. */
object HandleChecks {
  private var failures = 0

  private def same[T](what: String, found: T, expected: T): Unit = if (found != expected) {
    failures += 1
    println(s"$what:\n  expected $expected\n  found    $found")
  }

  private def code(work: => Any): String = Try(work).failed.toOption.collect { case ours: HandleException => ours.code }.getOrElse("none")

  def main(arguments: Array[String]): Unit = {
    keys()
    values()
    wire()
    columns()
    lines()
    kept()
    creations()
    println(if (failures == 0) "all checks of handles passed" else s"$failures checks of handles failed")
    System.exit(if (failures == 0) 0 else 1)
  }

  private def keys(): Unit = {
    same("whole numbers are long", Seq(1, 1.toShort, 1.toByte, BigInt(1), java.math.BigInteger.ONE).map(Keys.normal).distinct, Seq(1L))
    same("zero is zero", Keys.normal(-0.0).toString, "0.0")
    same("bytes are equal by content", Keys.normal(Array[Byte](1, 2)), Keys.normal(Array[Byte](1, 2)))
    same("tuples of any numbers", Keys.normal((1, "a")), Keys.normal((1L, "a")))
    same("no key", Seq(null, Double.NaN, Seq(1), new Object).map(key => code(Keys.normal(key))).distinct, Seq("bad_key"))
    same("kinds", Seq("a", 1, 1.5, true, Array[Byte](1), (1, 2)).map(key => Keys.kind(Keys.normal(key))),
      Seq("string", "long", "double", "boolean", "binary", "tuple"))
    same("a whole number among doubles", Keys.of(1, Some("double")), 1.0)
    same("another kind", code(Keys.of("a", Some("long"))), "bad_key")
    same("as an Int again", Keys.as[Int](1L), 1)
    // Placement is part of what is stored between tasks of one application; it must not depend on the JVM that asks.
    val places = new KeyPartitioner(7)
    same("places", Seq("ak", 1L, 2.5, true, new Bytes(Array[Byte](1))).map(key => places.getPartition(key)), Seq(6, 4, 4, 1, 0))
    val spread = (0L until 7000L).groupBy(key => places.getPartition(key)).values.map(_.size)
    same("keys are spread", spread.size == 7 && spread.forall(size => size > 800 && size < 1200), true)
  }

  private final case class Person(name: String, age: Int)

  private def values(): Unit = {
    def there(value: Any): Any = Values.fromPython(Pickled.read(Pickled.write(value)))
    same("to Python and back", there(ListMap("a" -> Vector(1L, 2.5, null), "b" -> (("x", true)))), ListMap("a" -> Vector(1L, 2.5, null), "b" -> (("x", true))))
    same("case classes are dicts", there(Person("ann", 30)), ListMap("name" -> "ann", "age" -> 30L))
    same("long numbers", there(BigInt(2).pow(70)), BigInt(2).pow(70).bigInteger)
    same("bytes", there(Array[Byte](1, 2)).asInstanceOf[Array[Byte]].toSeq, Seq[Byte](1, 2))
    val time = java.sql.Timestamp.valueOf("2020-01-02 03:04:05.006")
    same("times", there(time), time)
    same("what cannot cross", code(there(new Thread)), "bad_value")
  }

  private def wire(): Unit = {
    val text = """{"a":[1,2.5,null,true,"x"],"b":{"$binary":"AQI="},"c":9007199254740993}"""
    same("JSON to values and back", JsonValue.wire(WireValues.value(Json.parse(text))), text)
    same("a tuple is an array", JsonValue.wire((1, ("a", Array[Byte](1)))), """[1,["a",{"$binary":"AQ=="}]]""")
    same("an array is a tuple key", WireValues.key(Json.parse("""[1,"a"]"""), Some("tuple")), (1L, "a"))
    same("a key of another kind", code(WireValues.key(Json.parse("\"a\""), Some("long"))), "bad_key")
    same("no base64", code(WireValues.value(Json.parse("""{"$binary":"!"}"""))), "bad_value")
    same("too deep", code(WireValues.value(Json.parse("[" * 200 + "]" * 200))), "bad_value")
  }

  private def columns(): Unit = {
    same("numbers", Schemas.of(Seq(1, 2L, null)), LongType)
    same("mixed numbers", Schemas.of(Seq(1, 2.5)), DoubleType)
    same("mixed values are text", Schemas.of(Seq(1, "a")), StringType)
    same("nothing known", Schemas.of(Nil), StringType)
    same("products", Schemas.table(Seq(Person("ann", 30))).map(_.name), Seq("name", "age"))
    same("single values", Schemas.table(Seq(1, 2)).map(_.name), Seq("value"))
    same("a cell of text", Schemas.cell(Vector(1L), StringType), "[1]")
    same("a cell that does not fit", code(Schemas.cell("a", LongType)), "bad_columns")
    same("columns of the catalogue", Handle.schema(Seq("a" -> "bigint", "b" -> "struct<c:string>")).map(_.dataType.catalogString), Seq("bigint", "struct<c:string>"))
    same("names", Seq("a", "_A1", "1a", "a b", "").map(name => code(Handle.checkName(name))), Seq("none", "none", "failed", "failed", "failed"))
  }

  private def lines(): Unit = {
    same("CSV", Csv.line(Seq("a,b", "say \"x\"", null, 1.5, "", Vector(1L), Array[Byte](1))), "\"a,b\",\"say \"\"x\"\"\",,1.5,\"\",[1],AQ==\r\n")
    same("JSON lines", JsonLines.line(Array("a", "b"), org.apache.spark.sql.Row(null, 1L)), "{\"a\":null,\"b\":1}\n")
  }

  private def kept(): Unit = {
    var freed = 0
    val kept = new Kept(() => freed += 1)
    same("a reader enters", kept.enter(), true)
    kept.leave()
    same("the handle still needs it", freed, 0)
    kept.leave()
    same("the last one frees it", freed, 1)
    same("nobody enters any more", kept.enter(), false)
  }

  private def creations(): Unit = {
    val creations = new Creations
    val session = Maker(Some("session"), Some(0))
    @volatile var there = false
    val begun = new CountDownLatch(1)
    val pool = Executors.newFixedThreadPool(100)
    val asked = (1 to 100).map { _ =>
      pool.submit(() => {
        val first = creations.begin("a", session, 60000)(there)
        first.foreach { id =>
          begun.await()
          there = true
          creations.end(id, None)
        }
        first.isDefined
      })
    }
    begun.countDown()
    same("one creator", asked.count(_.get()), 1)
    val mine = Maker(Some("mine"), Some(1))
    def ask(): String = code(creations.begin("b", session, 60000)(false))
    /** Has a thread of the pool begin it, then does something, and tells what one who waits for that thread gets. */
    def begunBy(end: Option[Long] => Unit): String = {
      val id = pool.submit(() => creations.begin("b", mine, 0)(false)).get
      val asked = pool.submit(() => ask())
      end(id)
      // It had the creator's error, or came after it and is the creator itself.
      val found = asked.get
      creations.abandon("session")
      found
    }
    same("another waits no longer than it wants", begunBy { id =>
      same("too long", code(creations.begin("b", session, 10)(false)), "failed")
      id.foreach(creations.end(_, None))
    }, "none")
    same("a creator's end is an error", Set("failed", "none").contains(begunBy(_ => creations.abandon("mine"))), true)
    same("a cancelled statement's end, too", Set("failed", "none").contains(begunBy(_ => creations.abandon("mine", 1))), true)
    def begins(name: String): Option[Long] = pool.submit(() => creations.begin(name, mine, 0)(false)).get
    val givenUp = begins("f")
    creations.abandon("mine")
    begins("f")
    givenUp.foreach(creations.end(_, None))
    same("the end of what was given up is not that of another", code(creations.begin("f", session, 0)(false)), "failed")
    val dying = new Thread(() => creations.begin("c", mine, 0)(false))
    dying.start()
    dying.join()
    same("a creator whose thread has ended", code(creations.begin("c", session, 60000)(false)), "failed")
    creations.begin("d", session, 0)(false)
    same("who makes it asks for it", code(creations.begin("d", session, 60000)(false)), "failed")
    val other = Executors.newSingleThreadExecutor()
    other.submit(() => creations.begin("e", mine, 0)(false)).get
    val circle = other.submit { () =>
      val found = code(creations.begin("d", mine, 60000)(false))
      creations.abandon("mine")
      found
    }
    same("two who wait for each other", code(creations.begin("e", session, 60000)(false)), "failed")
    creations.abandon("session")
    same("the other one goes on", Set("failed", "none").contains(circle.get), true)
    other.shutdown()
    pool.shutdown()
  }
}
