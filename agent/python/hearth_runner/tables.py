"""Values of Python that are tables: pandas' frames, numpy's arrays, lists of dicts, tuples or Rows, RDDs of them."""

import itertools
import sys

from hearth_runner import kinds
from hearth_runner.jsonable import jsonable

# How many rows of a list are looked at to say what its columns are.
_LOOKED_AT = 100


class Table:
    """
    names, kinds  of the columns
    rows          lists of values as JSON, no more than were asked for
    total         how many rows there were; None where nobody has counted
    """

    def __init__(self, names, column_kinds, rows, total):
        self.names = names
        self.kinds = column_kinds
        self.rows = [[_cell(value, kind) for value, kind in zip(row, column_kinds)] for row in rows]
        self.total = total

    @property
    def columns(self):
        return [kind.column(name) for name, kind in zip(self.names, self.kinds)]

    def livy(self):
        """As Livy's MIME type `application/vnd.livy.table.v1+json`."""
        headers = [{"name": name, "type": kind.header} for name, kind in zip(self.names, self.kinds)]
        return {"headers": headers, "data": self.rows}

    def objects(self):
        """The rows as objects by column name."""
        return [dict(zip(self.names, row)) for row in self.rows]


def columns(value):
    """The columns of a value that is a table, without running a job; None for any other value."""
    if _is_pandas(value):
        return [kind.column(name) for name, kind, _ in _pandas_columns(value, _LOOKED_AT)]
    if _is_numpy(value):
        return _of_list(_numpy_rows(value[:_LOOKED_AT]), 0).columns
    if isinstance(value, (list, tuple)) and not hasattr(value, "__fields__") and value:
        looked_at = list(itertools.islice(value, _LOOKED_AT))
        if all(isinstance(row, dict) for row in looked_at) or all(isinstance(row, tuple) for row in looked_at):
            return _of_list(looked_at, 0).columns
    return None


def table(value, max_rows):
    """Any value as a table of at most `max_rows` rows: a single value is a table of one cell."""
    if _is_pandas(value):
        found = _pandas_columns(value, max_rows)
        rows = zip(*(values for _, _, values in found))
        return Table([name for name, _, _ in found], [kind for _, kind, _ in found], rows, len(value))
    if _is_numpy(value):
        return _of_list(_numpy_rows(value[:max_rows]), len(value))
    if _is_rdd(value):
        rows = value.take(max_rows + 1)
        return _of_list(rows[:max_rows], len(rows) if len(rows) <= max_rows else None)
    if isinstance(value, (set, frozenset)) or not isinstance(value, (list, tuple)):
        value = list(value) if isinstance(value, (set, frozenset)) else [value]
    return _of_list(value[:max_rows], len(value))


def is_frame(value):
    """Whether it is a DataFrame or the like, of Spark or pandas."""
    return is_spark_frame(value) or _is_pandas(value)


def is_spark_frame(value):
    """Whether it is a frame of the driver's JVM, which knows its types and rows better than Python does."""
    module = sys.modules.get("pyspark.sql.dataframe")
    return module is not None and isinstance(value, module.DataFrame) and hasattr(value, "_jdf")


def _is_rdd(value):
    module = sys.modules.get("pyspark.rdd")
    return module is not None and isinstance(value, module.RDD)


def _is_pandas(value):
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, (getattr(pandas, "DataFrame", ()), getattr(pandas, "Series", ())))


def _is_numpy(value):
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, getattr(numpy, "ndarray", ())) and value.ndim > 0


def _pandas_columns(frame, max_rows):
    """Name, kind and first values of each column."""
    frame = frame.head(max_rows)
    if frame.ndim == 1:
        parts = [("0" if frame.name is None else frame.name, frame)]
    else:
        parts = [(name, frame.iloc[:, at]) for at, name in enumerate(frame.columns)]
    found = []
    for name, part in parts:
        values = [None if missing else value for value, missing in zip(part.tolist(), part.isna().tolist())]
        found.append((str(name), kinds.of_dtype(part.dtype) or _kind_of_all(values), values))
    return found


def _numpy_rows(array):
    if array.dtype.names:
        return [dict(zip(array.dtype.names, row)) for row in array.tolist()]
    return array.tolist()


def _of_list(rows, total):
    """A list whose rows are dicts, sequences, Spark's Rows or single values; a row may lack columns that another has."""
    records = [_record(row) for row in rows]
    names = list(dict.fromkeys(itertools.chain.from_iterable(records)))
    lists = [[record.get(name) for name in names] for record in records]
    column_kinds = [_kind_of_all(values) for values in zip(*lists)] if lists else []
    return Table([str(name) for name in names], column_kinds, lists, total)


def _record(row):
    if isinstance(row, dict):
        return row
    if isinstance(row, (list, tuple)):
        names = getattr(row, "__fields__", None) or getattr(row, "_fields", None) or range(len(row))
        return dict(zip(names, row))
    return {0: row}


def _kind_of_all(values):
    kind = None
    for value in values:
        kind = kinds.common(kind, kinds.of_value(value))
    return kind or kinds.NULL


def _cell(value, kind):
    if value is None:
        return None
    if kind.header == "STRING_TYPE":
        return value if isinstance(value, str) else str(value)
    if kind is kinds.DOUBLE and type(value) is int:
        return float(value)
    return jsonable(value, _odd)


def _odd(value):
    return list(value) if isinstance(value, (bytes, bytearray)) else str(value)
