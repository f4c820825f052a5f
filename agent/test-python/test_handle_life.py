"""How handles are opened and freed, and what a cancel stops, on a real Spark."""

import os
import shutil
import tempfile
import unittest

from spark_driver import SparkDriver, eventually

DRIVER = None
# Sessions.
MINE, OTHER, THIRD = 1, 2, 3


def setUpModule():
    global DRIVER
    DRIVER = SparkDriver()
    for session in (MINE, OTHER, THIRD):
        DRIVER.open(session)


def tearDownModule():
    code = DRIVER.close()
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


class Opening(unittest.TestCase):
    """Of durable handles of earlier applications."""

    def setUp(self):
        self.store = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.store, ignore_errors=True)

    def earlier(self, name, path=None):
        """Has the agent told of a handle with three rows, and returns where it is written."""
        path = path or os.path.join(self.store, name, "first")
        if path.startswith(self.store):
            python("spark.range(3).write.parquet(%r)" % path)
        DRIVER.message("handles", store=None, durable=[{
            "name": name, "kind": "dataframe", "version": 4, "path": path, "columns": [{"name": "id", "type": "bigint", "class": "number"}],
            "key": None, "storage": "NONE", "ttl_ms": None}])
        return path

    def test_a_cancel_of_the_first_reader_is_nobody_else_s_business(self):
        self.earlier("first_read")
        flag = os.path.join(self.store, "flag")
        # Both cores are taken, so that opening waits.
        DRIVER.begin("import os, time\ndef busy(_):\n    while not os.path.exists(%r): time.sleep(0.02)\nsc.parallelize(range(2), 2).foreach(busy)" % flag, session=THIRD)
        active = "len(sc.statusTracker().getActiveJobsIds())"
        eventually(lambda: python(active) == "1")
        DRIVER.begin("hearth.df('first_read').count()", session=OTHER)
        cancelled = DRIVER.number
        eventually(lambda: python(active) == "2")
        DRIVER.begin("print('waiting', flush=True)\nhearth.df('first_read').count()")
        waiting = DRIVER.number
        DRIVER.receive("output")
        DRIVER.send("cancel", session=OTHER)
        self.assertEqual(ends(1)[cancelled]["ename"], "KeyboardInterrupt")
        open(flag, "w").close()
        self.assertEqual(ends(2)[waiting].get("data"), {"text/plain": "waiting\n3"})
        self.assertEqual((python("hearth.df('first_read').count()", OTHER), said("first_read", "lost")), ("3", []))

    def test_what_is_lost_is_ready_when_it_is_there_again(self):
        path = self.earlier("came_back")
        os.rename(path, path + "-away")
        for _ in range(2):
            self.assertIn("are lost", error("hearth.df('came_back')"))
        self.assertEqual(len(said("came_back", "lost")), 1)
        os.rename(path + "-away", path)
        self.assertEqual(python("hearth.df('came_back').count()"), "3")
        ready = DRIVER.told("handle", lambda body: body["name"] == "came_back" and body["state"] == "ready")["body"]
        self.assertEqual((ready["version"], ready["durable"]), (4, {"path": path, "version": 4}))

    def test_a_store_that_does_not_answer_loses_nothing(self):
        self.earlier("unknown", "nowhere://host/unknown/first")
        self.assertIn("cannot be opened now, try again", error("hearth.df('unknown')"))
        self.assertEqual(said("unknown", "lost"), [])


if __name__ == "__main__":
    unittest.main()
