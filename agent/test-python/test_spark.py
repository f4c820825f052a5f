"""Python sessions on a real Spark, by way of PythonInterpreter."""

import json
import os
import time
import unittest

from spark_driver import HERE, PATIENCE, SparkDriver

DRIVER = None

# Where Hearth answers otherwise than Livy, and why.
DIFFERENT = {
    # Livy says "ok" and gives an error of its own inside of `data`, which no client can read.
    "json-missing": "KeyError",
    "json-extra-words": "KeyError",
    "table-missing": "KeyError",
    "matplot-missing": "KeyError",
    # Livy shows the frame's name in a single cell.
    "table-dataframe": {"application/vnd.livy.table.v1+json": {
        "headers": [{"name": "n", "type": "BIGINT_TYPE"}, {"name": "s", "type": "STRING_TYPE"}], "data": [[1, "a"], [2, "b"]]}},
    # Livy has no such magic.
    "sql-magic": {"application/json": {
        "schema": {"type": "struct", "fields": [{"name": "1", "type": "integer", "nullable": False, "metadata": {}}]}, "data": [[1]]}},
}
# Needs matplotlib: test_science.
ELSEWHERE = {"matplot"}


def setUpModule():
    global DRIVER
    DRIVER = SparkDriver()
    DRIVER.open(1)
    DRIVER.open(2)


def tearDownModule():
    code = DRIVER.close()
    assert code == 0, code


class Recorded(unittest.TestCase):
    """Every statement recorded from a real Livy."""

    def test_recorded_statements(self):
        with open(os.path.join(HERE, "recorded_statements.json")) as file:
            recorded = json.load(file)
        for statement in recorded:
            if statement["name"] not in ELSEWHERE:
                with self.subTest(statement["name"]):
                    self.compare(statement, DRIVER.run(statement["code"]))

    def compare(self, statement, output):
        expected = DIFFERENT.get(statement["name"], statement["output"])
        if isinstance(expected, str):
            self.assertEqual((output["status"], output["ename"]), ("error", expected))
        elif expected.get("status") == "error":
            self.compare_errors(statement["name"], expected, output)
        else:
            self.assertEqual(output.get("data"), expected.get("data", expected), output)

    def compare_errors(self, name, expected, output):
        self.assertEqual(output["status"], "error")
        self.assertTrue(set(expected) <= set(output))
        # Spark 4 raises its own kind of error for a failed Python worker, and names it in more words.
        self.assertIn(output["ename"], {expected["ename"], "PythonException"} if name == "error-job" else {expected["ename"]})
        if not name.startswith(("error-job", "error-analysis")):
            self.assertEqual(output["evalue"], expected["evalue"])
        self.assertEqual(output["traceback"][0], expected["traceback"][0])
        self.assertTrue(all(line.endswith("\n") for line in output["traceback"]))

    def test_the_jvm_s_stack_is_short(self):
        error = DRIVER.run("sc.parallelize([1, 2, 0]).map(lambda i: 1 // i).collect()")
        self.assertIn('File "<stdin>", line 1, in <lambda>\nZeroDivisionError', error["evalue"])
        self.assertLess(error["evalue"].count("\tat "), 20)

    def test_what_kills_livy_s_interpreter(self):
        for code in ("df9 = spark.range(2)\n%json df9", "s = {1, 2}\n%json s", "%json", "t6 = [[1], ['x']]\n%table t6",
                     "t5 = [[{'a': 1}]]\n%table t5", "t7 = [[[1, 'a']]]\n%table t7"):
            DRIVER.run(code)
            self.assertEqual(DRIVER.text("2 + 2"), "4", code)


class Sessions(unittest.TestCase):
    def test_names(self):
        self.assertEqual(DRIVER.text("spark.sparkContext is sc, sqlContext.sparkSession is spark"), "(True, True)")
        self.assertEqual(DRIVER.text("import os\nsorted(n for n in os.environ if n.startswith('PYSPARK_GATEWAY'))"), "[]")

    def test_sessions_have_their_own_views_and_share_the_context(self):
        DRIVER.run("spark.range(3).createOrReplaceTempView('own')", session=2)
        self.assertEqual(DRIVER.text("spark.table('own').count()", session=2), "3")
        self.assertEqual(DRIVER.run("spark.table('own')", session=1)["ename"], "AnalysisException")
        self.assertEqual(*(DRIVER.text("sc.applicationId", session=number) for number in (1, 2)))

    def test_each_session_is_its_own_default_and_not_the_jvm_s(self):
        code = "from pyspark.sql import SparkSession\nSparkSession.builder.getOrCreate() is spark, SparkSession.active()._jsparkSession.equals(spark._jsparkSession)"
        for number in (1, 2):
            self.assertEqual(DRIVER.text(code, session=number), "(True, True)")
        DRIVER.send("default")
        self.assertEqual(DRIVER.receive("default")["root"], "true")

    def test_functions_and_classes_of_statements_reach_the_workers(self):
        code = "class Doubled:\n    def __init__(self, n): self.n = n * %d\nsc.parallelize(range(3), 2).map(Doubled).map(lambda d: d.n).collect()"
        self.assertEqual(DRIVER.text(code % 2, session=1), "[0, 2, 4]")
        self.assertEqual(DRIVER.text(code % 3, session=2), "[0, 3, 6]")
        self.assertEqual(DRIVER.text("from pyspark.sql.functions import udf\n[r[0] for r in spark.range(2).select(udf(lambda i: i + 1, 'long')('id')).collect()]"), "[1, 2]")

    def test_jobs_carry_the_statement_s_group_from_every_thread(self):
        group = "sc.getLocalProperty('spark.jobGroup.id')"
        self.assertEqual(DRIVER.text(group), "'hearth-1-%d'" % DRIVER.number)
        self.assertEqual(
            DRIVER.text("import threading\nseen = []\nt = threading.Thread(target=lambda: seen.append(%s))\nt.start()\nt.join()\nseen" % group),
            "['hearth-1-%d']" % DRIVER.number)

    def test_callbacks_keep_the_group_of_their_query(self):
        text = DRIVER.text(
            "seen = []\ndef each(frame, number): seen.append((frame.count(), sc.getLocalProperty('spark.jobGroup.id')))\n"
            "query = spark.readStream.format('rate').load().writeStream.foreachBatch(each).trigger(once=True).start()\n"
            "done = query.awaitTermination(60)\nseen[0][1] == str(query.runId)")
        self.assertEqual(text, "True")

    def test_accumulators(self):
        self.assertEqual(DRIVER.text("total = sc.accumulator(0)\nsc.parallelize(range(5)).foreach(total.add)\ntotal.value"), "10")


class Cancels(unittest.TestCase):
    def assert_alive(self):
        self.assertEqual(DRIVER.text("spark.range(4).count()"), "4")

    def test_cancel(self):
        for code in (
                "sc.parallelize(range(2), 2).map(lambda i: time.sleep(600)).count()",
                "spark.range(10**12).selectExpr('sum(id * id % 7)').collect()",
                "while True: spark.range(10).count()",
                "while True:\n    try: spark.range(10).count()\n    except Exception: pass",
                "sc._jvm.java.lang.Thread.sleep(600000)",
                "time.sleep(600)",
                "while True: pass",
                "frame = spark.range(10**12).selectExpr('sum(id * id % 7)')\n%table frame"):
            output = DRIVER.cancelled("import time\nprint('go', flush=True)\n" + code)
            self.assertEqual(output["ename"], "KeyboardInterrupt", code)
            self.assert_alive()

    def test_cancel_leaves_other_sessions_alone(self):
        DRIVER.begin("import time\nprint('first', flush=True)\nsc.parallelize([1], 1).map(lambda i: time.sleep(600)).count()", session=2)
        DRIVER.receive("output")
        other = DRIVER.number
        self.assertEqual(DRIVER.cancelled("print('go', flush=True)\nwhile True: spark.range(10).count()")["ename"], "KeyboardInterrupt")
        self.assert_alive()
        DRIVER.send("cancel", session=2)
        done = DRIVER.receive("done")
        self.assertEqual((done["session"], done["id"], done["output"]["ename"]), (2, other, "KeyboardInterrupt"))


class Frames(unittest.TestCase):
    def setUp(self):
        DRIVER.run("frame = spark.sql(\"select 1 as i, 2L as l, 'x' as s, 1.5D as d, date'2020-01-02' as day, array(1, 2) as a, "
                   "named_struct('n', 1) as st, cast(null as int) as none\")")

    def test_columns(self):
        columns = "i int number, l bigint number, s string text, d double number, day date time, a array<int> nested, st struct<n:int> nested, none int number"
        for code in ("frame", "%json frame"):
            self.assertEqual(DRIVER.run(code)["columns"], columns, code)
        for code in ("%table frame", "display(frame)"):
            classes = [column.split()[-1] for column in DRIVER.run(code)["columns"].split(", ")]
            self.assertEqual(classes, "number number text number time nested nested number".split(), code)

    def test_json(self):
        self.assertEqual(DRIVER.run("%json frame")["data"], {"application/json": [
            {"i": 1, "l": 2, "s": "x", "d": 1.5, "day": "2020-01-02", "a": [1, 2], "st": {"n": 1}, "none": None}]})

    def test_rows_beyond_the_limit(self):
        for name, code in (("frame", "spark.range(30)"), ("rdd", "sc.parallelize([(i,) for i in range(30)])")):
            output = DRIVER.run("%s30 = %s\n%%table %s30" % (name, code, name), max_rows=10)
            self.assertEqual(len(output["data"]["application/vnd.livy.table.v1+json"]["data"]), 10)
            self.assertEqual(output["truncated"], "Truncated(None,10,only the first 10 rows are shown)")

    def test_sql(self):
        output = DRIVER.run("%sql select id from range(3)")
        self.assertEqual(output["data"]["application/json"]["data"], [[0], [1], [2]])
        self.assertEqual(DRIVER.run("%sql select * from nowhere")["ename"], "Error")

    def test_a_frame_that_fails(self):
        DRIVER.run("from pyspark.sql.functions import udf\nbroken = spark.range(3).select(udf(lambda i: 1 // 0)('id'))")
        self.assertIn("ZeroDivisionError", DRIVER.run("%table broken")["evalue"])

    def test_completion_evaluates_nothing(self):
        self.assertEqual(DRIVER.complete("sc.paral"), ["parallelize"])
        self.assertEqual(DRIVER.complete("frame.selectE"), ["selectExpr"])
        self.assertEqual(DRIVER.complete("spark.read.parq"), ["parquet"])
        self.assertEqual(DRIVER.complete("frame.rdd.mapParti"), ["mapPartitions", "mapPartitionsWithIndex", "mapPartitionsWithSplit"])
        self.assertEqual(DRIVER.complete("spark.range(3).selectE"), ["selectExpr"])


class Deaths(unittest.TestCase):
    """The process ends; the session does not."""

    def test_deaths(self):
        for code, how in (
                ("import os\nos._exit(3)", "exited with code 3"),
                ("import os\nos.kill(os.getpid(), 9)", "was killed by signal 9 (SIGKILL), as the system does when memory runs out"),
                ("import ctypes\nctypes.string_at(0)", "was ended by signal 11 (SIGSEGV)")):
            DRIVER.run("kept = 1")
            output = DRIVER.run(code)
            self.assertEqual(output["ename"], "Error")
            self.assertTrue(output["evalue"].startswith("Interpreter died: the Python process " + how), output)
            text = DRIVER.text("1 + 1")
            self.assertEqual(text, "2\n[Python was started anew, because the Python process %s: variables of earlier statements are gone.]" % how)
            self.assertEqual(DRIVER.run("kept")["ename"], "NameError")
            self.assertEqual(DRIVER.text("spark.range(3).count()"), "3")

    def test_death_between_statements(self):
        DRIVER.text("import os, threading\nthreading.Timer(0.2, os._exit, [5]).start()")
        while "was started anew" not in str(DRIVER.run("'x'")):
            pass  # the statement may meet the process's end itself
        self.assertEqual(DRIVER.text("3 * 3"), "9")

    def test_close_ends_what_a_statement_started(self):
        DRIVER.open(3)
        pid = int(DRIVER.text("import subprocess\nsubprocess.Popen(['sleep', '600']).pid", session=3))
        DRIVER.send("close", session=3)
        DRIVER.receive("closed")
        limit = time.monotonic() + PATIENCE
        while running(pid):
            self.assertLess(time.monotonic(), limit)


def running(pid):
    """Whether a process is there and not just unburied."""
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as file:
            return bool(file.read())
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    unittest.main()
