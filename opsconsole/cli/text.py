"""How single values read: for people on a terminal, and exactly where a program may read along.

Pure functions. Text that came from outside (provider errors, tags, client names) is made harmless before it is shown:
control characters, terminal escapes and direction marks become visible escapes.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from keyvault.clock import EPOCH, rfc3339
from keyvault.money import PICO_PER_USD, divide_half_even, format_usd

UNKNOWN: Final = "–"
_SHOWN_DECIMALS: Final = 10**6
_SPANS: Final = ((60, 1, "s"), (3600, 60, "min"), (2 * 86_400, 3600, "h"), (10**12, 86_400, "d"))


@dataclass(frozen=True, slots=True, order=True)
class Amount:
    """Money in a row, in pico-dollars: exact in JSON, rounded to six decimals on a terminal."""

    pico: int
    at_least: bool = False
    """Only the known part of a sum; a table says so."""

    def __str__(self) -> str:
        return format_usd(self.pico)

    def rounded(self) -> str:
        """Six decimals; an amount too small for them reads `<0.000001`, never as nothing."""
        micro = divide_half_even(abs(self.pico) * _SHOWN_DECIMALS, PICO_PER_USD)
        if not micro and self.pico and not self.at_least:
            return "<0.000001"
        sign = "≥ " if self.at_least else "-" if self.pico < 0 else ""
        return f"{sign}{micro // _SHOWN_DECIMALS}.{micro % _SHOWN_DECIMALS:06d}"


def amount(pico: int | None, *, at_least: bool = False) -> Amount | None:
    """`Amount`, or None where the amount is unknown."""
    return None if pico is None else Amount(pico, at_least)


def plain(value: Any) -> Any:
    """A row's value as JSON knows it: times RFC 3339 UTC, money an exact decimal string."""
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, Amount):
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | frozenset | set):
        return [plain(inner) for inner in value]
    return value


def cell(value: Any, now: datetime | None = None) -> str:
    """A row's value as a table shows it; with `now`, for a terminal: times relative, money rounded, digits grouped."""
    if value is None:
        return UNKNOWN
    if isinstance(value, datetime):
        if value == EPOCH:
            return UNKNOWN  # since ever: nobody wrote down a beginning
        return relative(value, now) if now else str(rfc3339(value))
    if isinstance(value, Amount):
        return value.rounded() if now else f"{'≥ ' if value.at_least else ''}{value}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if now else str(value)
    if isinstance(value, Mapping):
        return " ".join(f"{name}={cell(inner)}" for name, inner in value.items()) or UNKNOWN
    if isinstance(value, list | tuple):
        return ",".join(cell(inner) for inner in value) or UNKNOWN
    return harmless(str(value)) or UNKNOWN


def csv_cell(value: Any) -> str:
    """A value as `view.sheet` writes it: empty where unknown."""
    value = plain(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return json.dumps(value, separators=(",", ":"))
    return harmless(str(value))


def harmless(text: str) -> str:
    """`text` with every character that could move the cursor, change colours or reorder the line made visible."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isprintable() and unicodedata.category(c) != "Cf" else ascii(c)[1:-1] for c in text)


def relative(moment: datetime, now: datetime) -> str:
    """`4 min ago`, `in 23 h`, `just now`."""
    seconds = (moment - now).total_seconds()
    if abs(seconds) < 1:
        return "just now"
    for limit, unit, name in _SPANS:
        if abs(seconds) < limit:
            count = int(abs(seconds) // unit)
            return f"in {count} {name}" if seconds > 0 else f"{count} {name} ago"
    return str(rfc3339(moment))
