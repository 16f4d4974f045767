"""Statements of closed months and credit notes: what they say, how cents are made of it, and how it is kept.

A statement is frozen: its content is kept as canonical JSON, in integers of pico-dollars and cents, with its SHA-256.
Whatever is corrected later is a document or a line of its own.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from keyvault.clock import from_ms, to_ms
from keyvault.domain.budgets import Period
from keyvault.domain.names import shown
from keyvault.errors import Tampered, UsageError
from keyvault.money import PICO_PER_USD, divide_half_even, parse_usd

PICO_PER_CENT: Final = PICO_PER_USD // 100
STATEMENT: Final = "statement"
CREDIT_NOTE: Final = "credit_note"

_MONTH: Final = re.compile(r"(20[0-9]{2})-(0[1-9]|1[0-2])\Z")
_NUMBER: Final = re.compile(r"(20[0-9]{2})-([0-9]{4,9})\Z")


def in_cents(parts: Sequence[int]) -> tuple[list[int], int]:
    """Amounts in pico-dollars as cents, and their total: the exact sum, rounded half-even. The parts sum to it.

    The largest-remainder rule (Hamilton's method of apportionment; M. L. Balinski and H. P. Young, "Fair
    Representation", 1982, chapter 2): every part is rounded down, and the cents that are then missing go to the parts
    that lost most, the earlier of two that lost as much. So every part is less than a cent from what it is exactly, and
    one that is whole cents stays as it is.
    """
    total = divide_half_even(sum(parts), PICO_PER_CENT)
    cents = [part // PICO_PER_CENT for part in parts]
    lost_most = sorted(range(len(parts)), key=lambda at: -(parts[at] % PICO_PER_CENT))
    for at in lost_most[: total - sum(cents)]:
        cents[at] += 1
    return cents, total


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month in a time zone: from `first_ms` up to, but without, `last_ms`."""

    name: str
    """`2026-10`."""
    zone: str
    first_ms: int
    last_ms: int

    @classmethod
    def of(cls, name: str, zone: str) -> Month:
        """`zone` is known to exist. Raises `UsageError` for what is no month."""
        if not (match := _MONTH.match(name)):
            raise UsageError(f"not a month: {shown(name)}", hint="write it like 2026-10")
        inside = datetime(int(match[1]), int(match[2]), 15, tzinfo=UTC)
        first, last = Period.MONTH.window(to_ms(inside), zone)
        assert last is not None
        return cls(name, zone, first, last)

    def next(self) -> Month:
        """The month that begins where this one ends."""
        year, month = int(self.name[:4]), int(self.name[5:])
        return Month.of(f"{year + month // 12}-{month % 12 + 1:02d}", self.zone)


@dataclass(frozen=True, slots=True)
class Line:
    """What one model cost one project. `cents` is what is charged, `charge_pico` what that was rounded from."""

    project: str
    """`acme/web`."""
    model: str
    requests: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    unknown_charges: int
    """Attempts of which nobody knows what they cost: not charged, and not nothing."""
    charge_pico: int
    cents: int = 0


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What a price that was corrected later adds, or takes away, on the next statement."""

    project: str
    model: str
    reason: str
    amount_pico: int
    cents: int = 0


@dataclass(frozen=True, slots=True)
class BalanceMoves:
    """What a prepaid balance did in the month; exact, never rounded."""

    scope: str
    opening_pico: int
    top_ups_pico: int
    adjustments_pico: int
    released_pico: int
    charged_pico: int
    doubt_pico: int
    closing_pico: int


@dataclass(frozen=True, slots=True)
class Statement:
    """A customer's month. Lines and adjustments sum to `total_cents`, of which `prepaid_cents` came out of balances."""

    number: str | None
    """None for a draft."""
    customer: str
    month: str
    zone: str
    first_ms: int
    last_ms: int
    issued_ms: int
    lines: tuple[Line, ...]
    adjustments: tuple[Adjustment, ...]
    balances: tuple[BalanceMoves, ...]
    total_pico: int
    total_cents: int
    prepaid_cents: int
    due_cents: int
    doubt_pico: int
    """What failed or lost attempts may have cost; charged to nobody, and no part of the total."""
    unknown_charges: int
    pending: int
    """Work at providers that was begun and not paid for yet: it is charged in the month in which it is done."""

    @property
    def kind(self) -> str:
        return STATEMENT

    @property
    def cents(self) -> int:
        return self.total_cents


@dataclass(frozen=True, slots=True)
class CreditNote:
    """Gives back some of what a statement charged."""

    number: str | None
    credits: str
    """The statement's number."""
    customer: str
    zone: str
    issued_ms: int
    amount_cents: int
    reason: str
    balance: str | None = None
    """The balance that it was put on."""

    @property
    def kind(self) -> str:
        return CREDIT_NOTE

    @property
    def cents(self) -> int:
        return self.amount_cents


Document = Statement | CreditNote


def drawn_up(
    month: Month,
    customer: str,
    issued_ms: int,
    lines: Sequence[Line],
    adjustments: Sequence[Adjustment],
    balances: Sequence[BalanceMoves],
    *,
    doubt_pico: int,
    pending: int,
) -> Statement:
    """The statement without its number, with cents."""
    exact = [*(line.charge_pico for line in lines), *(each.amount_pico for each in adjustments)]
    cents, total = in_cents(exact)
    due = divide_half_even(sum(exact) - sum(moves.charged_pico for moves in balances), PICO_PER_CENT)
    return Statement(
        number=None,
        customer=customer,
        month=month.name,
        zone=month.zone,
        first_ms=month.first_ms,
        last_ms=month.last_ms,
        issued_ms=issued_ms,
        lines=tuple(replace(line, cents=made) for line, made in zip(lines, cents, strict=False)),
        adjustments=tuple(replace(a, cents=made) for a, made in zip(adjustments, cents[len(lines) :], strict=True)),
        balances=tuple(balances),
        total_pico=sum(exact),
        total_cents=total,
        prepaid_cents=total - due,
        due_cents=due,
        doubt_pico=doubt_pico,
        unknown_charges=sum(line.unknown_charges for line in lines),
        pending=pending,
    )


def written(document: Document) -> str:
    """Canonical JSON: the same document is always the same text."""
    return json.dumps({"kind": document.kind, **asdict(document)}, sort_keys=True, separators=(",", ":"))


def digest(content: str) -> bytes:
    return hashlib.sha256(content.encode()).digest()


def read(content: str) -> Document:
    """Raises `Tampered` for what is not a document."""
    try:
        told = json.loads(content)
        kind = told.pop("kind")
        return _statement(told) if kind == STATEMENT else CreditNote(**told)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Tampered("the content of a statement is not what gwctl wrote", hint="gwctl doctor") from None


def _statement(told: Mapping[str, Any]) -> Statement:
    parts = {
        "lines": tuple(Line(**line) for line in told["lines"]),
        "adjustments": tuple(Adjustment(**each) for each in told["adjustments"]),
        "balances": tuple(BalanceMoves(**moves) for moves in told["balances"]),
    }
    return Statement(**{**told, **parts})


def next_number(known: Iterable[str], issued_ms: int, zone: str) -> str:
    """The number behind all that were given in the year of issue: `2026-0001` is the first."""
    year = from_ms(issued_ms).astimezone(ZoneInfo(zone)).year
    given = [match for number in known if (match := _NUMBER.match(number)) and int(match[1]) == year]
    return f"{year}-{max((int(match[2]) for match in given), default=0) + 1:04d}"


def newest_numbers(known: Iterable[str]) -> set[str]:
    """The last number of each year: all that it takes to tell the next one."""
    found: dict[str, tuple[int, str]] = {}
    for number in known:
        if match := _NUMBER.match(number):
            found[match[1]] = max(found.get(match[1], (0, "")), (int(match[2]), number))
    return {number for _, number in found.values()}


def missing_numbers(known: Iterable[str]) -> list[str]:
    """What a sequence without gaps would have, too."""
    by_year: dict[str, set[int]] = {}
    for number in known:
        if match := _NUMBER.match(number):
            by_year.setdefault(match[1], set()).add(int(match[2]))
    return [
        f"{year}-{number:04d}"
        for year, given in sorted(by_year.items())
        for number in range(1, max(given))
        if number not in given
    ]


def check_number(text: str) -> str:
    """Raises `UsageError`."""
    if not _NUMBER.match(text.strip()):
        raise UsageError(f"not the number of a statement: {shown(text)}", hint="gwctl statements list")
    return text.strip()


def parse_cents(text: str) -> int:
    """`2.50` in cents; more than nothing. Raises `UsageError`."""
    cents, rest = divmod(parse_usd(text), PICO_PER_CENT)
    if rest or not cents:
        raise UsageError(f"not an amount in whole cents: {text[:40]!a}", hint="write it like 2.50")
    return cents


def decimal(cents: int) -> str:
    """Cents as exact decimal text: `-12.50`."""
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02d}"
