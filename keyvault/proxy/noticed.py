"""What requests notice and nobody waits for: kept until the next look, so that noticing costs next to nothing.

For the event loop's thread. `alerting` takes it once a second and raises alerts of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MOST: Final = 1_000
"""Different things between two looks; clients name models freely."""


class Noticed:
    """Things that happened, each once, whatever their number."""

    def __init__(self) -> None:
        self._texts: dict[tuple[str, str], str] = {}

    def note(self, kind: str, scope: str, text: str) -> None:
        """Something an operator should know, such as `cost_beyond_hold` of `key:ci-bot`; the newest text counts."""
        if len(self._texts) < MOST or (kind, scope) in self._texts:
            self._texts[kind, scope] = text

    def take(self) -> Mapping[tuple[str, str], str]:
        """What was noted since the last time: text by kind and scope."""
        taken, self._texts = self._texts, {}
        return taken
