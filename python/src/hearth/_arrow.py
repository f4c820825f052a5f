"""Arrow's stream format, cut into its messages as the bytes come.

The encapsulated message format of the Arrow columnar specification: the marker 0xFFFFFFFF, the length of the metadata (int32), the metadata (a
FlatBuffers table `Message`), the body, whose length stands in the metadata. A length of 0 ends the stream. Readers of Arrow pull from a file;
here bytes are pushed, so that one code serves callers who block and callers who await.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Optional

from ._errors import HearthError

_MARKER = b"\xff\xff\xff\xff"
END = _MARKER + b"\0\0\0\0"
"""What ends a stream."""

# Fields of `Message`, and values of its header's type.
_HEADER_TYPE, _BODY_LENGTH = 1, 3
_RECORD_BATCH = 3


class Batches:
    """Makes record batches of the bytes of a stream; each comes out as a stream of its own, with the schema before it."""

    def __init__(self) -> None:
        self.head = b""
        """The schema, and the dictionaries so far."""
        self.is_over = False
        """Whether the stream has said that it is complete."""
        self._parts: list[bytes] = []
        self._size = 0
        self._wanted = 8

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The record batches that these bytes complete."""
        self._parts.append(chunk)
        self._size += len(chunk)
        while self._size >= self._wanted and not self.is_over:
            # Joined once it is known to be complete, so that many small chunks cost no more than a few large ones.
            data = b"".join(self._parts)
            length = _message_length(data)
            if length is None or length > len(data):
                self._parts, self._wanted = [data], self._next_length(data, length)
                continue
            message, rest = data[:length], data[length:]
            self._parts, self._size, self._wanted = [rest], len(rest), 8
            if message == END:
                self.is_over = True
            elif _header_type(message) == _RECORD_BATCH:
                yield self.head + message + END
            else:
                self.head += message

    @staticmethod
    def _next_length(data: bytes, length: Optional[int]) -> int:
        """How many bytes it takes to know more."""
        return 8 + _number("<i", data, 4) if length is None else length


def _message_length(data: bytes) -> Optional[int]:
    """The length of the first message; None while its metadata is not complete."""
    if data[:4] != _MARKER:
        raise HearthError("this is no Arrow stream")
    metadata = _number("<i", data, 4)
    if metadata < 0:
        raise HearthError("this is no Arrow stream")
    if metadata == 0:
        return 8
    if len(data) < 8 + metadata:
        return None
    at = _field(data, _BODY_LENGTH)
    return 8 + metadata + (_number("<q", data, at) if at else 0)


def _number(form: str, data: bytes, at: int) -> int:
    return int(struct.unpack_from(form, data, at)[0])


def _header_type(message: bytes) -> int:
    at = _field(message, _HEADER_TYPE)
    return message[at] if at else 0


def _field(message: bytes, number: int) -> int:
    """Where a field of the message's table is; 0: it has its default."""
    table = 8 + _number("<I", message, 8)
    vtable = table - _number("<i", message, table)
    slot = 4 + 2 * number
    offset = _number("<H", message, vtable + slot) if slot < _number("<H", message, vtable) else 0
    return table + offset if offset else 0
