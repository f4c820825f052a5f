"""Tables: rows with typed columns, as statements and handles give them."""

from __future__ import annotations

import datetime
import html
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional

from . import _numbers
from ._errors import NoTableError
from ._extras import extra

if TYPE_CHECKING:
    import pandas

LIVY = "application/vnd.livy.table.v1+json"
JSON = "application/json"

# Rows that are shown in a notebook.
_SHOWN = 20
_INTEGERS = {
    "tinyint": "Int8",
    "smallint": "Int16",
    "int": "Int32",
    "integer": "Int32",
    "bigint": "Int64",
    "long": "Int64",
}
_FLOATS = {"float": "float32", "double": "float64"}


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    type: str
    """Spark's own word, such as `decimal(5,2)`."""
    family: str
    """`text`, `number`, `time`, `boolean`, `binary`, `nested` or `other`."""


class Table(Sequence[tuple[Any, ...]]):
    """Rows, each a tuple, and what their columns are."""

    def __init__(self, columns: Sequence[Column], rows: Sequence[Sequence[Any]], cut: Optional[str] = None) -> None:
        """@param cut  why rows are missing"""
        self.columns = list(columns)
        self.rows = [tuple(row) for row in rows]
        self.cut = cut
        """Why it is not all of the result; None: it is."""

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, at: Any) -> Any:
        return self.rows[at]

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.rows)

    def to_dicts(self) -> list[dict[str, Any]]:
        """The rows by column name."""
        names = [column.name for column in self.columns]
        return [dict(zip(names, row)) for row in self.rows]

    def to_pandas(self) -> pandas.DataFrame:
        """A pandas DataFrame with types to match: nullable integers, `Decimal`, `date`, times with their zone, bytes. Needs `hearth[pandas]`."""
        pd = extra("pandas", "pandas")
        if self.cut is not None:
            warnings.warn(f"these are not all rows: {self.cut}", stacklevel=2)
        values = list(zip(*self.rows)) if self.rows else [() for _ in self.columns]
        series = [_series(pd, column, each) for column, each in zip(self.columns, values)]
        frame: pandas.DataFrame
        frame = pd.concat(series, axis=1) if series else pd.DataFrame(index=range(len(self.rows)))
        # Two columns may have one name.
        frame.columns = pd.Index([column.name for column in self.columns])
        return frame

    def __repr__(self) -> str:
        columns = ", ".join(f"{column.name}: {column.type}" for column in self.columns)
        return f"<Table of {len(self.rows)} rows ({columns})>"

    def _repr_html_(self) -> str:
        head = "".join(f"<th title='{html.escape(c.type)}'>{html.escape(c.name)}</th>" for c in self.columns)
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(str(value))}</td>" for value in row) + "</tr>"
            for row in self.rows[:_SHOWN]
        )
        count = f"{len(self.rows)} row{'' if len(self.rows) == 1 else 's'}" + (
            "" if len(self.rows) <= _SHOWN else f", the first {_SHOWN} shown"
        )
        note = f"<small>{html.escape(count)}{'' if self.cut is None else '; ' + html.escape(self.cut)}</small>"
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{note}"


def columns_of(said: Optional[Sequence[Mapping[str, Any]]]) -> list[Column]:
    """Columns, as the gateway tells them."""
    return [Column(c["name"], c.get("type", "string"), c.get("class", "other")) for c in said or ()]


def of_result(
    data: Mapping[str, Any], columns: Optional[Sequence[Mapping[str, Any]]], truncated: Optional[Mapping[str, Any]]
) -> Table:
    """The table of a statement's result."""
    rows, names = _rows(data)
    if rows is None:
        raise NoTableError(
            "the result is no table: run SQL (kind='sql'), or end the code with a line such as %table df"
            if not columns
            else "the result shows a table's columns and not its rows: end the code with a line such as %table df"
        )
    found = columns_of(columns) or [Column(name, "string", "other") for name in names]
    if found and names and len(found) != len(names):
        raise NoTableError("the result's rows do not fit its columns")
    cut = None if truncated is None else str(truncated.get("reason"))
    return Table(found, [[value(cell, column) for cell, column in zip(row, found)] for row in rows], cut)


def _rows(data: Mapping[str, Any]) -> tuple[Optional[list[list[Any]]], list[str]]:
    """Rows and names of the columns, from any of the forms that a result has."""
    livy = data.get(LIVY)
    if livy is not None:
        return livy["data"], [header["name"] for header in livy["headers"]]
    plain = data.get(JSON)
    if isinstance(plain, dict) and {"schema", "data"} <= plain.keys():
        return plain["data"], [field["name"] for field in plain["schema"]["fields"]]
    if isinstance(plain, list) and all(isinstance(row, dict) for row in plain):
        names = list(dict.fromkeys(name for row in plain for name in row))
        return [[row.get(name) for name in names] for row in plain], names
    return None, []


def value(cell: Any, column: Column) -> Any:
    """A cell as a value of Python."""
    if cell is None:
        return None
    if column.type.startswith("decimal"):
        return _numbers.decimal(cell)
    if column.family == "binary" and isinstance(cell, list):
        # Bytes of the JVM have a sign.
        return bytes(byte & 0xFF for byte in cell)
    if column.family == "nested":
        return _nested(cell)
    return float(cell) if isinstance(cell, float) else cell


def _nested(cell: Any) -> Any:
    """A struct that came as schema and values, as Livy writes it, by its names."""
    if isinstance(cell, list):
        return [_nested(item) for item in cell]
    if isinstance(cell, dict):
        if cell.keys() == {"schema", "values"} and isinstance(cell["schema"], list):
            return {field["name"]: _nested(item) for field, item in zip(cell["schema"], cell["values"])}
        return {name: _nested(item) for name, item in cell.items()}
    return float(cell) if isinstance(cell, float) else cell


def _date(cell: Any) -> Any:
    """A date; the text of one that Python's `date` cannot hold, which ends with the year 9999."""
    try:
        return datetime.date.fromisoformat(cell) if isinstance(cell, str) else cell
    except ValueError:
        return cell


def _series(pd: Any, column: Column, values: Sequence[Any]) -> Any:
    """A column of pandas."""
    kind, has_null = column.type.lower(), any(value is None for value in values)
    if kind in _INTEGERS:
        name = _INTEGERS[kind]
        return pd.Series(values, dtype=name if has_null else name.lower())
    if kind in _FLOATS:
        return pd.Series([float("nan") if value is None else float(value) for value in values], dtype=_FLOATS[kind])
    if kind == "boolean":
        return pd.Series(values, dtype="boolean" if has_null else "bool")
    if kind.startswith("timestamp"):
        return pd.to_datetime(pd.Series(values, dtype="object"), format="ISO8601")
    if kind == "date":
        return pd.Series([_date(value) for value in values], dtype="object")
    return pd.Series(values, dtype="object")
