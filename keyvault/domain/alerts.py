"""What an operator should know about without having asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that went wrong and may still be. Raised again while open, it is counted, not repeated."""

    id: int
    kind: str
    """A stable word, such as `rotation_failed`."""
    scope: str
    """What it is about, such as `key:ci-bot`."""
    text: str
    first_at: datetime
    last_at: datetime
    count: int
    resolved_at: datetime | None = None
    sent_at: datetime | None = None
    """When the webhook took it last."""
    tries: int = 0
    """How often the webhook was tried, since it was raised or resolved."""

    @property
    def changed_at(self) -> datetime:
        """When it was raised, or resolved."""
        return self.resolved_at or self.first_at
