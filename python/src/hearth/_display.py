"""What a statement shows while it runs: its output as it comes, and a progress bar."""

from __future__ import annotations

import html
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Callable, Optional, Protocol, Union

from ._records import moment

# Columns of the bar on a terminal.
_WIDTH = 30
_ERASE = "\r\x1b[K"


@dataclass(frozen=True)
class Output:
    """A piece of what a statement prints."""

    stream: str
    """`stdout` or `stderr`."""
    text: str
    seq: int
    """Its number in the session; rises."""


@dataclass(frozen=True)
class Progress:
    """How far the Spark jobs of a statement are."""

    fraction: float
    """0 to 1."""
    jobs: int = 0
    stages: int = 0
    stages_done: int = 0
    tasks: int = 0
    tasks_done: int = 0
    tasks_active: int = 0
    tasks_failed: int = 0

    def __str__(self) -> str:
        failed = f", {self.tasks_failed} failed" if self.tasks_failed else ""
        return f"{self.fraction:.0%}, {self.tasks_done} of {self.tasks} tasks, {self.tasks_active} running{failed}"


def progress_of(said: Mapping[str, Any]) -> Progress:
    """Progress, as the gateway tells it."""
    counts = {name: int(said[name]) for name in Progress.__dataclass_fields__ if name in said}
    return Progress(float(said.get("progress", 0)), **counts)


@dataclass(frozen=True)
class Ending:
    """A clock will end the session soon."""

    at: datetime
    """When, if nothing happens."""
    reason: str
    clock: str
    """`idle`, `ttl` or `context_idle`."""

    def __str__(self) -> str:
        return f"Hearth: the session ends at {self.at.astimezone():%H:%M:%S}: {self.reason}"


def ending_of(said: Mapping[str, Any]) -> Ending:
    """A warning, as the gateway tells it."""
    at = moment(str(said["at"]))
    assert at is not None
    return Ending(at, str(said["reason"]), str(said["clock"]))


Live = Union[bool, Callable[[Output], None]]
"""Whether output is printed as it comes, or who is told of it."""


class _Bar(Protocol):
    def show(self, progress: Progress) -> None: ...

    def make_way(self) -> None:
        """Text is to be written."""

    def end(self) -> None: ...


class Display:
    """Shows one statement."""

    def __init__(self, live: Live, progress: Optional[bool]) -> None:
        """@param progress  whether there is a bar; None: on a terminal and in a notebook"""
        self._live = live
        self._bar = _bar(progress, bool(live))

    @property
    def shows_nothing(self) -> bool:
        """Whether nobody looks."""
        return not self._live and self._bar is None

    def output(self, piece: Output) -> None:
        """Shows a piece of output."""
        if callable(self._live):
            self._live(piece)
        elif self._live:
            if self._bar is not None:
                self._bar.make_way()
            _write(piece.stream, piece.text)

    def ending(self, ending: Ending) -> None:
        """Shows that the session will end."""
        if self._live is True:
            if self._bar is not None:
                self._bar.make_way()
            _write("stderr", f"{ending}\n")

    def write(self, stream: str, text: str) -> None:
        """Shows what comes at the end."""
        if self._live is True and text:
            _write(stream, text if text.endswith("\n") else text + "\n")

    def progress(self, progress: Progress) -> None:
        """Moves the bar."""
        if self._bar is not None:
            self._bar.show(progress)

    def end(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.end()


def _write(stream: str, text: str) -> None:
    to = sys.stderr if stream == "stderr" else sys.stdout
    try:
        to.write(text)
    except UnicodeEncodeError:
        encoding = to.encoding or "ascii"
        to.write(text.encode(encoding, "replace").decode(encoding))
    to.flush()


class _Terminal:
    """A line of the terminal that is written over."""

    def __init__(self) -> None:
        self._is_shown = False

    def show(self, progress: Progress) -> None:
        done = int(_WIDTH * min(1.0, max(0.0, progress.fraction)))
        sys.stderr.write(f"{_ERASE}[{'=' * done}{' ' * (_WIDTH - done)}] {progress}")
        sys.stderr.flush()
        self._is_shown = True

    def make_way(self) -> None:
        if self._is_shown:
            sys.stderr.write(_ERASE)
            sys.stderr.flush()
            self._is_shown = False

    def end(self) -> None:
        self.make_way()


class _Notebook:
    """A place in the output of the cell that is updated."""

    def __init__(self, display: Callable[..., Any], as_html: Callable[[str], Any]) -> None:
        self._display = display
        self._as_html = as_html
        self._place: Any = None

    def show(self, progress: Progress) -> None:
        bar = self._as_html(
            f"<progress value='{progress.fraction:.4f}' max='1'></progress> {html.escape(str(progress))}"
        )
        if self._place is None:
            self._place = self._display(bar, display_id=True)
        else:
            self._place.update(bar)

    def make_way(self) -> None:
        """It has a place of its own."""

    def end(self) -> None:
        if self._place is not None:
            self._place.update(self._as_html(""))


def _bar(wanted: Optional[bool], is_live: bool) -> Optional[_Bar]:
    if wanted is False or (wanted is None and not is_live):
        return None
    # Only who is in a notebook has it loaded.
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if shell is not None and hasattr(shell, "kernel"):
        from IPython.display import HTML, display

        return _Notebook(display, HTML)
    return _Terminal() if wanted or sys.stderr.isatty() else None
