"""The control channel to the agent."""

import json
import os
import threading


class Channel:
    """Lines of JSON over the process's original stdin and stdout.

    Neither descriptor is inherited by programs that user code starts, and forked children lose both (`abandon`), so
    that the agent sees the end of the process as the end of the pipe.
    """

    def __init__(self, commands, replies, interrupts):
        self._commands = commands
        self._replies = replies
        self._interrupts = interrupts
        self._lock = threading.Lock()

    @classmethod
    def take_over(cls, interrupts):
        """Moves the channel away from descriptors 0 and 1; 0 then reads nothing, 1 is still to be set by the caller."""
        commands, replies = os.dup(0), os.dup(1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        return cls(commands, replies, interrupts)

    def commands(self):
        """The commands as they come, until the agent closes its end."""
        with open(self._commands, "rb", closefd=False) as lines:
            for line in lines:
                yield json.loads(line)

    def send(self, type, **body):
        self.send_text(json.dumps(dict(body, type=type)))

    def send_text(self, text):
        """Sends an object that is JSON text already."""
        rest = memoryview(text.encode("ascii") + b"\n")
        with self._interrupts.held(), self._lock:
            while rest:
                rest = rest[os.write(self._replies, rest):]

    def abandon(self):
        """Closes both ends in a forked child."""
        os.close(self._commands)
        os.close(self._replies)
