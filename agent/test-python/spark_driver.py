"""A Spark driver with Python interpreters, as the agent runs them: PythonDriver.scala, driven by lines of JSON.

SPARK_HOME says which Spark. The agent is compiled against it first, unless HEARTH_AGENT_JAR names a jar of it.
"""

import atexit
import functools
import glob
import json
import os
import queue
import shutil
import subprocess
import tempfile
import threading
import time

from runner_process import PYTHON

HERE = os.path.dirname(os.path.abspath(__file__))
AGENT = os.path.dirname(HERE)
# Seconds. Generous: it bounds a hang, not a test's length.
PATIENCE = 60
# What spark-submit opens for Spark on Java 17.
OPENED = (
    "java.lang java.lang.invoke java.lang.reflect java.io java.net java.nio java.util java.util.concurrent "
    "java.util.concurrent.atomic sun.nio.ch sun.nio.cs sun.security.action sun.util.calendar").split()


@functools.lru_cache(maxsize=None)
def compile_driver():
    """The class path of the driver, compiled once for all tests."""
    spark, folder = os.environ["SPARK_HOME"], tempfile.mkdtemp(prefix="hearth-test-driver-")
    atexit.register(shutil.rmtree, folder)
    jar = os.environ.get("HEARTH_AGENT_JAR")
    if not jar:
        jar = os.path.join(folder, "agent.jar")
        subprocess.run(["sh", os.path.join(AGENT, "build.sh"), spark, jar], check=True)
    classes = os.path.join(folder, "classes")
    os.mkdir(classes)
    path = jar + ":" + os.path.join(spark, "jars", "*")
    subprocess.run(
        ["java", "-XX:TieredStopAtLevel=1", "-cp", path, "scala.tools.nsc.Main", "-usejavacp", "-nowarn", "-d", classes]
        + glob.glob(os.path.join(HERE, "scala", "*.scala")), check=True)
    return classes + ":" + path


def eventually(check):
    """Waits until it is so."""
    limit = time.monotonic() + PATIENCE
    while not check():
        assert time.monotonic() < limit


class SparkDriver:
    """conf  of Spark, beyond that of all tests"""

    def __init__(self, python=PYTHON, gateway=None, conf=()):
        self.folder = tempfile.mkdtemp(prefix="hearth-test-")
        try:
            self._start(compile_driver(), python, gateway, dict(conf))
        except BaseException:
            shutil.rmtree(self.folder)
            raise

    def _start(self, path, python, gateway, more):
        scratch = os.path.join(self.folder, "scratch")
        opened = ["--add-opens=java.base/%s=ALL-UNNAMED" % package for package in OPENED]
        conf = {
            "spark.master": "local[2]", "spark.app.name": "hearth-test", "spark.ui.enabled": "false", "spark.scheduler.mode": "FAIR",
            "spark.repl.class.outputDir": os.path.join(scratch, "classes"), "spark.sql.artifact.isolation.enabled": "false",
            "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1",
            "spark.sql.warehouse.dir": os.path.join(self.folder, "warehouse"), "spark.sql.shuffle.partitions": "2", **more}
        self.log = open(os.path.join(self.folder, "log"), "w+")
        answers, written = os.pipe()
        self.process = subprocess.Popen(
            ["java", "-XX:TieredStopAtLevel=1", "-Djava.io.tmpdir=" + self.folder] + opened + ["-D%s=%s" % item for item in conf.items()]
            + ["-cp", path, "hearth.agent.python.PythonDriver", os.path.join(AGENT, "python"), scratch, str(written)] + ([gateway] if gateway else []),
            stdin=subprocess.PIPE, stdout=self.log, stderr=self.log, cwd=self.folder, pass_fds=[written],
            env=dict(os.environ, PYSPARK_PYTHON=python))
        os.close(written)
        self.written = open(answers, encoding="utf-8")
        self.answers = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.printed = []
        self.link = []
        self.number = 0
        self.receive("context")

    def _read(self):
        for line in self.written:
            self.answers.put(json.loads(line))
        self.answers.put(None)

    def send(self, type, **body):
        self.process.stdin.write(json.dumps(dict(body, type=type)).encode("ascii") + b"\n")
        self.process.stdin.flush()

    def receive(self, type):
        """The next answer of a type; output that comes before it is kept in `printed`, messages of the link in `link`."""
        while True:
            found = self.step()
            if found and found["type"] == type:
                return found
            assert not found or found["type"] == "output", found
            if found:
                self.printed.append(found["text"])

    def step(self):
        """The next answer, unless it is a message of the link, which is kept."""
        found = self.answers.get(timeout=PATIENCE)
        if found is None:
            self.log.seek(0)
            raise AssertionError("the driver ended:\n" + self.log.read()[-5000:])
        if found["type"] != "link":
            return found
        self.link.append(found)
        return None

    def open(self, session, kind="pyspark"):
        self.send("open", session=session, kind=kind)
        return self.receive("open")["ms"]

    def begin(self, code, session=1, max_rows=1000, max_output=100000):
        self.number += 1
        self.printed = []
        self.send("run", session=session, id=self.number, code=code, max_rows=max_rows, max_output=max_output)

    def end(self):
        return self.receive("done")["output"]

    def run(self, code, **more):
        self.begin(code, **more)
        return self.end()

    def text(self, code, **more):
        output = self.run(code, **more)
        assert output["status"] == "ok", output
        return output["data"]["text/plain"]

    def cancelled(self, code, session=1):
        """Runs code that prints something and then does not end, cancels it, and returns its output."""
        self.begin(code, session)
        self.receive("output")
        self.send("cancel", session=session)
        return self.end()

    def complete(self, code, session=1):
        self.send("complete", session=session, code=code, cursor=len(code))
        return self.receive("completion")["candidates"]

    def message(self, tag, **body):
        """Has the agent take a message of the gateway for handles."""
        self.send("handles", tag=tag, body=body)

    def told(self, tag, matches):
        """The next message that the agent sends of a type, or has sent, for which this holds."""
        while True:
            for found in self.link:
                if found["tag"] == tag and matches(found["body"]):
                    self.link.remove(found)
                    return found
            self.step()

    def cached(self, collect=False):
        """The RDDs that are cached.

        collect  whether to collect garbage before
        """
        self.send("handles", tag="cached", collect=collect)
        return self.receive("cached")["rdds"]

    def close(self):
        """Ends it and returns its exit code."""
        try:
            self.process.stdin.close()
            return self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
            self.reader.join(PATIENCE)
            self.written.close()
            self.log.close()
            shutil.rmtree(self.folder, ignore_errors=True)
