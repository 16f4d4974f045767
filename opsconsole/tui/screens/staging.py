"""The Staging screen, over any view: rollouts with their arms and guards, drills, captures, and reports of the kit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, Final

from textual import on
from textual.binding import BindingType
from textual.widget import Widget

from keyvault.domain.captures import Capture
from keyvault.domain.drills import Drill
from keyvault.domain.rollouts import State
from opsconsole.tui.actions import TABLE_ACTIONS, Action, bindings
from opsconsole.tui.context import Context
from opsconsole.tui.deeds import rollouts as rollout_deeds
from opsconsole.tui.deeds import trials as deeds
from opsconsole.tui.deeds.deed import Done
from opsconsole.tui.screens.report_page import ReportPage
from opsconsole.tui.screens.review import ReviewScreen
from opsconsole.tui.screens.view_screen import ViewScreen, of_row
from opsconsole.tui.widgets.painted import Lines, Painted
from opsconsole.tui.widgets.view_table import ViewTable
from opsconsole.view.feed import Feed
from opsconsole.view.notices import Notice
from opsconsole.view.staging import trial
from opsconsole.view.staging.beside import beside
from opsconsole.view.staging.rows import BY_STATE, table
from opsconsole.view.staging.snapshot import (
    COMPARE,
    RunRow,
    StagingQuestion,
    StagingSnapshot,
    capture_key,
    drill_key,
    rollout_key,
)
from opsconsole.view.table import RowKey, Table
from opsconsole.view.text import Line, Span, Tone, line

if TYPE_CHECKING:
    from keyvault.routing.rollouts import Status

STAGING_ACTIONS: Final = (
    Action("open", ("enter",), "screen.open", "open", "Show the whole report", "table", 3),
    Action("rollout", ("n",), "screen.rollout", "rollout", "Start a rollout", "change", 4, changes=True),
    Action("advance", ("a",), "screen.advance", "advance", "Begin the rollout's next step", "change", 5, changes=True),
    Action("hold", ("x",), "screen.hold", "pause, stop", "Pause or go on; end a drill or a capture", "change", 5,
           changes=True),
    Action("roll-back", ("b",), "screen.roll_back", "roll back", "Take the new target out", "change", 4, changes=True),
    Action("finish", ("f",), "screen.finish", "finish", "Have the new target serve it all", "change", 6, changes=True),
    Action("drill", ("d",), "screen.drill", "drill", "Have a target fail for one key", "change", 7, changes=True),
    Action("capture", ("c",), "screen.capture", "capture", "Keep real requests whole", "change", 8, changes=True),
    Action("review", ("v",), "screen.review", "review", "Choose blindly between answers", "change", 6, changes=True),
    Action("delete", ("D",), "screen.delete", "delete", "Delete a report or a capture", "change", 9, changes=True),
    *TABLE_ACTIONS,
)  # fmt: skip


class StagingScreen(ViewScreen[StagingSnapshot]):
    """What is on trial, and what was found."""

    NAME = "staging"
    ACTIONS = STAGING_ACTIONS
    BINDINGS: ClassVar[list[BindingType]] = bindings(STAGING_ACTIONS)
    SORT = BY_STATE
    question: StagingQuestion

    def __init__(self, context: Context) -> None:
        super().__init__(context, StagingQuestion())

    # What it is made of

    def above(self) -> Iterable[Widget]:
        return (Painted(id="trial"),)

    def written(self, snapshot: StagingSnapshot) -> Table:
        return table(snapshot, self.sort, self.wanted, self.glyphs)

    def lead(self) -> Line:
        count = len(self.kept.trials) if self.kept else 0
        running = f"  {count} rollouts, the cursor's is above" if count > 1 else ""
        return line(Span("staging", Tone.STRONG), Span(running, Tone.FAINT))

    def empty(self, snapshot: StagingSnapshot) -> Notice:
        ways = (("n", "starts a rollout"), ("d", "a drill"), ("c", "a capture"))
        keys = [span for key, does in ways for span in (Span(key, Tone.ACCENT), Span(f" {does}  ", Tone.FAINT))]
        commands = line(Span("gwctl check, replay, compare, drill, readiness", Tone.ACCENT))
        told = line(Span("put a gateway and its models to the test; what they find stands here.", Tone.FAINT))
        lines = (commands, told, *(() if self.shared.read_only else ((), line(*keys))))
        return Notice("Nothing is on trial, and nothing was tried yet.", lines)

    def beside(self, snapshot: StagingSnapshot, key: RowKey | None) -> Lines:
        return lambda width, _height: beside(snapshot, key, width)

    def draw_figures(self, snapshot: StagingSnapshot) -> None:
        self._draw_trial()

    @on(ViewTable.Moved)
    def _draw_trial(self) -> None:
        """The rollout of the cursor's row, else the first."""
        snapshot, place = self.kept, self.painted("trial")
        status = snapshot.trial(self.rows.cursor_key) if snapshot else None
        place.display = status is not None
        if snapshot is None or status is None:
            return
        now, width = snapshot.taken_at, self.size.width - 2
        place.styles.height = trial.panel_height(status, width, max(3, self.size.height // 2 - 3))
        place.paint(lambda width, height: trial.panel(status, now, width, height, self.glyphs))

    # What is opened

    def show(self, newest: Feed) -> None:
        super().show(newest)
        snapshot = self.newest
        if snapshot is None or snapshot.question.opened is None or self.question != snapshot.question:
            return
        self.ask(StagingQuestion())
        if snapshot.paper is None:
            self.say("it has gone")
        elif self.is_active:
            self.app.push_screen(ReportPage(snapshot.paper))

    @of_row
    def action_open(self) -> None:
        self.ask(StagingQuestion(opened=self.rows.cursor_key))

    # The row under the cursor

    @property
    def status(self) -> Status | None:
        """The cursor's rollout; where another kind of row is under it, the only one that there is."""
        if self.kept is None:
            return None
        key, trials = self.rows.cursor_key, self.kept.trials
        return next(
            (each for each in trials if rollout_key(each.rollout) == key), trials[0] if len(trials) == 1 else None
        )

    @property
    def drill(self) -> Drill | None:
        found = self.kept.drills if self.kept else ()
        return next((each for each in found if drill_key(each) == self.rows.cursor_key), None)

    @property
    def capture(self) -> Capture | None:
        found = self.kept.taken if self.kept else ()
        return next((each for each in found if capture_key(each) == self.rows.cursor_key), None)

    @property
    def run_row(self) -> RunRow | None:
        found = self.kept.runs if self.kept else ()
        return next((each for each in found if each.key == self.rows.cursor_key), None)

    # What can be done

    def action_rollout(self) -> None:
        if self.kept is None:
            self.say(self.unread)
            return
        self.begin(rollout_deeds.start(self.kept.names), self._foreseen)

    def _foreseen(self, done: Done) -> None:
        self.app.push_screen(ReportPage(trial.foreseen(done.result)))

    def action_advance(self) -> None:
        if (status := self._trial()) is None:
            return
        if status.rollout.state is State.PAUSED:
            self.say("it is paused; x goes on with it")
        elif status.rollout.last_step:
            self.say("it is at its last step; f finishes it")
        else:
            self.begin(rollout_deeds.advance(status.rollout))

    @of_row
    def action_hold(self) -> None:
        """Pause or go on; a drill and a capture end."""
        if drill := self.drill:
            self.begin(deeds.stop_drill(drill))
        elif capture := self.capture:
            if self.kept is not None and (capture.ended or capture.over(self.kept.taken_at)):
                self.say("it has ended; D deletes it")
            else:
                self.begin(deeds.stop_capture(capture))
        elif status := self._trial():
            paused = status.rollout.state is State.PAUSED
            self.begin((rollout_deeds.resume if paused else rollout_deeds.pause)(status.rollout))

    def action_roll_back(self) -> None:
        if status := self._trial():
            self.begin(rollout_deeds.roll_back(status.rollout))

    def action_finish(self) -> None:
        if status := self._trial():
            self.begin(rollout_deeds.finish(status.rollout))

    def _trial(self) -> Status | None:
        if (status := self.status) is None:
            several = self.kept is not None and len(self.kept.trials) > 1
            self.say("put the cursor on one of the rollouts" if several else "no rollout runs; n starts one")
        return status

    def action_drill(self) -> None:
        if self.kept is None:
            self.say(self.unread)
            return
        self.begin(deeds.start_drill(self.kept.names))

    def action_capture(self) -> None:
        self.begin(deeds.start_capture())

    @of_row
    def action_review(self) -> None:
        run = self.run_row
        if run is not None and run.kind == COMPARE:
            self.review(run.id)
        else:
            self.say("only a comparison is reviewed")

    def review(self, run_id: str | None) -> None:
        """Review a comparison; None: the newest."""
        self.app.push_screen(ReviewScreen(self.shared, run_id))

    @of_row
    def action_delete(self) -> None:
        if capture := self.capture:
            self.begin(deeds.delete_capture(capture))
        elif run := self.run_row:
            self.begin(deeds.delete_run(run))
        else:
            self.say("only reports and captures are deleted; rollouts and drills end, and stay on record")
