"""The Routes view, and the history of revisions that is opened from it."""

from __future__ import annotations

from typing import ClassVar, Final

from textual.binding import BindingType

from keyvault.domain.rollouts import Rollout
from opsconsole.tui.actions import TABLE_ACTIONS, Action, bindings
from opsconsole.tui.context import Context
from opsconsole.tui.deeds import rollouts, trials
from opsconsole.tui.deeds import routes as deeds
from opsconsole.tui.deeds.deed import Done
from opsconsole.tui.screens.page import Page
from opsconsole.tui.screens.report_page import ReportPage
from opsconsole.tui.screens.staging import StagingScreen
from opsconsole.tui.screens.view_screen import ViewScreen, of_row
from opsconsole.tui.widgets.painted import Lines
from opsconsole.view.notices import Notice
from opsconsole.view.routes.beside import beside, changes
from opsconsole.view.routes.rows import BY_ALIAS, NEWEST, history, table
from opsconsole.view.routes.snapshot import (
    Leg,
    RevisionsQuestion,
    RevisionsSnapshot,
    RoutesQuestion,
    RoutesSnapshot,
    Step,
)
from opsconsole.view.staging.snapshot import rollout_key
from opsconsole.view.staging.trial import foreseen
from opsconsole.view.table import RowKey, Table
from opsconsole.view.text import Line, Span, Tone, line

ROUTES_ACTIONS: Final = (
    Action("open", ("enter",), "screen.open", "open", "Show the whole route", "table", 3),
    Action("new", ("n",), "screen.new", "new", "New route", "change", 4, changes=True),
    Action("edit", ("e",), "screen.edit", "edit", "Other targets or weights", "change", 5, changes=True),
    Action("delete", ("D",), "screen.delete", "delete", "Delete the route", "change", 9, changes=True),
    Action("apply", ("a",), "screen.apply", "apply file", "Apply a routes file", "change", 8, changes=True),
    Action("rollout", ("o",), "screen.rollout", "rollout", "Show its rollout, with arms and guards", "view", 9),
    Action("try", ("O",), "screen.try", "new rollout", "Send a share of it to a new target", "change", changes=True),
    Action(
        "roll-back", ("b",), "screen.roll_back", "roll back", "Take out what is on trial", "change", 9, changes=True
    ),
    Action("drill", ("d",), "screen.drill", "drill", "Have the target fail for one key", "change", changes=True),
    Action("history", ("v",), "screen.history", "revisions", "What each revision changed", "view", 6),
    *TABLE_ACTIONS,
)
REVISION_ACTIONS: Final = (
    Action("open", ("enter",), "screen.open", "open", "Show what it changed", "table", 3),
    Action("roll-back", ("b",), "screen.roll_back", "roll back", "Go back to it", "change", 4, changes=True),
    *TABLE_ACTIONS,
)


class RoutesScreen(ViewScreen[RoutesSnapshot]):
    """Which targets serve which model name."""

    NAME = "routes"
    ACTIONS = ROUTES_ACTIONS
    BINDINGS: ClassVar[list[BindingType]] = bindings(ROUTES_ACTIONS)
    SORT = BY_ALIAS

    def __init__(self, context: Context) -> None:
        super().__init__(context, RoutesQuestion())

    def written(self, snapshot: RoutesSnapshot) -> Table:
        return table(snapshot, self.sort, self.wanted, self.glyphs)

    def lead(self) -> Line:
        revision = self.kept.revision if self.kept else None
        number = f"  revision {revision.number}" if revision and revision.number else ""
        return line(Span("routes", Tone.STRONG), Span(number, Tone.FAINT))

    def empty(self, snapshot: RoutesSnapshot) -> Notice:
        upstreams = snapshot.setup.upstreams
        serves = snapshot.default_upstream or (upstreams[0] if len(upstreams) == 1 else "")
        told = f"Every model is served as it is by {serves}." if serves else "Nothing says which upstream serves what."
        way = line(Span("n", Tone.ACCENT), Span(" makes the first route.", Tone.FAINT))
        lines = [line(Span(told))] + ([] if self.shared.read_only else [way])
        return Notice("No routes.", tuple(lines))

    def beside(self, snapshot: RoutesSnapshot, key: RowKey | None) -> Lines:
        lines = beside(snapshot, _leg(snapshot, key), self.glyphs)
        return lambda _width, _height: lines

    @property
    def leg(self) -> Leg | None:
        """The one under the cursor."""
        return _leg(self.kept, self.rows.cursor_key) if self.kept is not None else None

    # What can be done

    @of_row
    def action_open(self) -> None:
        if self.kept is not None and self.leg is not None:
            self.app.push_screen(Page(beside(self.kept, self.leg, self.glyphs)))

    def action_new(self) -> None:
        self.begin(deeds.set_route(None))

    @of_row
    def action_edit(self) -> None:
        if leg := self.leg:
            self.begin(deeds.set_route(leg.route))

    @of_row
    def action_delete(self) -> None:
        if leg := self.leg:
            self.begin(deeds.delete(leg.route))

    def action_apply(self) -> None:
        def looked(done: Done) -> None:
            text, file, found = done.result
            if found:
                self.begin(deeds.apply_plan(text, file, found))

        self.begin(deeds.look_at_file(), looked)

    @property
    def trial(self) -> Rollout | None:
        """The rollout of the cursor's route."""
        return self.kept.rollout(self.leg.route.alias) if self.kept is not None and self.leg is not None else None

    @of_row
    def action_rollout(self) -> None:
        if rollout := self.trial:
            screen = StagingScreen(self.shared)
            screen.select(rollout_key(rollout))
            self.app.push_screen(screen)
        else:
            self.say("nothing is on trial for it" + ("" if self.shared.read_only else "; O starts a rollout"))

    @of_row
    def action_try(self) -> None:
        if self.trial is not None:
            self.say("a rollout of it runs already; o shows it")
        elif self.kept is not None and self.leg is not None:
            self.begin(rollouts.start(self.kept.names, self.leg.route.alias), self._foreseen)

    def _foreseen(self, done: Done) -> None:
        self.app.push_screen(ReportPage(foreseen(done.result)))

    @of_row
    def action_roll_back(self) -> None:
        if rollout := self.trial:
            self.begin(rollouts.roll_back(rollout))
        else:
            self.say("nothing is on trial for it; v shows the revisions")

    @of_row
    def action_drill(self) -> None:
        if self.kept is not None and self.leg is not None:
            self.begin(trials.start_drill(self.kept.names, str(self.leg.choice.target)))

    def action_history(self) -> None:
        self.app.push_screen(RevisionsScreen(self.shared))


class RevisionsScreen(ViewScreen[RevisionsSnapshot]):
    """Every revision of the routes, and what it changed."""

    NAME = "routes"
    ACTIONS = REVISION_ACTIONS
    BINDINGS: ClassVar[list[BindingType]] = bindings(REVISION_ACTIONS)
    SORT = NEWEST

    def __init__(self, context: Context) -> None:
        super().__init__(context, RevisionsQuestion())

    def written(self, snapshot: RevisionsSnapshot) -> Table:
        return history(snapshot, self.sort, self.wanted, self.glyphs)

    def lead(self) -> Line:
        return line(Span("routes ", Tone.FAINT), Span("revisions", Tone.STRONG))

    def empty(self, snapshot: RevisionsSnapshot) -> Notice:
        return Notice("No revision yet: routes have never been changed.")

    def beside(self, snapshot: RevisionsSnapshot, key: RowKey | None) -> Lines:
        step = _step(snapshot, key)
        lines = changes(step) if step else ()
        return lambda _width, _height: lines

    @of_row
    def action_open(self) -> None:
        if self.kept is not None and (step := _step(self.kept, self.rows.cursor_key)):
            self.app.push_screen(Page(changes(step)))

    @of_row
    def action_roll_back(self) -> None:
        """To the revision under the cursor; to the one before, where that is the one that runs."""
        snapshot = self.kept
        if snapshot is None or (step := _step(snapshot, self.rows.cursor_key)) is None:
            return
        current = next((each for each in snapshot.steps if each.current), None)
        if current is None:
            return
        if step is current:
            step = next((each for each in snapshot.steps if each.revision.number < current.revision.number), step)
        if step is current:
            self.say("there is no revision before it")
            return
        found = deeds.difference(current.revision, step.revision)
        self.begin(deeds.roll_back(step.revision.number, found, f"revision {step.revision.number}"))


def _leg(snapshot: RoutesSnapshot, key: RowKey | None) -> Leg | None:
    return next((each for each in snapshot.legs if each.key == key), None)


def _step(snapshot: RevisionsSnapshot, key: RowKey | None) -> Step | None:
    return next((each for each in snapshot.steps if (str(each.revision.number),) == key), None)
