"""What a statement prints: by Python, by C code, by the programs it starts."""

import os
import select
import sys
import threading
import time

from hearth_runner.streams import Pipe, Writer

# Text is gathered for this long before it is sent, so that a loop of prints is not a message a line.
GATHER = 0.01
# Text gathered beyond this many characters is sent at once, which also holds back a program that prints faster than it is read.
CHUNK = 16384


class Capture:
    """Takes over descriptors 1 and 2 and sys.stdout and sys.stderr, and sends what comes there as `output` of the running statement.

    Between statements (threads of user code go on) it goes to the process's original standard error, which is the agent's log.
    """

    def __init__(self, channel, interrupts):
        self._channel = channel
        self._interrupts = interrupts
        self._lock = threading.RLock()
        self._pending = []
        self._pending_size = 0
        self._transcript = None
        self._abandoned = False
        self._log = os.dup(2)
        self._wake, self._woken = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._woken, False)
        self._pipes = [Pipe("stdout", 1), Pipe("stderr", 2)]
        self._waiting = select.poll()
        for pipe in self._pipes:
            self._waiting.register(pipe.source, select.POLLIN)
        sys.stdout, sys.stderr = Writer(self, "stdout", 1), Writer(self, "stderr", 2)
        sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr
        threading.Thread(target=self._pump, name="hearth-output", daemon=True).start()

    @property
    def log(self):
        """Descriptor of the process's original standard error."""
        return self._log

    def begin(self, transcript):
        """What is printed from here on belongs to this statement."""
        with self._interrupts.held(), self._lock:
            self._drain()
            self._flush()
            self._transcript = transcript

    def end(self):
        """All that the statement printed has been sent when this returns."""
        if self._abandoned:
            return
        with self._interrupts.held(deliver=False), self._lock:
            self._drain()
            self._flush()
            self._transcript = None

    def write(self, stream, text):
        with self._interrupts.held(), self._lock:
            self._drain()
            self._append(stream, text)
            if self._pending_size > CHUNK or (stream == "stderr" and text.endswith("\n")):
                self._flush()

    def show(self, text):
        """Adds the text of a value to the transcript, without sending it: it comes with the statement's result."""
        if self._abandoned:
            return
        with self._interrupts.held(), self._lock:
            if self._transcript:
                self._drain()
                self._transcript.add("stdout", text)

    def flush(self):
        with self._interrupts.held(), self._lock:
            self._drain()
            self._flush()

    def abandon(self):
        """In a forked child: what is printed goes to descriptors 1 and 2, which the parent reads. Another thread may have held the lock
        when the child was made, so it is never taken again."""
        self._abandoned = True
        for pipe in self._pipes:
            os.close(pipe.source)
        for descriptor in (self._wake, self._woken, self._log):
            os.close(descriptor)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, Writer):
                stream.detached = True

    def _append(self, stream, text):
        sent = self._transcript.add(stream, text) if self._transcript else text
        if not sent:
            return
        if self._pending and self._pending[-1][0] == stream:
            self._pending[-1][1].append(sent)
        else:
            if not self._pending:
                self._wake_pump()
            self._pending.append((stream, [sent]))
        self._pending_size += len(sent)

    def _flush(self):
        pending, self._pending, self._pending_size = self._pending, [], 0
        for stream, parts in pending:
            text = "".join(parts)
            if self._transcript:
                self._channel.send("output", id=self._transcript.id, stream=stream, text=text)
            else:
                os.write(self._log, text.encode("utf-8", "backslashreplace"))

    def _drain(self):
        if not self._waiting.poll(0):
            return
        for pipe in self._pipes:
            text = pipe.read()
            if text:
                self._append(pipe.stream, text)

    def _wake_pump(self):
        try:
            os.write(self._woken, b".")
        except BlockingIOError:
            pass  # it has not yet seen the wakes before

    def _pump(self):
        woken = select.poll()
        for descriptor in [self._wake] + [pipe.source for pipe in self._pipes]:
            woken.register(descriptor, select.POLLIN)
        while True:
            woken.poll()
            time.sleep(GATHER)
            with self._lock:
                try:
                    os.read(self._wake, 4096)
                except BlockingIOError:
                    pass
                self._drain()
                self._flush()
