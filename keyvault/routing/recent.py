"""What clients asked of an alias in the last day: the traffic that a rollout would have."""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from keyvault.clock import Clock, to_ms
from keyvault.domain.arms import Tally
from keyvault.domain.ledger import Outcome
from keyvault.domain.routes import is_pattern
from keyvault.routing.foresight import Recent
from keyvault.storage import rollout_arms as rows
from keyvault.storage.engine import Transaction

SAMPLED: Final = 5_000
"""The newest requests, of which more is asked than how many there were."""


def recent_of(tx: Transaction, clock: Clock, alias: str) -> Recent:
    names = [alias] if not is_pattern(alias) else _matching(tx, alias)
    since = to_ms(clock.now() - timedelta(days=1))
    found = rows.sample(tx, names, since, SAMPLED)
    count = len(found) if len(found) < SAMPLED else rows.asked(tx, names, since)
    return Recent(count, _tally(found))


def _tally(found: Sequence[rows.Sampled]) -> Tally:
    outcomes = Counter(row.outcome for row in found)
    answered = [row for row in found if row.outcome != Outcome.FAILED]
    costs = [row.cost_pico / 1e12 for row in found if row.outcome == Outcome.SERVED and row.cost_pico is not None]
    return Tally(
        outcomes[Outcome.SERVED],
        outcomes[Outcome.FAILED],
        outcomes[Outcome.ABORTED],
        Counter(row.total_ms for row in answered if row.total_ms is not None),
        Counter(row.first_content_ms for row in answered if row.first_content_ms is not None),
        len(costs),
        sum(costs),
        sum(cost * cost for cost in costs),
    )


def _matching(tx: Transaction, pattern: str) -> list[str]:
    written = pattern.replace("[", "[[]")
    return [name for name in rows.alias_names(tx) if fnmatch.fnmatchcase(name, written)]
