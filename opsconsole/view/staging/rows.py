"""From a snapshot to the rows of the Staging table: what is on trial now comes first, then the newest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from keyvault.domain.captures import Capture
from keyvault.domain.drills import FAULTS, Drill
from keyvault.domain.rollouts import Rollout, State
from opsconsole.view import numbers
from opsconsole.view.filters import Filter
from opsconsole.view.staging.snapshot import (
    CAPTURE,
    DRILL,
    ROLLOUT,
    RunRow,
    StagingSnapshot,
    capture_key,
    drill_key,
    rollout_key,
)
from opsconsole.view.table import Column, Heading, RowKey, Sort, Table, name_column, write
from opsconsole.view.text import UNICODE, Glyphs, Span, Tone, printable

BY_STATE: Final = Sort("state")
_LIVE: Final = 3
_GOOD: Final = ("passed", "ready", "finished")
_BAD: Final = ("failed", "not ready", "rolled back", "stopped")


@dataclass(frozen=True, slots=True)
class Row:
    """One line, whatever it stands for."""

    key: RowKey
    kind: str
    what: str
    began_at: datetime
    state: Span
    rank: int = 0
    """What does something to traffic now stands above what does not: rollouts, then drills, then captures."""
    items: int | None = None
    until: datetime | None = None


def rows(snapshot: StagingSnapshot, glyphs: Glyphs = UNICODE) -> tuple[Row, ...]:
    now = snapshot.taken_at
    return (
        *(_rollout(each.rollout, glyphs) for each in snapshot.trials),
        *(_rollout(each, glyphs) for each in snapshot.ended),
        *(_drill(each, glyphs) for each in snapshot.drills),
        *(_capture(each, now, glyphs) for each in snapshot.taken),
        *(_run(each, glyphs) for each in snapshot.runs),
    )


def table(
    snapshot: StagingSnapshot,
    sort: Sort = BY_STATE,
    wanted: Filter = Filter(),  # noqa: B008 - frozen
    glyphs: Glyphs = UNICODE,
) -> Table:
    """The written table of a snapshot."""
    now = snapshot.taken_at
    columns: tuple[Column[Row], ...] = (
        name_column("what", "WHAT", lambda row: row.what),
        Column(
            Heading("kind", "KIND", 0, right=False, descending=False),
            lambda row: row.kind,
            lambda row: Span(row.kind, Tone.FAINT),
        ),
        Column(Heading("state", "STATE", 0, right=False), lambda row: float(row.rank), lambda row: row.state),
        Column(
            Heading("age", "BEGAN", 1),
            lambda row: row.began_at.timestamp(),
            lambda row: Span(f"{numbers.duration(now - row.began_at)} ago", Tone.FAINT),
        ),
        Column(
            Heading("left", "LEFT", 2, descending=False),
            lambda row: row.until.timestamp() if row.until else None,
            lambda row: Span(numbers.duration(row.until - now) if row.until else ""),
        ),
        Column(
            Heading("items", "ITEMS", 3),
            lambda row: row.items,
            lambda row: Span("" if row.items is None else numbers.count(row.items, glyphs), Tone.FAINT),
        ),
    )
    return write(
        rows(snapshot, glyphs),
        columns,
        sort,
        key=lambda row: row.key,
        tie=lambda row: (f"{10**13 - row.began_at.timestamp() * 1000:020.0f}", *row.key),
        names=lambda row: (row.kind, row.what, row.state.text),
        wanted=wanted,
        kind="staging",
        usual=BY_STATE,
        more=snapshot.more,
    )


def rollout_state(rollout: Rollout, glyphs: Glyphs = UNICODE) -> Span:
    """`● 5 %, step 1 of 4`, `‖ paused`, `✓ finished`, `✖ rolled back`"""
    steps = len(rollout.plan.steps)
    match rollout.state:
        case State.RUNNING:
            step = f", step {rollout.step + 1} of {steps}" if steps > 1 else ""
            return Span(f"{glyphs.dot} {percent_of(rollout.share_ppm)}{step}", Tone.ACCENT)
        case State.PAUSED:
            return Span(f"{glyphs.paused} paused", Tone.WARNING)
        case State.FINISHED:
            return Span(f"{glyphs.check} finished")
        case _:
            return Span(f"{glyphs.alarm} rolled back", Tone.WARNING)


def percent_of(ppm: int) -> str:
    return f"{ppm / 10_000:g} %"


def verdict(run: RunRow, glyphs: Glyphs = UNICODE) -> Span:
    """What a run came to, with a sign for what held and for what did not."""
    if run.verdict is None:
        return Span(f"{glyphs.half} not done", Tone.FAINT)
    told = printable(run.verdict)
    if told in _GOOD:
        return Span(f"{glyphs.check} {told}")
    return Span(f"{glyphs.alarm} {told}", Tone.ALARM) if told in _BAD else Span(told)


def _rollout(rollout: Rollout, glyphs: Glyphs) -> Row:
    what = printable(f"{rollout.alias} {glyphs.arrow} {rollout.target}")
    state = rollout_state(rollout, glyphs)
    return Row(rollout_key(rollout), ROLLOUT, what, rollout.created_at, state, _LIVE * rollout.live)


def _drill(drill: Drill, glyphs: Glyphs) -> Row:
    what = printable(f"{drill.target} for {drill.key}: {FAULTS[drill.fault]}")
    state = Span(f"{glyphs.dot} running", Tone.WARNING)
    return Row(drill_key(drill), DRILL, what, drill.created_at, state, _LIVE - 1, until=drill.until)


def _capture(capture: Capture, now: datetime, glyphs: Glyphs) -> Row:
    runs = not capture.ended and capture.over(now) is None
    state = Span(f"{glyphs.dot} running", Tone.WARNING) if runs else Span("ended", Tone.FAINT)
    what = printable(f"{capture.sample_ppm / 10_000:g} % of {capture.of}")
    until = capture.until if runs else None
    return Row(
        capture_key(capture), CAPTURE, what, capture.created_at, state, int(runs), items=capture.taken, until=until
    )


def _run(run: RunRow, glyphs: Glyphs) -> Row:
    return Row(run.key, run.kind, printable(run.title), run.began_at, verdict(run, glyphs), items=run.items)
