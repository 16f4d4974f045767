"""CSV as spreadsheets read it: cells quoted as RFC 4180 says, and none that a spreadsheet would run as a formula.

Whatever writes CSV writes it here, so that no name, tag or error text from outside can begin a formula anywhere.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

RFC_4180: Final = "\r\n"
"""How lines end in a file for a spreadsheet."""
PLAIN: Final = "\n"
"""How they end for a pipe, where tools that know nothing of CSV cut lines up."""

_FORMULA_STARTS: Final = frozenset("=+-@\t\r\n＝＋－＠")
_NUMBER: Final = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?")


def guarded(text: str) -> str:
    """A cell's text; led by `'` where a spreadsheet would run it, blanks before it or not. A number stays one."""
    runs = text.lstrip(" \u00a0")[:1] in _FORMULA_STARTS and not _NUMBER.fullmatch(text)
    return f"'{text}" if runs else text


def lines(rows: Iterable[Sequence[Any]], end: str = RFC_4180) -> str:
    """Rows of texts, numbers and None (an empty cell); texts are guarded."""
    text = io.StringIO()
    csv.writer(text, lineterminator=end).writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> str:
    return "" if value is None else guarded(value) if isinstance(value, str) else str(value)
