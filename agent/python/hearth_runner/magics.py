"""Lines of the form `%name rest`."""

import base64

from hearth_runner import bundle, tables
from hearth_runner.jsonable import jsonable


class UnknownMagic(Exception):
    """There is no magic of that name."""

    __module__ = "builtins"  # so that it is shown without the name of ours


class UsageError(Exception):
    """A magic without what it needs."""

    __module__ = "builtins"


class Refused(Exception):
    """A line of magic that cannot be followed: `error` is what to show for it, and no frame is worth showing."""

    def __init__(self, error):
        super().__init__(error)
        self.error = error


class Result:
    """
    data       values by MIME type, without the text that the statement has printed
    columns    of the value, where it is a table
    truncated  what the data leaves out
    text       False where a statement that printed nothing has no text/plain either
    """

    def __init__(self, data, columns=None, truncated=None, text=False):
        self.data = data
        self.columns = columns
        self.truncated = truncated
        self.text = text


def run(magic, namespace, spark, max_rows):
    """@throws Refused, and whatever the value itself raises"""
    found = _MAGICS.get(magic.name)
    if found is None:
        raise Refused(UnknownMagic("unknown magic command '%s'" % magic.name))
    needs, action = found
    if not magic.rest:
        raise Refused(UsageError("%%%s needs %s" % (magic.name, needs)))
    if magic.rest not in namespace:
        raise Refused(KeyError(magic.rest))
    return action(namespace[magic.rest], max_rows)


def json(value, max_rows):
    if not is_frame(value):
        return Result({"application/json": jsonable(value)}, tables.columns(value))
    found = tables.table(value, max_rows)
    return Result({"application/json": found.objects()}, found.columns, _cut(found, max_rows))


def table(value, max_rows):
    found = tables.table(value, max_rows)
    return Result({"application/vnd.livy.table.v1+json": found.livy()}, found.columns, _cut(found, max_rows))


def matplot(value, _max_rows):
    figure = value.gcf() if hasattr(value, "gcf") else value
    # Hue fails on a plot without a text.
    return Result({"image/png": base64.b64encode(bundle.png(figure)).decode("ascii")}, text=True)


def is_frame(value):
    """Whether it is a DataFrame or the like, of Spark or pandas."""
    return tables.is_spark_frame(value) or type(value).__module__.partition(".")[0] == "pandas"


def _cut(found, max_rows):
    if found.total is not None and found.total <= len(found.rows):
        return None
    return {"rows": found.total, "shown": len(found.rows), "reason": "more than %d rows" % max_rows}


_MAGICS = {
    "json": ("the name of a variable", json),
    "table": ("the name of a variable", table),
    "matplot": ("the name under which matplotlib.pyplot was imported, or a figure's", matplot),
}
