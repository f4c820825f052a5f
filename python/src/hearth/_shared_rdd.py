"""`SharedRdd`: a handle by the address of a session or a context, and its name."""

from __future__ import annotations

from types import TracebackType
from typing import Callable, Optional

from ._auth import Auth, Verify
from ._blocking import drive
from ._client import PATIENCE, exchange, finder
from ._errors import ConfigurationError
from ._handle import AsyncHandle, Handle
from ._transport import Asyncio, Blocking, Transport


class AsyncSharedRdd(AsyncHandle):
    """A handle by address and name, over connections of its own. It is looked up at its first call."""

    def __init__(
        self,
        url: str,
        name: str,
        *,
        auth: Auth = None,
        verify: Verify = True,
        do_as: Optional[str] = None,
        patience: float = PATIENCE,
        transport: Callable[..., Transport] = Asyncio,
    ) -> None:
        """@param url  such as `https://host:8998/sessions/0` or `host:8998/contexts/NAME`; the rest is as for `connect`"""
        asks, place = exchange(url, auth, verify, do_as, patience, transport)
        if place is None:
            raise ConfigurationError(
                f"{url!r} names no session and no context: write it like https://host:8998/sessions/0 "
                "or https://host:8998/contexts/NAME"
            )
        super().__init__(asks, finder=finder(place, name))

    async def __aenter__(self) -> AsyncSharedRdd:
        return self

    async def __aexit__(
        self, kind: Optional[type[BaseException]], e: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends its connections."""
        await self._exchange.transport.close()


class SharedRdd(Handle):
    """A handle by address and name.

    ```python
    states = SharedRdd("https://host:8998/sessions/0", "states")
    states.get("ak")
    ```
    """

    def __init__(
        self,
        url: str,
        name: str,
        *,
        auth: Auth = None,
        verify: Verify = True,
        do_as: Optional[str] = None,
        patience: float = PATIENCE,
    ) -> None:
        """Looks it up. The parameters are those of `connect`, but for an address that goes on to name a session or a context."""
        awaited = AsyncSharedRdd(
            url, name, auth=auth, verify=verify, do_as=do_as, patience=patience, transport=Blocking
        )
        try:
            drive(awaited.refresh())
        except BaseException:
            drive(awaited.close())
            raise
        super().__init__(awaited)
        self._own = awaited

    def __enter__(self) -> SharedRdd:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], e: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends its connections."""
        drive(self._own.close())
