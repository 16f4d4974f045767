"""A rollout as it stands: both arms side by side, each guard with what it allows, what it said and when it looks again.

The verdicts are those of the guards' own looks; the figures beside them are of now.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from keyvault.domain.arms import Arm, quantile
from keyvault.domain.names import exact_duration
from keyvault.domain.rollouts import Judgement, Rollout, Verdict
from keyvault.routing.telling import amount, guard_of
from keyvault.statistics.tails import exact_interval
from opsconsole.view import numbers
from opsconsole.view.paper import Paper, Table
from opsconsole.view.staging.rows import percent_of, rollout_state
from opsconsole.view.text import UNICODE, Glyphs, Line, Span, Tone, cut, printable

if TYPE_CHECKING:
    from keyvault.routing.rollouts import Started, Status

FULL_HEIGHT: Final = 6
"""Lines below which only the essence of it is told."""
NARROW: Final = 76
"""Columns below which the arms do not stand side by side."""
WIDE: Final = 100
_BAR: Final = 10
_NOT_YET: Final = "not looked at yet"


def panel(status: Status, now: datetime, width: int, height: int, glyphs: Glyphs = UNICODE) -> tuple[Line, ...]:
    """What stands above the table: all of it where there is room, else one line and what is wrong."""
    head = _head(status, now, width, glyphs)
    if height < FULL_HEIGHT or width < NARROW:
        return (head, *_short(status, glyphs))[:height]
    return (head, *_arms(status, width, glyphs), *_guards(status, width, glyphs))[:height]


def panel_height(status: Status, width: int, room: int) -> int:
    """Lines that `panel` wants of `room`."""
    if room < FULL_HEIGHT or width < NARROW:
        return min(room, 1 + len(status.now))
    return min(room, 5 + len(status.now))


def paper(status: Status, now: datetime) -> Paper:
    """All of it as a page, with every look that is told."""
    rollout = status.rollout
    when = "" if status.next_look_at is None else numbers.until(status.next_look_at, now)
    arms = tuple(_arm_cells(name, arm, UNICODE) for name, arm in _both(status))
    guards = tuple(_guard_cells(status, each, UNICODE) for each in status.now)
    looks = tuple(
        (
            f"{look.at:%m-%d %H:%M:%S}",
            f"{look.step + 1}.{look.index + 1}",
            f"{look.requests[1]:,}",
            f"{look.requests[0]:,}",
            _verdict(look.verdict, UNICODE).text,
        )
        for look in status.looks
    )
    tables = (
        Table("Arms of this step", _ARM_HEADINGS, arms, 1),
        Table("Guards", ("guard", "verdict", "target", "baseline", "allowed"), guards, 2),
        Table("Looks", ("at, UTC", "step.look", "requests", "baseline", "verdict"), looks, 1),
    )
    elsewhere = status.arm.elsewhere
    remarks = (
        (f"{elsewhere:,} requests drawn for the target went elsewhere, since it was not well",) if elsewhere else ()
    )
    return Paper(
        title=_title(rollout),
        facts=(*_facts(rollout), *((("next look", when),) if when else ())),
        tables=tuple(table for table in tables if table.rows),
        remarks=remarks,
    )


def ended(rollout: Rollout) -> Paper:
    """One that has ended, without its figures."""
    return Paper(_title(rollout), _facts(rollout), (), ())


def _title(rollout: Rollout) -> str:
    return f"Rollout of {rollout.alias} to {rollout.target}"


def _facts(rollout: Rollout) -> tuple[tuple[str, str], ...]:
    plan = rollout.plan
    steps = f" {UNICODE.arrow} ".join(map(percent_of, plan.steps))
    pace = f", one each {exact_duration(timedelta(seconds=plan.every_s))}" if plan.automatic else ""
    facts = {
        "state": rollout.state.replace("_", " "),
        "share": f"{percent_of(rollout.share_ppm)} of the requests, by {plan.unit}",
        "step": f"{rollout.step + 1} of {len(plan.steps)} ({steps}{pace})",
        "guards": ", ".join(guard.text for guard in plan.guards),
        "began": f"{rollout.created_at:%Y-%m-%d %H:%M} UTC",
        "ended": f"{rollout.ended_at:%Y-%m-%d %H:%M} UTC: {rollout.reason}" if rollout.ended_at else "",
        "false alarms": f"at most {plan.alpha * 100:g} % over the whole rollout",
    }
    return tuple((name, told) for name, told in facts.items() if told)


def short_state(status: Status, glyphs: Glyphs = UNICODE) -> Span:
    """The worst that the last look said, for a line among others."""
    said = [last for each in status.now if (last := last_of(status, each.guard)) is not None]
    broken = next((each for each in said if each.verdict is Verdict.BREACHED), None)
    if broken is not None:
        return Span(f"{glyphs.alarm} {broken.guard} breached", Tone.ALARM)
    if not said:
        return Span(_NOT_YET, Tone.FAINT)
    waiting = [each for each in said if each.verdict is not Verdict.HOLDS]
    return _verdict(waiting[0].verdict, glyphs) if waiting else Span(f"{glyphs.check} guards hold")


def last_of(status: Status, guard: str) -> Judgement | None:
    """What the newest look at this step said of a guard."""
    newest = next((look for look in status.looks if look.step == status.rollout.step), None)
    return None if newest is None else next((each for each in newest.judgements if each.guard == guard), None)


def _head(status: Status, now: datetime, width: int, glyphs: Glyphs) -> Line:
    rollout = status.rollout
    target = (Span(f" {glyphs.arrow} ", Tone.FAINT), Span(printable(str(rollout.target)), Tone.STRONG))
    state = (Span("  "), rollout_state(rollout, glyphs))
    alias = Span(printable(rollout.alias), Tone.STRONG)
    told: Line = (alias, *target, *state) if width >= NARROW else (alias, *state, *target)
    if status.next_look_at is not None:
        told += (Span(f"  next look {numbers.until(status.next_look_at, now)}", Tone.FAINT),)
    if width >= WIDE:
        began = numbers.duration(now - rollout.step_started_at)
        told += (Span(f"  by {rollout.plan.unit}, step began {began} ago", Tone.FAINT),)
    return told


def _short(status: Status, glyphs: Glyphs) -> list[Line]:
    """A line for each guard."""
    told = []
    for each in status.now:
        guard = guard_of(each)
        told.append(f"{amount(guard, each.arm)} of {amount(guard, each.limit)}")
    names, figures = (max(map(len, texts)) for texts in ([each.guard for each in status.now], told))
    return [
        (
            Span(f"  {each.guard:<{names}}  ", Tone.FAINT),
            Span(f"{figure:<{figures}}  "),
            _said(status, each, glyphs),
        )
        for each, figure in zip(status.now, told, strict=True)
    ]


_ARM_HEADINGS: Final = ("arm", "req", "err %", "95 % interval", "p50 ms", "p95 ms", "first ms", "$ / req")
_ARM_WIDTHS: Final = (28, 7, 6, 13, 6, 7, 8, 9)
_TIGHT: Final = (16, 7, 5, 13, 6, 7, 0, 9)
"""Where there is little room, the first content gives way."""
_GUARD_WIDTHS: Final = (26, 10, 10, 10)
_TIGHT_GUARDS: Final = (22, 9, 9, 9)


def _arms(status: Status, width: int, glyphs: Glyphs) -> list[Line]:
    widths = _ARM_WIDTHS if width >= WIDE else _TIGHT
    head = [heading.upper().replace("MS", "ms") for heading in _ARM_HEADINGS]
    found = [_cells(head, widths, Tone.FAINT, glyphs)]
    found += [_cells(_arm_cells(name, arm, glyphs), widths, Tone.PLAIN, glyphs) for name, arm in _both(status)]
    return found


def _both(status: Status) -> tuple[tuple[str, Arm], ...]:
    return ("baseline", status.baseline), (str(status.rollout.target), status.arm)


def _arm_cells(name: str, arm: Arm, glyphs: Glyphs) -> tuple[str, ...]:
    tally = arm.tally
    answered = tally.served + tally.failed
    rate, cost = tally.error_rate(), tally.cost_per_request()
    interval = exact_interval(tally.failed, answered) if answered else None
    return (
        printable(name),
        numbers.count(tally.requests, glyphs),
        glyphs.unknown if rate is None else f"{rate * 100:.2f}",
        glyphs.unknown if interval is None else f"{interval.low * 100:.2f} to {interval.high * 100:.2f}",
        numbers.count(quantile(tally.total_ms, 0.5), glyphs),
        numbers.count(quantile(tally.total_ms, 0.95), glyphs),
        numbers.count(quantile(tally.first_ms, 0.5), glyphs),
        glyphs.unknown if cost is None else f"{cost:.6f}",
    )


def _guards(status: Status, width: int, glyphs: Glyphs) -> list[Line]:
    wide = width >= WIDE
    widths = _GUARD_WIDTHS if wide else _TIGHT_GUARDS
    head = _cells(("GUARD", "TARGET", "BASELINE", "ALLOWED"), widths, Tone.FAINT, glyphs)
    found: list[Line] = [(*head, Span(f"  {'OF ALLOWED        ' if wide else ''}VERDICT", Tone.FAINT))]
    for each in status.now:
        told = _guard_cells(status, each, glyphs)
        margin = (_margin(each, glyphs), Span("  ")) if wide else ()
        cells = _cells((told[0], *told[2:]), widths, Tone.PLAIN, glyphs)
        found.append((*cells, Span("  "), *margin, _said(status, each, glyphs)))
    return found


def _guard_cells(status: Status, each: Judgement, glyphs: Glyphs) -> tuple[str, ...]:
    guard = guard_of(each)
    baseline = amount(guard, each.baseline) if guard.compares else ""
    said = _said(status, each, glyphs).text
    return each.guard, said, amount(guard, each.arm), baseline, amount(guard, each.limit)


def _margin(each: Judgement, glyphs: Glyphs) -> Span:
    """How much of what is allowed is used up."""
    if each.arm is None or not each.limit:
        return Span(glyphs.unknown.ljust(_BAR + 6), Tone.FAINT)
    share = each.arm / each.limit
    full = max(int(share > 0), min(_BAR, round(share * _BAR)))
    bar = glyphs.bar[0] * full + glyphs.bar[1] * (_BAR - full)
    told = f"{share * 100:.0f} %" if share < 10 else ">999 %"
    return Span(f"{bar}{told:>6}", Tone.WARNING if share > 1 else Tone.PLAIN)


def _said(status: Status, each: Judgement, glyphs: Glyphs) -> Span:
    last = last_of(status, each.guard)
    return Span(_NOT_YET, Tone.FAINT) if last is None else _verdict(last.verdict, glyphs)


def _verdict(told: Verdict, glyphs: Glyphs) -> Span:
    match told:
        case Verdict.HOLDS:
            return Span(f"{glyphs.check} holds")
        case Verdict.BREACHED:
            return Span(f"{glyphs.alarm} breached", Tone.ALARM)
        case _:
            return Span(told.value, Tone.FAINT)


def _cells(cells: Sequence[str], widths: Sequence[int], tone: Tone, glyphs: Glyphs) -> Line:
    """The first to the left, the others to the right; what has no width is left out."""
    shown = [(cut(cell, size, glyphs.ellipsis), size) for cell, size in zip(cells, widths, strict=True) if size]
    (first, size), *others = shown
    return (Span("  ".join([f"  {first:<{size}}", *(f"{cell:>{size}}" for cell, size in others)]), tone),)


def foreseen(started: Started) -> Paper:
    """What the guards of a new rollout could find, going by the traffic of the last day."""
    rollout, recent = started.rollout, started.recent
    rows = tuple(
        (
            each.guard.text,
            percent_of(step.share_ppm),
            f"{step.arm:,.0f}",
            amount(each.guard, each.now),
            "nothing" if each.least is None else amount(each.guard, each.least),
        )
        for step in started.foreseen
        for each in step.detectable
    )
    headings = ("guard", "share", "requests", "now", "found from")
    known = bool(recent.requests)
    return Paper(
        title=_title(rollout),
        facts=(*_facts(rollout), ("last day", f"{recent.requests:,} requests asked for {rollout.alias}")),
        tables=(Table("What the guards can find, going by the last day", headings, rows, 1),) if known else (),
        remarks=("found from: a target as bad as that is taken out in four of five cases, by the end of the step",)
        if known
        else ("What the guards will find is not known: nobody asked for it in the last day.",),
    )
