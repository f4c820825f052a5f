"""Following a statement: its output and progress as they come, each piece once, whatever happens to the connection."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any, Callable, Union

from ._display import Ending, Output, Progress, ending_of, progress_of
from ._errors import UnreachableError
from ._events import Decoder, Event
from ._exchange import Exchange
from ._records import StatementInfo, read
from ._request import Request, get, path_of

# Seconds that a statement gets to end before a stream of events is opened for it: most are done by then.
_AT_ONCE = 0.2
# Seconds that it gets when the stream has broken off.
_AGAIN = 1.0
# A silent stream shows every 15 seconds that it is alive.
_SILENCE = 30.0
# Pieces of output that the gateway gives at once.
_PIECES = 1000

Step = Union[Output, Progress, Ending]


class Follower:
    """Follows one statement."""

    def __init__(self, exchange: Exchange, info: StatementInfo, learn: Callable[[StatementInfo], None]) -> None:
        """@param learn  is told what becomes of the statement"""
        self._exchange = exchange
        self._session, self._number = info.session, info.number
        self._path = path_of("sessions", info.session, "statements", info.number)
        self._learn = learn
        self._is_over = info.is_over
        self._seen = 0

    async def steps(self) -> AsyncGenerator[Step, None]:
        """Output, progress and warnings of the session's end, until the statement has ended."""
        await self._look(_AT_ONCE)
        while not self._is_over:
            try:
                events = self._events()
                try:
                    async for event in events:
                        for step in self._taken(event):
                            yield step
                        if self._is_over or event.name in ("missed", "end"):
                            break
                finally:
                    await events.aclose()
            except UnreachableError:
                # The next request decides whether the gateway comes back, and keeps streams that break at once from being asked for at once.
                pass
            if not self._is_over:
                await self._look(_AGAIN)
        async for piece in self._rest():
            yield piece

    async def _look(self, wait: float) -> None:
        self._now(await self._exchange.call(get(self._path, {"wait": wait}, wait=wait)))

    def _now(self, said: Mapping[str, Any]) -> None:
        info = read(StatementInfo, said)
        self._is_over = info.is_over
        self._learn(info)

    async def _events(self) -> AsyncGenerator[Event, None]:
        headers = {"last-event-id": str(self._seen)} if self._seen else {}
        path = path_of("sessions", self._session, "events")
        request = Request("GET", path, accept="text/event-stream", wait=_SILENCE, headers=headers)
        decoder = Decoder()
        async with self._exchange.stream(request) as stream:
            chunks = stream.chunks()
            try:
                async for chunk in chunks:
                    for event in decoder.feed(chunk):
                        yield event
            finally:
                await chunks.aclose()

    def _taken(self, event: Event) -> list[Step]:
        """What an event says of this statement."""
        data = event.data
        if event.name == "snapshot":
            for statement in data["statements"]:
                if statement["number"] == self._number:
                    self._now(statement)
        elif event.name == "statement" and data["number"] == self._number:
            self._now(data)
        elif event.name == "output" and data["statement"] == self._number:
            return self._piece(data)
        elif event.name == "progress" and data["statement"] == self._number:
            return [progress_of(data["progress"])]
        elif event.name == "ending":
            return [ending_of(data)]
        return []

    def _piece(self, said: Mapping[str, Any]) -> list[Step]:
        if said["seq"] <= self._seen:
            return []
        self._seen = said["seq"]
        return [Output(said["stream"], said["text"], said["seq"])]

    async def _rest(self) -> AsyncGenerator[Step, None]:
        """The output that no event told of: that of a statement which had ended before its events were asked for."""
        while True:
            query = {"after": self._seen, "size": _PIECES}
            page = await self._exchange.call(get(self._path + "/output", query))
            for said in page["items"]:
                for piece in self._piece(said):
                    yield piece
            if len(page["items"]) < _PIECES:
                return
