"""How numbers, money and times read. Unknown is a dash; what is small but not nothing never reads as zero."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from keyvault.money import PICO_PER_USD
from opsconsole.view.text import UNICODE, Glyphs

_STEPS: Final = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def count(value: int | None, glyphs: Glyphs = UNICODE) -> str:
    """`1,204`"""
    return glyphs.unknown if value is None else f"{value:,}"


def fixed(value: float | None, decimals: int, glyphs: Glyphs = UNICODE) -> str:
    """`812.4`: with this many decimals, for a column of one unit; `<0.1` for what would read as zero."""
    if value is None:
        return glyphs.unknown
    smallest = 10.0**-decimals
    if 0 < value < smallest / 2:
        return f"<{smallest:.{decimals}f}"
    return f"{value:,.{decimals}f}"


def short(value: float | None, glyphs: Glyphs = UNICODE) -> str:
    """Three significant digits with a unit prefix: `0.03`, `42.1`, `18.2 k`, `3.10 M`."""
    if value is None:
        return glyphs.unknown
    for size, prefix in _STEPS:
        if value >= size * 0.9995:
            return f"{_three_digits(value / size)} {prefix}"
    return _three_digits(value)


def _three_digits(value: float) -> str:
    if 0 < value < 0.005:
        return "<0.01"
    if value == 0 or value >= 99.95:
        return f"{value:.0f}"
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}"


def dollars(pico: int | None, decimals: int = 2, glyphs: Glyphs = UNICODE) -> str:
    """`184.22`, without the sign, which stands once in a header; `<0.01` for what would read as zero."""
    return fixed(None if pico is None else pico / PICO_PER_USD, decimals, glyphs)


def money(pico: int | None, *, unpriced: int = 0, glyphs: Glyphs = UNICODE) -> str:
    """`$ 184.22`; `≥ $ 184.22` where a part of it is not known, a dash where nothing is."""
    if pico is None or (unpriced and not pico):
        return glyphs.unknown
    lead = f"{glyphs.at_least} " if unpriced else ""
    decimals = 0 if pico >= 1_000 * PICO_PER_USD else 2 if pico >= PICO_PER_USD // 10 or not pico else 4
    return f"{lead}$ {dollars(pico, decimals, glyphs)}"


def rough_money(pico: int | None, glyphs: Glyphs = UNICODE) -> str:
    """Three digits, for what is only an estimate: `$ 7.91`, `$ 190`, `$ 1.20 k`."""
    return glyphs.unknown if pico is None else f"$ {short(pico / PICO_PER_USD)}"


def percent(share: float | None, glyphs: Glyphs = UNICODE) -> str:
    """`0.4 %`, `61 %`."""
    if share is None:
        return glyphs.unknown
    value = share * 100
    return f"{fixed(value, 1 if value < 9.95 else 0, glyphs)} %"


def latency(ms: float | None, glyphs: Glyphs = UNICODE) -> str:
    """`310 ms`, `1.2 s`."""
    if ms is None:
        return glyphs.unknown
    return f"{ms:.0f} ms" if ms < 999.5 else f"{ms / 1000:.1f} s"


def duration(span: timedelta) -> str:
    """The largest unit alone: `0.4 s`, `12 s`, `4 min`, `3 h`, `9 days`."""
    seconds = max(0.0, span.total_seconds())
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if seconds < 5_400:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{seconds / 3_600:.0f} h"
    return f"{seconds / 86_400:.0f} days"


def until(moment: datetime, now: datetime) -> str:
    """`in 3 h`, or `now` for what has come."""
    return f"in {duration(moment - now)}" if moment > now else "now"


def decimals_for(largest: float, digits: int = 6, most: int = 4) -> int:
    """How many decimals a column can show when its largest value is this: at most `digits` digits in all."""
    whole = len(f"{int(largest)}")
    return max(0, min(most, digits - whole))
