"""What stands beside the Keys table: all there is to know of the row the cursor is on."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final

from keyvault.domain.keys import Generation, GenerationState, KeyState
from keyvault.domain.scopes import ScopeKind
from opsconsole.view import charts, numbers, text
from opsconsole.view.keys import words
from opsconsole.view.keys.snapshot import Cap, GroupRow, KeyRow, Money, Row
from opsconsole.view.text import UNICODE, Glyphs, Line, Span, Tone, line, printable

LABEL: Final = 9
GRAPH: Final = 3
_GONE: Final = (GenerationState.ABANDONED, GenerationState.EXPIRED, GenerationState.REVOKED)


@dataclass(frozen=True, slots=True)
class _Frame:
    """What every part is drawn by."""

    width: int
    now: datetime
    zone: tzinfo | None
    glyphs: Glyphs


def beside(
    row: Row, now: datetime, width: int, height: int, zone: tzinfo | None = None, glyphs: Glyphs = UNICODE
) -> tuple[Line, ...]:
    """At most `height` lines; the graph goes first where there is no room, then what stands last."""
    frame = _Frame(width, now, zone, glyphs)
    told = list(_key(row, frame) if isinstance(row, KeyRow) else _group(row, frame))
    graph = list(_graph(row, frame, min(GRAPH + 3, max(GRAPH, height - len(told) - 2))))
    lines = [*told, *graph] if len(told) + len(graph) <= height else told
    return tuple(lines[:height])


def _key(row: KeyRow, frame: _Frame) -> Iterator[Line]:
    yield _both_ends(Span(row.name, Tone.STRONG), words.state(row, frame.glyphs), frame.width)
    current = row.current
    yield _both_ends(
        Span(current.masked if current else "no secret", Tone.PLAIN), Span(row.project, Tone.FAINT), frame.width
    )
    yield ()
    yield from _generations(row, frame)
    yield from _labelled("may use", words.policy_words(row.key.policy), frame)
    yield from _dates(row, frame)
    yield from _money(row, frame)
    yield from _today(row, frame)


def _group(row: Row, frame: _Frame) -> Iterator[Line]:
    assert isinstance(row, GroupRow)
    yield _both_ends(Span(row.name, Tone.STRONG), words.state(row, frame.glyphs), frame.width)
    keys = f"{words.counted(row.keys, 'key')}, {row.usable:,} admitted"
    projects = f"{words.counted(row.projects, 'project')}, {keys}"
    yield line(Span(projects if row.of is ScopeKind.CUSTOMER else keys, Tone.FAINT))
    yield ()
    if row.refused_with:
        yield from _labelled("refused", [f"its {row.refused_with} is suspended"], frame, Tone.WARNING)
    if row.multiplier_ppm is not None:
        factor = row.multiplier_ppm / 1_000_000
        told = "its cost, as it is" if factor == 1 else f"its cost × {factor:g}" if factor else "nothing"
        yield from _labelled("charged", [told], frame)
    yield from _money(row, frame)
    yield from _today(row, frame)


def _both_ends(left: Span, right: Span, width: int) -> Line:
    room = width - len(right.text) - 1
    return line(Span(text.cut(left.text, room).ljust(room), left.tone), " ", right)


def _labelled(label: str, told: Iterable[str], frame: _Frame, tone: Tone = Tone.PLAIN) -> Iterator[Line]:
    """Parts behind a label, as many on a line as fit; one that is longer than a line is broken at its words."""
    room, between = frame.width - LABEL, f" {frame.glyphs.separator} "
    lines: list[str] = []
    for part in told:
        if lines and len(lines[-1]) + len(between) + len(part) <= room:
            lines[-1] += between + part
        else:
            lines += textwrap.wrap(part, max(1, room))
    for at, each in enumerate(lines):
        yield line(Span((label if at == 0 else "").ljust(LABEL), Tone.FAINT), Span(each, tone))


# Of a key


def _generations(row: KeyRow, frame: _Frame) -> Iterator[Line]:
    shown = [each for each in row.key.generations if each.state_at(frame.now) not in _GONE]
    shown = shown or list(row.key.generations[:1])
    for at, each in enumerate(shown):
        state = each.state_at(frame.now)
        tone = Tone.ACCENT if state in (GenerationState.PENDING, GenerationState.GRACE) else Tone.PLAIN
        label = ("secrets" if at == 0 else "").ljust(LABEL)
        used = "unused" if each.last_used_at is None else words.ago(each.last_used_at, frame.now)
        left = f"{each.number}  {_GENERATION[state]}  {_span(each, state, frame)}"
        room = frame.width - LABEL
        yield line(Span(label, Tone.FAINT), *_both_ends(Span(left, tone), Span(used, Tone.FAINT), room))
        yield from _user(each, state, frame)


_GENERATION: Final = {
    GenerationState.PENDING: "pending",
    GenerationState.ACTIVE: "active ",
    GenerationState.GRACE: "grace  ",
    GenerationState.EXPIRED: "expired",
    GenerationState.ABANDONED: "dropped",
    GenerationState.REVOKED: "revoked",
}


def _span(generation: Generation, state: GenerationState, frame: _Frame) -> str:
    if state is GenerationState.GRACE and generation.valid_until is not None:
        return f"until {words.day(generation.valid_until, frame.now, frame.zone)}"
    if state is GenerationState.PENDING:
        return "until it is used or finished"
    since = generation.activated_at or generation.created_at
    return f"since {words.day(since, frame.now, frame.zone)}"


def _user(generation: Generation, state: GenerationState, frame: _Frame) -> Iterator[Line]:
    """Who used a secret last; of an old one, that somebody still does."""
    if generation.last_used_at is None:
        return
    who = printable(generation.last_client or "an unnamed client")
    where = f", {generation.last_address}" if generation.last_address else ""
    still = state is GenerationState.GRACE
    words_ = f"{'last used by ' if not still else 'still used by '}{who}{where}"
    tone = Tone.WARNING if still else Tone.FAINT
    for part in text.wrapped((Span(words_, tone),), frame.width - LABEL - 3):
        yield line(" " * (LABEL + 3), *part)


def _dates(row: KeyRow, frame: _Frame) -> Iterator[Line]:
    key = row.key
    if key.deleted_at is not None and key.restorable_until is not None:
        until = words.day(key.restorable_until, frame.now, frame.zone)
        yield from _labelled("deleted", [f"{words.ago(key.deleted_at, frame.now)} ago, can be restored until {until}"],
                             frame)  # fmt: skip
    if key.suspended_by is not None:
        told = "everybody is suspended" if key.suspended_by == "all" else f"{key.suspended_by} is suspended"
        yield from _labelled("refused", [told], frame, Tone.WARNING)
    told_dates = []
    if key.expires_at is not None:
        word = "expired" if row.state is KeyState.EXPIRED else "expires"
        told_dates.append(f"{word} {words.day(key.expires_at, frame.now, frame.zone)}")
    if key.policy.rotate_every_s is not None:
        told_dates.append(f"new secret every {words.every(key.policy.rotate_every_s)}")
    if (due := key.rotation_due_at) is not None and due <= frame.now:
        told_dates.append("due now")
    yield from _labelled("dates", told_dates, frame)


# Money and traffic, of every row


def _money(row: Row, frame: _Frame) -> Iterator[Line]:
    limits = [words.limit_words(each) + _whose(each.scope.kind, each.scope.name, row) for each in row.limits]
    yield from _labelled("limits", limits, frame)
    for at, cap in enumerate(sorted(row.caps, key=lambda cap: -cap.share)):
        yield from _cap(cap, row, frame, "budgets" if at == 0 and len(row.caps) > 1 else "budget" if at == 0 else "")
    for at, money in enumerate(row.balances):
        yield from _balance(money, row, frame, "balance" if at == 0 else "")


def _whose(kind: ScopeKind, name: str, row: Row) -> str:
    return "" if kind is row.kind else f" ({name})"


def _cap(cap: Cap, row: Row, frame: _Frame, label: str) -> Iterator[Line]:
    sign = words.cap_sign(cap, frame.glyphs)
    gone = f"{words.bar(cap.share, 8, frame.glyphs)} {sign}{' ' if sign else ''}$ {numbers.dollars(cap.spent_pico)} of "
    rest = f"{words.budget_words(cap.budget)}{_whose(cap.budget.scope.kind, cap.budget.scope.name, row)}"
    ends = f", until {words.day(cap.until, frame.now, frame.zone)}" if cap.until is not None else ""
    parts = text.wrapped((Span(gone + rest + ends, words.cap_tone(cap)),), frame.width - LABEL)
    for at, part in enumerate(parts):
        yield line(Span((label if at == 0 else "").ljust(LABEL), Tone.FAINT), *part)


def _balance(money: Money, row: Row, frame: _Frame, label: str) -> Iterator[Line]:
    left = numbers.dollars(abs(money.available_pico))
    sign = f"{frame.glyphs.warning} " if money.is_low else ""
    told = [f"{sign}$ {'-' if money.available_pico < 0 else ''}{left} left"]
    if money.held_pico:
        told.append(f"$ {numbers.dollars(money.held_pico)} held")
    if money.balance.in_doubt_pico:
        told.append(f"$ {numbers.dollars(money.balance.in_doubt_pico)} in doubt")
    whose = _whose(money.balance.scope.kind, money.balance.scope.name, row)
    env = " test" if money.balance.env == "test" else ""
    told[-1] += f"{env}{whose}"
    yield from _labelled(label, told, frame, Tone.WARNING if money.is_low else Tone.MONEY)


def _today(row: Row, frame: _Frame) -> Iterator[Line]:
    used = row.used
    if not used.requests and not used.month_pico:
        yield from _labelled("today", ["no requests"], frame, Tone.FAINT)
        return
    told = [words.counted(used.requests, "request")]
    if used.requests:
        told += [f"$ {numbers.dollars(used.today_pico)}", f"{numbers.percent(used.error_share)} errors"]
    yield from _labelled("today", told, frame)
    least = f"{frame.glyphs.at_least} " if used.unpriced else ""
    yield from _labelled("month", [f"{least}$ {numbers.dollars(used.month_pico)}"], frame, Tone.MONEY)


def _graph(row: Row, frame: _Frame, height: int) -> Sequence[Line]:
    if not any(row.used.hours):
        return ()
    drawn = charts.chart(tuple(row.used.hours), frame.width, height - 1, frame.glyphs)
    most = f"max {numbers.count(round(drawn.maximum or 0))} /h"
    name = "requests, 24 h"
    caption = line(Span(name, Tone.FAINT), Span(most.rjust(frame.width - len(name)), Tone.FAINT))
    return ((), *((Span(each, Tone.FAINT),) for each in drawn.lines), caption)
