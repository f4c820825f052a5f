"""Batches: each one `spark-submit` of a jar or a Python file."""

from __future__ import annotations

from typing import Optional

from . import _living
from ._blocking import blocking
from ._exchange import Exchange
from ._records import BatchInfo, read
from ._request import get, path_of
from ._sharing import AsyncShared, Shared
from ._waiting import Deadline, until


class BatchFacts:
    """What can be asked of a batch without a request."""

    _info: BatchInfo

    @property
    def info(self) -> BatchInfo:
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
        """`waiting`, `starting`, `running`, `shutting_down`, `success`, `dead` or `killed`."""
        return self.info.state

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.info.is_over

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name or self.info.livy_id}: {self.state}>"


class AsyncBatch(BatchFacts, AsyncShared):
    """One `spark-submit`."""

    def __init__(self, exchange: Exchange, info: BatchInfo) -> None:
        self._exchange = exchange
        self._path = path_of("batches", info.id)
        self._info = info

    async def _place(self) -> str:
        return self._path

    async def refresh(self) -> None:
        """Asks what has become of it."""
        self._info = read(BatchInfo, await self._exchange.call(get(self._path)))

    async def wait(self, timeout: Optional[float] = None) -> str:
        """Waits until it is over; its state then: `success`, `dead` or `killed`.

        @param timeout  seconds, then `WaitTimeoutError`; None: as long as it takes
        """
        what = f"the end of batch {self.name or self.info.livy_id}"
        self._info = await until(
            self._exchange, self._path, BatchInfo, lambda info: info.is_over, Deadline(timeout), what
        )
        return self.state

    async def log(self, size: int = 100, start: Optional[int] = None) -> list[str]:
        """Lines of its log: the last ones, or those from `start` on, counted from the oldest that is kept."""
        return await _living.log(self._exchange, self._path, size, start)

    async def stop(self, timeout: Optional[float] = 60) -> None:
        """Ends it with all that it started.

        @param timeout  seconds to wait for the end; 0: none
        """
        what = f"batch {self.name or self.info.livy_id}"
        self._info = await _living.ended(self._exchange, self._path, BatchInfo, timeout, what)


class Batch(BatchFacts, Shared[AsyncBatch]):
    """One `spark-submit`."""

    refresh = blocking(AsyncBatch.refresh)
    wait = blocking(AsyncBatch.wait)
    log = blocking(AsyncBatch.log)
    stop = blocking(AsyncBatch.stop)

    @property
    def info(self) -> BatchInfo:
        """What is known of it; `refresh()` brings it up to date."""
        return self._awaited.info
