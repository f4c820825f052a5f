"""Keys and values of handles as JSON: bytes as `{"$binary": base64}`, tuples as arrays."""

from __future__ import annotations

import base64
import math
from typing import Any

_BINARY = "$binary"


def to_wire(value: Any) -> Any:
    """A key or a value of Python as JSON.

    @throws TypeError  for what has no likeness there
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TypeError(f"{value} has no likeness in JSON: use None, or a text")
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {_BINARY: base64.b64encode(value).decode("ascii")}
    if isinstance(value, (list, tuple)):
        return [to_wire(item) for item in value]
    if isinstance(value, dict):
        odd = next((key for key in value if not isinstance(key, str)), None)
        if odd is not None:
            raise TypeError(f"an object in a value has texts as keys, not {odd!r}")
        return {key: to_wire(item) for key, item in value.items()}
    # Scalars of numpy.
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "ndim", None) == 0:
        return to_wire(item())
    raise TypeError(
        f"{type(value).__name__} cannot be a key or a value of a handle: use None, bool, int, float, str, bytes, "
        "and lists, tuples or dicts of them"
    )


def from_wire(value: Any) -> Any:
    """JSON as a value of Python."""
    if isinstance(value, list):
        return [from_wire(item) for item in value]
    if isinstance(value, dict):
        if value.keys() == {_BINARY}:
            return base64.b64decode(value[_BINARY])
        return {key: from_wire(item) for key, item in value.items()}
    return float(value) if isinstance(value, float) else value


def key_from_wire(key: Any) -> Any:
    """A key as one that a dict of Python can have: an array is a tuple."""
    key = from_wire(key)
    return _hashable(key) if isinstance(key, list) else key


def _hashable(items: list[Any]) -> tuple[Any, ...]:
    return tuple(_hashable(item) if isinstance(item, list) else item for item in items)
