"""Rollouts in a restore: what was taken out, paused or finished after the backup takes no requests again."""

from __future__ import annotations

from keyvault.audit import Entry
from keyvault.backup.outcomes import Outcome, Result
from keyvault.clock import to_ms
from keyvault.domain.rollouts import State
from keyvault.storage import epochs, rollouts
from keyvault.storage.engine import Transaction


def ended_again(tx: Transaction, entry: Entry) -> Outcome | None:
    """None where the backup has no such rollout, or it has ended in it."""
    of, target = entry.scope.partition(":")[2], entry.detail.get("target")
    found = next((each for each in rollouts.live(tx) if (each.alias, str(each.target)) == (of, target)), None)
    if found is None:
        return None
    rollouts.set_state(tx, found, State.ROLLED_BACK, to_ms(entry.at), "it was ended or paused after the backup")
    epochs.bump(tx, "routes")
    return Outcome(entry.scope, entry.action, Result.REPEATED, "the rollout ended after the backup", denied=False)
