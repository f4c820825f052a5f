"""How requests travel: two small classes, one that blocks and one that is awaited.

Both have the same methods, all `async`. Those of `Blocking` never suspend, which is what lets `drive` run the one implementation of everything
above them without an event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any, Protocol

import httpx


class Transport(Protocol):
    """What the rest of the package needs of the network and the clock."""

    def build(self, method: str, path: str, **options: Any) -> httpx.Request:
        """A request of httpx, with the cookies that were given to this client."""
        ...

    async def send(self, request: httpx.Request, *, is_stream: bool) -> httpx.Response:
        """Sends it; the body is read unless it is a stream."""
        ...

    async def read(self, response: httpx.Response) -> None:
        """Reads the rest of a stream into the response."""
        ...

    def chunks(self, response: httpx.Response) -> AsyncGenerator[bytes, None]:
        """The body of a stream, as it comes."""
        ...

    async def shut(self, response: httpx.Response) -> None:
        """Ends a stream."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Waits."""
        ...

    async def close(self) -> None:
        """Ends all connections."""
        ...


class Blocking:
    """A transport that blocks its thread."""

    def __init__(self, **options: Any) -> None:
        self._client = httpx.Client(**options)

    def build(self, method: str, path: str, **options: Any) -> httpx.Request:
        """See `Transport`."""
        return self._client.build_request(method, path, **options)

    async def send(self, request: httpx.Request, *, is_stream: bool) -> httpx.Response:
        """See `Transport`."""
        return self._client.send(request, stream=is_stream)

    async def read(self, response: httpx.Response) -> None:
        """See `Transport`."""
        response.read()

    async def chunks(self, response: httpx.Response) -> AsyncGenerator[bytes, None]:
        """See `Transport`."""
        for chunk in response.iter_bytes():
            yield chunk

    async def shut(self, response: httpx.Response) -> None:
        """See `Transport`."""
        response.close()

    async def sleep(self, seconds: float) -> None:
        """See `Transport`."""
        time.sleep(seconds)  # noqa: ASYNC251 - nobody else runs on this thread

    async def close(self) -> None:
        """See `Transport`."""
        self._client.close()


class Asyncio:
    """A transport of asyncio."""

    def __init__(self, **options: Any) -> None:
        self._client = httpx.AsyncClient(**options)

    def build(self, method: str, path: str, **options: Any) -> httpx.Request:
        """See `Transport`."""
        return self._client.build_request(method, path, **options)

    async def send(self, request: httpx.Request, *, is_stream: bool) -> httpx.Response:
        """See `Transport`."""
        return await self._client.send(request, stream=is_stream)

    async def read(self, response: httpx.Response) -> None:
        """See `Transport`."""
        await response.aread()

    async def chunks(self, response: httpx.Response) -> AsyncGenerator[bytes, None]:
        """See `Transport`."""
        async for chunk in response.aiter_bytes():
            yield chunk

    async def shut(self, response: httpx.Response) -> None:
        """See `Transport`."""
        await response.aclose()

    async def sleep(self, seconds: float) -> None:
        """See `Transport`."""
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        """See `Transport`."""
        await self._client.aclose()
