"""From a snapshot to the rows of the Keys table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final

from keyvault.domain.keys import KeyState
from keyvault.money import PICO_PER_USD
from opsconsole.view import charts, numbers
from opsconsole.view.filters import Filter
from opsconsole.view.keys import words
from opsconsole.view.keys.snapshot import GroupRow, KeyRow, KeysBy, KeysSnapshot, Row
from opsconsole.view.table import MOST_ROWS, Column, Heading, Sort, SortValue, Table, name_column, write
from opsconsole.view.text import UNICODE, Glyphs, Span, Tone

BY_NAME: Final = Sort("name", descending=False)
TEST: Final = " (test)"
"""What marks keys for tests."""
_STATES: Final = {
    KeyState.ACTIVE: 1,
    KeyState.SUSPENDED: 2,
    KeyState.EXPIRED: 3,
    KeyState.REVOKED: 4,
    KeyState.DELETED: 5,
}
_ERRORS: Final = 0.02
_LEAST: Final = len("<0.01")
_NO_BUDGET: Final = "no cap".ljust(words.BAR + 1)


@dataclass(frozen=True, slots=True)
class Shown:
    """What the cells of one table have in common."""

    now: datetime
    zone: tzinfo | None
    glyphs: Glyphs
    spent: int
    """How wide the spent part of a budget is."""


def table(
    snapshot: KeysSnapshot,
    sort: Sort = BY_NAME,
    wanted: Filter = Filter(),  # noqa: B008 - frozen
    zone: tzinfo | None = None,
    glyphs: Glyphs = UNICODE,
    most: int = MOST_ROWS,
) -> Table:
    """The written table of a snapshot."""
    question = snapshot.question
    return write(
        snapshot.rows,
        _columns(question.by, Shown(snapshot.taken_at, zone, glyphs, _spent_width(snapshot.rows))),
        sort,
        key=lambda row: (row.name,),
        names=_names,
        wanted=wanted,
        kind=(question.by, question.within),
        usual=BY_NAME,
        most=most,
    )


def _names(row: Row) -> tuple[str, ...]:
    """What the filter looks at: names, project, and the state in words."""
    said = words.state(row).text
    if isinstance(row, KeyRow):
        return row.name, row.project, said, "test" if row.key.env == "test" else ""
    return row.name, said


def _spent_width(rows: Sequence[Row]) -> int:
    return max(_LEAST, len(numbers.dollars(max((_spent(row) for row in rows), default=0))))


def _spent(row: Row) -> int:
    cap = row.tightest
    return row.used.month_pico if cap is None else cap.spent_pico


def _columns(by: KeysBy, shown: Shown) -> tuple[Column[Row], ...]:
    match by:
        case KeysBy.KEY:
            return (_name("KEY"), _owner(), _state(), *_money(shown), *_traffic(shown), *_dates(shown))
        case KeysBy.DELETED:
            return (_name("KEY"), _owner(), _deleted(shown), _restorable(shown))
        case _:
            return (_name(by.upper()), _state(), _keys(), *_money(shown), *_purse(by, shown), *_traffic(shown))


def _column(
    id_: str, heading: str, rank: int, value: object, cell: object, *, right: bool = True, sorts: bool = True
) -> Column[Row]:
    return Column(Heading(id_, heading, rank, right=right), value, cell, sorts)  # type: ignore[arg-type]


def _name(heading: str) -> Column[Row]:
    def cell(row: Row) -> Span:
        test = isinstance(row, KeyRow) and row.key.env == "test"
        return Span(row.name + TEST if test else row.name)

    return name_column("name", heading, lambda row: row.name, cell)


def _owner() -> Column[Row]:
    def owner(row: Row) -> str:
        return row.project if isinstance(row, KeyRow) else ""

    return name_column("project", "PROJECT", owner, lambda row: Span(owner(row), Tone.FAINT))


def _state() -> Column[Row]:
    def value(row: Row) -> SortValue:
        if isinstance(row, KeyRow):
            return _STATES[row.state] - (0.5 if row.rotating else 0)
        return 2 if isinstance(row, GroupRow) and row.suspended else 1

    return Column(Heading("state", "STATE", 1, right=False), value, words.state)


def _keys() -> Column[Row]:
    def cell(row: Row) -> Span:
        assert isinstance(row, GroupRow)
        return Span(f"{row.keys:,}" if row.usable == row.keys else f"{row.usable:,} of {row.keys:,}")

    return _column("keys", "KEYS", 3, lambda row: row.keys if isinstance(row, GroupRow) else None, cell)


def _money(shown: Shown) -> tuple[Column[Row], ...]:
    glyphs = shown.glyphs

    def share(row: Row) -> SortValue:
        cap = row.tightest
        return row.used.month_pico / (PICO_PER_USD * 10**9) if cap is None else cap.share

    def spent(row: Row) -> Span:
        cap = row.tightest
        gone = numbers.dollars(_spent(row), 2, glyphs).rjust(shown.spent)
        if cap is None:
            return Span(f"{_NO_BUDGET}{gone}", Tone.FAINT if not row.used.month_pico else Tone.MONEY)
        sign = words.cap_sign(cap, glyphs)
        told = f"{words.bar(cap.share, glyphs=glyphs)} {gone} / {words.amount(cap.budget.amount_pico)}"
        return Span(f"{told} {sign}" if sign else told, words.cap_tone(cap))

    def per(row: Row) -> Span:
        cap = row.tightest
        if cap is None:
            return Span("month" if row.used.month_pico else "", Tone.FAINT)
        whose = words.of_whom(cap, row)
        return Span(f"{cap.budget.period} {whose}".strip(), Tone.FAINT)

    return (
        _column("spent", "SPENT / BUDGET $", 2, share, spent, right=False),
        _column("per", "PER", 6, lambda row: row.tightest is not None, per, right=False, sorts=False),
    )


def _purse(by: KeysBy, shown: Shown) -> tuple[Column[Row], ...]:
    glyphs = shown.glyphs

    def available(row: Row) -> int | None:
        return row.balances[0].available_pico if row.balances else None

    def balance(row: Row) -> Span:
        if not row.balances:
            return Span(glyphs.unknown, Tone.FAINT)
        money = row.balances[0]
        sign = f"{glyphs.warning} " if money.is_low else ""
        return Span(sign + _dollars(money.available_pico, glyphs), Tone.WARNING if money.is_low else Tone.MONEY)

    def factor(row: Row) -> Span:
        ppm = row.multiplier_ppm if isinstance(row, GroupRow) else None
        if ppm is None:
            return Span(glyphs.unknown, Tone.FAINT)
        return Span(f"{glyphs.cross} {ppm / 1_000_000:g}", Tone.FAINT if ppm == 1_000_000 else Tone.PLAIN)

    columns = [_column("balance", "BALANCE $", 3, available, balance)]
    if by is KeysBy.CUSTOMER:
        ppm = _column(
            "multiplier", "CHARGED", 5, lambda row: row.multiplier_ppm if isinstance(row, GroupRow) else None, factor
        )
        columns.append(ppm)
    return tuple(columns)


def _dollars(pico: int, glyphs: Glyphs) -> str:
    return f"-{numbers.dollars(-pico, 2, glyphs)}" if pico < 0 else numbers.dollars(pico, 2, glyphs)


def _traffic(shown: Shown) -> tuple[Column[Row], ...]:
    glyphs = shown.glyphs

    def requests(row: Row) -> Span:
        return Span(numbers.count(row.used.requests), Tone.PLAIN if row.used.requests else Tone.FAINT)

    def errors(row: Row) -> Span:
        share = row.used.error_share
        if share is None:
            return Span(glyphs.unknown, Tone.FAINT)
        bad = share >= _ERRORS and row.used.errors > 1
        return Span(f"{glyphs.warning if bad else ''} {share * 100:.1f}".strip(), Tone.WARNING if bad else Tone.FAINT)

    def trend(row: Row) -> Span:
        return Span(charts.trend(tuple(row.used.hours), 12, glyphs) if row.used.hours else "", Tone.FAINT)

    def used(row: Row) -> datetime | None:
        return row.last_used_at if isinstance(row, (KeyRow, GroupRow)) else None

    def last(row: Row) -> Span:
        at = used(row)
        return Span("never" if at is None else words.ago(at, shown.now, glyphs), Tone.FAINT)

    def moment(row: Row) -> SortValue:
        at = used(row)
        return None if at is None else at.timestamp()

    return (
        _column("last", "LAST USED", 3, moment, last),
        _column("requests", "REQ today", 4, lambda row: row.used.requests, requests),
        _column("errors", "ERR %", 5, lambda row: row.used.error_share, errors),
        _column("trend", "REQ 24 h", 9, lambda row: sum(row.used.hours), trend, right=False, sorts=False),
    )


def _dates(shown: Shown) -> tuple[Column[Row], ...]:
    def key_of(row: Row) -> KeyRow:
        assert isinstance(row, KeyRow)
        return row

    def ends(row: Row) -> datetime | None:
        return key_of(row).key.expires_at if key_of(row).state in (KeyState.ACTIVE, KeyState.SUSPENDED) else None

    def rotates(row: Row) -> datetime | None:
        return key_of(row).key.rotation_due_at if key_of(row).state is KeyState.ACTIVE else None

    def soonest(at: datetime | None) -> SortValue:
        return None if at is None else at.timestamp()

    return (
        Column(
            Heading("expires", "EXPIRES", 7, descending=False),
            lambda row: soonest(ends(row)),
            lambda row: words.due(ends(row), shown.now, shown.zone, shown.glyphs),
        ),
        Column(
            Heading("due", "NEW SECRET", 8, descending=False),
            lambda row: soonest(rotates(row)),
            lambda row: words.due(rotates(row), shown.now, shown.zone, shown.glyphs),
        ),
    )


def _deleted(shown: Shown) -> Column[Row]:
    def at(row: Row) -> datetime | None:
        return row.key.deleted_at if isinstance(row, KeyRow) else None

    def value(row: Row) -> SortValue:
        moment = at(row)
        return None if moment is None else moment.timestamp()

    return _column(
        "deleted", "DELETED", 1, value, lambda row: Span(words.ago(at(row), shown.now, shown.glyphs), Tone.FAINT)
    )


def _restorable(shown: Shown) -> Column[Row]:
    def cell(row: Row) -> Span:
        until = row.key.restorable_until if isinstance(row, KeyRow) else None
        if until is None or until <= shown.now:
            return Span("no longer", Tone.FAINT)
        return Span(f"until {words.day(until, shown.now, shown.zone)}")

    return _column("restorable", "CAN BE RESTORED", 0, lambda row: None, cell, right=False, sorts=False)
