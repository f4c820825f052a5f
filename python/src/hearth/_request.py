"""Requests as data: what is asked, told apart from how it is sent."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional, Union
from urllib.parse import quote

Query = Mapping[str, Union[str, int, float, bool, None]]

_ROOT = "/api/v1"


@dataclass(frozen=True)
class Request:
    """One call of the gateway's API."""

    method: str
    path: str
    """Below the API's root, with its words quoted: see `path_of`."""
    query: Query = field(default_factory=dict)
    """None leaves a field out."""
    body: Any = None
    """What is sent as JSON; None sends nothing."""
    accept: str = "application/json"
    key: Optional[str] = None
    """The `Idempotency-Key`, by which a repeated request does nothing twice."""
    is_repeatable: bool = True
    """Whether it may be sent again after a lost connection."""
    wait: float = 0
    """Seconds that the gateway may take before it answers."""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def target(self) -> str:
        """The path from the gateway's own prefix on."""
        return _ROOT + self.path

    @property
    def pairs(self) -> dict[str, str]:
        """The query as text."""
        return {name: _word(value) for name, value in self.query.items() if value is not None}

    @property
    def content(self) -> Optional[bytes]:
        """The body as JSON, in ASCII, so that any text of Python can be said."""
        return None if self.body is None else json.dumps(self.body, allow_nan=False).encode("ascii")


def _word(value: Union[str, float, bool, None]) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def path_of(*words: object) -> str:
    """A path of these words, each quoted."""
    return "".join("/" + quote(str(word), safe="") for word in words)


def get(path: str, query: Optional[Query] = None, *, wait: float = 0) -> Request:
    """A request that changes nothing."""
    return Request("GET", path, query or {}, wait=wait)


def post(path: str, body: Any, query: Optional[Query] = None, *, wait: float = 0) -> Request:
    """A request that may be repeated, for it has a key."""
    return Request("POST", path, query or {}, body, key=str(uuid.uuid4()), wait=wait)


def put(path: str, body: Any, *, wait: float = 0) -> Request:
    """A request that may be repeated, for it has a key."""
    return Request("PUT", path, body=body, key=str(uuid.uuid4()), wait=wait)


def delete(path: str, query: Optional[Query] = None, *, wait: float = 0) -> Request:
    """A request that ends something; ended twice is ended."""
    return Request("DELETE", path, query or {}, wait=wait)
