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
    text       whether there is a text/plain even where the statement has printed nothing
    """

    def __init__(self, data, columns=None, truncated=None, text=False):
        self.data = data
        self.columns = columns
        self.truncated = truncated
        self.text = text


class Magics:
    """
    namespace  where `%json x` finds x
    spark      the way to the JVM, which answers for Spark's frames and for SQL; None without one
    """

    def __init__(self, namespace, spark=None):
        self._namespace = namespace
        self._spark = spark

    def run(self, magic, max_rows):
        """@throws Refused, spark.Failed, and whatever the value itself raises"""
        found = _MAGICS.get(magic.name)
        if found is None:
            raise Refused(UnknownMagic("unknown magic command '%s'" % magic.name))
        needs, action = found
        if not magic.rest:
            raise Refused(UsageError("%%%s needs %s" % (magic.name, needs)))
        if action is Magics.sql:
            return self.sql(magic.rest, max_rows)
        if magic.rest not in self._namespace:
            raise Refused(KeyError(magic.rest))
        return action(self, self._namespace[magic.rest], max_rows)

    def json(self, value, max_rows):
        if tables.is_spark_frame(value):
            return Result(*self._spark.json(value, max_rows))
        if not tables.is_frame(value):
            return Result({"application/json": jsonable(value)}, self.columns(value))
        found = tables.table(value, max_rows)
        return Result({"application/json": found.objects()}, found.columns, _cut(found, max_rows))

    def table(self, value, max_rows):
        if tables.is_spark_frame(value):
            return Result(*self._spark.table(value, max_rows))
        found = tables.table(value, max_rows)
        return Result({"application/vnd.livy.table.v1+json": found.livy()}, found.columns, _cut(found, max_rows))

    def matplot(self, value, _max_rows):
        figure = value.gcf() if hasattr(value, "gcf") else value
        # Hue fails on a plot without a text.
        return Result({"image/png": base64.b64encode(bundle.png(figure)).decode("ascii")}, text=True)

    def sql(self, query, max_rows):
        return Result(*self._spark.sql(query, max_rows))

    def columns(self, value):
        """The columns of a value that is a table, without running a job; None for any other value."""
        try:
            return self._spark.columns(value) if tables.is_spark_frame(value) else tables.columns(value)
        except Exception:
            return None  # a value that cannot be looked at is still a value


def _cut(found, max_rows):
    if found.total is not None and found.total <= len(found.rows):
        return None
    return {"rows": found.total, "shown": len(found.rows), "reason": "only the first %d rows are shown" % max_rows}


_MAGICS = {
    "json": ("the name of a variable", Magics.json),
    "table": ("the name of a variable", Magics.table),
    "matplot": ("the name under which matplotlib.pyplot was imported, or a figure's", Magics.matplot),
    "sql": ("a query", Magics.sql),
}
