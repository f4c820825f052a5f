"""The text of one statement."""


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
