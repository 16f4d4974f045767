"""The audit log and the list of alerts, opened over any view."""

from __future__ import annotations

from typing import ClassVar, Final

from textual.binding import BindingType

from opsconsole.tui.actions import TABLE_ACTIONS, Action, bindings
from opsconsole.tui.context import Context
from opsconsole.tui.deeds.alerts import resolve
from opsconsole.tui.screens.page import Page
from opsconsole.tui.screens.view_screen import ViewScreen, of_row
from opsconsole.tui.widgets.painted import Lines
from opsconsole.view.logs.rows import NEWEST_ALERT, NEWEST_CHANGE, alert_lines, alerts, audit, change_lines
from opsconsole.view.logs.snapshot import AlertsQuestion, AlertsSnapshot, AuditQuestion, AuditSnapshot
from opsconsole.view.notices import Notice
from opsconsole.view.table import RowKey, Table
from opsconsole.view.text import Line, Span, Tone, line

AUDIT_ACTIONS: Final = (
    Action("open", ("enter",), "screen.open", "open", "Show the whole entry", "table", 3),
    *TABLE_ACTIONS,
)
ALERT_ACTIONS: Final = (
    Action("open", ("enter",), "screen.open", "open", "Show the whole alert", "table", 3),
    Action("resolve", ("x",), "screen.resolve", "it is over", "Say that it was dealt with", "change", 4, changes=True),
    Action("over", ("o",), "screen.over", "open or all", "Show those that are over, too", "view", 5),
    *TABLE_ACTIONS,
)


class AuditScreen(ViewScreen[AuditSnapshot]):
    """Who changed what."""

    NAME = "audit"
    ACTIONS = AUDIT_ACTIONS
    BINDINGS: ClassVar[list[BindingType]] = bindings(AUDIT_ACTIONS)
    SORT = NEWEST_CHANGE

    def __init__(self, context: Context) -> None:
        super().__init__(context, AuditQuestion())

    def written(self, snapshot: AuditSnapshot) -> Table:
        return audit(snapshot, self.sort, self.wanted, self.glyphs)

    def lead(self) -> Line:
        return line(Span("audit", Tone.STRONG))

    def beside(self, snapshot: AuditSnapshot, key: RowKey | None) -> Lines:
        lines = _entry(snapshot, key)
        return lambda _width, _height: lines

    @of_row
    def action_open(self) -> None:
        if self.kept is not None and (lines := _entry(self.kept, self.rows.cursor_key)):
            self.app.push_screen(Page(lines))


class AlertsScreen(ViewScreen[AlertsSnapshot]):
    """What went wrong where nobody was looking."""

    NAME = "alerts"
    ACTIONS = ALERT_ACTIONS
    BINDINGS: ClassVar[list[BindingType]] = bindings(ALERT_ACTIONS)
    SORT = NEWEST_ALERT
    question: AlertsQuestion

    def __init__(self, context: Context) -> None:
        super().__init__(context, AlertsQuestion())

    def written(self, snapshot: AlertsSnapshot) -> Table:
        return alerts(snapshot, self.sort, self.wanted, self.glyphs)

    def lead(self) -> Line:
        return line(
            Span("alerts", Tone.STRONG), Span("  also those that are over" if self.question.over else "", Tone.FAINT)
        )

    def empty(self, snapshot: AlertsSnapshot) -> Notice:
        way = line(Span("o", Tone.ACCENT), Span(" shows those that are over.", Tone.FAINT))
        return Notice("Nothing needs you.", () if self.question.over else (way,))

    def beside(self, snapshot: AlertsSnapshot, key: RowKey | None) -> Lines:
        lines = _alert(snapshot, key)
        return lambda _width, _height: lines

    @of_row
    def action_open(self) -> None:
        if self.kept is not None and (lines := _alert(self.kept, self.rows.cursor_key)):
            self.app.push_screen(Page(lines))

    def action_over(self) -> None:
        self.ask(AlertsQuestion(over=not self.question.over))

    @of_row
    def action_resolve(self) -> None:
        snapshot, key = self.kept, self.rows.cursor_key
        if snapshot is None:
            return
        alert = next((each for each in snapshot.alerts if (str(each.id),) == key), None)
        if alert is not None and alert.resolved_at is None:
            self.begin(resolve(alert))
        else:
            self.say("it is over already")


def _entry(snapshot: AuditSnapshot, key: RowKey | None) -> tuple[Line, ...]:
    found = next((each for each in snapshot.changes if (f"{each.seq:012}",) == key), None)
    return change_lines(found) if found else ()


def _alert(snapshot: AlertsSnapshot, key: RowKey | None) -> tuple[Line, ...]:
    found = next((each for each in snapshot.alerts if (str(each.id),) == key), None)
    return alert_lines(found) if found else ()
