"""Where text comes in: the process's own descriptors and Python's streams."""

import codecs
import fcntl
import io
import os

# Bytes read at a time.
CHUNK = 16384
# What is read at most from one descriptor before it is another's turn, so that a program that never stops cannot hold up the end of
# a statement; the size of the pipe, too.
DRAIN = 1 << 20


class Pipe:
    """What is written to descriptor 1 or 2 by anything but Python's own streams."""

    def __init__(self, stream, descriptor):
        self.stream = stream
        # Our own end to write to stays open, so that there is no end of file when user code closes its descriptor.
        self.source, self._sink = os.pipe()
        os.set_blocking(self.source, False)
        try:
            fcntl.fcntl(self._sink, getattr(fcntl, "F_SETPIPE_SZ", 1031), DRAIN)
        except OSError:
            pass  # not on Linux, or beyond the user's share of pipe memory: the usual size does too
        os.dup2(self._sink, descriptor)
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


class Writer(io.TextIOBase):
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
