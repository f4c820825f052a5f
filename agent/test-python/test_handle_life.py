"""How handles are opened and freed, and what a cancel stops, on a real Spark."""

import base64
import os
import shutil
import tempfile
import unittest
import uuid

from door import Door, refusal
from spark_driver import PATIENCE, SparkDriver, eventually

DRIVER = None
DOOR = None
# The handle store.
STORE = None
# Sessions.
MINE, OTHER, THIRD, SCALA = 1, 2, 3, 4


def setUpModule():
    global DRIVER, DOOR, STORE
    STORE = tempfile.mkdtemp()
    DOOR = Door()
    DRIVER = SparkDriver(gateway=DOOR.address)
    sweep([])
    for session in (MINE, OTHER, THIRD):
        DRIVER.open(session)
    DRIVER.open(SCALA, "spark")


def tearDownModule():
    code = DRIVER.close()
    DOOR.close()
    shutil.rmtree(STORE)
    assert code == 0, code


def python(code, session=MINE):
    return DRIVER.text(code, session=session)


def error(code, session=MINE):
    output = DRIVER.run(code, session=session)
    assert output["status"] == "error", output
    return output["evalue"]


def ends(count):
    """The outputs of statements that run at the same time, by their numbers."""
    done = [DRIVER.receive("done") for _ in range(count)]
    return {found["id"]: found["output"] for found in done}


def said(name, state):
    """What has been told of a handle so far."""
    return [m["body"] for m in DRIVER.link if m["tag"] == "handle" and m["body"]["name"] == name and m["body"]["state"] == state]


def sweep(durable):
    """Tells the agent of the store, and waits until it has swept it."""
    left = os.path.join(STORE, "left", "behind")
    os.makedirs(left)
    DRIVER.message("handles", store=STORE, durable=durable)
    eventually(lambda: not os.path.exists(left))


def durable(name, path, **more):
    """A handle of an earlier application, as the agent is told of it."""
    return dict({
        "name": name, "kind": "dataframe", "version": 4, "path": path, "columns": [{"name": "id", "type": "bigint", "class": "number"}],
        "key": None, "storage": "NONE", "ttl_ms": None}, **more)


def earlier(name):
    """Has the agent told of such a handle with three rows, and returns where it is written."""
    path = os.path.join(DRIVER.folder, name)
    python("spark.range(3).write.parquet(%r)" % path)
    DRIVER.message("handles", store=None, durable=[durable(name, path)])
    return path


def ask(op, name, **more):
    """Has something asked of a handle, and returns the request."""
    id = str(uuid.uuid4())
    DRIVER.message("handle_request", request=id, op=op, name=name, **more)
    return id


def answer(id):
    return DRIVER.told("handle_answer", lambda body: body["request"] == id)["body"]


def open_stream(name):
    id = str(uuid.uuid4())
    DRIVER.message("open_stream", stream=id, name=name, format="csv")
    return id


def cancel(id):
    DRIVER.message("cancel_request", request=id)


# Jobs of others than the statement that asks.
JOBS = "len(sc.statusTracker().getActiveJobsIds())"


class Opening(unittest.TestCase):
    """Of durable handles of earlier applications."""

    def test_a_cancel_of_the_first_reader_is_nobody_else_s_business(self):
        earlier("first_read")
        flag = os.path.join(DRIVER.folder, "flag")
        # Both cores are taken, so that opening waits.
        DRIVER.begin("import os, time\ndef busy(_):\n    while not os.path.exists(%r): time.sleep(0.02)\nsc.parallelize(range(2), 2).foreach(busy)" % flag, session=THIRD)
        eventually(lambda: python(JOBS) == "1")
        DRIVER.begin("hearth.df('first_read').count()", session=OTHER)
        cancelled = DRIVER.number
        eventually(lambda: python(JOBS) == "2")
        DRIVER.begin("print('waiting', flush=True)\nhearth.df('first_read').count()")
        waiting = DRIVER.number
        DRIVER.receive("output")
        DRIVER.send("cancel", session=OTHER)
        self.assertEqual(ends(1)[cancelled]["ename"], "KeyboardInterrupt")
        open(flag, "w").close()
        self.assertEqual(ends(2)[waiting].get("data"), {"text/plain": "waiting\n3"})
        self.assertEqual((python("hearth.df('first_read').count()", OTHER), said("first_read", "lost")), ("3", []))

    def test_what_is_lost_is_ready_when_it_is_there_again(self):
        path = earlier("came_back")
        os.rename(path, path + "-away")
        for _ in range(2):
            self.assertIn("are lost", error("hearth.df('came_back')"))
        self.assertEqual(len(said("came_back", "lost")), 1)
        os.rename(path + "-away", path)
        self.assertEqual(python("hearth.df('came_back').count()"), "3")
        ready = DRIVER.told("handle", lambda body: body["name"] == "came_back" and body["state"] == "ready")["body"]
        self.assertEqual((ready["version"], ready["durable"]), (4, {"path": path, "version": 4}))

    def test_a_store_that_does_not_answer_loses_nothing(self):
        DRIVER.message("handles", store=None, durable=[durable("unknown", "nowhere://host/unknown/first")])
        self.assertIn("cannot be opened now, try again", error("hearth.df('unknown')"))
        self.assertEqual(said("unknown", "lost"), [])

    def test_what_is_told_again_costs_no_file(self):
        first = os.path.join(STORE, "told_again", "first")
        python("spark.createDataFrame([('a', 1), ('b', 2)], 'key string, value long').write.parquet(%r)" % first)
        columns = [{"name": "key", "type": "string", "class": "text"}, {"name": "value", "type": "bigint", "class": "number"}]
        sweep([durable("told_again", first, kind="pairs", key="string", columns=columns)])
        self.assertEqual(python("again = SharedRdd('told_again')\nagain.put({'c': 3})"), "5")
        second = DRIVER.told("handle", lambda body: body["name"] == "told_again" and body["durable"]["version"] == 5)["body"]["durable"]["path"]
        # The link was lost, and no session is open. One sweep is over when the next one has found something.
        for _ in range(2):
            sweep([durable("told_again", second, kind="pairs", key="string", columns=columns)])
        self.assertTrue(os.path.exists(first))
        self.assertEqual(python("again.get_all(['a', 'c'])"), "{'a': 1, 'c': 3}")
        python("again.unshare()")
        eventually(lambda: not os.path.exists(first) and not os.path.exists(second))

    def test_what_is_told_again_brings_nothing_back(self):
        path = earlier("brought_back")
        self.assertEqual(python("n = hearth.df('brought_back').count()\nhearth.unshare('brought_back')\nn"), "3")
        DRIVER.message("handles", store=None, durable=[durable("brought_back", path)])
        self.assertIn("there is no handle brought_back", error("hearth.df('brought_back')"))


class Sharing(unittest.TestCase):
    """Of data that is shared already: what is cached stays so until the last that has it is gone."""

    def both_ways(self, kind, make, count):
        before = set(DRIVER.cached())
        python("data = %s\nfor n in range(3): hearth.share(data, 'twice', force=True)" % make)
        shared = set(DRIVER.cached()) - before
        self.assertEqual(len(shared), 1)
        self.assertEqual(python("[(h['kind'], h['version'], h['cached_fraction']) for h in hearth.handles() if h['name'] == 'twice']"), "[(%r, 3, 1.0)]" % kind)
        for order in (("twice", "too"), ("too", "twice")):
            python("for name in ('twice', 'too'): hearth.share(data, name)")
            python("hearth.unshare(%r)" % order[0])
            self.assertEqual((set(DRIVER.cached()) - before, python(count % order[1])), (shared, "8"))
        python("import gc\nhearth.unshare('twice')\ngc.collect()")
        eventually(lambda: set(DRIVER.cached(collect=True)) <= before)

    def test_a_frame(self):
        self.both_ways("dataframe", "spark.range(8).selectExpr('id as shared_again')", "hearth.df(%r).count()")

    def test_an_rdd(self):
        self.both_ways("rdd", "sc.parallelize(range(8), 2)", "hearth.shared(%r).count()")

    def test_one_that_is_not_kept_for_a_handle_holds_nothing(self):
        before = set(DRIVER.cached())
        python("data = spark.range(8).selectExpr('id as held_by_none')\nhearth.share(data, 'keeps', force=True)\nhearth.share(data, 'keeps_not', storage='NONE')\nhearth.unshare('keeps')")
        eventually(lambda: set(DRIVER.cached()) <= before)
        self.assertEqual(python("hearth.df('keeps_not').count()"), "8")


class Cancelling(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        python("import time\nhearth.share(spark.range(3), 'small', storage='NONE')\n"
               "hearth.share(spark.createDataFrame(sc.parallelize(range(2), 2).map(lambda i: (time.sleep(600),)), 'i int'), 'blocked', storage='NONE')")

    def setUp(self):
        # The end of a stream is known here before the agent knows it.
        idle = ('println(!Thread.getAllStackTraces.values.toArray.exists(_.asInstanceOf[Array[StackTraceElement]]'
                '.exists(_.getClassName.startsWith("hearth.agent.handle.Streams"))))')
        eventually(lambda: DRIVER.text(idle, session=SCALA).strip() == "true")

    def small(self):
        """A stream that goes through, after all that were dialled for before."""
        wanted = open_stream("small")
        id, _, body, whole = DOOR.streams.get(timeout=PATIENCE)
        self.assertEqual((id, body, whole), (wanted, b"id\r\n0\r\n1\r\n2\r\n", True))

    def test_streams_before_their_first_byte(self):
        ids = [open_stream("blocked") for _ in range(16)]
        refused = open_stream("small")
        id, headers, _, _ = DOOR.streams.get(timeout=PATIENCE)
        self.assertEqual(id, refused)
        self.assertIn("are under way already", refusal(headers)["message"])
        # Those that wait first, so that none of them gets to begin.
        for id in reversed(ids):
            cancel(id)
        self.small()
        eventually(lambda: python(JOBS) == "0")

    def test_a_stream_that_waits_for_others(self):
        ids = [open_stream("blocked") for _ in range(16)]
        cancel(ids[-1])
        last = open_stream("small")
        for id in ids[:-1]:
            cancel(id)
        id, _, body, _ = DOOR.streams.get(timeout=PATIENCE)
        self.assertEqual((id, len(body)), (last, 13))

    def test_puts_that_wait_for_room(self):
        flag = os.path.join(DRIVER.folder, "room")
        open(flag, "w").close()
        # It is merged when the flag is there again.
        said = DRIVER.text("""
            val room = math.min(256L * 1024 * 1024, Runtime.getRuntime.maxMemory / 8).toInt
            def held(e: (Int, Array[Byte])) = { while (!new java.io.File("%s").exists) Thread.sleep(20); e }
            val full = ShareableRdd(sc.parallelize(Seq(-1 -> Array[Byte](1)), 1).map(held), "full")
            new java.io.File("%s").delete()
            val piece = room / 64
            (0 until 63).foreach(i => full.put(i -> new Array[Byte](piece - 1000)))
            full.put(63 -> new Array[Byte](piece - 10000))
            println(full.version)""" % (flag, flag), session=SCALA)
        version = int(said.strip().splitlines()[-1])
        piece = {"$binary": base64.b64encode(bytes(100000)).decode()}
        puts = [ask("put", "full", entries=[[1000 + i, piece]]) for i in range(8)]
        self.assertEqual(answer(ask("count", "small"))["result"]["count"], 3)
        for id in puts:
            cancel(id)
        self.assertEqual([answer(id)["error"]["code"] for id in puts], ["cancelled"] * 8)
        open(flag, "w").close()
        found = answer(ask("get", "full", keys=[-1] + list(range(1000, 1008))))["result"]
        self.assertEqual(found, {"version": version, "entries": [{"key": -1, "value": {"$binary": "AQ=="}}]})
        self.assertEqual(answer(ask("unshare", "full"))["error"], None)


class Reading(unittest.TestCase):
    """A version of a frame stays as it is as long as something that was made of it is in use."""

    def kept_by(self, make):
        """What is made of the first version keeps that cached after the handle is gone; then it is freed."""
        before = set(DRIVER.cached())
        python("import gc\nhearth.share(spark.range(9).selectExpr('id as read_%d'), 'read', force=True)" % DRIVER.number)
        first = set(DRIVER.cached()) - before
        self.assertEqual(len(first), 1)
        python(make + "\nn = gc.collect()")
        self.assertEqual(python("'InMemoryTableScan' in derived._jdf.queryExecution().executedPlan().toString()"), "True")
        python("hearth.share(spark.range(3), 'read', storage='NONE')")
        for _ in range(3):
            self.assertLessEqual(first, set(DRIVER.cached(collect=True)))
        self.assertEqual(python("n = derived.count(), hearth.df('read').count()\ngc.collect()\nn"), "(6, 3)")
        python("hearth.unshare('read')")
        self.assertLessEqual(first, set(DRIVER.cached(collect=True)))
        python("del derived\nn = gc.collect()")
        eventually(lambda: not first & set(DRIVER.cached(collect=True)))

    def test_what_is_made_of_a_frame(self):
        self.kept_by("derived = (lambda df: df.filter(df[0] > 2).select('*').limit(100))(hearth.df('read'))")

    def test_what_is_joined_with_itself(self):
        self.kept_by("derived = (lambda a, b: a.join(b, a.columns).filter(a[0] > 2))(hearth.df('read'), hearth.df('read'))")

    def test_what_sql_makes_of_it(self):
        self.kept_by("derived = (lambda df: df.filter(df[0] > 2))(spark.sql('select * from global_temp.read'))")

    def test_what_sql_asks_of_it_within(self):
        self.kept_by("name = hearth.df('read').columns[0]\n"
                     "derived = spark.sql('select id from range(100) where id in (select %s from global_temp.read where %s > 2)' % (name, name))")

    def test_versions_that_are_asked_of_within_each_other_do_not_pile_up(self):
        before = set(DRIVER.cached())
        python("import gc\nhearth.share(spark.range(11).selectExpr('id as within'), 'within', force=True)\n"
               "for n in range(3):\n"
               "    hearth.share(spark.sql('select id as within from range(11) where id in (select within from global_temp.within)'), 'within', force=True)\nn = gc.collect()")
        eventually(lambda: len(set(DRIVER.cached(collect=True)) - before) == 1)
        self.assertEqual(python("n = hearth.df('within').count()\nhearth.unshare('within')\ngc.collect()\nn"), "11")
        eventually(lambda: set(DRIVER.cached(collect=True)) <= before)

    def test_files_of_a_durable_handle(self):
        path = os.path.join(STORE, "read_files", "first")
        python("import gc\nspark.range(9).write.parquet(%r)" % path)
        DRIVER.message("handles", store=None, durable=[durable("read_files", path)])
        python("derived = hearth.df('read_files').filter('id > 2')\nhearth.share(derived.limit(4), 'of_files')\nhearth.unshare('read_files')\nn = gc.collect()")
        for _ in range(3):
            DRIVER.cached(collect=True)
        self.assertEqual(python("n = derived.count()\ndel derived\ngc.collect()\nn"), "6")
        # A handle that was made of it needs the files as well.
        for _ in range(3):
            DRIVER.cached(collect=True)
        self.assertEqual(python("hearth.df('of_files').count()"), "4")
        python("hearth.unshare('of_files')\nn = gc.collect()")

        def gone():
            DRIVER.cached(collect=True)
            return not os.path.exists(path)

        eventually(gone)

    def test_versions_that_are_made_of_each_other_do_not_pile_up(self):
        before = set(DRIVER.cached())
        python("import gc\nhearth.share(spark.range(9).selectExpr('id as piled'), 'piled', force=True)\n"
               "for source in (\"hearth.df('piled')\", \"spark.table('global_temp.piled')\") * 2:\n"
               "    hearth.share(eval(source).selectExpr('piled + 1 as piled'), 'piled', force=True)\nn = gc.collect()")
        eventually(lambda: len(set(DRIVER.cached(collect=True)) - before) == 1)
        self.assertEqual(python("n = hearth.df('piled').head()[0]\nhearth.unshare('piled')\ngc.collect()\nn"), "4")
        eventually(lambda: set(DRIVER.cached(collect=True)) <= before)


class Merging(unittest.TestCase):
    """Of what is put again and again: what has been overwritten takes no room."""

    @classmethod
    def setUpClass(cls):
        # Of the index: the sets of changes over its base, and what the base is; nothing while it is merged.
        DRIVER.text("""
            import _root_.hearth.agent.handle.{Handles, MergedIndex, PairContent}
            def merged(name: String): String = Handles.here(name).opened match {
              case Some(content: PairContent) if content.overlay.isEmpty => content.index match {
                case index: MergedIndex =>
                  val all = classOf[MergedIndex].getDeclaredFields.find(_.getName.endsWith("all")).get
                  all.setAccessible(true)
                  s"${all.get(index).asInstanceOf[Seq[_]].size} ${index.dependencies.head.rdd.getClass.getSimpleName}"
                case source => s"0 ${source.getClass.getSimpleName}"
              }
              case _ => ""
            }""", session=SCALA)

    def rounds(self, name, count, put):
        """Puts that many times, and returns what became of the index each time."""
        found = []
        for n in range(1, count + 1):
            DRIVER.text(put % n, session=SCALA)
            eventually(lambda: self.merged(name))
            found.append(self.merged(name))
        return found

    def merged(self, name):
        return DRIVER.text('println(merged("%s"))' % name, session=SCALA).strip()

    def test_an_old_handle_holds_no_data(self):
        DRIVER.text("""
            def fresh(n: Int) = ShareableRdd(sc.parallelize(Seq(0 -> n), 1), "replaced", storage = "NONE")
            fresh(0)
            val old = Handles.here("replaced")
            val data = (1 to 3).map { n =>
              val held = new java.lang.ref.WeakReference[AnyRef](Handles.here("replaced").opened.get)
              fresh(n)
              held
            }""", session=SCALA)
        eventually(lambda: DRIVER.text("System.gc()\nprintln(data.forall(_.get == null))", session=SCALA).strip() == "true")
        self.assertEqual(DRIVER.text('println((old.reading(_.number), Handles.here("replaced").version))', session=SCALA).strip(), "(4,4)")
        DRIVER.text('hearth.unshare("replaced")', session=SCALA)

    def test_many_entries(self):
        DRIVER.text('val many = ShareableRdd(sc.parallelize(Seq("k0" -> "")), "many")', session=SCALA)
        found = self.rounds("many", 7, 'many.put((0 until 25000).map(i => s"k$i" -> s"${"%d" * 400}$i"): _*)')
        self.assertEqual({line.split()[0] for line in found}, {"1"}, found)
        DRIVER.text("many.unshare()", session=SCALA)

    def test_large_entries(self):
        folder = os.path.join(STORE, "merged-indexes")
        DRIVER.text('val large = ShareableRdd(sc.parallelize(Seq("k0" -> Array[Byte](0)), 2), "large")', session=SCALA)
        found = self.rounds("large", 7, 'large.put((0 until 8).map(i => s"k$i" -> Array.fill(5000000)(%d.toByte)): _*)')
        self.assertTrue(all(int(line.split()[0]) <= 4 for line in found), found)
        self.assertTrue(found[-1].endswith("ReliableCheckpointRDD"), found)
        # The handle store is swept, and all that is cached is lost: it is made anew of what was written and the changes after that.
        sweep([])
        DRIVER.text('Handles.here("large").opened.get.asInstanceOf[PairContent].index.unpersist(true)', session=SCALA)
        told = DRIVER.text('println((large.count(), large.getAll((0 until 8).map(i => s"k$i")).values.map(v => (v.length, v(0))).toSet))', session=SCALA)
        self.assertEqual(told.strip(), "(8,Set((5000000,7)))")
        self.assertEqual(len(os.listdir(folder)), 1)
        DRIVER.text("large.unshare()", session=SCALA)
        eventually(lambda: not os.listdir(folder))


if __name__ == "__main__":
    unittest.main()
