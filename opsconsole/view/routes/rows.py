"""From a snapshot to the rows of the Routes table and of the history of revisions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from keyvault.domain.differences import Change
from opsconsole.view import health, numbers
from opsconsole.view.filters import Filter
from opsconsole.view.routes.snapshot import Leg, RevisionsSnapshot, RoutesSnapshot, Step
from opsconsole.view.staging.rows import rollout_state
from opsconsole.view.table import Column, Heading, Sort, Table, name_column, write
from opsconsole.view.text import UNICODE, Glyphs, Span, Tone, printable

BY_ALIAS: Final = Sort("alias", descending=False)
NEWEST: Final = Sort("revision")


def condition_span(leg: Leg, now: datetime, glyphs: Glyphs) -> Span:
    """`● well`, `✖ open, next try in 12 s`, `▲ cooling 3 s`."""
    condition = leg.condition
    left = "" if condition.until is None or condition.until <= now else f" {numbers.duration(condition.until - now)}"
    match condition.state:
        case "closed":
            return Span(f"{glyphs.dot} well", Tone.FAINT)
        case "open":
            return Span(f"{glyphs.alarm} out{left}", Tone.ALARM)
        case "half-open" | "half_open":
            return Span(f"{glyphs.warning} one trial", Tone.WARNING)
        case _:
            return Span(f"{glyphs.warning} {condition.state}{left}", Tone.WARNING)


def _rank(leg: Leg, glyphs: Glyphs) -> Span:
    if leg.order:
        return Span(f"fallback {leg.order}", Tone.FAINT)
    return Span(glyphs.unknown if leg.share is None else f"{leg.share * 100:.0f} %")


def _traffic(leg: Leg, glyphs: Glyphs) -> Span:
    if leg.traffic is None:
        return Span(glyphs.unknown, Tone.FAINT)
    mark, _, words = health.describe(leg.traffic, glyphs)
    return Span(f"{mark.text}{words.text.strip()}", words.tone)


def _special(leg: Leg) -> str:
    return ", ".join([*leg.choice.overrides, *leg.choice.defaults])


def _rollout(snapshot: RoutesSnapshot, leg: Leg, glyphs: Glyphs) -> Span:
    """`● 5 %, step 1 of 4 → groq/llama`, on the first line of its route."""
    found = snapshot.rollout(leg.route.alias)
    if found is None or leg.choice is not next(iter(leg.route.choices), None):
        return Span("")
    state = rollout_state(found, glyphs)
    return Span(f"{state.text} {glyphs.arrow} {printable(str(found.target))}", state.tone)


def table(
    snapshot: RoutesSnapshot,
    sort: Sort = BY_ALIAS,
    wanted: Filter = Filter(),  # noqa: B008 - frozen
    glyphs: Glyphs = UNICODE,
) -> Table:
    """The written table of a snapshot."""
    now = snapshot.taken_at
    columns: tuple[Column[Leg], ...] = (
        name_column("alias", "ALIAS", lambda leg: printable(leg.route.alias)),
        name_column("target", "TARGET", lambda leg: printable(str(leg.choice.target))),
        Column(
            Heading("rank", "GETS", 0, right=False, descending=False),
            lambda leg: float(leg.order),
            lambda leg: _rank(leg, glyphs),
        ),
        Column(
            Heading("condition", "STATE", 0, right=False),
            lambda leg: float(leg.condition.state != "closed"),
            lambda leg: condition_span(leg, now, glyphs),
        ),
        Column(
            Heading("traffic", "LAST MINUTES", 2, right=False),
            lambda leg: leg.traffic.per_second if leg.traffic else None,
            lambda leg: _traffic(leg, glyphs),
        ),
        Column(
            Heading("special", "SETS", 5, right=False, descending=False),
            lambda leg: _special(leg) or None,
            lambda leg: Span(_special(leg), Tone.FAINT),
        ),
    )
    if snapshot.rollouts:
        columns += (
            Column(
                Heading("rollout", "ROLLOUT", 1, right=False, descending=False),
                lambda leg: _rollout(snapshot, leg, glyphs).text or None,
                lambda leg: _rollout(snapshot, leg, glyphs),
            ),
        )
    return write(
        snapshot.legs,
        columns,
        sort,
        # Targets of a route stay in the order in which they are tried.
        key=lambda leg: leg.key,
        tie=lambda leg: (leg.route.alias, f"{leg.order:04}", str(leg.choice.target)),
        names=lambda leg: (*leg.key, leg.condition.state),
        wanted=wanted,
        kind="routes",
        usual=BY_ALIAS,
    )


def history(
    snapshot: RevisionsSnapshot,
    sort: Sort = NEWEST,
    wanted: Filter = Filter(),  # noqa: B008 - frozen
    glyphs: Glyphs = UNICODE,
) -> Table:
    """The written table of revisions."""
    now = snapshot.taken_at
    columns: tuple[Column[Step], ...] = (
        Column(
            Heading("revision", "REVISION", 0),
            lambda step: step.revision.number,
            lambda step: Span(f"{glyphs.dot + ' ' if step.current else ''}{step.revision.number}", Tone.STRONG),
        ),
        Column(
            Heading("age", "AGE", 1),
            lambda step: step.revision.created_at.timestamp(),
            lambda step: Span(numbers.duration(now - step.revision.created_at), Tone.FAINT),
            sorts=False,
        ),
        name_column("actor", "BY", lambda step: printable(step.revision.actor)),
        Column(
            Heading("changes", "CHANGED", 0, right=False),
            lambda step: len(step.changes),
            lambda step: Span(summary(step.changes)),
        ),
        Column(
            Heading("routes", "ROUTES", 3),
            lambda step: len(step.revision.routes),
            lambda step: Span(f"{len(step.revision.routes)}", Tone.FAINT),
        ),
    )
    return write(
        snapshot.steps,
        columns,
        sort,
        key=lambda step: (str(step.revision.number),),
        names=lambda step: (str(step.revision.number), step.revision.actor, summary(step.changes)),
        wanted=wanted,
        kind="revisions",
        usual=NEWEST,
        more=snapshot.more,
    )


def summary(changes: Sequence[Change]) -> str:
    """`+ fast  ~ smart, cheap`"""
    parts = []
    for sign in "+~-":
        names = [printable(change.scope.partition(":")[2]) for change in changes if change.sign == sign]
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            parts.append(f"{sign} {', '.join(names[:3])}{more}")
    return "  ".join(parts) or "nothing"
