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
    times()
    maps()
    exact()
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
    same("a whole number that no double is", code(Keys.of((1L << 53) + 1, Some("double"))), "bad_key")
    same("the last whole number is none", code(Keys.of(Long.MaxValue, Some("double"))), "bad_key")
    same("half a character", Seq("\ud800", "a\udc00", ("a", "\ud800\ud800")).map(key => code(Keys.normal(key))).distinct, Seq("bad_key"))
    same("a whole character", Keys.normal("\ud83d\ude00"), "\ud83d\ude00")
    same("as an Int again", Keys.as[Int](1L), 1)
    // Placement is part of what is stored between tasks of one application; it must not depend on the JVM that asks.
    val places = new KeyPartitioner(7)
    same("places", Seq("ak", 1L, 2.5, true, new Bytes(Array[Byte](1))).map(key => places.getPartition(key)), Seq(6, 4, 4, 1, 0))
    val spread = (0L until 7000L).groupBy(key => places.getPartition(key)).values.map(_.size)
    // Python has them for one key.
    val alike = Seq[Any]((1, "a"), (1L, "a"), (1.0, "a"), (BigInt(1), 'a')).map(Keys.normal)
    same("equal tuples are in one place", alike.map(places.getPartition).distinct.size, 1)
    same("equal tuples are equal", alike.forall(_ == alike.head), true)
    same("numbers are no booleans", Keys.normal((1, "a")) == Keys.normal((true, "a")), false)
    same("keys are spread", spread.size == 7 && spread.forall(size => size > 800 && size < 1200), true)
  }

  private final case class Person(name: String, age: Int)

  private def values(): Unit = {
    def there(value: Any): Any = Pickled.read(Pickled.write(value))
    same("to Python and back", there(ListMap("a" -> Vector(1L, 2.5, null), "b" -> (("x", true)))), ListMap("a" -> Vector(1L, 2.5, null), "b" -> (("x", true))))
    same("case classes are dicts", there(Person("ann", 30)), ListMap("name" -> "ann", "age" -> 30L))
    same("long numbers", there(BigInt(2).pow(70)), BigInt(2).pow(70).bigInteger)
    same("bytes", there(Array[Byte](1, 2)).asInstanceOf[Array[Byte]].toSeq, Seq[Byte](1, 2))
    val time = java.sql.Timestamp.valueOf("2020-01-02 03:04:05.006")
    same("times", there(time), time)
    same("what cannot cross", code(there(new Thread)), "bad_value")
    val row = Schemas.named(Seq("a", "b"), Seq(1L, Schemas.named(Seq("c"), Seq("x"))))
    same("rows are rows", there(row), row)
    same("long tuples", there(Values.tuple(Vector.tabulate(30)(_.toLong))).getClass.getSimpleName, "LongTuple")
    same("sets of sets", there(Set(Set(1L), Set("a"))), Set(Set(1L), Set("a")))
    same("the order of a map", there(OrderedMap((9 to 1 by -1).map(i => (s"k$i", i.toLong)): _*)).asInstanceOf[Map[Any, Any]].keys.mkString, (9 to 1 by -1).map("k" + _).mkString)
    same("half a character", Seq("a\ud800", Map("\udc00" -> 1), Set('\ud800')).map(value => code(there(value))).distinct, Seq("bad_value"))
    same("what no dict of Python has as a key", Seq[Any](Map(Seq(1) -> 2), Set(Map(1 -> 2)), Map((1, Seq(2)) -> 3)).map(value => code(there(value))).distinct, Seq("bad_value"))
    same("nested too deep", code(there((1 to 100000).foldLeft(Vector.empty[Any])((inner, _) => Vector(inner)))), "bad_value")
    same("what went through a table", Values.plain(org.apache.spark.sql.Row.fromSeq(Seq(1))).toString, "[1]")
  }

  private def times(): Unit = {
    import java.time._
    def there(value: Any): Any = Pickled.read(Pickled.write(value))
    val zone = java.util.TimeZone.getDefault
    for (name <- Seq("UTC", "Europe/Berlin", "America/St_Johns")) {
      java.util.TimeZone.setDefault(java.util.TimeZone.getTimeZone(name))
      val local = Seq("2020-01-02T03:04:05.123456", "2021-03-28T02:30", "2021-03-14T02:30", "2021-10-31T02:30", "1582-10-10T00:00", "0001-01-01T00:00", "9999-12-31T23:59:59.999999")
        .map(LocalDateTime.parse(_))
      same(s"times without a zone in $name", local.map(time => there(time) match {
        case made: java.sql.Timestamp => made.toLocalDateTime
        case other                    => other
      }), local)
      val days = Seq("2020-01-02", "1582-10-10", "1500-02-28", "0001-01-01", "9999-12-31").map(LocalDate.parse(_))
      same(s"days in $name", days.map(day => there(day) match {
        case made: java.sql.Date => made.toLocalDate
        case other               => other
      }), days)
      // Both of the hours of a night in autumn.
      val hours = (0 until 8).map(quarter => java.sql.Timestamp.from(Instant.parse("2021-10-31T00:15:00Z").plusSeconds(900L * quarter)))
      same(s"an hour that comes twice in $name", hours.map(there), hours)
    }
    java.util.TimeZone.setDefault(zone)
    val zoned = Seq[Any](Instant.parse("2020-01-02T03:04:05.123456Z"), OffsetDateTime.parse("2020-01-02T03:04:05+05:30"), Duration.ofSeconds(-1, 7000), Duration.ofDays(999999998))
    same("times with a zone, and time spans", zoned.map(there), zoned)
    same("what Python has no time for", Seq[Any](Instant.MAX, LocalDate.of(10000, 1, 1), LocalDate.of(0, 1, 1), Duration.ofDays(1L << 40)).map(time => code(there(time))).distinct, Seq("bad_value"))
  }

  private def maps(): Unit = {
    import org.apache.spark.SparkConf
    import org.apache.spark.serializer.{JavaSerializer, KryoSerializer}
    val large = OrderedMap.of(Iterator.tabulate(300000)(i => (i * 7919L % 300000, i.toLong)))
    same("equal to other maps", (large == large.iterator.toMap, large.iterator.toMap == large, large.hashCode == large.iterator.toMap.hashCode), (true, true, true))
    same("keys are equal as Scala says", (large.get(7919), OrderedMap(1 -> "a").get(1L)), (Some(1L), Some("a")))
    val small = OrderedMap("b" -> 1, "a" -> 2, "b" -> 3)
    same("in order", (small.toSeq, (small + ("c" -> 4) + ("a" -> 5)).toSeq, (small - "b" - "d").toSeq), (Seq("b" -> 3, "a" -> 2), Seq("b" -> 3, "a" -> 5, "c" -> 4), Seq("a" -> 2)))
    for (serializer <- Seq(new JavaSerializer(new SparkConf), new KryoSerializer(new SparkConf))) {
      val made = serializer.newInstance()
      def there(value: Any): Any = made.deserialize[Any](made.serialize[Any](value))
      same(s"serialized by $serializer", there(large).asInstanceOf[OrderedMap].iterator.sameElements(large.iterator), true)
      same(s"small ones by $serializer", there(Vector(small, Values.tuple(Vector()), new Bytes(Array[Byte](1)))).toString, Vector(small, Values.tuple(Vector()), new Bytes(Array[Byte](1))).toString)
    }
  }

  private def exact(): Unit = {
    def there(value: Any): Any = Exact.read(Exact.write(value))
    val values = Seq[Any](
      null, true, false, 1.toByte, 2.toShort, 3, 4L, 1.5f, -0.0, Double.NaN, 'c', "", "\ud83d\ude00", BigInt(2).pow(70), BigInt(2).pow(70).bigInteger, BigDecimal("1.50"),
      new java.math.BigDecimal("1E+3"), None, Some(Some(1)), List(1, 2L), Vector("a", null), Set(1, "a"), OrderedMap("b" -> 1, 2 -> "a"), (1, (2L, "x")), Tuple1(1),
      Values.tuple(Vector()), Values.tuple(Vector.tabulate(23)(i => i)), Schemas.named(Seq("a", "b"), Seq(1L, (1, "x"))), org.apache.spark.sql.Row(1, "a"),
      java.sql.Timestamp.valueOf("1969-12-31 23:59:59.123456789"), java.sql.Date.valueOf("1500-02-28"), java.time.LocalDate.of(1582, 10, 10), java.time.Instant.EPOCH,
      java.time.OffsetDateTime.parse("2020-01-02T03:04:05+05:30"), java.time.Duration.ofNanos(-1), java.util.UUID.randomUUID, java.net.URI.create("a:b"))
    for (value <- values) same("the same type and value", (String.valueOf(there(value)), nameOf(there(value))), (String.valueOf(value), nameOf(value)))
    same("numbers to the bit", (java.lang.Double.doubleToRawLongBits(there(-0.0).asInstanceOf[Double]), there(new java.math.BigDecimal("1.50"))),
      (java.lang.Double.doubleToRawLongBits(-0.0), new java.math.BigDecimal("1.50")))
    same("arrays", (there(Array(1, 2)).asInstanceOf[Array[Int]].toSeq, there(Array[Byte](1)).asInstanceOf[Array[Byte]].toSeq, there(Array("a")).asInstanceOf[Array[String]].toSeq),
      (Seq(1, 2), Seq[Byte](1), Seq("a")))
    same("a case class is a map of its fields", there(Person("ann", 30)), ListMap("name" -> "ann", "age" -> 30))
    same("what has a text is that", there(java.util.concurrent.TimeUnit.DAYS), "DAYS")
    same("what has none", code(Exact.write(new Thread)), "bad_value")
    same("types of another version", Seq(Array[Byte](2, 0), Array[Byte](1, 99)).map(bytes => code(Exact.read(bytes))), Seq("failed", "failed"))
    // What is written stays readable.
    same("the form", Exact.write((1L, "a")).toSeq, Seq[Byte](1, 24, 0, 0, 0, 2, 6, 0, 0, 0, 0, 0, 0, 0, 1, 10, 0, 0, 0, 1, 97))
  }

  /** Kinds of collections differ in their classes by length. */
  private def nameOf(value: Any): String = value match {
    case null                  => "null"
    case _: Map[_, _]          => "map"
    case _: Set[_]             => "set"
    case _: List[_]            => "list"
    case _: LongTuple          => "long tuple"
    case _: Vector[_]          => "vector"
    case other                 => other.getClass.getName.replaceAll("\\$mc.*", "")
  }

  private def wire(): Unit = {
    val text = """{"a":[1,2.5,null,true,"x"],"b":{"$binary":"AQI="},"c":9007199254740993}"""
    same("JSON to values and back", JsonValue.wire(WireValues.value(Json.parse(text))), text)
    same("a tuple is an array", JsonValue.wire((1, ("a", Array[Byte](1)))), """[1,["a",{"$binary":"AQ=="}]]""")
    same("an array is a tuple key", WireValues.key(Json.parse("""[1,"a"]"""), Some("tuple")), (1L, "a"))
    same("a key of another kind", code(WireValues.key(Json.parse("\"a\""), Some("long"))), "bad_key")
    same("half a character", (code(WireValues.value(Json.parse("[\"\\ud800\"]"))), code(WireValues.key(Json.parse("\"\\ud800\""), None))), ("bad_value", "bad_key"))
    same("the order of an object", JsonValue.wire(WireValues.value(Json.parse("""{"z":1,"y":2,"x":3,"w":4,"v":5,"u":6}"""))), """{"z":1,"y":2,"x":3,"w":4,"v":5,"u":6}""")
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
    same("large numbers", Seq[Any](BigInt(2).pow(64), BigDecimal("1.5"), BigInt(10).pow(40), BigDecimal("1e30")).map(one => Schemas.of(Seq(one)).catalogString),
      Seq("decimal(38,0)", "decimal(38,18)", "string", "string"))
    val decimals = DecimalType(38, 18)
    same("numbers that are too long to be written out", (code(Schemas.cell(new java.math.BigDecimal("1E+1000000000"), decimals)), Schemas.cell(new java.math.BigDecimal("1E-1000000000"), decimals)),
      ("bad_columns", java.math.BigDecimal.ZERO))
    same("mixed large numbers", Schemas.of(Seq(1L, BigDecimal("1.5"))).catalogString, "decimal(38,18)")
    val struct = Schemas.of(Seq(Person("ann", 30)))
    same("a map as a struct", Schemas.cell(Map("age" -> 1, "name" -> "bob"), struct), org.apache.spark.sql.Row("bob", 1L))
    same("parts that would be lost", Seq(Map("age" -> 1, "x" -> 2), Map(1 -> 2)).map(map => code(Schemas.cell(map, struct))), Seq("bad_columns", "bad_columns"))
    val pair = Schemas.of(Seq((1, "a")))
    same("a list as a tuple", Schemas.cell(Vector(1, "a"), pair), org.apache.spark.sql.Row(1L, "a"))
    same("tuples of other lengths", Seq[Any]((1, "a", 2), Tuple1(1), Vector(1)).map(one => code(Schemas.cell(one, pair))).distinct, Seq("bad_columns"))
    same("null as a key", (Schemas.cell(Map((null, 1)), MapType(StringType, LongType)), code(Schemas.cell(Map((null, 1)), MapType(LongType, LongType)))), (Map("null" -> 1L), "bad_columns"))
    same("what has no columns of its own", Seq[Any](org.apache.spark.sql.Row.fromSeq(Nil), Schemas.named(Nil, Nil), Schemas.named(Seq("a", "A"), Seq(1, 2))).map(one => Schemas.of(Seq(one))).distinct, Seq(StringType))
    val own = new java.util.ArrayList[Any]
    own.add(own)
    same("a put of what holds itself", code(ChangeCheck.fits(Seq("a" -> Some(own)), PairContent.columns(Seq("a" -> 1L)))), "bad_value")
    same("numbers of Spark's own types", Schemas.cell(1, IntegerType), 1)
    same("no number for a column", Seq[(Any, DataType)](2.5 -> LongType, (1L << 40) -> IntegerType, Double.NaN -> DecimalType(38, 18), BigDecimal("1e30") -> DecimalType(38, 18))
      .map { case (one, kind) => code(Schemas.cell(one, kind)) }.distinct, Seq("bad_columns"))
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
    // Another thread than those of the pool: one that began it would wait for itself.
    val asker = Executors.newSingleThreadExecutor()
    /** Has a thread of the pool begin it, then does something, and tells what one who waits for that thread gets. */
    def begunBy(end: Option[Long] => Unit): String = {
      val id = pool.submit(() => creations.begin("b", mine, 0)(false)).get
      val asked = asker.submit(() => ask())
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
    asker.shutdown()
    pool.shutdown()
  }
}
