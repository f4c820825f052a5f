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


if __name__ == "__main__":
    unittest.main()
