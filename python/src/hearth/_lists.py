"""Lists, page by page."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Optional

from ._exchange import Exchange
from ._request import Query, get

# The gateway gives no more at once.
_PAGE = 1000


async def items(
    exchange: Exchange, path: str, query: Optional[Query] = None, size: int = _PAGE
) -> AsyncGenerator[Any, None]:
    """The items of a list; pages are asked for as they are needed."""
    start, total = 0, 1
    while start < total:
        page = await exchange.call(get(path, {**(query or {}), "from": start, "size": size}))
        for item in page["items"]:
            yield item
        total = page["total"]
        # A page of large things ends before its size, and says so.
        start += page["size"]


async def listed(
    exchange: Exchange, path: str, query: Optional[Query] = None, limit: Optional[int] = None
) -> list[Any]:
    """The items of a list, at most `limit`."""
    found: list[Any] = []
    if limit is not None and limit <= 0:
        return found
    listing = items(exchange, path, query, _PAGE if limit is None else min(limit, _PAGE))
    try:
        async for item in listing:
            found.append(item)
            if limit is not None and len(found) >= limit:
                break
    finally:
        await listing.aclose()
    return found
