"""JSON whose decimals keep every digit."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Union


class ExactFloat(float):
    """A float that remembers how it was written: a decimal of Spark has up to 38 digits."""

    __slots__ = ("literal",)
    literal: str

    def __new__(cls, literal: str) -> ExactFloat:
        """The number of a text."""
        number = super().__new__(cls, literal)
        number.literal = literal
        return number

    def __reduce__(self) -> tuple[type[ExactFloat], tuple[str]]:
        return ExactFloat, (self.literal,)


def loads(text: Union[str, bytes]) -> Any:
    """Reads JSON."""
    return json.loads(text, parse_float=ExactFloat)


def decimal(number: Any) -> Decimal:
    """A number as it was written."""
    return Decimal(number.literal if isinstance(number, ExactFloat) else str(number))
