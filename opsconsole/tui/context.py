"""What a screen gets from the app: clock, zone, symbols, how to ask for figures, and the hands that change things."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import tzinfo

from keyvault.clock import Clock
from opsconsole.tui.actions import CONSOLE_ACTIONS, Action, hints, offered
from opsconsole.tui.hands import Hands
from opsconsole.view.chrome import Hint
from opsconsole.view.snapshot import Question
from opsconsole.view.table import RowKey
from opsconsole.view.text import UNICODE, Glyphs


@dataclass(frozen=True, slots=True)
class Context:
    """Handed to each screen; screens know nothing of poller and home."""

    clock: Clock
    zone: tzinfo | None
    """None: the system's."""
    glyphs: Glyphs
    read_only: bool
    hands: Hands
    ask: Callable[[Question], None]
    read_now: Callable[[], None]
    jump: Callable[[str, RowKey], None]
    """Go to a view by its name and put the cursor on a row of it."""
    interval: Callable[[], float]
    """Seconds between readings now."""
    mapped: Callable[[Action], Action] = lambda action: action
    """An action with the keys that the person has given it."""

    def actions(self, own: Iterable[Action]) -> tuple[Action, ...]:
        """A screen's own actions and the console's, as far as they are offered."""
        mapped = (self.mapped(action) for action in (*own, *CONSOLE_ACTIONS))
        return offered(mapped, read_only=self.read_only)

    def hints(self, own: Iterable[Action]) -> list[Hint]:
        found = hints(self.actions(own))
        return [hint._replace(key=hint.key.replace(UNICODE.enter, self.glyphs.enter)) for hint in found]
