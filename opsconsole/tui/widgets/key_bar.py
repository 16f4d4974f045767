"""The last line: the keys that matter most, each with the name of what it does; a click does the same."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.strip import Strip

from opsconsole.tui.widgets.painted import Toned
from opsconsole.view.chrome import Hint, hint_at, key_bar
from opsconsole.view.text import Span, Tone


class KeyBar(Toned):
    """Shows as many hints as fit."""

    def __init__(self, hints: Sequence[Hint], *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._hints = tuple(hints)

    @property
    def hints(self) -> tuple[Hint, ...]:
        """All it would show if there were room."""
        return self._hints

    def offer(self, hints: Sequence[Hint]) -> None:
        """Show these from now on."""
        if self._hints != tuple(hints):
            self._hints = tuple(hints)
            self.refresh()

    def render_line(self, y: int) -> Strip:
        spans: list[Span] = []
        end = 0
        for at, hint in key_bar(self._hints, self.content_size.width):
            spans += [Span(" " * (at - end)), Span(hint.key, Tone.ACCENT), Span(f" {hint.does}", Tone.FAINT)]
            end = at + len(hint.key) + 1 + len(hint.does)
        return self.drawn(tuple(spans), self.content_size.width)

    async def on_click(self, event: events.Click) -> None:
        place = event.get_content_offset(self)
        hint = hint_at(key_bar(self._hints, self.content_size.width), place.x) if place else None
        if hint is not None:
            await self.run_action(hint.action)
