"""What sessions, contexts and batches have in common: logs, and an end."""

from __future__ import annotations

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


L = TypeVar("L", bound=Living)


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
