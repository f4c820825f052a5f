"""The same calls to be awaited, on asyncio.

```python
from hearth import aio

async with await aio.connect("https://hearth.example.com:8998", auth="hearth_…") as client:
    async with await client.create_session("pyspark") as session:
        statement = await session.submit("spark.range(1000).count()")
        print((await statement.result()).text)
```
"""

from __future__ import annotations

from typing import Optional

from ._auth import Auth, Verify
from ._batch import AsyncBatch as Batch
from ._client import PATIENCE
from ._client import AsyncClient as Client
from ._context import AsyncContext as Context
from ._handle import AsyncHandle as Handle
from ._session import AsyncSession as Session
from ._shared_rdd import AsyncSharedRdd as SharedRdd
from ._statement import AsyncStatement as Statement

__all__ = ["Batch", "Client", "Context", "Handle", "Session", "SharedRdd", "Statement", "connect"]


async def connect(
    url: Optional[str] = None,
    *,
    auth: Auth = None,
    verify: Verify = True,
    do_as: Optional[str] = None,
    patience: float = PATIENCE,
) -> Client:
    """Connects to a gateway, and finds out whether it lets the caller in. The parameters are those of `hearth.connect`."""
    client = Client(url, auth=auth, verify=verify, do_as=do_as, patience=patience)
    try:
        await client.whoami()
    except BaseException:
        await client.close()
        raise
    return client
