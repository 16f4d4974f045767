"""How one generation of a key takes over from another.

A new generation is `pending`: usable, while the one before it stays `active`. It becomes active at its first
successful use or when its delivery is acknowledged, whichever comes first; the grace of the old one starts at that
moment and never reaches past an end the old one already had. At most one is pending, one active, one in grace.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from keyvault import audit
from keyvault.clock import Clock, to_ms
from keyvault.domain.keys import Generation, GenerationState, Key, KeyState
from keyvault.domain.names import short_duration
from keyvault.errors import Conflict, NotFound
from keyvault.secrets import Secret
from keyvault.storage import epochs
from keyvault.storage import keys as rows
from keyvault.storage.engine import Transaction


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a rotation did. When nothing `changed`, `reason` says why and there is no secret."""

    changed: bool
    key: Key
    secret: Secret | None
    generation: int
    """The newest generation."""
    previous_generation: int | None
    """The one it takes over from."""
    previous_valid_until: datetime | None
    """None while the new one is pending."""
    reason: str | None = None


def check_can_rotate(key: Key, now: datetime) -> None:
    """Raises `Conflict` for a key that is revoked, deleted or expired."""
    state = key.state_at(now)
    if state is KeyState.EXPIRED:
        raise Conflict(f"key {key.name} has expired", hint=f"gwctl keys update {key.name} --expires 90d")
    refuse_ended(key)


def refuse_ended(key: Key) -> None:
    """Raises `Conflict` for a key that is revoked or deleted: nothing brings its tokens back."""
    if key.state in (KeyState.REVOKED, KeyState.DELETED):
        raise Conflict(f"key {key.name} is {key.state.value}", hint="gwctl keys create NAME")


def unchanged(key: Key, now: datetime, if_older_than: timedelta) -> Rotation | None:
    """The rotation that does nothing, when the newest generation is younger than `if_older_than`; else None."""
    newest = key.generation_in(GenerationState.PENDING, now) or key.generation_in(GenerationState.ACTIVE, now)
    if newest is None or now - newest.created_at >= if_older_than:
        return None
    old = key.generation_in(GenerationState.GRACE, now)
    reason = f"generation {newest.number} is only {short_duration(now - newest.created_at)} old"
    number, until = (old.number, old.valid_until) if old else (None, None)
    return Rotation(False, key, None, newest.number, number, until, reason)


def make_room(tx: Transaction, clock: Clock, key: Key, *, end_grace: bool) -> None:
    """See that no generation is pending or in grace: refuse with `Conflict`, or end what is with `end_grace`."""
    now = clock.now()
    pending, grace = key.generation_in(GenerationState.PENDING, now), key.generation_in(GenerationState.GRACE, now)
    if not end_grace and (pending or grace):
        raise _overlap(key, pending, grace)
    if pending:
        rows.set_generation_state(tx, key.id, pending.number, GenerationState.ABANDONED)
    if grace:
        rows.set_generation_state(tx, key.id, grace.number, GenerationState.GRACE, valid_until_ms=to_ms(now))


def activate(tx: Transaction, clock: Clock, key: Key, number: int, at: datetime, *, by: str) -> None:
    """Make a pending generation the active one as of `at`; one that was active is left alone. `by`: `use`, `delivery`.

    Raises `NotFound` for an unknown generation, `Conflict` for one that was abandoned or revoked.
    """
    generation = key.generation(number)
    if generation is None:
        raise NotFound(f"key {key.name} has no generation {number}", hint=f"gwctl keys show {key.name}")
    if generation.state in (GenerationState.ABANDONED, GenerationState.REVOKED):
        raise Conflict(
            f"generation {number} of key {key.name} is {generation.state.value}", hint=f"gwctl keys rotate {key.name}"
        )
    if generation.state is not GenerationState.PENDING:
        return
    if old := key.generation_in(GenerationState.ACTIVE, at):
        until = grace_end(key, old, generation.grace or timedelta(), at)
        rows.set_generation_state(tx, key.id, old.number, GenerationState.GRACE, valid_until_ms=to_ms(until))
    rows.set_generation_state(tx, key.id, number, GenerationState.ACTIVE, activated_ms=to_ms(at))
    rows.stamp(tx, key.id, epochs.bump(tx, "keys"))
    audit.record(tx, clock, "keys.activate", f"key:{key.name}", generation=number, by=by)


def abandon(tx: Transaction, clock: Clock, key: Key, number: int) -> None:
    """Drop a pending generation whose delivery failed; one that is not pending is left alone."""
    generation = key.generation(number)
    if generation is None or generation.state is not GenerationState.PENDING:
        return
    rows.set_generation_state(tx, key.id, number, GenerationState.ABANDONED)
    rows.stamp(tx, key.id, epochs.bump(tx, "keys"))
    audit.record(tx, clock, "keys.abandon", f"key:{key.name}", generation=number)


def grace_end(key: Key, old: Generation, grace: timedelta, start: datetime) -> datetime:
    """When the grace of `old` ends if it starts at `start`: never past an end that the key or `old` already has."""
    return min(end for end in (start + grace, old.valid_until, key.expires_at) if end is not None)


def _overlap(key: Key, pending: Generation | None, grace: Generation | None) -> Conflict:
    hint = f"gwctl keys rotate {key.name} --end-grace"
    if pending:
        return Conflict(f"key {key.name} is being rotated already: generation {pending.number} is pending", hint=hint)
    assert grace is not None
    return Conflict(f"key {key.name} was rotated already: generation {grace.number} is still in grace", hint=hint)
