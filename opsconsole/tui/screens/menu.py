"""A menu of one line at the foot of the screen: the keys that may follow a prefix key, and what each does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.screen import ModalScreen

from opsconsole.tui.actions import Action
from opsconsole.tui.widgets.painted import Painted
from opsconsole.view.text import Line, Span, Tone


class Menu(ModalScreen[str | None]):
    """Gives back the chosen action's `run`, or None. A key that is not in the menu leaves it, and does what it
    always does."""

    BINDINGS: ClassVar = [Binding("escape,q", "dismiss", "back", show=False)]

    def __init__(self, name: str, actions: Sequence[Action]) -> None:
        super().__init__()
        self._title = name
        self._actions = tuple(actions)
        for at, action in enumerate(self._actions):
            for key in action.keys:
                self._bindings.bind(key, f"choose({at})", action.label, show=False)

    def compose(self) -> ComposeResult:
        yield Painted(id="menu")

    def on_mount(self) -> None:
        line = self._line()
        self.query_one(Painted).paint(lambda _width, _height: (line,))

    def _line(self) -> Line:
        spans = [Span(f"{self._title}  ", Tone.STRONG)]
        for action in self._actions:
            spans += [Span(action.hint().key, Tone.ACCENT), Span(f" {action.label}  ", Tone.FAINT)]
        return (*spans, Span("esc", Tone.ACCENT), Span(" back", Tone.FAINT))

    def action_choose(self, at: int) -> None:
        self.dismiss(self._actions[at].run)

    def on_key(self, event: events.Key) -> None:
        """A key without an entry here."""
        if event.key in self._bindings.key_to_bindings:
            return
        event.stop()
        self.dismiss(None)
        self.app.post_message(events.Key(event.key, event.character))
