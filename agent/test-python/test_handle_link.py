"""Handles from outside, by the messages of the link and the streams beside it, on a real Spark."""

import glob
import os
import tempfile
import unittest
import uuid

from door import Door, refusal
from spark_driver import PATIENCE, SparkDriver, eventually

DRIVER = None
DOOR = None
# Streams that may come or not.
CANCELLED = set()


def setUpModule():
    global DRIVER, DOOR
    DOOR = Door()
    # Less than a large partition.
    DRIVER = SparkDriver(gateway=DOOR.address, conf={"spark.driver.maxResultSize": "32m"})
    DRIVER.open(1)
    DRIVER.open(2)


def tearDownModule():
    code = DRIVER.close()
    DOOR.close()
    assert code == 0, code


def message(tag, **body):
    DRIVER.message(tag, **body)


def told(tag, matches):
    return DRIVER.told(tag, matches)


def ask(op, name, id=None, **more):
    """The answer to a request."""
    id = id or str(uuid.uuid4())
    message("handle_request", request=id, op=op, name=name, **more)
    return told("handle_answer", lambda body: body["request"] == id)["body"]


def result(op, name, **more):
    answer = ask(op, name, **more)
    assert answer["error"] is None, answer
    return answer["result"]


def stream(name, format, **more):
    """A stream's id, headers, body and whether it came whole."""
    id = str(uuid.uuid4())
    message("open_stream", stream=id, name=name, format=format, **more)
    found = DOOR.streams.get(timeout=PATIENCE)
    while found[0] in CANCELLED:
        found = DOOR.streams.get(timeout=PATIENCE)
    assert found[0] == id
    return found


def blocks():
    """What streams have left on the executors' disks."""
    return glob.glob(os.path.join(DRIVER.folder, "blockmgr-*", "*", "rdd_*"))


class Requests(unittest.TestCase):
    def setUp(self):
        DRIVER.text("states = ShareableRdd(sc.parallelize([('ak', 'Alaska'), ('ca', 'California')], 2), 'states')")
        self.version = int(DRIVER.text("states.version"))

    def test_what_is_told_of_a_handle(self):
        found = told("handle", lambda body: body["name"] == "states" and body["version"] == self.version)
        self.assertEqual((found["session"], found["statement"]), ("session-1", DRIVER.number - 1))
        uuid.UUID(found["body"].pop("share"))
        self.assertEqual(found["body"], {
            "name": "states", "kind": "pairs", "version": self.version, "state": "ready", "reason": None, "key": "string", "partitions": 2,
            "columns": [{"name": "key", "type": "string", "class": "text"}, {"name": "value", "type": "string", "class": "text"}],
            "storage": "MEMORY_AND_DISK", "ttl_ms": None, "durable": None, "shared": True})
        DRIVER.text("states.put({'ny': 'New York'})")
        put = told("handle", lambda body: body["name"] == "states" and body["version"] == self.version + 1)
        self.assertNotIn("shared", put["body"], "whoever puts takes no name")
        DRIVER.text("states.count()")
        usage = told("handle_usage", lambda body: any(h["name"] == "states" and h["cached_fraction"] for h in body["handles"]))
        self.assertEqual(set(usage["body"]["handles"][0]), {"name", "version", "memory_bytes", "disk_bytes", "cached_fraction", "last_used_at"})

    def test_entries(self):
        self.assertEqual(result("get", "states", keys=["ak", "no"]), {"version": self.version, "entries": [{"key": "ak", "value": "Alaska"}]})
        put = result("put", "states", entries=[["ny", {"name": "New York", "bytes": {"$binary": "AQI="}, "big": 9007199254740993}], ["ak", None]])
        self.assertEqual(put, {"version": self.version + 1})
        self.assertEqual(DRIVER.text("states.get_all(['ny', 'ak']) == {'ny': {'name': 'New York', 'bytes': b'\\x01\\x02', 'big': 2 ** 53 + 1}, 'ak': None}"), "True")
        self.assertEqual(result("get", "states", keys=["ny"])["entries"][0]["value"]["bytes"], {"$binary": "AQI="})
        self.assertEqual(result("count", "states"), {"version": self.version + 1, "count": 3})
        self.assertEqual(result("delete", "states", keys=["ny", "none"]), {"version": self.version + 2})
        self.assertEqual(result("count", "states")["count"], 2)

    def test_addresses(self):
        id = str(uuid.uuid4())
        message("handles", context={"id": id, "name": "my team"}, store=None, durable=[])
        for place in ("sessions/101", "sessions/session-1", "sessions/named%201/", "contexts/my%20team", "hearth/contexts/" + id.upper()):
            for scheme in ("https://", ""):
                found = DRIVER.text("found = SharedRdd('%shost:8998/%s', 'states')\nv = found.put({'or': 'Oregon'})\nfound.get('or'), v == found.version" % (scheme, place))
                self.assertEqual(found, "({'or': 'Oregon'}, True)", place)
        for place, said in (("contexts/other", 'take hearth.shared("other/states")'), ("sessions/7", "session 7 is not of this context"),
                            ("sessions/named%209", "session named 9 is not of this context"), ("batches/1", "is no address of a session or context")):
            self.assertIn(said, DRIVER.run("SharedRdd('https://host:8998/%s', 'states')" % place).get("evalue", "nothing"), place)

    def test_a_repeat_is_answered_but_not_done_again(self):
        id = str(uuid.uuid4())
        first = ask("put", "states", id=id, entries=[["tx", "Texas"]])
        self.assertEqual(ask("put", "states", id=id, entries=[["tx", "Texas"]]), first)
        self.assertEqual(int(DRIVER.text("states.version")), self.version + 1)

    def test_a_change_that_was_cancelled_is_done_when_it_is_asked_for_again(self):
        DRIVER.text("ShareableRdd(sc.parallelize([(0, 0)]), 'many')")
        many = [[number, number] for number in range(50000)]

        def cancelled():
            """A put that was cancelled before its turn came: behind as many large ones as are made at the same time. None if it came."""
            for _ in range(4):
                message("handle_request", request=str(uuid.uuid4()), op="put", name="many", entries=many)
            id = str(uuid.uuid4())
            message("handle_request", request=id, op="put", name="states", entries=[["or", "Oregon"]])
            message("cancel_request", request=id)
            answer = told("handle_answer", lambda body: body["request"] == id)["body"]
            if answer["error"] is not None:
                self.assertEqual(answer["error"]["code"], "cancelled")
                return id

        id = next(filter(None, (cancelled() for _ in range(20))))
        before = int(DRIVER.text("states.version"))
        self.assertEqual(result("put", "states", id=id, entries=[["or", "Oregon"]]), {"version": before + 1})
        self.assertEqual(result("unshare", "many"), {})

    def test_rows(self):
        DRIVER.text("hearth.share(spark.sql('select id, id * 1.5D as x, binary(\"a\") as b from range(30)'), 'frame')")
        found = result("rows", "frame", limit=2, columns=["b", "id"])
        self.assertEqual(found, {"version": found["version"], "more": True, "rows": [[{"$binary": "YQ=="}, 0], [{"$binary": "YQ=="}, 1]], "columns": [
            {"name": "b", "type": "binary", "class": "binary"}, {"name": "id", "type": "bigint", "class": "number"}]})
        self.assertEqual((len(result("rows", "frame", limit=100, columns=None)["rows"]), result("count", "frame")["count"]), (30, 30))
        DRIVER.text("hearth.share([1, 'a'], 'value')")
        self.assertEqual(result("rows", "value", limit=1)["rows"], [[[1, "a"]]])

    def test_errors(self):
        DRIVER.text("hearth.share(spark.range(10), 'keyless')\nhearth.share(spark.range(20).selectExpr('repeat(\"x\", 1000000) as x'), 'wide', storage='NONE')")
        for code, answer in (
                ("not_found", ask("get", "nowhere", keys=["a"])), ("not_pairs", ask("get", "keyless", keys=["a"])),
                ("bad_key", ask("get", "states", keys=[1])), ("bad_key", ask("put", "states", entries=[[None, 1]])),
                ("bad_value", ask("put", "states", entries=[["a", {"$binary": "!"}]])),
                ("bad_columns", ask("rows", "states", limit=1, columns=["no"])), ("failed", ask("dance", "states")),
                ("failed", ask("rows", "wide", limit=20))):
            self.assertEqual((answer["result"], answer["error"]["code"]), (None, code), answer)
        self.assertIn("ask for fewer rows", ask("rows", "wide", limit=20)["error"]["message"])

    def test_the_name_may_come_to_stand_for_the_data_of_another(self):
        def share(session, make="ShareableRdd(sc.parallelize([('a', %d)]), 'named')"):
            DRIVER.text(make % session, session=session)
            return told("handle", lambda body: body["name"] == "named" and body.get("shared"))["body"]["share"]

        def refused(meant):
            for answer in (ask("get", "named", keys=["a"], share=meant), ask("count", "named", share=meant), ask("rows", "named", limit=1, share=meant),
                           ask("put", "named", entries=[["b", 1]], share=meant), ask("delete", "named", keys=["a"], share=meant),
                           ask("unshare", "named", share=meant)):
                self.assertEqual(answer["error"] and answer["error"]["code"], "not_found", answer)
            self.assertEqual(refusal(stream("named", "csv", share=meant)[1])["code"], "not_found")

        # Of whom nobody knows who they are share as if each were another.
        nobodys = share(1)
        self.assertNotEqual(share(1), nobodys)
        refused(nobodys)
        for session, owner in ((1, "ann"), (2, "bob")):
            message("owner", session="session-%d" % session, owner=owner)
        anns = share(1)
        # The same owner's next version is what was meant.
        self.assertEqual(share(1), anns)
        self.assertEqual(result("put", "named", entries=[["b", 1]], share=anns), {"version": 5})
        self.assertEqual(result("get", "named", keys=["b"], share=anns)["entries"], [{"key": "b", "value": 1}])
        self.assertTrue(stream("named", "csv", share=anns)[3])
        # One that waits behind others until the name is another's finds nothing.
        slow = "import time\nslow = ShareableRdd(sc.parallelize(range(100), 4).map(lambda i: (i, time.sleep(600) if i == 99 else i)), 'slow')"
        DRIVER.text(slow)
        running = [str(uuid.uuid4()) for _ in range(16)]
        for id in running:
            message("handle_request", request=id, op="count", name="slow")
        waits = str(uuid.uuid4())
        message("handle_request", request=waits, op="get", name="named", keys=["a"], share=anns)
        bobs = share(2, "hearth.share(%d, 'named')")
        self.assertNotEqual(bobs, anns)
        for id in running:
            message("cancel_request", request=id)
        self.assertEqual(told("handle_answer", lambda body: body["request"] == waits)["body"]["error"]["code"], "not_found")
        refused(anns)
        self.assertEqual(result("rows", "named", limit=1, share=bobs)["rows"], [[2]])
        self.assertEqual(result("rows", "named", limit=1)["rows"], [[2]], "a gateway that says nothing means what there is")
        # Taken away and given anew it is another one, whoever does it.
        self.assertEqual(result("unshare", "named", share=bobs), {})
        self.assertNotEqual(share(2), bobs)
        refused(bobs)
        self.assertEqual([result("unshare", name) for name in ("named", "slow")], [{}, {}])

    def test_cancel(self):
        DRIVER.text("import time\nslow = ShareableRdd(sc.parallelize(range(100), 4).map(lambda i: (i, time.sleep(600) if i == 99 else i)), 'slow')")
        id = str(uuid.uuid4())
        message("handle_request", request=id, op="count", name="slow")
        message("cancel_request", request=id)
        self.assertEqual(told("handle_answer", lambda body: body["request"] == id)["body"]["error"]["code"], "cancelled")
        self.assertEqual(result("unshare", "slow"), {})
        self.assertEqual(told("handle", lambda body: body["name"] == "slow" and body["state"] == "gone")["body"]["reason"], "unshared")


class Streams(unittest.TestCase):
    def setUp(self):
        DRIVER.text("hearth.share(spark.sql('select id, if(id = 1, null, concat(\"a,\", id)) as s, array(id) as a from range(0, 3, 1, 2)'), 'small')")

    def test_lines(self):
        _, headers, body, whole = stream("small", "csv")
        self.assertEqual((whole, body.decode()), (True, 'id,s,a\r\n0,"a,0",[0]\r\n1,,[1]\r\n2,"a,2",[2]\r\n'))
        self.assertEqual((headers["Authorization"], headers["X-Hearth-Application"]), ("Bearer token", "application"))
        self.assertGreaterEqual(int(headers["X-Hearth-Handle-Version"]), 1)
        self.assertEqual(stream("small", "jsonl", limit=2, columns=["s", "id"])[2].decode(), '{"s":"a,0","id":0}\n{"s":null,"id":1}\n')

    def test_arrow_to_another_context(self):
        for name in ("small", "empty"):
            DRIVER.text("hearth.share(spark.range(0).selectExpr('id', 'string(id) as s'), 'empty')")
            DOOR.elsewhere["/driver/handles/other/%s?format=arrow" % name] = stream(name, "arrow")[2]
            self.assertEqual(DRIVER.text("hearth.shared('other/%s').collect() == hearth.df('%s').collect(), hearth.df('other/%s').schema.simpleString() == hearth.df('%s').schema.simpleString()"
                                         % (name, name, name, name)), "(True, True)")
        DOOR.elsewhere["/driver/handles/my%20team%2B/small?format=arrow"] = stream("small", "arrow")[2]
        self.assertEqual(DRIVER.text("hearth.shared('my team+/small').count()"), "3")
        DOOR.elsewhere["/driver/handles/other/secret?format=arrow"] = (403, {"detail": "you may not read it"})
        self.assertIn("you may not read it", DRIVER.run("hearth.shared('other/secret')")["evalue"])
        self.assertIn("there is no such handle", DRIVER.run("hearth.shared('other/nowhere')")["evalue"])

    def test_many_partitions(self):
        DRIVER.text("hearth.share(spark.range(0, 200000, 1, 50).selectExpr('id', 'repeat(\"x\", 20) as s'), 'many')")
        body = stream("many", "jsonl", columns=["id"])[2]
        self.assertEqual(body, b"".join(b'{"id":%d}\n' % i for i in range(200000)))

    def large(self):
        """Shares a frame of two partitions of 40 MB, and returns it as CSV."""
        DRIVER.text("hearth.share(spark.range(0, 4000, 1, 2).selectExpr('id', 'repeat(\"x\", 20000) as s'), 'large', storage='NONE')")
        return b"id,s\r\n" + b"".join(b"%d,%s\r\n" % (i, b"x" * 20000) for i in range(4000))

    def test_large_partitions(self):
        wanted = self.large()
        _, headers, body, whole = stream("large", "csv")
        self.assertNotIn("X-Hearth-Error", headers)
        # Not in words: what is shown of a difference would be all of it.
        self.assertTrue(whole and body == wanted, (whole, len(body), len(wanted)))
        eventually(lambda: not blocks())
        # As one record batch each, larger than anything that the driver takes at once.
        body = stream("large", "arrow")[2]
        self.assertGreater(len(body), 4000 * 20000)
        DOOR.elsewhere["/driver/handles/other/large?format=arrow"] = body
        self.assertEqual(DRIVER.text("hearth.df('other/large').selectExpr('count(distinct id)', 'sum(length(s))').head()"),
                         "Row(count(DISTINCT id)=4000, sum(length(s))=80000000)")
        del DOOR.elsewhere["/driver/handles/other/large?format=arrow"]
        eventually(lambda: not blocks())

    def test_a_large_partition_that_nobody_takes(self):
        self.large()
        for taken in (1, 50000000):
            DOOR.hang_up_after = taken
            try:
                self.assertFalse(stream("large", "csv")[3])
            finally:
                DOOR.hang_up_after = None
            eventually(lambda: not blocks())
        id = str(uuid.uuid4())
        CANCELLED.add(id)
        message("open_stream", stream=id, name="large", format="csv")
        eventually(blocks)
        message("cancel_request", request=id)
        eventually(lambda: not blocks())
        self.assertTrue(stream("small", "csv")[3])

    def test_what_fails_at_once_says_so(self):
        DRIVER.text("from pyspark.sql.functions import udf\nhearth.share(spark.range(3).select(udf(lambda i: 1 // 0)('id')), 'broken')")
        for name, code, said in (("nowhere", "not_found", "no handle nowhere"), ("broken", "failed", "ZeroDivisionError")):
            _, headers, body, whole = stream(name, "csv")
            self.assertEqual((whole, body, refusal(headers)["code"]), (True, b"", code))
            self.assertIn(said, refusal(headers)["message"])

    def test_what_fails_later_breaks_off(self):
        DRIVER.text("from pyspark.sql.functions import udf\nhearth.share(spark.range(0, 40, 1, 20).select(udf(lambda i: 1 // (i - 39))('id')), 'late', storage='NONE')")
        _, headers, _, whole = stream("late", "csv")
        self.assertEqual((whole, "X-Hearth-Error" in headers), (False, False))

    def test_a_stream_that_nobody_takes_is_over(self):
        DRIVER.text("hearth.share(spark.range(0, 400, 1, 400).selectExpr('id', 'repeat(\"x\", 2000000) as s'), 'endless', storage='NONE')")
        DOOR.hang_up_after = 1
        try:
            self.assertFalse(stream("endless", "jsonl")[3])
        finally:
            DOOR.hang_up_after = None
        while DRIVER.text("[j for j in sc.statusTracker().getActiveJobsIds() if j not in sc._jsc.sc().statusTracker().getJobIdsForGroup(sc.getLocalProperty('spark.jobGroup.id'))]") != "[]":
            pass
        self.assertTrue(stream("small", "csv")[3])


class Durable(unittest.TestCase):
    def test_a_durable_handle(self):
        self.assertIn("has no handle store", DRIVER.run("hearth.share(spark.range(3), 'd', durable=True)")["evalue"])
        message("handles", store=None, unstored="it ends with its session", durable=[])
        self.assertIn("it ends with its session", DRIVER.run("hearth.share(spark.range(3), 'd', durable=True)")["evalue"])
        with tempfile.TemporaryDirectory() as store:
            message("handles", store=store, durable=[])
            DRIVER.text("d = ShareableRdd(sc.parallelize([((1, 'a'), {'x': 1}), ((2, 'b'), {'x': 2})]), 'd', durable=True)\nhearth.share(spark.range(3), 'df', durable=True)")
            first = told("handle", lambda body: body["name"] == "d" and body["durable"])["body"]
            frame = told("handle", lambda body: body["name"] == "df")["body"]
            self.assertTrue(os.path.exists(os.path.join(first["durable"]["path"], "_SUCCESS")))
            DRIVER.text("d.put({(3, 'c'): {'x': 3}})")
            second = told("handle", lambda body: body["name"] == "d" and body["durable"] and body["durable"] != first["durable"])["body"]
            self.assertEqual((first["shared"], "shared" in second), (True, False), "what was written is told, too")
            self.assertEqual(second["version"], 2)
            eventually(lambda: os.listdir(os.path.join(store, "d")) == [os.path.basename(second["durable"]["path"])])
            self.assertEqual((first["durable"]["version"], second["durable"]["version"]), (1, 2))
            left = os.path.join(store, "left", "behind")
            os.makedirs(left)
            strange = [{"name": "k", "type": "struct<first-name:string>", "class": "other"}]
            # As the next application is told of them, under other names.
            message("handles", store=store, durable=[
                {**{k: found[k] for k in ("kind", "version", "columns", "key", "storage", "ttl_ms")}, "name": name, "path": found["durable"]["path"]}
                for name, found in (("again", second), ("frame_again", frame), ("frame_too", {**frame, "columns": strange}))] + [
                {**{k: frame[k] for k in ("kind", "version", "columns", "key", "storage", "ttl_ms")}, "name": name, "path": path, **ttl}
                    for name, path, ttl in (
                        ("lost", store + "/nowhere", {}), ("brief", frame["durable"]["path"] + "-brief", {"ttl_ms": 100}),
                        ("ending", frame["durable"]["path"] + "-ending", {"ttl_ms": 3600000, "left_ms": 100}))])
            self.assertEqual(DRIVER.text("again = SharedRdd('again')\nagain.version, again.get_all([(1, 'a'), (3, 'c')]), again.count(), again.put({(1, 'a'): {}})"),
                             "(2, {(1, 'a'): {'x': 1}, (3, 'c'): {'x': 3}}, 3, 3)")
            self.assertEqual(DRIVER.text("spark.sql('select sum(id) from global_temp.frame_again').head()[0], hearth.df('frame_again').count()"), "(3, 3)")
            # What no handle names goes; a type whose text cannot be read is found in the file.
            eventually(lambda: not os.path.exists(left))
            self.assertEqual(DRIVER.text("hearth.df('frame_too').count()"), "3")
            eventually(lambda: DRIVER.run("spark.sql('select * from global_temp.frame_too').count()")["status"] == "ok")
            self.assertIn("are lost", DRIVER.run("hearth.df('lost')")["evalue"])
            self.assertEqual(told("handle", lambda body: body["name"] == "lost")["body"]["state"], "lost")
            third = told("handle", lambda body: body["name"] == "again" and body["version"] == 3 and body["durable"]["path"] != second["durable"]["path"])["body"]
            for name in ("brief", "ending"):
                self.assertEqual(told("handle", lambda body: body["name"] == name and body["state"] == "gone")["body"]["version"], 1)
            # What an executor loses is made anew of what was opened, which stays.
            DRIVER.text("again.put({(1, 'a'): {'x': 4}})")
            eventually(lambda: os.path.basename(third["durable"]["path"]) not in os.listdir(os.path.join(store, "again")) != [])
            self.assertTrue(os.path.exists(os.path.join(second["durable"]["path"], "_SUCCESS")))
            DRIVER.text("for name in ('d', 'df', 'again', 'frame_again', 'frame_too', 'lost'): hearth.unshare(name)")

            def nothing_is_left():
                # What read it is known to be gone only then.
                DRIVER.cached(collect=True)
                return not glob.glob(os.path.join(store, "*", "*"))

            eventually(nothing_is_left)


if __name__ == "__main__":
    unittest.main()
