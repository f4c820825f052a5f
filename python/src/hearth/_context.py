"""Contexts: Spark applications that several sessions, and several people, live in."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Any, Optional

from . import _lists, _living
from ._blocking import blocking, each
from ._errors import HearthError, SessionEndedError
from ._exchange import Exchange
from ._handle import AsyncHandle, Handle
from ._records import ContextInfo, HandleInfo, SessionInfo, read
from ._request import get, path_of, post
from ._session import AsyncSession, Session
from ._sharing import AsyncShared, Shared
from ._waiting import Deadline, until


class ContextFacts:
    """What can be asked of a context without a request."""

    _info: ContextInfo

    @property
    def info(self) -> ContextInfo:
        """What is known of it; `refresh()` brings it up to date."""
        return self._info

    @property
    def id(self) -> str:
        """Its id, a UUID."""
        return self.info.id

    @property
    def name(self) -> Optional[str]:
        """Its name."""
        return self.info.name

    @property
    def state(self) -> str:
        """Such as `waiting`, `starting`, `ready` or `ended`."""
        return self.info.state

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name or self.id}: {self.state}>"


class AsyncContext(ContextFacts, AsyncShared):
    """A Spark application that sessions live in. In a `with` it is stopped at the end, if it was created there."""

    def __init__(self, exchange: Exchange, info: ContextInfo, *, is_own: bool = False) -> None:
        """@param is_own  whether it was made here, and is stopped at the end of a `with`"""
        self._exchange = exchange
        self._path = path_of("contexts", info.id)
        self._is_own = is_own
        self._info = info

    async def _place(self) -> str:
        return self._path

    async def __aenter__(self) -> AsyncContext:
        return self

    async def __aexit__(
        self, kind: Optional[type[BaseException]], e: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if self._is_own:
            await self.stop()

    async def refresh(self) -> None:
        """Asks what has become of it."""
        self._info = read(ContextInfo, await self._exchange.call(get(self._path)))

    async def wait(self, timeout: Optional[float] = None) -> None:
        """Waits until it is ready. `SessionEndedError` when it ends instead.

        @param timeout  seconds, then `WaitTimeoutError`; None: as long as it takes
        """
        what = f"context {self.name or self.id} to become ready"
        self._info = await until(
            self._exchange, self._path, ContextInfo, lambda i: i.state == "ready" or i.is_over, Deadline(timeout), what
        )
        if self.info.is_over:
            raise SessionEndedError(f"context {self.name or self.id} {_living.told(self.info)}", await self.log())

    async def create_session(
        self,
        kind: Optional[str] = None,
        *,
        name: Optional[str] = None,
        idle_timeout: Optional[str] = None,
        ttl: Optional[str] = None,
        heartbeat_seconds: Optional[int] = None,
        timeout: Optional[float] = None,
    ) -> AsyncSession:
        """A new session in it, idle. The parameters are those of `Client.create_session`."""
        options = {
            "kind": kind,
            "name": name,
            "idle_timeout": idle_timeout,
            "ttl": ttl,
            "heartbeat_seconds": heartbeat_seconds,
            "context": self.id,
        }
        return await create_session(self._exchange, options, timeout)

    async def sessions(self) -> list[AsyncSession]:
        """Those of its sessions that the caller may see."""
        found = await _lists.listed(self._exchange, "/sessions")
        infos = [read(SessionInfo, said) for said in found if said["context"] == self.id]
        return [AsyncSession(self._exchange, info) for info in infos]

    async def handle(self, name: str) -> AsyncHandle:
        """One of its handles, by name."""
        return await AsyncHandle.find(self._exchange, self._path + path_of("handles", name))

    async def handles(self) -> list[AsyncHandle]:
        """Its handles."""
        found = await _lists.listed(self._exchange, f"{self._path}/handles")
        return [AsyncHandle(self._exchange, read(HandleInfo, said)) for said in found]

    async def log(self, size: int = 100, start: Optional[int] = None) -> list[str]:
        """Lines of its log: the last ones, or those from `start` on, counted from the oldest that is kept."""
        return await _living.log(self._exchange, self._path, size, start)

    async def restart(self, timeout: Optional[float] = None) -> None:
        """Begins a new Spark application under the same name and waits until it is ready. Its sessions end; durable handles come back.

        @param timeout  seconds, then `WaitTimeoutError`; None: as long as it takes
        """
        self._info = read(ContextInfo, await self._exchange.call(post(f"{self._path}/restart", None)))
        await self.wait(timeout)

    async def stop(self, timeout: Optional[float] = 60) -> None:
        """Ends it, and its sessions with it.

        @param timeout  seconds to wait for the end; 0: none
        """
        what = f"context {self.name or self.id}"
        self._info = await _living.ended(self._exchange, self._path, ContextInfo, timeout, what)


async def create_session(exchange: Exchange, options: dict[str, Any], timeout: Optional[float]) -> AsyncSession:
    """Makes a session and waits until it is idle; one that does not become idle in time is stopped."""
    body = {name: value for name, value in options.items() if value is not None}
    session = AsyncSession(exchange, read(SessionInfo, await exchange.call(post("/sessions", body))), is_own=True)
    try:
        await session.wait(timeout)
    except BaseException:
        # Nobody would know that it is there: not after Ctrl-C either. What is wrong now hides nothing of what was wrong first.
        if not session.info.is_over:
            with contextlib.suppress(HearthError):
                await session.stop(0)
        raise
    return session


class Context(ContextFacts, Shared[AsyncContext]):
    """A Spark application that sessions live in. In a `with` it is stopped at the end, if it was created there."""

    refresh = blocking(AsyncContext.refresh)
    wait = blocking(AsyncContext.wait)
    create_session = blocking(AsyncContext.create_session, lambda awaited: Session(awaited))
    sessions = blocking(AsyncContext.sessions, each(Session))
    handle = blocking(AsyncContext.handle, lambda awaited: Handle(awaited))
    handles = blocking(AsyncContext.handles, each(Handle))
    log = blocking(AsyncContext.log)
    restart = blocking(AsyncContext.restart)
    stop = blocking(AsyncContext.stop)
    __exit__ = blocking(AsyncContext.__aexit__)

    def __enter__(self) -> Context:
        return self

    @property
    def info(self) -> ContextInfo:
        """What is known of it; `refresh()` brings it up to date."""
        return self._awaited.info
