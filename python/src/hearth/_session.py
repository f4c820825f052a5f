"""Sessions: interactive workspaces."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Any, Optional

from . import _lists, _living
from ._blocking import blocking, each
from ._display import Live
from ._errors import HearthError, SessionEndedError
from ._exchange import Exchange
from ._handle import AsyncHandle, Handle
from ._records import SessionInfo, StatementInfo, read
from ._request import Request, get, path_of, post
from ._sharing import AsyncShared, Shared
from ._statement import AsyncStatement, Statement
from ._waiting import Deadline, until


class SessionFacts:
    """What can be asked of a session without a request."""

    _info: SessionInfo

    @property
    def info(self) -> SessionInfo:
        """What is known of it; `refresh()` brings it up to date."""
        return self._info

    @property
    def id(self) -> str:
        """Its id, a UUID."""
        return self.info.id

    @property
    def livy_id(self) -> int:
        """The number by which clients of the Livy door know it."""
        return self.info.livy_id

    @property
    def name(self) -> Optional[str]:
        """Its name."""
        return self.info.name

    @property
    def kind(self) -> str:
        """The language of its code; `shared`: each statement says."""
        return self.info.kind

    @property
    def state(self) -> str:
        """`starting`, `idle`, `busy`, `shutting_down`, `dead`, `killed` or `error`."""
        return self.info.state

    @property
    def context_id(self) -> str:
        """The id of the context it lives in."""
        return self.info.context

    def __repr__(self) -> str:
        name = "" if self.name is None else f" {self.name!r}"
        return f"<{type(self).__name__} {self.livy_id}{name}: {self.kind}, {self.state}>"


class AsyncSession(SessionFacts, AsyncShared):
    """An interactive workspace in a context. In a `with` it is stopped at the end, if it was created there."""

    def __init__(self, exchange: Exchange, info: SessionInfo, *, is_own: bool = False) -> None:
        """@param is_own  whether it was made here, and is stopped at the end of a `with`"""
        self._exchange = exchange
        self._path = path_of("sessions", info.id)
        self._is_own = is_own
        self._info = info

    async def _place(self) -> str:
        return self._path

    async def __aenter__(self) -> AsyncSession:
        return self

    async def __aexit__(
        self, kind: Optional[type[BaseException]], e: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if self._is_own:
            await self.stop()

    async def refresh(self) -> None:
        """Asks what has become of it."""
        self._info = read(SessionInfo, await self._exchange.call(get(self._path)))

    async def wait(self, timeout: Optional[float] = None) -> None:
        """Waits until it is idle. `SessionEndedError` when it ends instead.

        @param timeout  seconds, then `WaitTimeoutError`; None: as long as it takes
        """
        what = f"session {self.livy_id} to become idle"
        self._info = await until(
            self._exchange, self._path, SessionInfo, lambda i: i.state == "idle" or i.is_over, Deadline(timeout), what
        )
        if self.info.is_over:
            tail = "\n".join(self.info.log[-5:])
            raise SessionEndedError(f"session {self.livy_id} {_living.told(self.info)}\n{tail}".rstrip(), self.info.log)

    async def run(
        self,
        code: str,
        kind: Optional[str] = None,
        *,
        live: Live = True,
        progress: Optional[bool] = None,
        check: bool = False,
    ) -> AsyncStatement:
        """Runs code to its end, and prints its output as it comes, with a progress bar.

        Ctrl-C, or the cancellation of the task, cancels the statement.

        @param kind      `spark` (Scala), `pyspark` or `sql`; None: the session's own
        @param live      whether output is printed, or a function that is told of each piece; False is for programs
        @param progress  whether there is a progress bar; None: on a terminal and in a notebook
        @param check     whether a failure of the code is raised (`StatementError`) here, not first by `result()`
        """
        request = self._submission(code, kind)
        try:
            statement = await self._submit(request)
        except (KeyboardInterrupt, asyncio.CancelledError):
            # It may have come all the same. Sent again it is no other, and tells which statement is to end.
            if self._exchange.may_have_come(request):
                with contextlib.suppress(HearthError):
                    await (await self._submit(request, patience=0)).cancel()
            raise
        await statement.show(live, progress)
        return await statement.result() if check else statement

    async def submit(self, code: str, kind: Optional[str] = None) -> AsyncStatement:
        """Sends code and does not wait. It runs in its turn, also when the session still starts, or this program ends."""
        return await self._submit(self._submission(code, kind))

    def _submission(self, code: str, kind: Optional[str]) -> Request:
        body = {"code": code} if kind is None else {"code": code, "kind": kind}
        return post(f"{self._path}/statements", body)

    async def _submit(self, request: Request, patience: Optional[float] = None) -> AsyncStatement:
        said = await self._exchange.call(request, patience=patience)
        return AsyncStatement(self._exchange, read(StatementInfo, said))

    async def statement(self, number: int) -> AsyncStatement:
        """A statement by its number."""
        said = await self._exchange.call(get(self._path + path_of("statements", number)))
        return AsyncStatement(self._exchange, read(StatementInfo, said))

    async def statements(self, limit: Optional[int] = None, *, newest_first: bool = False) -> list[AsyncStatement]:
        """Its statements by number.

        @param limit  how many at most; None: all
        """
        query = {"newest_first": newest_first}
        found = await _lists.listed(self._exchange, f"{self._path}/statements", query, limit)
        return [AsyncStatement(self._exchange, read(StatementInfo, said)) for said in found]

    async def complete(self, code: str, cursor: Optional[int] = None, kind: Optional[str] = None) -> list[str]:
        """What could stand at the cursor.

        @param cursor  in characters of the code; None: at its end
        """
        before = code if cursor is None else code[:cursor]
        body: dict[str, Any] = {"code": code, "cursor": len(before.encode("utf-16-le", "surrogatepass")) // 2}
        if kind is not None:
            body["kind"] = kind
        said = await self._exchange.call(post(f"{self._path}/completion", body))
        return list(said["candidates"])

    async def log(self, size: int = 100, start: Optional[int] = None) -> list[str]:
        """Lines of its context's log: the last ones, or those from `start` on, counted from the oldest that is kept."""
        return await _living.log(self._exchange, self._path, size, start)

    async def handle(self, name: str) -> AsyncHandle:
        """A handle of its context, by name."""
        return await AsyncHandle.find(self._exchange, self._path + path_of("handles", name))

    async def stop(self, timeout: Optional[float] = 60) -> None:
        """Ends it, and its context when that is its own.

        @param timeout  seconds to wait for the end; 0: none
        """
        self._info = await _living.ended(self._exchange, self._path, SessionInfo, timeout, f"session {self.livy_id}")


class Session(SessionFacts, Shared[AsyncSession]):
    """An interactive workspace in a context. In a `with` it is stopped at the end, if it was created there."""

    refresh = blocking(AsyncSession.refresh)
    wait = blocking(AsyncSession.wait)
    run = blocking(AsyncSession.run, lambda awaited: Statement(awaited))
    submit = blocking(AsyncSession.submit, lambda awaited: Statement(awaited))
    statement = blocking(AsyncSession.statement, lambda awaited: Statement(awaited))
    statements = blocking(AsyncSession.statements, each(Statement))
    complete = blocking(AsyncSession.complete)
    log = blocking(AsyncSession.log)
    handle = blocking(AsyncSession.handle, lambda awaited: Handle(awaited))
    stop = blocking(AsyncSession.stop)
    __exit__ = blocking(AsyncSession.__aexit__)

    def __enter__(self) -> Session:
        return self

    @property
    def info(self) -> SessionInfo:
        """What is known of it; `refresh()` brings it up to date."""
        return self._awaited.info
