"""Keys in a restore: who was denied after the backup is denied again, and a key that changed otherwise is suspended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from keyvault.audit import Entry
from keyvault.backup.outcomes import Outcome, Result, Step, told
from keyvault.clock import to_ms
from keyvault.domain.keys import GenerationState, Key, KeyState
from keyvault.keys import rotation
from keyvault.storage import keys as key_rows
from keyvault.storage.engine import Transaction


def _key(tx: Transaction, entry: Entry) -> Key | None:
    """By its id, for names are given again; entries of before ids were written have the name alone."""
    public_id = entry.detail.get("id")
    if public_id is not None:
        return key_rows.find_by_public_id(tx, str(public_id))
    return key_rows.find(tx, entry.scope.partition(":")[2])


def _gone(entry: Entry) -> Outcome:
    return told(entry, Result.LOST, "the key is not in the backup; its secret is refused")


def end_key(state: KeyState) -> Step:
    def step(tx: Transaction, entry: Entry) -> Outcome:
        key = _key(tx, entry)
        if key is None:
            return _gone(entry)
        if state is KeyState.DELETED:
            key_rows.delete(tx, key.id, to_ms(entry.at))
            if entry.detail.get("purged"):
                key_rows.free_name(tx, key)
        elif key.state not in _FOLLOWS[state]:
            key_rows.set_state(tx, key.id, state)
        return told(entry, Result.REPEATED, f"{state.value} after the backup")

    return step


_FOLLOWS: Final[Mapping[KeyState, frozenset[KeyState]]] = {
    KeyState.SUSPENDED: frozenset({KeyState.SUSPENDED, KeyState.DELETED, KeyState.REVOKED}),
    KeyState.REVOKED: frozenset({KeyState.REVOKED}),
}
"""What a key may be already so that a denial leaves it as it is."""


def end_grace(tx: Transaction, entry: Entry) -> Outcome:
    """The old secret was ended early. It may be the active one of the backup: then the key is suspended."""
    key = _key(tx, entry)
    if key is None:
        return _gone(entry)
    old = [g for g in key.generations if g.state is GenerationState.GRACE]
    for generation in old:
        rotation.expire(tx, key, generation, entry.at)
    if not old:
        return suspended_key(tx, entry)
    return replace(told(entry, Result.REPEATED, "the old secret was ended after the backup"), denied=False)


def suspended_key(tx: Transaction, entry: Entry) -> Outcome:
    key = _key(tx, entry)
    if key is None:
        return _gone(entry)
    if key.state is KeyState.ACTIVE:
        key_rows.set_state(tx, key.id, KeyState.SUSPENDED)
    verb = entry.action.partition(".")[2]
    return told(entry, Result.SUSPENDED, f"changed after the backup ({verb})")


def key_back(left: KeyState, why: str) -> Step:
    """It was let in again later, which is not repeated."""

    def step(tx: Transaction, entry: Entry) -> Outcome:
        key = _key(tx, entry)
        if key is None or key.state is not left:
            return suspended_key(tx, entry)
        return told(entry, Result.SUSPENDED, why)

    return step
