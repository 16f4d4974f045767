"""Blind review: what was asked and two answers, side by side where there is room, decided by one key each.

Nothing on it says whose the answers are. What is decided is kept at once, so that it can be left at any time; who won
is told when it ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from keyvault.errors import GatewayError
from keyvault.secrets import Secret
from opsconsole.tui.context import Context
from opsconsole.tui.reviewing import Reviewing
from opsconsole.tui.screens.drawn import Breakpoints
from opsconsole.tui.screens.report_page import ReportPage
from opsconsole.tui.theme import painted
from opsconsole.tui.widgets.key_bar import KeyBar
from opsconsole.tui.widgets.painted import Painted
from opsconsole.view.chrome import Hint
from opsconsole.view.staging import blind
from opsconsole.view.text import Span, Tone, printable

if TYPE_CHECKING:
    from keyvault.home import Home
    from opsconsole.staging.comparison.review import Choice

HINTS = (
    Hint("1", "the first", 1, "screen.decide('left')"),
    Hint("2", "the second", 1, "screen.decide('right')"),
    Hint("=", "equal", 1, "screen.decide('equal')"),
    Hint("s", "later", 2, "screen.put_off"),
    Hint("u", "undo", 2, "screen.undo"),
    Hint("j k", "scroll", 4, "screen.scroll(1)"),
    Hint("J K", "the question", 5, "screen.scroll_asked(1)"),
    Hint("esc", "leave", 1, "screen.leave"),
)


class ReviewScreen(ModalScreen[None]):
    """Reviews one comparison; the newest where none is named."""

    BINDINGS: ClassVar = [
        Binding("1", "decide('left')", "the first", show=False),
        Binding("2", "decide('right')", "the second", show=False),
        Binding("equals_sign,0", "decide('equal')", "equal", show=False),
        Binding("s,right", "put_off", "later", show=False),
        Binding("u,left,backspace", "undo", "undo", show=False),
        Binding("j,down", "scroll(1)", "down", show=False),
        Binding("k,up", "scroll(-1)", "up", show=False),
        Binding("pagedown,space", "scroll(10)", "page down", show=False),
        Binding("pageup", "scroll(-10)", "page up", show=False),
        Binding("J", "scroll_asked(1)", "question down", show=False),
        Binding("K", "scroll_asked(-1)", "question up", show=False),
        Binding("escape,q", "leave", "leave", show=False),
    ]
    AUTO_FOCUS = ""
    HORIZONTAL_BREAKPOINTS: ClassVar[Breakpoints] = [(0, "-narrow"), (100, "-wide")]  # type: ignore[misc] # as in `drawn`
    VERTICAL_BREAKPOINTS: ClassVar[Breakpoints] = [(0, "-short"), (20, "-tall")]  # type: ignore[misc]

    def __init__(self, context: Context, run_id: str | None, *, alone: bool = False) -> None:
        """`alone`: the console is there for it only, and ends with it."""
        super().__init__()
        self._alone = alone
        self._shared = context
        self._reviewing = Reviewing(run_id)
        self.shown: blind.Shown | None = None
        self._working = False

    def compose(self) -> ComposeResult:
        yield Painted(id="progress")
        with VerticalScroll(id="asked", can_focus=False):
            yield Static("", id="request")
        with Container(id="answers"):
            for name in ("left", "right"):
                with VerticalScroll(id=f"{name}-side", can_focus=False):
                    yield Static("", id=name)
        yield KeyBar(HINTS, id="keys")

    def on_mount(self) -> None:
        self._do(self._reviewing.begin)

    # What can be done; a key that comes while the one before is still at work is for nobody

    def action_decide(self, choice: Choice) -> None:
        if (shown := self.shown) is not None:
            self._do(lambda _home: self._reviewing.decide(shown.id, choice))

    def action_put_off(self) -> None:
        if (shown := self.shown) is not None:
            self._do(lambda _home: self._reviewing.put_off(shown.id))

    def action_undo(self) -> None:
        self._do(lambda _home: self._reviewing.undo())

    def action_leave(self) -> None:
        if not self._working:
            self._working = True
            self.app.run_worker(self._end())  # not the screen's: that would end with it

    def action_scroll(self, by: int) -> None:
        for name in ("left", "right"):
            self.query_one(f"#{name}-side", VerticalScroll).scroll_relative(y=by, animate=False)

    def action_scroll_asked(self, by: int) -> None:
        self.query_one("#asked", VerticalScroll).scroll_relative(y=by, animate=False)

    # Doing it

    def _do(self, step: Callable[[Home], blind.Shown | None]) -> None:
        if not self._working:
            self._working = True
            self.run_worker(self._carry_out(step))

    async def _carry_out(self, step: Callable[[Home], blind.Shown | None]) -> None:
        try:
            shown = await self._shared.hands.carry_out(step, _nothing)
        except GatewayError as error:
            self._working = False
            self._tell(error)
            if self.shown is None:
                self.dismiss(None)
            return
        self._working = False
        if shown is None:
            self.action_leave()
        else:
            self._draw(shown)

    async def _end(self) -> None:
        try:
            paper = await self._shared.hands.carry_out(self._reviewing.end, _nothing)
        except GatewayError as error:
            self._tell(error)
            paper = None
        app, pending = self.app, self.shown is not None and self.shown.pending
        self.dismiss(None)
        self._shared.read_now()

        def over(_none: None) -> None:
            if self._alone:
                app.exit()

        if paper is None:
            app.notify("nothing is decided" if pending else "there is nothing to decide", timeout=4, markup=False)
            over(None)
        else:
            app.push_screen(ReportPage(paper), over)

    def _tell(self, error: GatewayError) -> None:
        self.app.notify(printable(error.message), severity="error", timeout=8, markup=False)

    def _draw(self, shown: blind.Shown) -> None:
        self.shown = shown
        bar = blind.progress(shown, self._shared.glyphs)
        self.query_one("#progress", Painted).paint(lambda _width, _height: (bar,))
        self.query_one("#request", Static).update(painted(*blind.told(shown.request, Tone.FAINT)))
        for name, number, text in (("left", "1", shown.left), ("right", "2", shown.right)):
            head = (Span(number, Tone.ACCENT),)
            self.query_one(f"#{name}", Static).update(painted(head, *blind.told(text)))
        for each in self.query(VerticalScroll):
            each.scroll_home(animate=False)


async def _nothing(_question: str) -> Secret | None:
    """A review opens no vault."""
    return None
