"""From a snapshot to the rows of the logs, and what the pane says of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from keyvault.domain.alerts import Alert
from opsconsole.view import numbers
from opsconsole.view.filters import Filter
from opsconsole.view.logs.snapshot import AlertsSnapshot, AuditSnapshot, Change
from opsconsole.view.table import Column, Heading, Sort, Table, name_column, write
from opsconsole.view.text import UNICODE, Glyphs, Line, Span, Tone, line, printable

NEWEST_CHANGE: Final = Sort("seq")
NEWEST_ALERT: Final = Sort("last")
LABEL_WIDTH: Final = 9


def _detail(change: Change) -> str:
    """Without what a document says in full, which its number and its digest name."""
    told = ((name, value) for name, value in change.detail.items() if not isinstance(value, Mapping))
    return ", ".join(f"{name} {_short(value)}" for name, value in told)


def _short(value: Any) -> str:
    return printable(", ".join(map(str, value)) if isinstance(value, list) else str(value))


def audit(
    snapshot: AuditSnapshot,
    sort: Sort = NEWEST_CHANGE,
    wanted: Filter = Filter(),  # noqa: B008 - frozen
    glyphs: Glyphs = UNICODE,
) -> Table:
    """The written audit log."""
    now = snapshot.taken_at
    columns: tuple[Column[Change], ...] = (
        name_column("action", "ACTION", lambda change: printable(change.action)),
        name_column("scope", "SCOPE", lambda change: printable(change.scope)),
        Column(
            Heading("seq", "NUMBER", 3), lambda change: change.seq, lambda change: Span(f"{change.seq:,}", Tone.FAINT)
        ),
        Column(
            Heading("age", "AGE", 0),
            lambda change: change.at.timestamp(),
            lambda change: Span(numbers.duration(now - change.at)),
            sorts=False,
        ),
        Column(
            Heading("actor", "BY", 1, right=False, descending=False),
            lambda change: change.actor.casefold(),
            lambda change: Span(printable(change.actor)),
        ),
        Column(
            Heading("detail", "DETAIL", 6, right=False),
            lambda change: _detail(change) or None,
            lambda change: Span(_detail(change), Tone.FAINT),
            sorts=False,
        ),
    )
    return write(
        snapshot.changes,
        columns,
        sort,
        key=lambda change: (f"{change.seq:012}",),
        names=lambda change: (change.action, change.scope, change.actor, _detail(change)),
        wanted=wanted,
        kind="audit",
        usual=NEWEST_CHANGE,
        more=snapshot.more,
    )


def change_lines(change: Change) -> tuple[Line, ...]:
    """One entry with all that it says."""
    facts = {
        "number": f"{change.seq:,}",
        "at": f"{change.at:%Y-%m-%d %H:%M:%S} UTC",
        "by": printable(change.actor),
        "with": printable(change.command),
        "sealed": "by whoever could open the vault" if change.sealed else "no, only chained",
    }
    head = line(Span(printable(change.action), Tone.STRONG), Span(f"  {printable(change.scope)}"))
    told = [_fact(name, value) for name, value in facts.items() if value]
    return (head, *told, (), *(_fact(name, _short(value)) for name, value in change.detail.items()))


def alerts(
    snapshot: AlertsSnapshot,
    sort: Sort = NEWEST_ALERT,
    wanted: Filter = Filter(),  # noqa: B008 - frozen
    glyphs: Glyphs = UNICODE,
) -> Table:
    """The written list of alerts."""
    now = snapshot.taken_at
    columns: tuple[Column[Alert], ...] = (
        name_column("scope", "ABOUT", lambda alert: printable(alert.scope)),
        Column(
            Heading("state", "STATE", 0, right=False),
            lambda alert: float(alert.resolved_at is None),
            lambda alert: (
                Span(f"{glyphs.check} over", Tone.FAINT)
                if alert.resolved_at
                else Span(f"{glyphs.alarm} open", Tone.ALARM)
            ),
        ),
        Column(
            Heading("last", "LAST", 1),
            lambda alert: alert.last_at.timestamp(),
            lambda alert: Span(numbers.duration(now - alert.last_at)),
        ),
        Column(
            Heading("count", "TIMES", 4), lambda alert: alert.count, lambda alert: Span(f"{alert.count:,}", Tone.FAINT)
        ),
        Column(
            Heading("text", "WHAT", 0, right=False, descending=False),
            lambda alert: alert.text,
            lambda alert: Span(printable(alert.text)),
            sorts=False,
        ),
    )
    return write(
        snapshot.alerts,
        columns,
        sort,
        key=lambda alert: (str(alert.id),),
        names=lambda alert: (alert.kind, alert.scope, alert.text),
        wanted=wanted,
        kind="alerts",
        usual=NEWEST_ALERT,
        more=snapshot.more,
    )


def alert_lines(alert: Alert) -> tuple[Line, ...]:
    """One alert in full."""
    head = line(Span(printable(alert.text), Tone.STRONG))
    facts = {
        "kind": alert.kind,
        "about": printable(alert.scope),
        "first": f"{alert.first_at:%Y-%m-%d %H:%M:%S} UTC",
        "last": f"{alert.last_at:%Y-%m-%d %H:%M:%S} UTC, {alert.count:,} times",
        "over": f"since {alert.resolved_at:%Y-%m-%d %H:%M:%S} UTC" if alert.resolved_at else "no",
        "webhook": "told" if alert.sent_at else "not told",
    }
    return (head, (), *(_fact(name, value) for name, value in facts.items()))


def _fact(name: str, value: str) -> Line:
    return (Span(f"{name:<{LABEL_WIDTH}} ", Tone.FAINT), Span(value))
