"""Values and keys of handles on their way between Python, Scala, SQL, messages and the handle store: they come as they went, or are refused."""

import shutil
import tempfile
import unittest
import uuid

from spark_driver import SparkDriver, eventually

DRIVER = None
STORE = None
# Sessions.
PYTHON, SCALA = 1, 2


def setUpModule():
    global DRIVER, STORE
    DRIVER = SparkDriver()
    DRIVER.open(PYTHON, "pyspark")
    DRIVER.open(SCALA, "spark")
    STORE = tempfile.mkdtemp(prefix="hearth-test-store-")
    message("handles", store=STORE, durable=[])
    python("import datetime\nfrom datetime import date, timedelta, timezone\nfrom decimal import Decimal\nfrom pyspark.sql import Row")


def tearDownModule():
    code = DRIVER.close()
    shutil.rmtree(STORE)
    assert code == 0, code


def python(code):
    return DRIVER.text(code, session=PYTHON)


def scala(code):
    """The value of the last line, as its text."""
    return DRIVER.text(code, session=SCALA).strip()


def error(code, session=PYTHON):
    output = DRIVER.run(code, session=session)
    assert output["status"] == "error", output
    return output["evalue"]


def refused(code):
    """The code and the text with which a handle refuses something in Python."""
    return eval(python("try: %s\nexcept HandleError as error: refused = (error.code, str(error))\nelse: refused = None, 'taken'\nrefused" % code))


def message(tag, **body):
    DRIVER.send("handles", tag=tag, body=body)


def told(tag, matches):
    """The next message that the agent sends of a type, or has sent, for which this holds."""
    while True:
        for found in DRIVER.link:
            if found["tag"] == tag and matches(found["body"]):
                DRIVER.link.remove(found)
                return found["body"]
        DRIVER.step()


def ask(op, name, **more):
    """The answer to a request from outside."""
    id = str(uuid.uuid4())
    message("handle_request", request=id, op=op, name=name, **more)
    return told("handle_answer", lambda body: body["request"] == id)


def reopened(name, version=1):
    """The name of what an earlier application has written of a handle, as the next one is told of it."""
    found = told("handle", lambda body: body["name"] == name and body["durable"] and body["durable"]["version"] == version)
    again = "%s_%d" % (name, version)
    message("handles", store=STORE, durable=[
        {**{k: found[k] for k in ("kind", "version", "columns", "key", "storage", "ttl_ms")}, "name": again, "path": found["durable"]["path"]}])
    return again


# Values of one type each, that a handle has columns for.
TYPED = {
    "texts": ["'a'", "''", "None", "'a\\x00b'", "'\\U0001f600'"],
    "whole": ["1", "-1", "2 ** 62", "None"],
    "real": ["1.5", "-0.0", "float('inf')"],
    "logical": ["True", "None"],
    "binary": ["b'\\x00\\xff'", "b''"],
    "tuples": ["(1, 'a')", "(2, None)", "(-3, '')"],
    "lists": ["[1.5, -0.0]", "[]", "[2.5, None]"],
    "dicts": ["{'a': 1, 'c': 2, 'b': 3, 'e': 4, 'd': 5, 'f': 6}", "{}"],
    "rows": ["Row(a=1, b='x')", "Row(a=None, b=None)"],
    "nested": ["{'k': [(1, Row(a={'x': 1}))]}"],
    "dates": ["date(2020, 1, 2)", "date(1, 1, 1)", "date(1582, 10, 10)", "date(9999, 12, 31)"],
    "datetimes": ["datetime.datetime(2020, 1, 2, 3, 4, 5, 123456)", "datetime.datetime(1, 1, 1)", "datetime.datetime(2021, 3, 28, 2, 30)"],
    "decimals": ["Decimal('1.10')", "Decimal('1E+3')", "Decimal('-12345678901234567890.123456789012345678')"],
    "large": ["2 ** 70", "-2 ** 63 - 1", "1"],
}
# Values that no column holds together, and those that columns change.
MIXED = [
    "1", "1.0", "True", "'1'", "'x'", "b'x'", "None", "2 ** 200", "{'name': 'Ann', 'age': 30}", "{1: 'a', 'b': 2, (3, 'c'): None}", "[1, 'x', None, [2.5]]", "()",
    "tuple(range(30))", "(1, ('a', (b'b',)))", "{1}", "{frozenset({1})}", "{frozenset({1}): 2}", "set()", "Decimal('1.50')", "timedelta(days=-1, microseconds=7)",
    "datetime.datetime(2020, 1, 2, 3, 4, 5, 6, tzinfo=timezone.utc)", "datetime.datetime(2020, 1, 2, tzinfo=timezone(timedelta(hours=-9, minutes=-30)))",
    "datetime.datetime(2020, 1, 2, 3)", "date(2020, 1, 2)", "Row(a=1, b=Row(c=(1, 2)))", "{'a': {'b': {'c': []}}}"]


def differences(name, values):
    """What a key-value handle has of these, under their places, that is not the same in value, type and order."""
    return python("found = SharedRdd('%s').get_all(range(%d))\nvalues = [%s]\n[(v, found.get(i)) for i, v in enumerate(values) if repr(v) != repr(found.get(i))]"
                  % (name, len(values), ", ".join(values)))


class Python(unittest.TestCase):
    def test_values_come_as_they_went(self):
        for value in MIXED + [one for values in TYPED.values() for one in values]:
            self.assertEqual(python("value = %s\nhearth.share(value, 'value')\nrepr(hearth.shared('value')) == repr(value)" % value), "True", value)

    def test_what_the_jvm_has_no_like_of_is_refused_with_the_way_out(self):
        for value, said in (
                ("datetime.datetime(2020, 1, 2, tzinfo=__import__('zoneinfo').ZoneInfo('Europe/Berlin'))", "Europe/Berlin cannot go from one language to another: make it one in UTC"),
                ("datetime.time(1, 2)", "a datetime.time cannot go"), ("Decimal('NaN')", "a Decimal('NaN') cannot go"), ("1j", "a ComplexNumber cannot go"),
                ("__import__('uuid').uuid4()", "a uuid.UUID cannot go"), ("'\\ud800'", "half of a character"), ("[{'a': 'x\\udfff'}]", "half of a character"),
                ("(lambda l: l.append(l) or l)([])", "nested too deep, or holds itself")):
            code, text = refused("hearth.share(%s, 'refused')" % value)
            self.assertEqual(code, "bad_value", value)
            self.assertIn(said, text)
        self.assertEqual(python("hearth.share(datetime.datetime(2020, 1, 2, tzinfo=__import__('zoneinfo').ZoneInfo('UTC')), 'utc')\nhearth.shared('utc')"),
                         "datetime.datetime(2020, 1, 2, 0, 0, tzinfo=datetime.timezone.utc)")

    def test_elements_on_the_executors(self):
        python("hearth.share(sc.parallelize([%s], 2), 'elements')" % ", ".join(MIXED))
        scala('hearth.share(hearth.rdd[Any]("elements").map(identity), "elements_of_scala")')
        self.assertEqual(python("values = [%s]\n[(v, f) for v, f in zip(values, hearth.shared('elements_of_scala').collect()) if repr(v) != repr(f)]" % ", ".join(MIXED)), "[]")
        python("hearth.share(sc.parallelize(['\\ud800']), 'halves')")
        self.assertIn("half of a character", error('hearth.rdd[Any]("halves").collect()', SCALA))

    def test_a_large_dict_takes_no_time_for_each_pair_of_its_entries(self):
        python("large = {i * 7919 % 300000: i for i in range(300000)}\nlarge_pairs = ShareableRdd(sc.parallelize([(1, large)], 1), 'large_pairs')")
        self.assertEqual(python("list(large_pairs.get(1)[1].items()) == list(large.items())"), "True")
        self.assertIn("= 299999", scala('SharedRdd[Long, Map[Long, Long]]("large_pairs").get(1)(1)(292081)'))


class Scala(unittest.TestCase):
    def test_days_and_times(self):
        python("hearth.share([date(2020, 1, 2), datetime.datetime(2020, 1, 2, 3, 4, 5, 6), datetime.datetime(2020, 1, 2, tzinfo=timezone.utc), timedelta(hours=1)], 'times')")
        self.assertIn("2020-01-02, 2020-01-02 03:04:05.000006, 2020-01-02T00:00:00Z, PT1H", scala('hearth.value[Seq[Any]]("times").mkString(", ")'))
        scala('hearth.share(Seq(java.time.Instant.EPOCH, java.time.LocalDate.EPOCH, java.sql.Timestamp.valueOf("1970-01-01 00:00:01.5")), "scala_times")')
        self.assertEqual(python("hearth.shared('scala_times') == [datetime.datetime(1970, 1, 1, tzinfo=timezone.utc), date(1970, 1, 1), datetime.datetime(1970, 1, 1, 0, 0, 1, 500000)]"), "True")

    def test_half_characters_and_keys_that_python_cannot_hash_are_refused(self):
        scala('val half = "a" + 0xd800.toChar')
        self.assertIn("half of a character", error('hearth.share(half, "half")', SCALA))
        self.assertIn("half of a character", error('ShareableRdd(sc.parallelize(Seq("a" -> "b")), "halved").put("c" -> half)', SCALA))
        self.assertIn("half of a character", error('SharedRdd[String, String]("halved").put(half -> "c")', SCALA))
        self.assertIn("cannot be a key of a dict", error('hearth.share(Map(Seq(1) -> 2), "unhashable")', SCALA))


class Durable(unittest.TestCase):
    def test_values_of_one_type_come_back_as_they_were(self):
        for name, values in TYPED.items():
            python("ShareableRdd(sc.parallelize(list(enumerate([%s])), 2), 'typed_%s', durable=True)" % (", ".join(values), name))
            again = reopened("typed_" + name)
            self.assertEqual(differences(again, values), "[]", name)
            # And can be read as a table, put to, and written again.
            self.assertEqual(python("SharedRdd('%s').df().count(), spark.sql('select value from global_temp.%s').count(), SharedRdd('%s').put({0: %s})" % (again, again, again, values[-1])),
                             "(%d, %d, 2)" % (len(values), len(values)), name)
            self.assertEqual(differences(reopened(again, 2), values[-1:] + values[1:]), "[]", name)

    def test_values_of_all_types_come_back_as_they_were(self):
        python("mixed = ShareableRdd(sc.parallelize(list(enumerate([%s])), 3), 'mixed', durable=True)" % ", ".join(MIXED))
        again = reopened("mixed")
        self.assertEqual(differences(again, MIXED), "[]")
        # Anybody can read the columns.
        self.assertEqual(python("{r.key: r.value for r in SharedRdd('%s').df().collect() if r.key in (0, 4, 8)}" % again), "{0: '1', 4: 'x', 8: '{\"name\":\"Ann\",\"age\":30}'}")
        python("SharedRdd('%s').put(dict(enumerate([%s])))" % (again, ", ".join(reversed(MIXED))))
        self.assertEqual(differences(reopened(again, 2), MIXED[::-1]), "[]")

    def test_elements_come_back_as_they_were(self):
        for name, elements in (("tuples", TYPED["tuples"]), ("rows", TYPED["rows"]), ("single", ["Row(value=1)", "Row(value=2)"]), ("mixed", MIXED), ("none", ["None", "(1, 'a')"]),
                               ("dicts", TYPED["dicts"]), ("wider", ["(1, 'a')", "(2.5, 'b')"])):
            python("elements = [%s]\nhearth.share(sc.parallelize(elements, 1), 'elements_%s', durable=True)" % (", ".join(elements), name))
            again = reopened("elements_" + name)
            self.assertEqual(python("sorted(map(repr, hearth.shared('%s').collect())) == sorted(map(repr, elements)), hearth.df('%s').columns == hearth.df('elements_%s').columns" % (again, again, name)),
                             "(True, True)", name)

    def test_keys_come_back_as_they_were(self):
        for name, keys in (("whole", "[-1, 2 ** 62]"), ("real", "[1.5, 0.0]"), ("logical", "[True, False]"), ("binary", "[b'', b'\\xff']"), ("text", "['', '\\U0001f600']"),
                           ("tuple", "[(1, 'a'), ('b', 2), (1.5, (b'c', True))]")):
            python("keys = %s\nShareableRdd(sc.parallelize([(key, 1) for key in keys]), 'keys_%s', durable=True)" % (keys, name))
            again = reopened("keys_" + name)
            self.assertEqual(python("found = SharedRdd('%s').get_all(keys)\n[repr(key) for key in keys if found.get(key) != 1], sorted(map(repr, (k for k, _ in SharedRdd('%s').take(9)))) == sorted(map(repr, keys))" % (again, again)),
                             "([], True)", name)

    def test_plain_data_are_not_written_twice(self):
        for name, value, twice in (("plain", "'x' * 100 + str(i)", False), ("vectors", "[i * 1.5, i / 3]", False), ("pairs", "(i, 'x')", False), ("kinds", "{'a': i, 'b': 'x'}", True)):
            python("ShareableRdd(sc.parallelize([(i, %s) for i in range(100)]), 'once_%s', durable=True)" % (value, name))
            path = told("handle", lambda body: body["name"] == "once_" + name and body["durable"])["durable"]["path"]
            self.assertEqual(python("spark.read.parquet('%s').selectExpr('count(_exact)').head()[0]" % path), "100" if twice else "0", name)

    def test_what_earlier_versions_have_written_is_read_by_its_columns(self):
        for kind, name, rows, found in (
                ("pairs", "old_pairs", "[('a', (1, 'x'))], 'key string, value struct<_1: bigint, _2: string>'", "SharedRdd('old_pairs').get('a')"),
                ("pairs", "old_rows", "[('a', (1, 'x'))], 'key string, value struct<n: bigint, s: string>'", "SharedRdd('old_rows').get('a')"),
                ("rdd", "old_elements", "[(1, 'x')], '_1 bigint, _2 string'", "hearth.shared('old_elements').collect()"),
                ("rdd", "old_values", "[([1, 2],)], 'value array<bigint>'", "hearth.shared('old_values').collect()")):
            python("frame = spark.createDataFrame(%s)\nframe.write.parquet('%s/%s/first')" % (rows, STORE, name))
            columns = eval(python("[{'name': f.name, 'type': f.dataType.simpleString(), 'class': 'other'} for f in frame.schema]"))
            message("handles", store=STORE, durable=[{
                "name": name, "kind": kind, "version": 1, "columns": columns, "key": "string" if kind == "pairs" else None, "storage": "MEMORY_AND_DISK", "ttl_ms": None,
                "path": "%s/%s/first" % (STORE, name)}])
            self.assertEqual(python(found), {
                "old_pairs": "{'a': (1, 'x')}", "old_rows": "{'a': Row(n=1, s='x')}", "old_elements": "[(1, 'x')]", "old_values": "[[1, 2]]"}[name])
            self.assertEqual(python("hearth.df('%s').collect() == frame.collect(), spark.table('global_temp.%s').count()" % (name, name)), "(True, 1)")
        self.assertEqual(python("SharedRdd('old_pairs').put({'b': (2, 'y')})"), "2")
        self.assertEqual(python("SharedRdd('%s').get_all(['a', 'b'])" % reopened("old_pairs", 2)), "{'a': (1, 'x'), 'b': (2, 'y')}")

    def test_the_types_of_scala_come_back(self):
        scala("""
            import java.util.UUID
            case class Point(x: Int, y: Int)
            val kinds = Seq[Any](1, 2L, 3.toShort, 4.toByte, 1.5f, 2.5, 'c', BigInt(7), BigDecimal("1.50"), Some(1), None, List(1), Vector(1), Set(1), Map(1 -> "a"), (1, 2L),
              UUID.fromString("00000000-0000-0000-0000-000000000001"), java.time.LocalTime.NOON, java.time.Period.ofDays(2), java.net.URI.create("a:b"), "text")
            val ofScala = ShareableRdd(sc.parallelize(kinds.zipWithIndex.map(_.swap)), "of_scala", durable = true)
            ShareableRdd(sc.parallelize(Seq("a" -> 1, "b" -> 2)), "ints", durable = true)
            ShareableRdd(sc.parallelize(Seq("a" -> Point(1, 2))), "points", durable = true)
            ShareableRdd(sc.parallelize(Seq("a" -> Array(1, 2))), "arrays", durable = true)
            hearth.share(Seq((1, "a", 1.5f)).toDF("i", "s", "f").rdd, "int_rows", durable = true)""")
        scala('val found = SharedRdd[Int, Any]("%s")\ndef wrong = kinds.indices.filter { i => val v = found.get(i)(i); v != kinds(i) || (v.getClass.getSimpleName.take(4) != kinds(i).getClass.getSimpleName.take(4) && !v.isInstanceOf[Map[_, _]]) }'
              % reopened("of_scala"))
        self.assertIn("()", scala("println(wrong.mkString(\"(\", \", \", \")\"))"))
        self.assertIn("= 3", scala('val ints = SharedRdd[String, Int]("%s")\nints.get("a")("a") + ints.get("b")("b")' % reopened("ints")))
        self.assertIn("= 3", scala('SharedRdd[String, Array[Int]]("%s").get("a")("a").sum' % reopened("arrays")))
        self.assertIn("(int,string,float)", scala('hearth.df("%s").dtypes.map(_._2.toLowerCase.replace("type", "").replace("integer", "int")).mkString("(", ",", ")")' % reopened("int_rows")))
        points = reopened("points")
        self.assertEqual(python("p = SharedRdd('%s')\np.get('a'), p.put({'b': {'x': 3, 'y': 4}}), p.df().orderBy('key').collect()[1].value" % points), "({'a': {'x': 1, 'y': 2}}, 2, Row(x=3, y=4))")


class Puts(unittest.TestCase):
    def setUp(self):
        python("numbers = ShareableRdd(sc.parallelize([('a', 1), ('b', 2)]), 'numbers', durable=True)\nversion = numbers.version")
        self.version = int(python("version"))

    def nothing_has_changed(self):
        self.assertEqual(python("numbers.version - version, sorted(numbers.take(9)), numbers.df().count(), spark.sql('select sum(value) from global_temp.numbers').head()[0]"),
                         "(0, [('a', 1), ('b', 2)], 2, 3)")

    def test_what_does_not_fit_into_the_columns_is_refused(self):
        for value, kind in (("'x'", "string"), ("2.5", "double"), ("[1]", "array<bigint>"), ("{'x': 1}", "map<string,bigint>"), ("True", "boolean"), ("2 ** 64", "decimal(38,0)"),
                            ("(1, 'a')", "struct<_1:bigint,_2:string>")):
            code, text = refused("numbers.put({'c': 3, 'a': %s})" % value)
            self.assertEqual(code, "bad_value")
            self.assertIn("(of type %s) does not fit into the column `value` of type bigint" % kind, text)
        answer = ask("put", "numbers", entries=[["c", "x"]])
        self.assertEqual((answer["result"], answer["error"]["code"]), (None, "bad_value"))
        self.nothing_has_changed()
        # What comes after it is written as ever.
        self.assertEqual(int(python("numbers.put({'a': None, 'c': -3})")), self.version + 1)
        self.assertEqual(differences_of(reopened("numbers", self.version + 1)), "[('a', None), ('b', 2), ('c', -3)]")

    def test_what_cannot_be_sent_to_the_executors_is_refused(self):
        scala('val lists = ShareableRdd(sc.parallelize(Seq("a" -> (Seq(1): Iterable[Int]))), "lists")\nclass Odd(val n: Int) extends Serializable\nclass Even(n: Int) extends Odd(n) { val thread = new Thread }\n'
              'val odd = ShareableRdd(sc.parallelize(Seq(1 -> new Odd(1))), "odd")')
        self.assertIn("is not serializable", error('lists.put("b" -> new Iterable[Int] { def iterator = Iterator(1) })', SCALA))
        self.assertIn("is not serializable", error("odd.put(2 -> new Even(2))", SCALA))
        self.assertIn("(1,1,2,2)", scala('lists.put("b" -> List(1)); odd.put(2 -> new Odd(2)); println((lists.count - 1, lists.df.count - 1, odd.count, odd.version))'))

    def test_what_has_parts_fits_by_them(self):
        scala('case class Person(name: String, age: Int)\nval people = ShareableRdd(sc.parallelize(Seq("ann" -> Person("Ann", 30))), "people")')
        python("people, places = SharedRdd('people'), ShareableRdd(sc.parallelize([('a', (1, 'x'))]), 'places')")
        self.assertIsNone(ask("put", "people", entries=[["bob", {"name": "Bob", "age": 31}], ["eve", {"name": "Eve"}]])["error"])
        self.assertEqual(python("people.df().filter('key = \"bob\"').head().value, people.get('bob')"), "(Row(name='Bob', age=31), {'bob': {'name': 'Bob', 'age': 31}})")
        self.assertIsNone(ask("put", "places", entries=[["b", [2, "y"]]])["error"])
        self.assertEqual(python("places.df().filter('key = \"b\"').head().value"), "Row(_1=2, _2='y')")
        for name, value in (("people", {"name": "Bob", "nickname": "B"}), ("places", [1]), ("places", [1, "x", 2]), ("places", ["x", 1])):
            self.assertEqual(ask("put", name, entries=[["c", value]])["error"]["code"], "bad_value", value)

    def test_keys_fit_into_their_column_too(self):
        python("parts = ShareableRdd(sc.parallelize([((1, 'a'), 1)]), 'parts')")
        for key in ("(1.5, 'a')", "(1, 'a', 2)", "(1,)", "('a', 'a')"):
            self.assertEqual(refused("parts.put({%s: 1})" % key)[0], "bad_key", key)
        self.assertEqual(python("parts.put({(2, 'b'): 2}), parts.df().count()"), "(2, 2)")

    def test_texts_take_anything_that_has_a_text(self):
        python("texts = ShareableRdd(sc.parallelize([('a', 'x')]), 'texts')\nv = texts.put({'b': 1, 'c': {'d': [None]}, 'e': date(2020, 1, 2), 'f': timedelta(1)})")
        self.assertEqual(python("sorted((r.key, r.value) for r in texts.df().collect())"), str([("a", "x"), ("b", "1"), ("c", '{"d":[null]}'), ("e", "2020-01-02"), ("f", "PT24H")]))

    def test_large_numbers_fit_or_are_text(self):
        python("sums = ShareableRdd(sc.parallelize([(1, Decimal('1.5'))]), 'sums')\nhuge = ShareableRdd(sc.parallelize([(1, 2 ** 200)]), 'huge')")
        self.assertEqual(python("sums.put({2: Decimal('-2.25'), 3: 7}), str(sums.df().selectExpr('sum(value)').head()[0])[:4], huge.df().head().value == str(2 ** 200)"), "(2, '6.25', True)")
        self.assertEqual(refused("sums.put({4: 10 ** 30})")[0], "bad_value")
        self.assertEqual(python("sums.df().count()"), "3")


def differences_of(name):
    return python("sorted(SharedRdd('%s').take(9))" % name)


class Keys(unittest.TestCase):
    # Of each kind, as Python, Scala and JSON write them.
    KEYS = {
        "long": [("-1", "-1", -1), ("0", "0L", 0), ("2 ** 53 + 1", "9007199254740993L", 2 ** 53 + 1), ("-2 ** 63", "Long.MinValue", -2 ** 63)],
        "double": [("-0.0", "0.0", 0.0), ("-1.5", "-1.5", -1.5), ("1e300", "1e300", 1e300), ("float(3)", "3", 3)],
        "boolean": [("True", "true", True), ("False", "false", False)],
        "string": [("''", '""', ""), ("'e\\u0301'", '"e\\u0301"', "e\u0301"), ("'\\xe9'", '"\\u00e9"', "\xe9"), ("'\\U0001f600'", '"\\ud83d\\ude00"', "\U0001f600")],
        "binary": [("b''", "Array[Byte]()", {"$binary": ""}), ("bytearray(b'\\x00\\xff')", "Array[Byte](0, -1)", {"$binary": "AP8="})],
        "tuple": [("(-1, 'a', -0.0)", '(-1, "a", 0.0)', [-1, "a", 0.0]), ("(1, 'b', 2.5)", '(1L, "b", 2.5)', [1, "b", 2.5])],
        "nested": [("((True, b'x'), 1)", "((true, Array[Byte](120)), 1L)", [[True, {"$binary": "eA=="}], 1])],
    }

    def test_one_key_in_every_language(self):
        for kind, keys in self.KEYS.items():
            name = "keys_" + kind
            python("written = ShareableRdd(sc.parallelize([(%s, 'python') for _ in range(3)], 3).union(sc.parallelize([%s])), '%s')"
                   % (keys[0][0], ", ".join("(%s, 'python')" % key for key, _, _ in keys), name))
            scala('val written = SharedRdd[Any, String]("%s")' % name)
            for there, scalas, json in keys:
                self.assertEqual(python("list(written.get(%s).values())" % there), "['python']", (kind, there))
                self.assertIn("python", scala("println(written.get(%s).values.mkString)" % scalas), (kind, there))
                self.assertEqual([entry["value"] for entry in ask("get", name, keys=[json])["result"]["entries"]], ["python"], (kind, there))
                scala('written.put((%s: Any) -> "scala")' % scalas)
                self.assertEqual(python("list(written.get(%s).values())" % there), "['scala']", (kind, there))
                self.assertIsNone(ask("put", name, entries=[[json, "json"]])["error"], (kind, there))
                self.assertEqual(python("list(written.get(%s).values())" % there), "['json']", (kind, there))
                if "bytearray" not in there:
                    python("v = written.put({%s: 'python'})" % there)
                    self.assertEqual([entry["value"] for entry in ask("get", name, keys=[json])["result"]["entries"]], ["python"], (kind, there))
            self.assertEqual(int(python("written.count()")), len(keys), kind)
            self.assertIsNone(ask("delete", name, keys=[json for _, _, json in keys])["error"])
            self.assertEqual(python("written.count()"), "0", kind)

    def test_what_is_not_the_same_key(self):
        python("longs, doubles, texts = ShareableRdd(sc.parallelize([(1, 1)])), ShareableRdd(sc.parallelize([(1.5, 1)])), ShareableRdd(sc.parallelize([('a', 1)]))")
        self.assertEqual(refused("longs.get(True)")[0], "bad_key")
        # The double beside it is another number.
        self.assertEqual(refused("doubles.put({2 ** 53 + 1: 1})")[0], "bad_key")
        self.assertEqual(python("doubles.put({2 ** 53: 1}), doubles.get(2.0 ** 53)"), "(2, {9007199254740992.0: 1})")
        for key in ("'\\ud800'", "'a\\udfff'"):
            for call in ("texts.put({%s: 1})", "texts.get(%s)", "texts.delete(%s)"):
                self.assertEqual(refused(call % key)[0], "bad_key", call % key)
        self.assertEqual(refused("ShareableRdd(sc.parallelize([('\\ud800', 1), ('\\ud801', 2)]), 'no_key')")[0], "bad_value")
        for key in ("float('nan')", "(1, float('nan'))", "(None,)", "()", "tuple(range(23))", "frozenset()", "2 ** 64", "Row(a=1)", "date(2020, 1, 2)"):
            self.assertEqual(refused("ShareableRdd(sc.parallelize([(%s, 1)]), 'no_key').count()" % key)[0], "bad_key", key)


if __name__ == "__main__":
    unittest.main()
