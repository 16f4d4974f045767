"""How a rollout ends, whoever ends it: its state, the audit entry and the epoch, in the transaction of the cause."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from keyvault import alerts, audit
from keyvault.clock import Clock, to_ms
from keyvault.domain.rollouts import Rollout, State
from keyvault.storage import alerts as alert_rows
from keyvault.storage import epochs
from keyvault.storage import rollouts as rows
from keyvault.storage.engine import Transaction

ALERT: Final = "rollout_rolled_back"


def scope(alias: str) -> str:
    """What audit entries and alerts are about."""
    return f"route:{alias}"


def end(tx: Transaction, clock: Clock, rollout: Rollout, state: State, reason: str, action: str) -> None:
    rows.set_state(tx, rollout, state, to_ms(clock.now()), reason)
    told = {"rollout": rollout.id, "target": str(rollout.target), "reason": reason}
    audit.record(tx, clock, action, scope(rollout.alias), **told)
    epochs.bump(tx, "routes")


def take_out(tx: Transaction, clock: Clock, rollout: Rollout, reason: str) -> None:
    """What a guard does: the target is out at once, and people are told."""
    end(tx, clock, rollout, State.ROLLED_BACK, reason, "rollouts.rollback")
    alerts.note(tx, clock, ALERT, scope(rollout.alias), f"{rollout.target} was taken out of {rollout.alias}: {reason}")


def looked_into(tx: Transaction, clock: Clock, alias: str) -> None:
    """Somebody has seen why an earlier target was taken out: they go on with another."""
    alert_rows.resolve(tx, ALERT, scope(alias), clock.now_ms())


def superseded(tx: Transaction, clock: Clock, changed: Collection[str], revision: int) -> None:
    """End the rollouts of routes that a revision changes: what they compared with is no more. `changed`: scopes."""
    for rollout in rows.live(tx):
        if scope(rollout.alias) in changed:
            reason = f"revision {revision} changed its route"
            end(tx, clock, rollout, State.ROLLED_BACK, reason, "rollouts.rollback")
