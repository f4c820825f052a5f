"""What kind of data a column holds, in the three vocabularies that readers ask for."""

import datetime
import decimal
import sys


class Kind:
    """
    header    as Livy's table says it: `INT_TYPE`
    typed     as Spark SQL says it: `bigint`
    category  `text`, `number`, `time`, `boolean`, `binary`, `nested` or `other`
    """

    def __init__(self, header, typed, category):
        self.header = header
        self.typed = typed
        self.category = category

    def column(self, name):
        return {"name": name, "type": self.typed, "class": self.category}


NULL = Kind("NULL_TYPE", "void", "other")
STRING = Kind("STRING_TYPE", "string", "text")
DOUBLE = Kind("DOUBLE_TYPE", "double", "number")
OTHER = Kind("STRING_TYPE", "string", "other")

# Subclasses before what they are made of: a bool is an int, a datetime a date.
_PYTHON = [
    (bool, Kind("BOOLEAN_TYPE", "boolean", "boolean")),
    (int, Kind("INT_TYPE", "bigint", "number")),
    (float, DOUBLE),
    (str, STRING),
    (datetime.datetime, Kind("TIMESTAMP_TYPE", "timestamp", "time")),
    (datetime.date, Kind("DATE_TYPE", "date", "time")),
    (datetime.time, Kind("STRING_TYPE", "time", "time")),
    (decimal.Decimal, Kind("DECIMAL_TYPE", "decimal", "number")),
    ((bytes, bytearray), Kind("BINARY_TYPE", "binary", "binary")),
    ((list, tuple, set, frozenset), Kind("ARRAY_TYPE", "array", "nested")),
    (dict, Kind("MAP_TYPE", "map", "nested")),
]
_BY_CLASS = dict((type, kind) for types, kind in _PYTHON for type in (types if isinstance(types, tuple) else (types,)))


def of_value(value):
    """The kind of one Python value."""
    if value is None:
        return NULL
    kind = _BY_CLASS.get(type(value))
    if kind:
        return kind
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, (numpy.generic, numpy.ndarray)):
        return of_dtype(value.dtype) if isinstance(value, numpy.generic) else _BY_CLASS[list]
    return next((kind for types, kind in _PYTHON if isinstance(value, types)), OTHER)


def of_dtype(dtype):
    """The kind of a numpy or pandas dtype; None where only the values can tell."""
    letter, name = getattr(dtype, "kind", "O"), str(dtype)
    if name in ("string", "str", "category"):
        return STRING
    if letter in "USbiufM":
        sample = {"U": "", "S": b"", "b": True, "i": 0, "u": 0, "f": 0.0, "M": datetime.datetime.min}[letter]
        return _BY_CLASS[type(sample)]
    return OTHER if letter in "mcV" else None


def common(one, other):
    """The kind of a column that holds both: numbers widen to double, and what does not go together is shown as text."""
    if one is None or one.header == other.header or other is NULL:
        return one or other
    if one is NULL:
        return other
    if {one.header, other.header} == {"INT_TYPE", "DOUBLE_TYPE"}:
        return DOUBLE
    return STRING
