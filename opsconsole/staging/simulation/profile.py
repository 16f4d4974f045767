"""What one simulated provider is: its models, its credential, its pace and how often it fails."""

from __future__ import annotations

import hmac
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from opsconsole.staging.simulation.pace import INSTANT, Pace


@dataclass(frozen=True, slots=True)
class Profile:
    """One simulated provider. Equal profiles give equal answers."""

    models: tuple[str, ...] = ("sim",)
    credential: str = "sk-sim"
    seed: int = 7
    pace: Pace = INSTANT
    failures: Mapping[str, float] = field(default_factory=dict)
    """Behaviour → how often it is drawn, 0 to 1, for requests that choose none."""
    lengths: tuple[int, int] = (8, 40)
    """Fewest and most tokens of a plain answer."""

    def accepts(self, headers: Mapping[str, str]) -> bool:
        """Whether the request carries this provider's credential, in either family's header."""
        given = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(given.encode("latin-1"), self.credential.encode("latin-1"))

    def drawn_failure(self, rng: random.Random) -> str:
        """A failing behaviour as often as the rates say, else empty."""
        draw = rng.random()
        for behaviour, rate in self.failures.items():
            draw -= rate
            if draw < 0:
                return behaviour
        return ""
