"""What sessions, contexts and batches have in common: logs, and an end."""

from __future__ import annotations

from datetime import datetime
from typing import Optional, Protocol, TypeVar

from ._exchange import Exchange
from ._records import read
from ._request import delete, get
from ._waiting import Deadline, until


class Living(Protocol):
    """What lives until it is over."""

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        ...


class Ended(Protocol):
    """What may have ended, for a reason."""

    @property
    def cause(self) -> Optional[str]:
        """Why."""
        ...

    @property
    def ended_at(self) -> Optional[datetime]:
        """When."""
        ...


L = TypeVar("L", bound=Living)


def told(info: Ended) -> str:
    """When and why something has ended: the rest of a sentence that begins with its name."""
    at = "" if info.ended_at is None else f" at {info.ended_at:%Y-%m-%d %H:%M:%S %Z}"
    return f"ended{at}: {info.cause or 'no cause is known'}"


async def log(exchange: Exchange, path: str, size: int, start: Optional[int]) -> list[str]:
    """Lines of the log of what is at `path`."""
    said = await exchange.call(get(f"{path}/log", {"size": size, "from": start}))
    return list(said["lines"])


async def ended(exchange: Exchange, path: str, kind: type[L], timeout: Optional[float], what: str) -> L:
    """Ends what is at `path`; what it is then."""
    deadline = Deadline(timeout)
    left = deadline.left
    info = read(kind, await exchange.call(delete(path, {"wait": left}, wait=left)))
    if info.is_over or timeout == 0:
        return info
    return await until(exchange, path, kind, lambda now: now.is_over, deadline, f"the end of {what}")
