"""Statements compiled once and run on the driver itself, for paths where SQLAlchemy's own way costs too much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

Row = Sequence[Any]

_SIZES: Final = (32, 16, 8, 7, 6, 5, 4, 3, 2, 1)
"""Rows per statement: few sizes, so that every statement stays prepared; most batches take one."""


class Statement:
    """A statement that takes rows of values, compiled once for one row."""

    def __init__(self, statement: sa.Executable, dialect: sa.Dialect) -> None:
        compiled = statement.compile(dialect=dialect)  # type: ignore[attr-defined]
        text = str(compiled)
        start = text.index("VALUES (") + len("VALUES ")
        end = _closing(text, start) + 1
        head, group, tail = text[:start], text[start:end], text[end:]
        self._sized = {size: head + ", ".join([group] * size) + tail for size in _SIZES}

    def run(self, cursor: Any, rows: Sequence[Row]) -> int:
        """Execute for all rows; how many rows were touched."""
        touched, at, left = 0, 0, len(rows)
        for size in _SIZES:
            while left >= size:
                part = rows[at : at + size]
                cursor.execute(self._sized[size], list(chain.from_iterable(part)))
                touched += cursor.rowcount
                at, left = at + size, left - size
        return touched


class Query:
    """A statement that takes values by name, compiled once."""

    def __init__(self, statement: sa.Executable, dialect: sa.Dialect) -> None:
        compiled = statement.compile(dialect=dialect)  # type: ignore[attr-defined]
        self._text = str(compiled)
        self._defaults = [(name, compiled.params[name]) for name in compiled.positiontup or ()]

    def run(self, cursor: Any, values: Mapping[str, Any]) -> None:
        cursor.execute(self._text, [values.get(name, default) for name, default in self._defaults])


def positional_dialect(is_sqlite: bool) -> sa.Dialect:
    """A driver's dialect with positional parameters, which are the quickest to bind."""
    if is_sqlite:
        return sqlite.dialect(paramstyle="qmark")
    from sqlalchemy.dialects import postgresql  # 2.5 MB of memory, for nothing where the database is SQLite

    return postgresql.dialect(paramstyle="format")  # type: ignore[no-untyped-call]


def insert_into(table: sa.Table, *, is_sqlite: bool) -> Any:
    """An insert that may say what to do about rows that are there already."""
    if is_sqlite:
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)


def _closing(text: str, at: int) -> int:
    """Where the parenthesis that opens at `at` closes."""
    depth = 0
    for position in range(at, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if not depth:
            return position
    raise AssertionError("a group of values that does not end")
