"""The runner as the agent starts it, driven over its pipes.

SPARK_HOME says where PySpark comes from, HEARTH_TEST_PYTHON which Python runs it (this one, if unset).
"""

import json
import os
import queue
import subprocess
import sys
import threading

RUNNER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "python", "hearth_runner")
PYTHON = os.environ.get("HEARTH_TEST_PYTHON", sys.executable)
# Seconds. Generous: it bounds a hang, not a test's length.
PATIENCE = 60


class RunnerProcess:
    """A runner without a JVM: it is never told to attach, so it has no `spark`."""

    def __init__(self):
        assert "SPARK_HOME" in os.environ, "SPARK_HOME must name a Spark: the runner needs its PySpark"
        self.process = subprocess.Popen(
            [PYTHON, RUNNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.replies = queue.Queue()
        self.log = []
        self.readers = [threading.Thread(target=reader, daemon=True) for reader in (self._read, self._read_log)]
        for reader in self.readers:
            reader.start()
        self.number = 0
        self.started = self.reply("started")

    def _read(self):
        for line in self.process.stdout:
            assert line.isascii(), line
            self.replies.put(json.loads(line))
        self.replies.put(None)

    def _read_log(self):
        for line in self.process.stderr:
            self.log.append(line.decode())

    def send(self, type, **body):
        self.process.stdin.write(json.dumps(dict(body, type=type)).encode("ascii") + b"\n")
        self.process.stdin.flush()

    def next(self):
        found = self.replies.get(timeout=PATIENCE)
        assert found is not None, "the runner ended: " + "".join(self.log)
        assert found["type"] != "failed", found["reason"]
        return found

    def reply(self, type):
        """The next reply, which must be of this type."""
        found = self.next()
        assert found["type"] == type, found
        return found

    def begin(self, code, max_rows=1000, max_output=100000, **more):
        """Sends a statement and returns its number."""
        self.number += 1
        self.send("run", id=self.number, code=code, max_rows=max_rows, max_output=max_output, **more)
        return self.number

    def end(self):
        """What the running statement prints up to its end, as pairs of stream and text, and its `done`."""
        printed = []
        while True:
            found = self.next()
            assert found["id"] == self.number, found
            if found["type"] == "done":
                return printed, found
            printed.append((found["stream"], found["text"]))

    def run(self, code, **limits):
        """The `done` of a statement."""
        self.begin(code, **limits)
        return self.end()[1]

    def data(self, code, **limits):
        """The data of a statement that must succeed."""
        output = self.run(code, **limits)["output"]
        assert output["status"] == "ok", output
        return output["data"]

    def text(self, code, **limits):
        return self.data(code, **limits)["text/plain"]

    def error(self, code, **limits):
        """The output of a statement that must fail."""
        output = self.run(code, **limits)["output"]
        assert output["status"] == "error", output
        return output

    def cancelled(self, code):
        """Runs code that prints something and then does not end, cancels it, and returns its output."""
        number = self.begin(code)
        self.reply("output")
        self.send("cancel", id=number)
        return self.end()[1]["output"]

    def complete(self, code, cursor=None):
        self.send("complete", id=1, code=code, cursor=len(code) if cursor is None else cursor)
        return self.reply("completion")["candidates"]

    def close(self):
        """Closes the pipe and returns the exit code."""
        self.process.stdin.close()
        try:
            return self.process.wait(timeout=PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
            for reader in self.readers:
                reader.join(PATIENCE)
            self.process.stdout.close()
            self.process.stderr.close()
