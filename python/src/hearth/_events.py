"""Server-sent events (WHATWG HTML, section 9.2), read from bytes as they come."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Optional

from . import _numbers


@dataclass(frozen=True)
class Event:
    """Something that happened in a session."""

    name: str
    id: Optional[str]
    data: Any


class Decoder:
    """Makes events of the bytes of a stream, wherever those are cut."""

    def __init__(self) -> None:
        self._text = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._fields: dict[str, list[str]] = {}

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """The events that these bytes complete."""
        lines = (self._rest + self._text.decode(chunk)).split("\n")
        self._rest = lines.pop()
        for line in lines:
            line = line.rstrip("\r")
            if line:
                name, _, value = line.partition(":")
                self._fields.setdefault(name, []).append(value[1:] if value.startswith(" ") else value)
                continue
            event = self._event()
            if event is not None:
                yield event

    def _event(self) -> Optional[Event]:
        """The event of the fields so far; a comment, which keeps the stream alive, is none."""
        fields, self._fields = self._fields, {}
        if "data" not in fields:
            return None
        name, id_ = fields.get("event", ["message"])[-1], fields.get("id", [None])[-1]
        return Event(name, id_, _numbers.loads("\n".join(fields["data"])))
