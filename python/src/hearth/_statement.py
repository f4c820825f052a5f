"""Statements: pieces of code, and what came of them."""

from __future__ import annotations

import asyncio
import contextlib
import html
from collections.abc import AsyncGenerator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Optional

from . import _table
from ._blocking import Facade, blocking, steps
from ._display import Display, Ending, Live, Output
from ._errors import HearthError, NotFinishedError, StatementCancelledError, StatementError
from ._exchange import Exchange
from ._follow import Follower, Step
from ._records import StatementInfo, read
from ._request import get, path_of, post
from ._table import Table
from ._waiting import Deadline, until

if TYPE_CHECKING:
    import pandas

# Seconds that a cancelled statement gets to end before Ctrl-C goes on.
_CANCELLING = 5.0
# Types of results that a notebook shows by itself.
_RICH = ("image/png", "image/jpeg", "image/svg+xml", "text/html")


class Outcome:
    """What can be asked of a statement without a request."""

    _info: StatementInfo
    _is_shown = False

    @property
    def info(self) -> StatementInfo:
        """What is known of it; `refresh()` brings it up to date."""
        return self._info

    @property
    def _has_been_shown(self) -> bool:
        return self._is_shown

    @property
    def number(self) -> int:
        """Its number in its session."""
        return self.info.number

    @property
    def session_id(self) -> str:
        """The id of its session."""
        return self.info.session

    @property
    def kind(self) -> str:
        """The language of its code."""
        return self.info.kind

    @property
    def code(self) -> str:
        """Its code."""
        return self.info.code

    @property
    def state(self) -> str:
        """`waiting`, `running`, `cancelling`, `available` or `cancelled`."""
        return self.info.state

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.info.is_over

    @property
    def created_at(self) -> datetime:
        """When the gateway took it."""
        return self.info.created_at

    @property
    def seconds(self) -> Optional[float]:
        """The interpreter's own time."""
        return None if self.info.ran_us is None else self.info.ran_us / 1e6

    @property
    def error(self) -> Optional[StatementError]:
        """Why it failed; None: it did not, or has not ended."""
        output = self.info.output or {}
        if self.info.state != "cancelled" and output.get("status") != "error":
            return None
        kind = StatementCancelledError if self.info.state == "cancelled" else StatementError
        ename = output.get("ename") or "Cancelled"
        return kind(ename, output.get("evalue") or "", output.get("traceback") or ())

    @property
    def data(self) -> Mapping[str, Any]:
        """The result by MIME type. Raises what the code raised (`StatementError`), and `NotFinishedError`."""
        if self.error is not None:
            raise self.error
        if self.info.output is None:
            raise NotFinishedError(f"statement {self.number} is {self.state}: call result() first, which waits")
        data: Mapping[str, Any] = self.info.output.get("data") or {}
        return data

    @property
    def text(self) -> str:
        """What it printed, and its result as text."""
        return str(self.data.get("text/plain", ""))

    @property
    def json(self) -> Any:
        """The result as JSON (`%json x`); None when it has none."""
        return self.data.get(_table.JSON)

    def table(self) -> Table:
        """The result as a table: of SQL, of `%table x`, of `%json frame`. `NoTableError` for anything else."""
        return _table.of_result(self.data, self.info.columns, self.info.truncated)

    def to_pandas(self) -> pandas.DataFrame:
        """The result's table as a pandas DataFrame. Needs `pip install 'hearth[pandas]'`."""
        return self.table().to_pandas()

    def __repr__(self) -> str:
        error = self.error
        return f"<{type(self).__name__} {self.number}: {self.state}{'' if error is None else f', {error.ename}'}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """How a notebook shows it."""
        plain = {"text/plain": repr(self)}
        if self.error is not None or self.info.output is None:
            return plain
        rich = {mime: self.data[mime] for mime in _RICH if mime in self.data}
        try:
            shown = self.table()._repr_html_()
        except HearthError:
            shown = f"<pre>{html.escape(self.text)}</pre>" if self.text and not self._has_been_shown else ""
        return {**plain, **({"text/html": shown} if shown else {}), **rich}


class AsyncStatement(Outcome):
    """One piece of code sent to a session, and its output."""

    def __init__(self, exchange: Exchange, info: StatementInfo) -> None:
        self._exchange = exchange
        self._path = path_of("sessions", info.session, "statements", info.number)
        self._info = info

    def _learn(self, info: StatementInfo) -> None:
        self._info = info

    async def refresh(self) -> None:
        """Asks what has become of it."""
        self._learn(read(StatementInfo, await self._exchange.call(get(self._path))))

    async def wait(self, timeout: Optional[float] = None) -> None:
        """Waits until it has ended, well or not.

        @param timeout  seconds, then `WaitTimeoutError`; None: as long as it takes
        """
        if not self.is_over:
            what = f"statement {self.number} to end"
            ended = await until(
                self._exchange, self._path, StatementInfo, lambda info: info.is_over, Deadline(timeout), what
            )
            self._learn(ended)

    async def result(self, timeout: Optional[float] = None) -> AsyncStatement:
        """Waits until it has ended, raises what the code raised (`StatementError`), else gives the statement itself."""
        await self.wait(timeout)
        if self.error is not None:
            raise self.error
        return self

    async def follow(self) -> AsyncGenerator[Step, None]:
        """Its output and progress as they come, from its beginning, until it has ended; `Ending` when a clock will end the session soon."""
        following = Follower(self._exchange, self.info, self._learn).steps()
        try:
            async for step in following:
                yield step
        finally:
            await following.aclose()

    async def cancel(self, wait: float = 0) -> None:
        """Asks for its end; one that has ended is left as it is.

        @param wait  seconds to wait for the end
        """
        request = post(f"{self._path}/cancel", None, {"wait": wait}, wait=wait)
        self._learn(read(StatementInfo, await self._exchange.call(request)))

    async def show(self, live: Live = True, progress: Optional[bool] = None) -> None:
        """Prints its output as it comes, with a progress bar, then its result, until it has ended.

        Ctrl-C, or the cancellation of the task, cancels the statement.

        @param live      whether output is printed, or a function that is told of each piece
        @param progress  whether there is a progress bar; None: on a terminal and in a notebook
        """
        display = Display(live, progress)
        try:
            printed = await self._shown(display)
        except (KeyboardInterrupt, asyncio.CancelledError):
            await self._give_up()
            raise
        finally:
            display.end()
        self._is_shown = live is True
        if self.error is not None:
            display.write("stderr", str(self.error))
        else:
            display.write("stdout", _beyond(self.text, printed["stdout"], printed["stderr"]))

    async def _shown(self, display: Display) -> dict[str, str]:
        """Shows it until it has ended; what it printed."""
        printed = {"stdout": "", "stderr": ""}
        if display.shows_nothing:
            await self.wait()
            return printed
        following = self.follow()
        try:
            async for step in following:
                if isinstance(step, Output):
                    printed[step.stream] += step.text
                    display.output(step)
                elif isinstance(step, Ending):
                    display.ending(step)
                else:
                    display.progress(step)
        finally:
            await following.aclose()
        return printed

    async def _give_up(self) -> None:
        """Cancels it before an interrupt goes on; what goes wrong with that must not hide the interrupt."""
        with contextlib.suppress(HearthError):
            await self.cancel(_CANCELLING)


def _beyond(text: str, stdout: str, stderr: str) -> str:
    """The result within the text of a statement, which has the printed output before and behind it."""
    head, tail = stdout.rstrip("\n"), stderr.rstrip()
    if text.startswith(head):
        text = text[len(head) :].lstrip("\n")
    if tail and text.rstrip().endswith(tail):
        text = text.rstrip()[: -len(tail)]
    return text.rstrip("\n")


class Statement(Outcome, Facade[AsyncStatement]):
    """One piece of code sent to a session, and its output."""

    refresh = blocking(AsyncStatement.refresh)
    wait = blocking(AsyncStatement.wait)
    result = blocking(AsyncStatement.result, lambda awaited: Statement(awaited))
    follow = steps(AsyncStatement.follow)
    cancel = blocking(AsyncStatement.cancel)
    show = blocking(AsyncStatement.show)

    @property
    def info(self) -> StatementInfo:
        """What is known of it; `refresh()` brings it up to date."""
        return self._awaited.info

    @property
    def _has_been_shown(self) -> bool:
        return self._awaited._has_been_shown
