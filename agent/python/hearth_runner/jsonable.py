"""Python values as JSON."""

import datetime
import decimal
import math
import sys

# Bits.
_LONGEST_NUMBER = 1024
# Deeper than this is taken for a cycle.
_DEEPEST = 200


def unlike(value):
    """For what has no likeness in JSON."""
    raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)


def jsonable(value, otherwise=unlike, depth=0):
    """The value as what JSON can say: dates and decimals as text, sets as lists, numpy's numbers as numbers, NaN as null.

    @param otherwise  what to make of anything else
    @throws TypeError   for anything else, unless told otherwise
    @throws ValueError  for a value that holds itself
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        # Readers of JSON give up on numbers of a thousand digits.
        return int(value) if value.bit_length() <= _LONGEST_NUMBER else str(value)
    if isinstance(value, float):
        return _number(float(value))
    if depth > _DEEPEST:
        raise ValueError("the value is nested more than %d levels deep, or holds itself" % _DEEPEST)
    if isinstance(value, dict):
        return {_key(key): jsonable(item, otherwise, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item, otherwise, depth + 1) for item in value]
    if isinstance(value, (set, frozenset)):
        return [jsonable(item, otherwise, depth + 1) for item in _sorted(value)]
    if _missing(value):
        return None
    if isinstance(value, (datetime.date, datetime.time, datetime.timedelta, decimal.Decimal)):
        return str(value)
    plain = _numpy(value)
    if plain is not None:
        return jsonable(plain[0], otherwise, depth + 1)
    return otherwise(value)


def _number(value):
    if math.isnan(value):
        return None
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _key(key):
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    return str(key)


def _sorted(items):
    try:
        return sorted(items)
    except TypeError:
        return list(items)


def _missing(value):
    pandas = sys.modules.get("pandas")
    return pandas is not None and (value is getattr(pandas, "NaT", pandas) or value is getattr(pandas, "NA", pandas))


def _numpy(value):
    """A numpy number or array as plain Python, in a tuple; None for others."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not hasattr(numpy, "generic"):
        return None
    if isinstance(value, (numpy.datetime64, numpy.timedelta64)):
        return (None if numpy.isnat(value) else str(value),)
    if isinstance(value, (numpy.generic, numpy.ndarray)):
        return (value.tolist(),)
    return None
