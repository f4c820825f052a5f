"""Cancels: how a KeyboardInterrupt reaches user code, and nothing but user code."""

import signal
import sys
import threading

from hearth_runner import cell

_MESSAGE = "the statement was cancelled"
# How long user code may take to end after an interrupt before it is interrupted again (it may have swallowed the first).
AGAIN = 0.3


class Interrupts:
    """Delivers cancels to the statement that they are meant for.

    A signal alone could arrive when the statement is already over, or in the middle of the runner's own bookkeeping. So a strike is
    noted first, under a lock, against the statement that runs; the signal only makes the main thread look. Sections that must not be
    torn are `held`: a strike that arrives there is delivered at their end.
    """

    def __init__(self):
        self._main = threading.main_thread().ident
        self._changed = threading.Condition(threading.Lock())
        self._running = None
        self._cancelled = None
        self._struck = False
        self._strikes = 0
        self._held = 0

    def install(self):
        """Makes SIGINT ours. To be repeated after anything that installs its own handler, as PySpark's SparkContext does."""
        signal.signal(signal.SIGINT, self._on_signal)

    def begin(self, id):
        """From here on a cancel of this statement is delivered; one that has come already is raised here."""
        with self._changed:
            self._strikes = 0
            if self._cancelled == id:
                raise KeyboardInterrupt(_MESSAGE)
            self._running = id

    def end(self):
        """From here on no strike is delivered. May be called again, if a strike cut it short."""
        with self.held(deliver=False):
            with self._changed:
                self._running = None
                self._struck = False
                self._changed.notify_all()
            if self._strikes > 1:
                sys.settrace(None)

    def cancel(self, id):
        """Interrupts the statement, again and again until it ends, from a thread of its own; if it has not begun, it will not."""
        with self._changed:
            if self._cancelled == id:
                return
            self._cancelled = id
            if self._running != id:
                return
        threading.Thread(target=self._strike, args=(id,), name="hearth-cancel", daemon=True).start()

    def held(self, deliver=True):
        """A section of the main thread that must not be torn; of no effect on other threads."""
        return _Held(self, deliver) if threading.get_ident() == self._main else _NOTHING

    def opened(self):
        """Inside a held section: a part that blocks and may be torn."""
        return _Opened(self) if threading.get_ident() == self._main else _NOTHING

    def _strike(self, id):
        with self._changed:
            while self._running == id:
                self._struck = True
                signal.pthread_kill(self._main, signal.SIGINT)
                self._changed.wait(AGAIN)

    def _on_signal(self, _signal, frame):
        self.deliver(frame)

    def deliver(self, frame=None):
        """Raises KeyboardInterrupt in the main thread if a strike is due."""
        if self._struck and not self._held:
            self._struck = False
            self._strikes += 1
            if self._strikes > 1:
                self._insist(frame or sys._getframe())
            raise KeyboardInterrupt(_MESSAGE)

    def _insist(self, frame):
        """Code that swallows interrupts in a loop is interrupted once more where it handles the one it is about to get."""
        while frame is not None:
            if frame.f_code.co_filename.startswith(cell.FILES):
                frame.f_trace = _raise_at_next_line
            frame = frame.f_back
        sys.settrace(_trace_nothing_new)


def _trace_nothing_new(_frame, _event, _argument):
    return None


def _raise_at_next_line(_frame, event, _argument):
    if event == "line":
        raise KeyboardInterrupt(_MESSAGE)  # and Python stops tracing
    return _raise_at_next_line


class _Held:
    def __init__(self, interrupts, deliver):
        self._interrupts = interrupts
        self._deliver = deliver

    def __enter__(self):
        self._depth = self._interrupts._held
        self._interrupts._held = self._depth + 1

    def __exit__(self, *_error):
        self._interrupts._held = self._depth
        if self._deliver:
            self._interrupts.deliver()


class _Opened:
    def __init__(self, interrupts):
        self._interrupts = interrupts

    def __enter__(self):
        self._depth, self._interrupts._held = self._interrupts._held, 0
        self._interrupts.deliver()

    def __exit__(self, *_error):
        self._interrupts._held = self._depth


class _Nothing:
    def __enter__(self):
        return None

    def __exit__(self, *_error):
        return None


_NOTHING = _Nothing()
