"""Handles on a real Spark: sessions of three languages in one context."""

import unittest

from spark_driver import SparkDriver, eventually

DRIVER = None
# Sessions.
PYTHON, SCALA, SQL, OTHER = 1, 2, 3, 4


def setUpModule():
    global DRIVER
    DRIVER = SparkDriver()
    for session, kind in ((PYTHON, "pyspark"), (SCALA, "spark"), (SQL, "sql"), (OTHER, "pyspark")):
        DRIVER.open(session, kind)


def tearDownModule():
    code = DRIVER.close()
    assert code == 0, code


def python(code, session=PYTHON):
    return DRIVER.text(code, session=session)


def scala(code):
    """The value of the last line, as its text."""
    return DRIVER.text(code, session=SCALA).strip()


def sql(query):
    output = DRIVER.run(query, session=SQL)
    assert output["status"] == "ok", output
    return output["data"]["application/json"]["data"]


def error(code, session=PYTHON):
    output = DRIVER.run(code, session=session)
    assert output["status"] == "error", output
    return output["evalue"]


def cached(collect=False):
    return DRIVER.cached(collect)


class Frames(unittest.TestCase):
    def test_all_sessions_see_a_frame(self):
        python("spark.range(3).createOrReplaceTempView('mine')\nhearth.share(spark.sql('select id, id * 2 as double from mine'), 'frame')")
        self.assertEqual(python("hearth.df('frame').count(), hearth.shared('frame').columns", OTHER), "(3, ['id', 'double'])")
        self.assertIn("= 6", scala('hearth.df("frame").agg(Map("double" -> "sum")).head.getLong(0)'))
        self.assertEqual(sql("select double from global_temp.frame order by id"), [[0], [2], [4]])

    def test_conf_of_the_maker_holds_for_its_frame(self):
        python("spark.conf.set('spark.sql.session.timeZone', 'Asia/Tokyo')\nhearth.share(spark.sql(\"select hour(timestamp'2020-01-01 00:00:00Z') as h\"), 'tokyo')\n"
               "spark.conf.unset('spark.sql.session.timeZone')")
        self.assertEqual(python("hearth.df('tokyo').head()[0]", OTHER), "9")

    def test_a_case_class_dataset_is_a_frame_to_python(self):
        scala('case class Person(name: String, age: Int)\nhearth.share(Seq(Person("ann", 30)).toDS, "people")')
        self.assertEqual(python("hearth.shared('people').collect()"), "[Row(name='ann', age=30)]")

    def test_force_and_storage(self):
        python("hearth.share(spark.range(5), 'forced', storage='DISK_ONLY', force=True)")
        found = eval(python("[h for h in hearth.handles() if h['name'] == 'forced'][0]"))
        self.assertEqual((found["storage"], found["cached_fraction"], found["memory_bytes"]), ("DISK_ONLY", 1.0, 0))
        self.assertGreater(found["disk_bytes"], 0)
        self.assertIn("is no storage level", error("hearth.share(spark.range(5), 'x', storage='SLOWLY')"))

    def test_an_old_version_is_freed_when_its_last_reader_leaves(self):
        before = set(cached())
        python("hearth.share(spark.range(7).selectExpr('id as a'), 'swapped', force=True)")
        first = set(cached()) - before
        self.assertEqual(len(first), 1)
        python("held = hearth.df('swapped')", OTHER)
        python("hearth.share(spark.range(8).selectExpr('id as b'), 'swapped', force=True)")
        self.assertLessEqual(first, set(cached()))
        self.assertEqual(python("held.count(), held.columns, hearth.df('swapped').columns", OTHER), "(7, ['a'], ['b'])")
        python("import gc\ndel held\ngc.collect()", OTHER)
        eventually(lambda: not first & set(cached(collect=True)))
        python("hearth.unshare('swapped')")
        eventually(lambda: not set(cached()) - before)
        self.assertIn("there is no handle swapped", error("hearth.df('swapped')", OTHER))
        self.assertIn("cannot be found", error("select * from global_temp.swapped", SQL))

    def test_what_was_cached_by_its_maker_stays_so(self):
        python("own = spark.range(9).selectExpr('id + 1 as own').persist()\nn = own.count()\nhearth.share(own, 'own')\nhearth.unshare('own')")
        self.assertEqual(python("own.storageLevel.useMemory"), "True")
        python("own = own.unpersist()")


class Values(unittest.TestCase):
    def test_a_value_goes_to_all_languages(self):
        code = "import datetime\nvalue = {'a': (1, 2.5, None, b'x', [True], {3}), 'at': datetime.datetime(2020, 1, 2, 3, 4, 5), 'big': 2 ** 70}\n"
        self.assertEqual(python(code + "hearth.share(value, 'value')\nhearth.shared('value') == value"), "True")
        self.assertEqual(python("hearth.shared('value')['a']", OTHER), "(1, 2.5, None, b'x', [True], {3})")
        self.assertIn("= (1,2.5,null", scala('hearth.value[Map[String, Any]]("value")("a")'))
        scala('hearth.share(Map("k" -> Seq(Some(1), None), "t" -> (1, "b")), "from_scala")')
        self.assertEqual(python("hearth.shared('from_scala')"), "{'k': [1, None], 't': (1, 'b')}")

    def test_what_cannot_cross_says_so(self):
        for code in ("hearth.share(Own(), 'no')", "ShareableRdd(sc.parallelize([(1, Own())]), 'no')"):
            self.assertIn("cannot go from one language to another: make it of", error("class Own: pass\n" + code))
        self.assertIn("cannot go from one language", error('hearth.share(new Thread, "no")', SCALA))

    def test_names_that_differ_by_case_alone(self):
        python("hearth.share(spark.range(2), 'Case')")
        for code in ("hearth.share(1, 'case')", "hearth.getOrElseCreate('CASE', lambda: made.append(1))"):
            text = error("made = []\n" + code)
            self.assertIn("there is a handle Case, and SQL would know", text)
            self.assertIn("take another name, or unshare Case first", text)
        self.assertEqual(python("made, hearth.shared('Case').count(), hearth.getOrElseCreate('Case', lambda: 1).count()"), "([], 2, 2)")
        self.assertEqual(sql("select count(*) from global_temp.case"), [[2]])
        self.assertEqual(python("hearth.unshare('Case')\nhearth.share(1, 'case')\nhearth.shared('case')"), "1")
        python("hearth.unshare('case')")

    def test_names(self):
        for name in ("a b", "1a", "a.b", "", "x" * 129):
            self.assertIn("cannot be a handle's name", error("hearth.share(1, %r)" % name))


class Rdds(unittest.TestCase):
    def test_python_s_own_objects_stay_python_s(self):
        python("class Own:\n    def __init__(self, n): self.n = n\nhearth.share(sc.parallelize([Own(1), Own(2)]), 'own_rdd')")
        self.assertEqual(python("[o.n for o in hearth.shared('own_rdd').collect()]"), "[1, 2]")
        self.assertIn("cannot go from one language", error('hearth.rdd[Any]("own_rdd").collect()', SCALA))
        self.assertIn("no columns", error("hearth.df('own_rdd')"))

    def test_elements_of_all_languages(self):
        python("from pyspark.sql import Row\nhearth.share(sc.parallelize([Row(a=1, b='x'), Row(a=2, b=None)]), 'rows')\nhearth.share(sc.parallelize([(1, 'x')]), 'tuples')")
        self.assertEqual(sql("select b, a from global_temp.rows order by a"), [["x", 1], [None, 2]])
        self.assertIn("(1,x)", scala('hearth.rdd[(Long, String)]("tuples").map(t => (t._1, t._2)).collect().mkString'))
        scala('hearth.share(sc.parallelize(Seq((1, "y"))), "from_scala_rdd")')
        self.assertEqual(python("hearth.shared('from_scala_rdd').collect()"), "[(1, 'y')]")
        self.assertEqual(sql("select * from global_temp.from_scala_rdd"), [[1, "y"]])


class Pairs(unittest.TestCase):
    def test_the_example(self):
        python('r = sc.parallelize([("ak", "Alaska"), ("ca", "California")])\nstates = ShareableRdd(r)')
        self.assertEqual(python("SharedRdd('states').get('ak'), SharedRdd('https://host:8998/sessions/101', 'states').get('no')", OTHER), "({'ak': 'Alaska'}, {})")
        self.assertIn("Map(ak -> Alaska)", scala('SharedRdd("http://host/hearth/sessions/named%201", "states").get("ak")'))
        self.assertIn("Map(ak -> Alaska)", scala('SharedRdd[String, String]("states").get("ak")'))
        self.assertEqual(python('states.put({"ny": "New York", "ak": "ALASKA"}), states.version, states.count()'), "(2, 2, 3)")
        self.assertEqual(sql("select * from global_temp.states order by key"), [["ak", "ALASKA"], ["ca", "California"], ["ny", "New York"]])
        self.assertIn("= 3", scala('SharedRdd[String, String]("states").delete("ca", "none")'))
        self.assertEqual(python("sorted(states.take(9)), sorted(states.rdd().collect()) == sorted(states.take(9)), states.df().columns"),
                         "([('ak', 'ALASKA'), ('ny', 'New York')], True, ['key', 'value'])")
        self.assertEqual(python("states.schema().simpleString()"), "'struct<key:string,value:string>'")

    def test_names_of_variables(self):
        self.assertEqual(python("at_once = ShareableRdd(sc.parallelize([(1, 2)]))\nat_once.get(1)"), "{1: 2}")
        self.assertIn("has no name yet", error("ShareableRdd(sc.parallelize([(1, 2)])).get(1)"))
        self.assertIn("Map(1 -> b)", scala('val held = ShareableRdd(sc.parallelize(Seq(1 -> "b")))\nheld.get(1)'))
        self.assertEqual(python("SharedRdd('held').get(1)"), "{1: 'b'}")
        self.assertIn("has no name yet", error('ShareableRdd(sc.parallelize(Seq(1 -> "b"))).get(1)', SCALA))

    def test_keys(self):
        for keys in ("['a', 'b']", "[1, 2 ** 40]", "[1.5, -0.0]", "[True, False]", "[b'a', b'']", "[(1, 'a'), (2, ('b', b'c'))]"):
            self.assertEqual(python("keys = %s\nk = ShareableRdd(sc.parallelize([(key, key) for key in keys]), 'k')\n"
                                    "before = k.version\nk.get_all(keys) == {key: key for key in keys}, k.put({keys[0]: keys[1]}) - before, k.get(keys[0]) == {keys[0]: keys[1]}, k.count()" % keys),
                             "(True, 1, True, 2)", keys)
        self.assertIn("Map((1,a) -> 1)", scala('ShareableRdd(sc.parallelize(Seq((1, "a") -> 1)), "tuple_keys").get((1, "a"))'))
        self.assertEqual(python("SharedRdd('tuple_keys').get((1, 'a'))"), "{(1, 'a'): 1}")
        self.assertIn("are of kind long", error("ShareableRdd(sc.parallelize([(1, 1)]), 'k').get('a')"))
        self.assertIn("a key cannot be null", error("ShareableRdd(sc.parallelize([(None, 1)]), 'k')"))
        self.assertIn("cannot be NaN", error("SharedRdd('tuple_keys').put({float('nan'): 1})"))
        self.assertIn("is no pair", error("ShareableRdd(sc.parallelize([1]), 'k')"))
        self.assertIn("has no keys", error("hearth.share(spark.range(2), 'keyless')\nSharedRdd('keyless')"))

    def test_of_several_values_of_a_key_the_last_one_holds(self):
        self.assertEqual(python("ShareableRdd(sc.parallelize([(1, i) for i in range(100)], 7), 'twice').get(1), SharedRdd('twice').count()"), "({1: 99}, 1)")

    def test_an_empty_one_takes_the_kind_of_its_first_key(self):
        self.assertEqual(python("empty = ShareableRdd(sc.parallelize([], 2))\nempty.count(), empty.get(1), empty.put({1: 'x'}), empty.get(1), empty.df().collect()"),
                         "(0, {}, 2, {1: 'x'}, [Row(key=1, value='x')])")
        self.assertIn("of kind long", error("empty.put({'a': 1})"))

    def test_a_reader_keeps_its_version(self):
        python("kept = ShareableRdd(sc.parallelize([(i, 0) for i in range(10)], 2))\nold = kept.rdd()\nversion = kept.put({0: 1})")
        self.assertEqual(python("old.lookup(0), kept.rdd().lookup(0)"), "([0], [1])")

    def test_get_is_one_task_however_much_was_put(self):
        code = ("jobs = lambda: sc._jsc.sc().statusTracker().getJobIdsForGroup(sc.getLocalProperty('spark.jobGroup.id'))\n"
                "def stages(key):\n    before = set(jobs())\n    found = big.get(key)\n    new = set(jobs()) - before\n"
                "    return found, [len(sc._jsc.sc().statusTracker().getJobInfo(j).get().stageIds()) for j in new]\n")
        python("big = ShareableRdd(sc.parallelize([(i, i) for i in range(20000)], 4), force=True)\n" + code)
        self.assertEqual(python("for i in range(10): v = big.put({i: -i})\nstages(5), stages(12345)[0]"), "(({5: -5}, []), {12345: 12345})")
        python("for i in range(10000): v = big.put({i % 100: v})")
        self.assertEqual(python("big.version, big.get(99), stages(12345)"), "(10011, {99: 10010}, ({12345: 12345}, [2]))")

    def test_changes_are_merged_and_the_old_index_is_freed(self):
        before = set(cached())
        python("merged = ShareableRdd(sc.parallelize([(i, 0) for i in range(1000)], 3), force=True)")
        first = set(cached()) - before
        for round in range(1, 12):
            python("v = merged.put({i: %d for i in range(500, 25500)})\nv = merged.delete(%d)" % (round, round))
            eventually(lambda: not first & set(cached()))
            now = set(cached()) - before
            eventually(lambda: len(set(cached()) - before) == 1)
            first = set(cached()) - before
        self.assertEqual(python("merged.count(), merged.get_all([0, 1, 500, 25499, 25500])"), "(25489, {0: 0, 500: 11, 25499: 11})")
        # Made anew without what is cached, from the source and all changes.
        lineage = int(python("r = SharedRdd('merged').rdd()\nr._jrdd.rdd().toDebugString().count('MergedIndex')"))
        self.assertEqual(lineage, 1)


class Lives(unittest.TestCase):
    def test_time_to_live(self):
        python("hearth.share(spark.range(3), 'short', ttl=0.1)")
        eventually(lambda: python("'short' in [h['name'] for h in hearth.handles()]") == "False")
        eventually(lambda: any(m["body"].get("name") == "short" and m["body"]["state"] == "gone" for m in DRIVER.link))

    def test_one_creator_among_a_hundred(self):
        code = ("import threading, time\nmade, found = [], []\ndef make():\n    made.append(1)\n    time.sleep(0.3)\n    return spark.range(%d)\n"
                "def ask(): found.append(hearth.getOrElseCreate('one', make).count())\n"
                "threads = [threading.Thread(target=ask) for _ in range(50)]\nfor t in threads: t.start()\nfor t in threads: t.join()\nlen(made), found")
        DRIVER.begin(code % 5, session=PYTHON)
        DRIVER.begin(code % 5, session=OTHER)
        outputs = [DRIVER.end(), DRIVER.end()]
        found = [eval(output["data"]["text/plain"]) for output in outputs]
        self.assertEqual(sum(made for made, _ in found), 1)
        self.assertEqual([counts for _, counts in found], [[5] * 50] * 2)

    def test_all_who_wait_get_the_creator_s_error(self):
        python("import threading, time\nfailed = []\nbegun, gate = threading.Event(), threading.Event()\ndef make():\n    begun.set()\n    gate.wait(60)\n    raise ValueError('no data')\n"
               "def ask():\n    try: hearth.getOrElseCreate('fails', make)\n    except Exception as error: failed.append(str(error))\n"
               "threads = [threading.Thread(target=ask) for _ in range(5)]\nfor t in threads: t.start()\nbegun.wait(60)\n"
               "try: hearth.getOrElseCreate('fails', make, timeout=0.1)\nexcept Exception as error: late = str(error)\n"
               "gate.set()\nfor t in threads: t.join()")
        self.assertIn("was not made within", python("late"))
        failed = eval(python("failed"))
        self.assertEqual(len(failed), 5)
        self.assertTrue(all("no data" in text for text in failed), failed)
        self.assertEqual(python("hearth.getOrElseCreate('fails', lambda: spark.range(2)).count()"), "2")
        self.assertIn("= 2", scala('hearth.getOrElseCreate("fails")(spark.range(9).toDF).count'))

    def test_what_is_created_is_kept_as_it_is_asked_for(self):
        python("n = hearth.getOrElseCreate('kept_here', lambda: spark.range(2), storage='DISK_ONLY', force=True, ttl=3600)")
        scala('hearth.getOrElseCreate("kept_there", storage = "DISK_ONLY", force = true, ttl = scala.concurrent.duration.Duration("1 h"))(spark.range(2).toDF)')
        found = eval(python("[[h[key] for key in ('storage', 'cached_fraction', 'ttl_ms')] for h in hearth.handles() if h['name'].startswith('kept_')]"))
        self.assertEqual(found, [["DISK_ONLY", 1.0, 3600000]] * 2)
        for code, session in (("hearth.getOrElseCreate('kept_not', lambda: 1, durable=True)", PYTHON), ('hearth.getOrElseCreate("kept_not", durable = true)(1)', SCALA)):
            self.assertIn("has no handle store", error(code, session))

    def test_a_creator_s_death_is_an_error_of_those_who_wait(self):
        DRIVER.begin("import os, time\nhearth.getOrElseCreate('orphan', lambda: print('go', flush=True) or time.sleep(1) or os._exit(3))", session=OTHER)
        DRIVER.receive("output")
        other = DRIVER.number
        DRIVER.begin("hearth.getOrElseCreate('orphan', lambda: spark.range(1)).count()", session=PYTHON)
        mine, outputs = DRIVER.number, {}
        for _ in range(2):
            done = DRIVER.receive("done")
            outputs[done["id"]] = done["output"]
        self.assertIn("exited with code 3", outputs[other]["evalue"])
        self.assertIn("was started anew", python("1", OTHER))
        mine = outputs[mine]
        self.assertTrue("has ended" in mine.get("evalue", "") or mine.get("data", {}).get("text/plain") == "1", mine)

    def test_handles_outlive_their_session(self):
        DRIVER.open(5)
        DRIVER.text("ShareableRdd(sc.parallelize([(1, 2)]), 'outlives')\nhearth.share(sc.parallelize([3]), 'rdd_outlives')", session=5)
        DRIVER.send("close", session=5)
        DRIVER.receive("closed")
        self.assertEqual(python("SharedRdd('outlives').get(1), hearth.shared('rdd_outlives').collect()"), "({1: 2}, [3])")

    def test_a_failing_handle_leaves_the_session_alive(self):
        python("bad = sc.parallelize(range(100), 4).map(lambda i: (i, 1 // (i - 99)))\nbad = ShareableRdd(bad, 'bad')")
        self.assertIn("ZeroDivisionError", error("bad.get(98)"))
        self.assertEqual(python("1 + 1"), "2")
        python("bad.unshare()")

    def test_a_get_can_be_cancelled(self):
        python("import time\nslow = ShareableRdd(sc.parallelize(range(100), 4).map(lambda i: (i, time.sleep(600) if i == 99 else i)), 'slow')")
        self.assertEqual(DRIVER.cancelled("print('go', flush=True)\nslow.get(1)")["ename"], "KeyboardInterrupt")
        self.assertEqual(python("1 + 1"), "2")
        python("slow.unshare()")


if __name__ == "__main__":
    unittest.main()
