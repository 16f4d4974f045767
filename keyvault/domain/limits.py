"""Rate limits of a scope: requests a minute, tokens a minute, requests at once."""

from __future__ import annotations

from dataclasses import dataclass

from keyvault.domain.scopes import ScopeRef, matches_alias


@dataclass(frozen=True, slots=True)
class Limit:
    id: int
    scope: ScopeRef
    model: str
    """A pattern of aliases such as `gpt-5*`; empty: all of them together."""
    rpm: int | None
    tpm: int | None
    parallel: int | None
    """None: not limited."""

    def covers(self, model: str) -> bool:
        return matches_alias(self.model, model)
