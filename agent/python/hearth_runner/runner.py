"""The process: starts, loads PySpark, then does what the agent says until the agent is gone."""

import atexit
import faulthandler
import json
import os
import platform
import queue
import signal
import sys
import threading
import time
import traceback

from hearth_runner import completion, tracebacks
from hearth_runner.capture import Capture
from hearth_runner.channel import Channel
from hearth_runner.execution import Session
from hearth_runner.interrupts import Interrupts
from hearth_runner.transcript import Transcript

# The largest result, in bytes of JSON.
LARGEST_RESULT = 16 << 20
# How long the interpreter may take to end by itself, running what user code left to `atexit`.
GRACE = 2.0


def main():
    os.environ.setdefault("MPLBACKEND", "Agg")
    interrupts = Interrupts()
    interrupts.install()
    channel = Channel.take_over(interrupts)
    capture = Capture(channel, interrupts)
    faulthandler.enable(capture.log)
    Runner(channel, capture, interrupts).serve()
    # Not by the interpreter's own end: it waits for user code's threads, and for locks that threads it has stopped may hold.
    atexit._run_exitfuncs()
    os._exit(0)


class Runner:
    """Carries out commands, one after the other, on the main thread; a second thread reads them, so that a cancel overtakes."""

    def __init__(self, channel, capture, interrupts):
        self._channel = channel
        self._capture = capture
        self._interrupts = interrupts
        self._session = Session(capture)
        self._commands = queue.SimpleQueue()
        self._running = None
        self._process = os.getpid()
        self._spark = None
        os.register_at_fork(after_in_child=self._forked)

    def serve(self):
        self._channel.send("started", pid=self._process, version=platform.python_version())
        threading.Thread(target=self._read, name="hearth-commands", daemon=True).start()
        actions = {"attach": self._attach, "open": self._open, "run": self._run, "complete": self._complete}
        try:
            from hearth_runner import spark
            spark.load()
        except Exception as error:
            self._channel.send("failed", reason="PySpark cannot be imported by %s: %s" % (sys.executable, error))
            return
        while True:
            command = self._commands.get()
            type = command.pop("type")
            if type == "close":
                return
            actions[type](**command)

    def _read(self):
        why = "the agent has closed its end of the pipe"
        try:
            for command in self._channel.commands():
                if command["type"] == "cancel":
                    self._interrupts.cancel(command["id"])
                else:
                    self._commands.put(command)
                    if command["type"] == "close":
                        why = None
                        break
        except BaseException:
            why = "no command can be read:\n" + traceback.format_exc()
        finally:  # closed by the agent, or the agent is gone
            self._commands.put({"type": "close"})
            if self._running is not None:
                self._interrupts.cancel(self._running)
            if why:
                self._say_why(why)
            time.sleep(GRACE)
            os._exit(0)

    def _say_why(self, why):
        try:
            os.write(self._capture.log, ("Hearth's Python ends: %s\n" % why).encode("utf-8", "backslashreplace"))
        except OSError:
            pass  # nobody reads it any longer, or user code has closed it

    def _attach(self, port, secret):
        from hearth_runner.spark import Spark
        try:
            self._spark = Spark(port, secret, lambda: self._running, self._interrupts)
        except Exception:
            self._channel.send("failed", reason="PySpark cannot attach to the driver:\n" + traceback.format_exc())
        else:
            self._channel.send("attached")

    def _open(self, number):
        try:
            self._spark.open(number)
            self._session.open(self._spark)
        except Exception:
            self._channel.send("failed", reason="PySpark cannot open the session:\n" + traceback.format_exc())
        else:
            self._channel.send("ready")

    def _run(self, id, code, max_rows, max_output, notice=""):
        transcript = Transcript(id, max_output)
        self._interrupts.install()
        self._capture.begin(transcript)
        self._running = id
        if notice:
            sys.stderr.write(notice)
        begun = time.perf_counter_ns()
        try:
            try:
                self._interrupts.begin(id)
                done = self._session.execute(id, code, max_rows, transcript)
            finally:
                self._interrupts.end()
        except BaseException as error:  # an interrupt that came when the code was just over
            self._interrupts.end()
            done = {"output": tracebacks.error(error), "columns": None, "truncated": None}
        if os.getpid() != self._process:
            os._exit(0)  # user code forked, and the child came back here
        ran = (time.perf_counter_ns() - begun) // 1000
        self._capture.end()
        self._running = None
        self._channel.send_text(_done(id, done, ran))

    def _complete(self, id, code, cursor):
        try:
            found = completion.candidates(code, cursor, self._session.names)
        except Exception:  # names of user code may do anything when they are looked at
            found = []
        self._channel.send("completion", id=id, candidates=found)

    def _forked(self):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._channel.abandon()
        self._capture.abandon()
        faulthandler.enable(2)


def _done(id, done, ran):
    output = json.dumps(done.pop("output"), allow_nan=False)
    if len(output) > LARGEST_RESULT:
        output = json.dumps(_too_large(len(output)))
        done = {"columns": None, "truncated": None}
    rest = json.dumps(dict(done, type="done", id=id, ran_us=ran))
    return rest[:-1] + ', "output": ' + output + "}"


def _too_large(size):
    value = (
        "the result is %.1f MiB of JSON, more than the %d MiB that can be shown: "
        "select fewer rows or columns, or write it to a file or a table" % (size / (1 << 20), LARGEST_RESULT >> 20))
    return {"status": "error", "ename": "ResultTooLarge", "evalue": value, "traceback": []}
