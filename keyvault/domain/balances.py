"""Prepaid balances: what was put in, entry by entry, and what was taken since."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from keyvault.domain.scopes import ScopeRef


class EntryKind(StrEnum):
    TOP_UP = "top_up"
    ADJUST = "adjust"
    """A correction, of either sign."""
    RELEASE = "release"
    """Gives back what was in doubt, after somebody has looked."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Append-only."""

    number: int
    at: datetime
    actor: str
    kind: EntryKind
    amount_pico: int
    reason: str


@dataclass(frozen=True, slots=True)
class Balance:
    id: int
    scope: ScopeRef
    """A customer or a project."""
    env: str
    """Whose keys spend from it: `live` or `test`."""
    funded_pico: int
    """The sum of its entries."""
    charged_pico: int
    """What customers paid out of it."""
    doubt_pico: int
    """What failed or lost attempts may have cost: charged to nobody, and not to be spent until somebody releases it."""
    low_pico: int | None
    created_at: datetime

    @property
    def available_pico(self) -> int:
        """What may be spent, before what is held for requests under way."""
        return self.funded_pico - self.charged_pico - self.doubt_pico
