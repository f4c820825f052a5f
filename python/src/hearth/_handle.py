"""Handles: named RDDs, DataFrames and values of a context, read and written from outside."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional

from . import _table
from ._arrow import END, Batches
from ._blocking import blocking, steps
from ._errors import HearthError, NotFoundError, WaitTimeoutError
from ._exchange import Exchange
from ._extras import extra
from ._records import HandleInfo, read
from ._request import Request, delete, get, path_of, post, put
from ._sharing import AsyncShared, Shared
from ._table import Column, Table
from ._values import from_wire, key_from_wire, to_wire

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

_ARROW = "application/vnd.apache.arrow.stream"
_VERSION = "x-hearth-handle-version"
# Seconds that Spark may take before it answers.
_SPARK = 600.0
# Seconds that a change may take to be written.
_WRITTEN = 60.0


class HandleFacts:
    """What can be asked of a handle without a request."""

    _found: Optional[HandleInfo]

    @property
    def info(self) -> HandleInfo:
        """What is known of it; `refresh()` brings it up to date."""
        known = self._known()
        if known is None:
            raise HearthError("nothing is known of this handle before its first call: await refresh()")
        return known

    def _known(self) -> Optional[HandleInfo]:
        return self._found

    @property
    def id(self) -> str:
        """Its id, a UUID."""
        return self.info.id

    @property
    def name(self) -> str:
        """Its name in its context."""
        return self.info.name

    @property
    def kind(self) -> str:
        """`dataframe`, `rdd`, `pairs` (a key-value RDD) or `value`."""
        return self.info.kind

    @property
    def state(self) -> str:
        """`ready`, `lost` or `gone`."""
        return self.info.state

    @property
    def version(self) -> int:
        """The version that the last answer was about."""
        return self.info.version

    def __repr__(self) -> str:
        if self._known() is None:
            return f"<{type(self).__name__}, not looked up yet>"
        reason = f": {self.info.reason}" if self.info.reason else ""
        return f"<{type(self).__name__} {self.name!r}: {self.kind}, version {self.version}, {self.state}{reason}>"


class AsyncHandle(HandleFacts, AsyncShared):
    """A named RDD, DataFrame or value of a context. It needs a grant on the handle, and none on its context."""

    def __init__(self, exchange: Exchange, info: Optional[HandleInfo] = None, finder: Optional[str] = None) -> None:
        """@param finder  the path that finds it by name"""
        self._exchange = exchange
        self._found = info
        self._finder = finder

    @classmethod
    async def find(cls, exchange: Exchange, finder: str) -> AsyncHandle:
        """The handle that a path finds."""
        handle = cls(exchange, finder=finder)
        await handle.refresh()
        return handle

    async def _place(self) -> str:
        if self._found is None:
            await self.refresh()
        return path_of("handles", self.id)

    async def refresh(self) -> None:
        """Asks what has become of it."""
        path = self._finder or path_of("handles", self.id)
        self._found = read(HandleInfo, await self._exchange.call(get(path)))

    async def _call(self, request: Request) -> Any:
        """A request below the handle's own path. One of this name that was shared anew has another id, and is found again."""
        is_fresh = self._found is None
        place = await self._place()
        try:
            said = await self._exchange.call(dataclasses.replace(request, path=place + request.path))
        except NotFoundError:
            if is_fresh or self._finder is None:
                raise
            await self.refresh()
            said = await self._exchange.call(dataclasses.replace(request, path=await self._place() + request.path))
        if isinstance(said, dict) and isinstance(said.get("version"), int):
            self._is_now(said["version"])
        return said

    def _is_now(self, version: int) -> None:
        self._found = dataclasses.replace(self.info, version=version)

    async def get(self, key: Any) -> dict[Any, Any]:
        """The entry of a key: `{key: value}`, or `{}` when there is none."""
        return await self.get_all([key])

    async def get_all(self, keys: Iterable[Any]) -> dict[Any, Any]:
        """The entries of these keys, those that there are, all of one version."""
        body = {"keys": [to_wire(key) for key in keys]}
        said = await self._call(Request("POST", "/entries/get", body=body, wait=_SPARK))
        return {key_from_wire(entry["key"]): from_wire(entry["value"]) for entry in said["entries"]}

    async def put(self, entries: Mapping[Any, Any], *, durable: bool = False, timeout: float = _WRITTEN) -> int:
        """Sets entries, all at once; the version that has them. Readers of an older version keep it until they are done.

        @param durable  whether to wait until that version is written to the handle store, so that the end of its driver does not
            take it away; the handle has to be durable
        @param timeout  seconds to wait for that: `WaitTimeoutError` says that it is done and will be written, but is not yet
        """
        body = {"entries": [[to_wire(key), to_wire(value)] for key, value in entries.items()]}
        return await self._change(put("/entries", body, wait=_SPARK), durable, timeout)

    async def delete(self, *keys: Any, durable: bool = False, timeout: float = _WRITTEN) -> int:
        """Takes the entries of these keys away, all at once; the version that lacks them. `durable` and `timeout` are those of `put`."""
        body = {"keys": [to_wire(key) for key in keys]}
        return await self._change(post("/entries/delete", body, wait=_SPARK), durable, timeout)

    async def _change(self, request: Request, durable: bool, timeout: float) -> int:
        if durable:
            query = {"durable": True, "wait": timeout}
            request = dataclasses.replace(request, query=query, wait=request.wait + timeout)
        said = await self._call(request)
        if durable and not said["durable"]:
            raise WaitTimeoutError(
                f"version {said['version']} is made, but not written yet: the same change again, durable, waits for it again"
            )
        return int(said["version"])

    async def count(self) -> int:
        """How many rows or entries there are."""
        return int((await self._call(get("/count", wait=_SPARK)))["count"])

    async def schema(self) -> list[Column]:
        """Its columns."""
        return _table.columns_of((await self._call(get("/schema")))["columns"])

    async def rows(self, limit: int = 100, columns: Optional[Sequence[str]] = None) -> Table:
        """Its first rows.

        @param limit    10000 at most; `to_pandas()`, `to_arrow()` and `iter_batches()` give all
        @param columns  which; None: all
        """
        said = await self._call(get("/rows", _projection(limit, columns), wait=_SPARK))
        found = _table.columns_of(said["columns"])
        rows = [[from_wire(_table.value(cell, c)) for cell, c in zip(row, found)] for row in said["rows"]]
        return Table(found, rows, f"the first {len(rows)} were asked for" if said.get("more") else None)

    async def take(self, n: int) -> list[Any]:
        """Its first `n` rows: of a DataFrame dicts, of a key-value RDD pairs, of an RDD its elements."""
        table = await self.rows(n)
        if self.kind == "dataframe":
            return list(table.to_dicts())
        if self.kind == "pairs":
            return [(key_from_wire(row[0]), *row[1:]) for row in table]
        return [row[0] if len(table.columns) == 1 else row for row in table]

    async def iter_batches(
        self, columns: Optional[Sequence[str]] = None, limit: Optional[int] = None
    ) -> AsyncGenerator[pyarrow.RecordBatch, None]:
        """All its rows as Arrow record batches, as Spark makes them: no more than one is held. Needs `hearth[arrow]`."""
        arrow = extra("pyarrow", "arrow")
        streams = self._streams(columns, limit)
        try:
            async for stream, is_batch in streams:
                if is_batch:
                    for batch in arrow.ipc.open_stream(stream):
                        yield batch
        finally:
            await streams.aclose()

    async def to_arrow(self, columns: Optional[Sequence[str]] = None, limit: Optional[int] = None) -> pyarrow.Table:
        """All its rows as an Arrow table. Needs `pip install 'hearth[arrow]'`."""
        arrow = extra("pyarrow", "arrow")
        batches, schema = [], None
        streams = self._streams(columns, limit)
        try:
            async for stream, is_batch in streams:
                reader = arrow.ipc.open_stream(stream)
                schema = reader.schema
                if is_batch:
                    batches.extend(reader)
        finally:
            await streams.aclose()
        return arrow.Table.from_batches(batches, schema)

    async def to_pandas(self, columns: Optional[Sequence[str]] = None, limit: Optional[int] = None) -> pandas.DataFrame:
        """All its rows as a pandas DataFrame. Needs `pip install 'hearth[pandas]'`."""
        extra("pandas", "pandas")
        extra("pyarrow", "pandas")
        frame: pandas.DataFrame = (await self.to_arrow(columns, limit)).to_pandas()
        return frame

    async def to_polars(self, columns: Optional[Sequence[str]] = None, limit: Optional[int] = None) -> polars.DataFrame:
        """All its rows as a polars DataFrame. Needs `pip install 'hearth[polars]'`."""
        pl = extra("polars", "polars")
        frames: list[polars.DataFrame] = []
        streams = self._streams(columns, limit)
        try:
            async for stream, is_batch in streams:
                # The last stream has no rows and the columns' types.
                if is_batch or not frames:
                    frames.append(pl.read_ipc_stream(io.BytesIO(stream)))
        finally:
            await streams.aclose()
        frame: polars.DataFrame = pl.concat(frames, rechunk=True)
        return frame

    async def _streams(
        self, columns: Optional[Sequence[str]], limit: Optional[int]
    ) -> AsyncGenerator[tuple[bytes, bool], None]:
        """Each record batch as an Arrow stream, and at last one with the schema alone, for which the flag is false."""
        query = _projection(limit, columns)
        request = Request("GET", await self._place() + "/rows", query, accept=_ARROW, wait=_SPARK)
        batches = Batches()
        async with self._exchange.stream(request) as stream:
            version = stream.headers.get(_VERSION)
            if version is not None and version.isdigit():
                self._is_now(int(version))
            chunks = stream.chunks()
            try:
                async for chunk in chunks:
                    for batch in batches.feed(chunk):
                        yield batch, True
            finally:
                await chunks.aclose()
        if not batches.is_over:
            raise HearthError(
                f"the rows of {self.name!r} broke off: its driver or the gateway ended amid them; ask again"
            )
        yield batches.head + END, False

    async def unshare(self) -> None:
        """Takes the name away from what it holds, for everybody."""
        await self._exchange.call(delete(await self._place()))


def _projection(limit: Optional[int], columns: Optional[Sequence[str]]) -> dict[str, Any]:
    if isinstance(columns, str):
        raise TypeError("columns is a list of names, not one name")
    odd = next((name for name in columns or () if "," in name), None)
    if odd is not None:
        raise ValueError(f"{odd!r}: a column with a comma in its name cannot be chosen; leave columns out")
    return {"limit": limit, "columns": None if columns is None else ",".join(columns)}


class Handle(HandleFacts, Shared[AsyncHandle]):
    """A named RDD, DataFrame or value of a context. It needs a grant on the handle, and none on its context."""

    refresh = blocking(AsyncHandle.refresh)
    get = blocking(AsyncHandle.get)
    get_all = blocking(AsyncHandle.get_all)
    put = blocking(AsyncHandle.put)
    delete = blocking(AsyncHandle.delete)
    count = blocking(AsyncHandle.count)
    schema = blocking(AsyncHandle.schema)
    rows = blocking(AsyncHandle.rows)
    take = blocking(AsyncHandle.take)
    iter_batches = steps(AsyncHandle.iter_batches)
    to_arrow = blocking(AsyncHandle.to_arrow)
    to_pandas = blocking(AsyncHandle.to_pandas)
    to_polars = blocking(AsyncHandle.to_polars)
    unshare = blocking(AsyncHandle.unshare)

    def _known(self) -> Optional[HandleInfo]:
        return self._awaited._found
