"""What handles promise under stress: one creator, versions that nobody loses, nothing that waits for ever or stays behind."""

import unittest

from spark_driver import SparkDriver, eventually

DRIVER = None
# Sessions.
PYTHON, OTHER, SCALA = 1, 2, 3


def setUpModule():
    global DRIVER
    DRIVER = SparkDriver()
    for session, kind in ((PYTHON, "pyspark"), (OTHER, "pyspark"), (SCALA, "spark")):
        DRIVER.open(session, kind)


def tearDownModule():
    code = DRIVER.close()
    assert code == 0, code


def python(code, session=PYTHON):
    return DRIVER.text(code, session=session)


def scala(code):
    return DRIVER.text(code, session=SCALA).strip()


def error(code, session=PYTHON):
    output = DRIVER.run(code, session=session)
    assert output["status"] == "error", output
    return output["evalue"]


def ends(count):
    """The outputs of statements that run at the same time, in the order of their ends, by their numbers."""
    done = [DRIVER.receive("done") for _ in range(count)]
    return {found["id"]: found["output"] for found in done}


class OneCreator(unittest.TestCase):
    PYTHON_CALLERS = (
        "import threading, time\nmade, found = [], []\ndef make():\n    made.append(1)\n    time.sleep(0.5)\n    return spark.range(5)\n"
        "def ask(): found.append(hearth.getOrElseCreate('hundred', make).count())\n"
        "threads = [threading.Thread(target=ask) for _ in range(30)]\nfor t in threads: t.start()\nfor t in threads: t.join()\nlen(made), found")
    SCALA_CALLERS = (
        "val made, found = new java.util.concurrent.atomic.AtomicInteger\n"
        "val threads = (1 to 40).map(_ => new Thread(() => { hearth.getOrElseCreate(\"hundred\") { made.incrementAndGet(); Thread.sleep(500); spark.range(5).toDF }\n"
        "  found.addAndGet(hearth.df(\"hundred\").count.toInt) }))\n"
        "threads.foreach(_.start()); threads.foreach(_.join())\nprintln(s\"(${made.get}, ${found.get})\")")

    def test_a_hundred_callers_of_three_sessions(self):
        DRIVER.begin(self.PYTHON_CALLERS, session=PYTHON)
        one = DRIVER.number
        DRIVER.begin(self.PYTHON_CALLERS, session=OTHER)
        two = DRIVER.number
        DRIVER.begin(self.SCALA_CALLERS, session=SCALA)
        outputs = ends(3)
        (first, counts), (second, more) = (eval(outputs[id]["data"]["text/plain"]) for id in (one, two))
        third, rows = eval(outputs[DRIVER.number]["data"]["text/plain"].strip().splitlines()[-1])
        self.assertEqual((first + second + third, counts, more, rows), (1, [5] * 30, [5] * 30, 200))

    def waits_while(self, session, code, name):
        """What a waiter of PYTHON gets while code of another session, which says that it makes something, is cancelled."""
        DRIVER.begin(code, session=session)
        creator = DRIVER.number
        DRIVER.receive("output")
        DRIVER.begin("print('asking', flush=True)\nhearth.getOrElseCreate('%s', lambda: 'mine', timeout=120)" % name)
        waiter = DRIVER.number
        DRIVER.receive("output")
        DRIVER.send("cancel", session=session)
        outputs = ends(2)
        self.assertEqual(outputs[creator]["status"], "error")
        # Or it came so late that it was the next to make it.
        found = outputs[waiter]
        self.assertTrue("was cancelled" in found.get("evalue", "") or found.get("data", {}).get("text/plain", "").endswith("'mine'"), found)
        self.assertEqual(python("hearth.getOrElseCreate('%s', lambda: 'mine')" % name), "'mine'")

    def test_a_cancelled_creator_in_python(self):
        self.waits_while(OTHER, "import time\ndef make():\n    print('making', flush=True)\n    time.sleep(600)\nhearth.getOrElseCreate('cancelled', make)", "cancelled")

    def test_a_creator_that_is_cancelled_in_its_job(self):
        self.waits_while(
            OTHER, "import time\ndef make():\n    print('making', flush=True)\n    return sc.parallelize([1], 1).map(lambda i: time.sleep(600)).collect()\n"
            "hearth.getOrElseCreate('in_job', make)", "in_job")

    def test_a_cancelled_creator_in_scala(self):
        self.waits_while(SCALA, 'hearth.getOrElseCreate("cancelled_there") { println("making"); while (true) Thread.sleep(1000); 1 }', "cancelled_there")

    def test_a_creator_whose_session_ends(self):
        DRIVER.open(9, "pyspark")
        DRIVER.begin("import time\ndef make():\n    print('making', flush=True)\n    time.sleep(600)\nhearth.getOrElseCreate('left', make)", session=9)
        DRIVER.receive("output")
        DRIVER.begin("print('asking', flush=True)\nhearth.getOrElseCreate('left', lambda: 'mine', timeout=120)")
        waiter = DRIVER.number
        DRIVER.receive("output")
        DRIVER.send("close", session=9)
        outputs, is_closed = {}, False
        while len(outputs) < 2 or not is_closed:
            found = DRIVER.step()
            if found and found["type"] == "done":
                outputs[found["id"]] = found["output"]
            is_closed |= bool(found) and found["type"] == "closed"
        found = outputs[waiter]
        self.assertTrue("has ended" in found.get("evalue", "") or "was cancelled" in found.get("evalue", "") or found.get("data", {}).get("text/plain", "").endswith("'mine'"), found)

    def test_who_makes_it_cannot_wait_for_it(self):
        self.assertIn("wait for itself", error("hearth.getOrElseCreate('again', lambda: hearth.getOrElseCreate('again', lambda: 1))"))
        self.assertIn("wait for itself", error('hearth.getOrElseCreate("again")(hearth.getOrElseCreate("again")(1))', SCALA))
        self.assertEqual(python("hearth.getOrElseCreate('outer', lambda: hearth.getOrElseCreate('inner', lambda: 1) + 1)"), "2")


class Versions(unittest.TestCase):
    def test_a_get_costs_the_same_however_much_was_put(self):
        scala("""
            class Tasks extends org.apache.spark.scheduler.SparkListener {
              @volatile var stages, tasks = 0
              override def onStageCompleted(end: org.apache.spark.scheduler.SparkListenerStageCompleted): Unit = { stages += 1; tasks += end.stageInfo.numTasks }
            }
            val big = ShareableRdd(sc.parallelize(0 until 20000).map(i => i -> i), "big", force = true)
            val seen = new Tasks
            def cost: (Int, Int, Long) = {
              (1 to 5).foreach(i => big.get(i * 1000))
              sc.addSparkListener(seen)
              val before = (seen.stages, seen.tasks)
              val times = (1 to 20).map { i => val begun = System.nanoTime; require(big.get(10000 + i) == Map(10000 + i -> (10000 + i))); System.nanoTime - begun }
              val limit = System.nanoTime + 60000000000L
              while (seen.stages < before._1 + 20 && System.nanoTime < limit) Thread.sleep(20)
              sc.removeSparkListener(seen)
              (seen.stages - before._1, seen.tasks - before._2, times.sorted.apply(10))
            }""")
        few = scala("(1 to 10).foreach(i => big.put(i -> -i))\nprintln(cost)").splitlines()[-1]
        many = scala("(1 to 10000).foreach(i => big.put(i % 100 -> i))\nprintln(cost)").splitlines()[-1]
        (stages, tasks, before), (more_stages, more_tasks, after) = eval(few), eval(many)
        self.assertEqual((stages, tasks, more_stages, more_tasks), (20, 20, 20, 20))
        self.assertLess(after, 10 * max(before, 5000000))
        self.assertIn("= 10011", scala("big.version"))

    def test_versions_are_of_one_change_each_whoever_replaces_the_handle(self):
        told = scala("""
            def fresh(n: Int) = ShareableRdd(sc.parallelize(Seq(0 -> n), 1), "busy", storage = "NONE")
            fresh(0)
            val shared = SharedRdd[Int, Int]("busy")
            val versions = new java.util.concurrent.ConcurrentLinkedQueue[Long]
            val failed = new java.util.concurrent.ConcurrentLinkedQueue[String]
            @volatile var going = true
            def forked(work: => Unit) = { val made = new Thread(() => try while (going) work catch { case e: Throwable => failed.add(e.toString) }); made.start(); made }
            val threads = Seq(forked(versions.add(shared.put(1 -> 1))), forked(versions.add(shared.put(2 -> 2))), forked(shared.count()), forked(shared.get(0)))
            try for (n <- 1 to 15) fresh(n) finally going = false
            threads.foreach(_.join())
            val all = versions.toArray.toSeq
            println((all.size - all.distinct.size, failed.toArray.mkString("; "), shared.version - all.size))""").splitlines()[-1]
        # The first version, and those of fifteen shares; all others are of one put each.
        self.assertEqual(told, "(0,,16)")

    def test_a_job_on_an_old_version_ends_well(self):
        before = set(DRIVER.cached())
        python("old = ShareableRdd(sc.parallelize([(i, 'old') for i in range(40)], 4), 'old', force=True)")
        first = set(DRIVER.cached()) - before
        DRIVER.begin("import time\nrdd, frame = SharedRdd('old').rdd(), hearth.df('old')\nprint('go', flush=True)\n"
                     "rdd.map(lambda e: time.sleep(0.05) or e[1]).countByValue()['old'], frame.repartition(2).filter('value = \"old\"').count()", session=OTHER)
        DRIVER.receive("output")
        reader = DRIVER.number
        DRIVER.begin("v = old.put({i: 'new' for i in range(40)})\nold = ShareableRdd(sc.parallelize([(1, 'newest')]), 'old', force=True)\nold.get(1)")
        outputs = ends(2)
        self.assertEqual(outputs[DRIVER.number]["data"]["text/plain"], "{1: 'newest'}")
        self.assertEqual(outputs[reader]["data"]["text/plain"], "go\n(40, 40)")
        python("import gc\ndel rdd, frame\ngc.collect()", OTHER)
        eventually(lambda: not first & set(DRIVER.cached(collect=True)))

    def test_who_ends_holds_no_version(self):
        before = set(DRIVER.cached())
        DRIVER.open(8, "pyspark")
        DRIVER.open(7, "spark")
        python("hearth.share(spark.range(3).selectExpr('id as ended'), 'ended', force=True)")
        first = set(DRIVER.cached()) - before
        DRIVER.text("held = hearth.df('ended')", session=8)
        DRIVER.text('val held = hearth.df("ended")', session=7)
        python("hearth.unshare('ended')")
        self.assertEqual(set(DRIVER.cached(collect=True)) & first, first)
        for session in (8, 7):
            DRIVER.send("close", session=session)
            DRIVER.receive("closed")
        eventually(lambda: not first & set(DRIVER.cached(collect=True)))


class NothingIsLeft(unittest.TestCase):
    def test_of_a_share_that_fails(self):
        before = set(DRIVER.cached())
        python("from pyspark.sql.functions import udf\nbad = udf(lambda i: 1 // (i - 3))")
        for code in ("hearth.share(spark.range(5).select(bad('id')), 'bad', force=True)",
                     "hearth.share(sc.parallelize(range(50), 2).map(lambda i: 1 // (i - 49)), 'bad', force=True)",
                     "ShareableRdd(sc.parallelize(range(50), 2).map(lambda i: (i, 1 // (i - 49))), 'bad', force=True)"):
            self.assertIn("ZeroDivisionError", error(code))
            eventually(lambda: set(DRIVER.cached()) <= before)

    def test_of_one_frame_with_two_names(self):
        before = set(DRIVER.cached())
        for order in (("first", "second"), ("second", "first")):
            python("twice = spark.range(6).selectExpr('id as twice')\nfor name in ('first', 'second'): hearth.share(twice, name, force=True)")
            self.assertEqual(len(set(DRIVER.cached()) - before), 1)
            python("hearth.unshare('%s')" % order[0])
            self.assertEqual((python("hearth.df('%s').count()" % order[1]), len(set(DRIVER.cached()) - before)), ("6", 1))
            # Its frames in Python's hands are cycles.
            python("import gc\nhearth.unshare('%s')\ngc.collect()" % order[1])
            eventually(lambda: set(DRIVER.cached(collect=True)) <= before)

    def test_of_handles_that_were_replaced_before_their_time(self):
        python("for n in range(20): hearth.share(list(range(n)), 'timed', ttl=3600)\nhearth.share(1, 'timed')")
        self.assertEqual(python("[h['version'] for h in hearth.handles() if h['name'] == 'timed']"), "[21]")


class NobodyWaits(unittest.TestCase):
    def test_for_a_frame_that_nobody_has_asked_to_compute(self):
        # Its shuffle would never end.
        python("import time\nfrom pyspark.sql.functions import udf\nslow = spark.range(4).select(udf(lambda i: time.sleep(600))('id').alias('s')).groupBy('s').count()\n"
               "hearth.share(slow, 'unasked')\nhearth.share(slow, 'unasked', storage='NONE')\nhearth.unshare('unasked')")
        self.assertEqual(python("hearth.share(7, 'meanwhile')\nhearth.shared('meanwhile')", OTHER), "7")

    def test_for_a_merge_that_fails(self):
        python("import os, tempfile\nflag = os.path.join(tempfile.mkdtemp(), 'flag')\n"
               "def entry(i):\n    if i == 99 and not os.path.exists(flag): raise ValueError('not yet')\n    return (i, i)\n"
               "late = ShareableRdd(sc.parallelize(range(100), 2).map(entry), 'late')\nversion = late.put({i: -1 for i in range(100, 21000)})")
        self.assertEqual(python("late.put({1: -2}) - version, late.get(20999), late.get(1)"), "(1, {20999: -1}, {1: -2})")
        self.assertIn("not yet", error("late.get(5)"))
        python("open(flag, 'w').close()")
        # A merge that had begun before may still fail, and with it a get that waits for the same stage.
        now = "try:\n    found = late.get(5), late.count()\nexcept Exception as failed:\n    found = failed\nfound"
        eventually(lambda: python(now) == "({5: 5}, 21000)")
        python("late.unshare()\nos.remove(flag)\nos.rmdir(os.path.dirname(flag))")


class WhatCannotCross(unittest.TestCase):
    def test_a_handle_in_the_hands_of_a_task_says_where_it_works(self):
        scala('val mine = ShareableRdd(sc.parallelize(Seq(1 -> 2)), "mine_alone")')
        self.assertIn("= 3", scala("def more(n: Int) = n + 1\nmine.rdd().map(entry => more(entry._2)).first"))
        self.assertIn("works in the driver alone", error("sc.parallelize(Seq(1)).map(mine.get(_)).first", SCALA))

    def test_says_so_with_its_type_and_the_way_out(self):
        scala('hearth.share(sc.parallelize(Seq((x: Int) => x + 1)), "functions")\nclass Odd(val n: Int) extends Serializable\n'
              'hearth.share(sc.parallelize(Seq(new Odd(1))), "odd")\nShareableRdd(sc.parallelize(Seq(1 -> new Odd(1))), "odd_pairs")')
        for code, name in (("hearth.shared('functions').collect()", "a function"), ("hearth.shared('odd').collect()", "Odd"),
                           ("SharedRdd('odd_pairs').get(1)", "Odd"), ("SharedRdd('odd_pairs').rdd().collect()", "Odd")):
            text = error(code)
            self.assertIn("cannot go from one language to another: make it of", text, code)
            self.assertIn(name, text, code)
        self.assertIn("= 1", scala('hearth.rdd[Odd]("odd").map(_.n).collect().head'))
        python("class Mine:\n    pass\nhearth.share(sc.parallelize([Mine()]), 'mine')")
        text = error('hearth.rdd[Any]("mine").collect()', SCALA)
        self.assertIn("cannot go from one language to another: make it of", text)


if __name__ == "__main__":
    unittest.main()
