"""How fast a simulated model speaks."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """Latencies spread around `first_content_ms`, then a steady rate. Zero rate: all tokens at once."""

    first_content_ms: float = 0.0
    tokens_per_second: float = 0.0
    spread: float = 0.4
    """The sigma of the log-normal spread of first contents; 0 is always the same."""

    def first(self, rng: random.Random) -> float:
        """Seconds until the first content."""
        return self.first_content_ms / 1000 * rng.lognormvariate(0, self.spread) if self.first_content_ms else 0.0

    def gap(self) -> float:
        """Seconds between two tokens."""
        return 1 / self.tokens_per_second if self.tokens_per_second else 0.0

    def whole(self, tokens: int, rng: random.Random) -> float:
        """Seconds until an answer that is not streamed."""
        return self.first(rng) + tokens * self.gap()

    def slowed(self) -> Pace:
        """Ten times slower, and never instant."""
        return Pace((self.first_content_ms or 20) * 10, (self.tokens_per_second or 500) / 10, self.spread)


INSTANT = Pace()
REALISTIC = Pace(first_content_ms=250, tokens_per_second=60)
