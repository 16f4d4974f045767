"""What commands print: one document, in the form that was asked for.

A terminal gets an aligned table with relative times; a pipe the same table with absolute UTC times, nothing cut and no
colour. JSON is an API: snake_case, stable, times RFC 3339 UTC, money as exact decimal strings. Rendering is pure.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from opsconsole.cli.text import UNKNOWN, Amount, cell, csv_cell, plain
from opsconsole.view import sheet

Row = Mapping[str, Any]


class Format(StrEnum):
    """Values of `-o`."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    NAME = "name"
    SECRET = "secret"
    """Only a new key's secret, for a pipe."""
    TOML = "toml"
    """The file that says what is shown, of commands that have one."""
    MD = "md"
    HTML = "html"
    """Reports as documents."""
    JUNIT = "junit"
    """Checks, as CI servers read them."""


COMMON: Final = (Format.TABLE, Format.JSON, Format.JSONL, Format.CSV, Format.NAME)
"""The forms that every command knows."""
RARE: Final[Mapping[Format, str]] = {
    Format.SECRET: "commands that make a key's secret",
    Format.TOML: "commands that write a file",
    Format.MD: "reports",
    Format.HTML: "reports",
    Format.JUNIT: "checks",
}
"""What the others are for."""


@dataclass(frozen=True, slots=True)
class Look:
    """Where a table is going. `now` is set for a terminal: times are then relative to it."""

    now: datetime | None = None
    width: int | None = None
    paint: Callable[[str, str], str] = field(default=lambda text, _hue: text)
    """(text, hue) → coloured text; the identity where colour is off."""


PIPE: Final = Look()


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: the row's field and its heading."""

    field: str
    title: str = ""
    absent: str = UNKNOWN
    """What a table says where a row has None."""

    @property
    def heading(self) -> str:
        return self.title or self.field.replace("_", " ").upper()


@dataclass(frozen=True, slots=True)
class Listing:
    """Many rows. `name` is the JSON document's field, `columns` what a table shows of each row."""

    name: str
    rows: Sequence[Row]
    columns: Sequence[Column]
    key: str = "name"
    """The field that `-o name` prints."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the JSON document, such as `currency`."""
    total: Row | None = None
    """A last line below the table, and the JSON document's `total`."""
    headless: bool = False
    """Continues an earlier table: no headings."""


@dataclass(frozen=True, slots=True)
class Details:
    """One thing. A table shows each field on its own line, `inner` listings below."""

    row: Row
    key: str = "name"
    omit: frozenset[str] = frozenset()
    """Fields that only programs get."""
    inner: Sequence[Listing] = ()
    """Listings whose rows are also fields of the JSON document."""
    absent: Mapping[str, str] = field(default_factory=dict)
    """What a table says where a field is None, if it means more than that the value is unknown."""


Document = Listing | Details


def rehearsed(document: Document) -> Document:
    """The same, telling programs that nothing was changed."""
    if isinstance(document, Listing):
        return replace(document, extra={**document.extra, "dry_run": True})
    return replace(document, row={**document.row, "dry_run": True}, omit=document.omit | {"dry_run"})


def render(document: Document, form: Format, look: Look = PIPE) -> str:
    """The text of a document, ending with a newline unless it is empty."""
    if form is Format.JSON:
        return json.dumps(_whole(document), indent=2) + "\n"
    if form is Format.JSONL:
        return "".join(json_line(row) for row in _rows(document))
    if form is Format.CSV:
        return _csv(document)
    if form is Format.NAME:
        return "".join(f"{cell(row[document.key])}\n" for row in _rows(document))
    return _table(document, look) if isinstance(document, Listing) else _card(document, look)


def json_line(row: Row) -> str:
    return json.dumps(plain(row), separators=(",", ":")) + "\n"


def whole_line(document: Document) -> str:
    """The whole document as one JSON line."""
    return json.dumps(_whole(document), separators=(",", ":")) + "\n"


def _whole(document: Document) -> Any:
    if isinstance(document, Details):
        return plain({**document.row, **{inner.name: inner.rows for inner in document.inner}})
    total = {} if document.total is None else {"total": document.total}
    return plain({**document.extra, document.name: list(document.rows), **total})


def _rows(document: Document) -> Sequence[Row]:
    return document.rows if isinstance(document, Listing) else [_whole(document)]


def _csv(document: Document) -> str:
    rows = _rows(document)
    names = (
        list(rows[0])
        if rows
        else [column.field for column in document.columns]
        if isinstance(document, Listing)
        else []
    )
    heading = [] if isinstance(document, Listing) and document.headless else [names]
    return sheet.lines([*heading, *([csv_cell(row[name]) for name in names] for row in rows)], sheet.PLAIN)


def _table(listing: Listing, look: Look) -> str:
    """Aligned columns; numbers to the right; on a terminal the widest column gives way where the line is too long."""
    if not listing.rows:
        return ""
    rows = [*listing.rows, *([listing.total] if listing.total is not None else [])]
    cells = [[_cell(row.get(c.field), look, c.absent) for c in listing.columns] for row in rows]
    if listing.total is not None:
        cells[-1] = [
            "" if c.field not in listing.total else text for c, text in zip(listing.columns, cells[-1], strict=True)
        ]
        cells[-1][0] = "total"
    headings = [c.heading for c in listing.columns]
    widths = _fitting([max(map(len, column)) for column in zip(headings, *cells, strict=True)], look.width)
    right = [any(_is_number(row.get(c.field)) for row in rows) for c in listing.columns]
    lines = [] if listing.headless else [look.paint(_line(headings, widths, right), "dim")]
    lines += [_line(line, widths, right) for line in cells]
    return "".join(f"{line}\n" for line in lines)


def _card(details: Details, look: Look) -> str:
    shown = {name: value for name, value in details.row.items() if name not in details.omit}
    width = max(map(len, shown), default=0)
    cells = {name: _cell(value, look, details.absent.get(name, UNKNOWN)) for name, value in shown.items()}
    text = "".join(
        f"{look.paint(name.replace('_', ' ').ljust(width), 'dim')}  {text}\n" for name, text in cells.items()
    )
    for inner in details.inner:
        text += f"\n{inner.name.replace('_', ' ')}\n{_table(inner, look) or 'none' + chr(10)}"
    return text


def _cell(value: Any, look: Look, absent: str) -> str:
    return absent if value is None else cell(value, look.now)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Amount) and not isinstance(value, bool)


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    parts = [_cut(text, width) for text, width in zip(cells, widths, strict=True)]
    aligned = [t.rjust(w) if r else t.ljust(w) for t, w, r in zip(parts, widths, right, strict=True)]
    return "  ".join(aligned).rstrip()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _fitting(widths: list[int], limit: int | None) -> list[int]:
    """The widths, the widest reduced (not below 8) until a line fits into `limit` columns."""
    fitted = list(widths)
    while limit is not None and sum(fitted) + 2 * (len(fitted) - 1) > limit and max(fitted) > 8:
        fitted[fitted.index(max(fitted))] -= 1
    return fitted
