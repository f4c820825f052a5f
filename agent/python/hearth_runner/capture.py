"""What a statement prints: by Python, by C code, by the programs it starts."""

import codecs
import fcntl
import io
import os
import select
import sys
import threading
import time

# Text is gathered for this long before it is sent, so that a loop of prints is not a message a line.
GATHER = 0.01
# Text gathered beyond this many characters is sent at once, which also holds back a program that prints faster than it is read.
CHUNK = 16384
# What is read at most from one descriptor at a time, so that a program that never stops cannot hold up the end of a statement.
DRAIN = 1 << 20


class Transcript:
    """What one statement has printed, within its limit of UTF-8 bytes."""

    def __init__(self, id, limit):
        self.id = id
        self.limit = limit
        self.dropped = 0
        self._room = limit
        self._parts = {"stdout": [], "stderr": []}

    def add(self, stream, text):
        """Keeps what fits; returns what is to be sent: as much, and one character more when this is the first that does
        not fit, so that the receiver sees the limit reached too."""
        size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        if not self.dropped and size <= self._room:
            self._room -= size
            self._parts[stream].append(text)
            return text
        if self.dropped:
            self.dropped += size
            return ""
        fitting = text.encode("utf-8", "surrogatepass")[:self._room].decode("utf-8", "ignore")
        self._parts[stream].append(fitting)
        self._room = 0
        self.dropped = size - len(fitting.encode("utf-8", "surrogatepass"))
        return text[:len(fitting) + 1]

    def text(self):
        """Standard output, then standard error, as Livy joins them, and a last line that tells of a cut."""
        text = "".join(self._parts["stdout"] + self._parts["stderr"]).rstrip()
        if self.dropped:
            text += "\n[output cut here: more than %d bytes]" % self.limit
        return text


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
        self._log = os.dup(2)
        self._wake, self._woken = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._woken, False)
        self._pipes = [_Pipe("stdout", 1), _Pipe("stderr", 2)]
        sys.stdout, sys.stderr = _Writer(self, "stdout", 1), _Writer(self, "stderr", 2)
        sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr
        threading.Thread(target=self._pump, name="hearth-output", daemon=True).start()

    @property
    def log(self):
        """Descriptor of the process's original standard error."""
        return self._log

    def begin(self, transcript):
        with self._interrupts.held(), self._lock:
            self._drain()
            self._flush()
            self._transcript = transcript

    def end(self):
        """All that the statement printed has been sent when this returns."""
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
        with self._interrupts.held(), self._lock:
            if self._transcript:
                self._drain()
                self._transcript.add("stdout", text)

    def flush(self):
        with self._interrupts.held(), self._lock:
            self._drain()
            self._flush()

    def abandon(self):
        """In a forked child: what is printed goes to descriptors 1 and 2, which the parent reads."""
        for pipe in self._pipes:
            os.close(pipe.source)
        for descriptor in (self._wake, self._woken, self._log):
            os.close(descriptor)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, _Writer):
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
        poll = select.poll()
        for descriptor in [self._wake] + [pipe.source for pipe in self._pipes]:
            poll.register(descriptor, select.POLLIN)
        while True:
            poll.poll()
            time.sleep(GATHER)
            with self._lock:
                try:
                    os.read(self._wake, 4096)
                except BlockingIOError:
                    pass
                self._drain()
                self._flush()


class _Pipe:
    """What is written to descriptor 1 or 2 by anything but Python's own streams."""

    def __init__(self, stream, descriptor):
        self.stream = stream
        self.source, sink = os.pipe()
        os.set_blocking(self.source, False)
        try:
            fcntl.fcntl(sink, getattr(fcntl, "F_SETPIPE_SZ", 1031), DRAIN)
        except OSError:
            pass  # not on Linux, or beyond the user's share of pipe memory: the usual size does too
        os.dup2(sink, descriptor)
        os.close(sink)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def read(self):
        """What is there now, without waiting."""
        parts, size = [], 0
        try:
            while size < DRAIN:
                parts.append(os.read(self.source, CHUNK))
                size += len(parts[-1])
        except BlockingIOError:
            pass
        return self._decoder.decode(b"".join(parts)) if parts else ""


class _Writer(io.TextIOBase):
    """sys.stdout or sys.stderr. Has a real descriptor and a `buffer`, for code that asks for them."""

    encoding = "utf-8"
    errors = "surrogatepass"

    def __init__(self, capture, stream, descriptor):
        self._capture = capture
        self._stream = stream
        self._descriptor = descriptor
        self.name = "<%s>" % stream
        self.mode = "w"
        self.detached = False
        self.buffer = open(descriptor, "wb", 0, closefd=False)

    def write(self, text):
        if not isinstance(text, str):
            raise TypeError("write() argument must be str, not %s" % type(text).__name__)
        if self.detached:
            self.buffer.write(text.encode("utf-8", "backslashreplace"))
        elif text:
            self._capture.write(self._stream, text)
        return len(text)

    def flush(self):
        if not self.detached:
            self._capture.flush()

    def writable(self):
        return True

    def fileno(self):
        return self._descriptor

    def isatty(self):
        return False

    def close(self):
        """The streams of a session stay open; code that closes sys.stdout means its own."""
