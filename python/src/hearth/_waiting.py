"""Waiting for what the gateway tells of, by long requests."""

from __future__ import annotations

import time
from typing import Callable, Optional, TypeVar

from ._errors import WaitTimeoutError
from ._exchange import Exchange
from ._records import read
from ._request import get

R = TypeVar("R")

# Seconds that one request waits: short enough for proxies that cut silent connections.
ROUND = 30.0


class Deadline:
    """When waiting ends."""

    def __init__(self, timeout: Optional[float]) -> None:
        """@param timeout  seconds; None: never"""
        self._end = None if timeout is None else time.monotonic() + timeout

    @property
    def left(self) -> float:
        """Seconds that one request may wait."""
        return ROUND if self._end is None else max(0.0, min(ROUND, self._end - time.monotonic()))

    @property
    def is_over(self) -> bool:
        """Whether it has come."""
        return self._end is not None and time.monotonic() >= self._end


async def until(
    exchange: Exchange, path: str, kind: type[R], is_reached: Callable[[R], bool], deadline: Deadline, what: str
) -> R:
    """What the gateway says at `path`, once that is what was waited for.

    @param what  for the error, such as "session 3 to become idle"
    """
    while True:
        left = deadline.left
        info = read(kind, await exchange.call(get(path, {"wait": left}, wait=left)))
        if is_reached(info):
            return info
        if deadline.is_over:
            raise WaitTimeoutError(f"waited in vain for {what}; it goes on: {info}")
