"""How one generation of a key takes over from another.

A new generation is `pending`: usable, while the one before it stays `active`. It becomes active at its first
successful use or when its delivery is acknowledged, whichever comes first; the grace of the old one starts at that
moment and never reaches past an end the old one already had. At most one is pending, one active, one in grace. What
a generation has lost it never gets back, not even from a clock that goes back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from keyvault import audit
from keyvault.clock import Clock, rfc3339, to_ms
from keyvault.domain.keys import Generation, GenerationState, Key, KeyState
from keyvault.domain.names import short_duration
from keyvault.errors import Conflict, NotFound, UsageError
from keyvault.secrets import Secret
from keyvault.storage import epochs
from keyvault.storage import keys as rows
from keyvault.storage.engine import Transaction

LONGEST_GRACE: Final = timedelta(days=365)


class UnderWay(Conflict):
    """Another rotation of the key is not over: its grace lasts, or another process is at it."""


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
    in_place: bool | None = None
    """Whether the place to deliver to holds the key's current secret; None where nobody can look."""


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


def check_grace(grace: timedelta) -> timedelta:
    """`grace` if an old secret may work on for so long, else `UsageError`."""
    if not timedelta() <= grace <= LONGEST_GRACE:
        raise UsageError("grace must be between 0s and 365d", hint="--grace 24h")
    return grace


def unchanged(key: Key, now: datetime, if_older_than: timedelta, *, dead: Generation | None = None) -> Rotation | None:
    """The rotation that does nothing, when the newest generation is younger than `if_older_than`; else None.

    A `dead` pending generation, which nobody has, does not count.
    """
    pending = key.generation_in(GenerationState.PENDING, now)
    newest = (pending if pending != dead else None) or key.generation_in(GenerationState.ACTIVE, now)
    if newest is None or now - newest.created_at >= if_older_than:
        return None
    return left(key, now, f"generation {newest.number} is only {short_duration(now - newest.created_at)} old")


def left(key: Key, now: datetime, reason: str) -> Rotation:
    """The rotation that does nothing, and why."""
    newest = key.generation_in(GenerationState.ACTIVE, now) or key.generations[0]
    old = key.generation_in(GenerationState.GRACE, now)
    number, until = (old.number, old.valid_until) if old else (None, None)
    return Rotation(False, key, None, newest.number, number, until, reason)


def make_room(
    tx: Transaction, clock: Clock, key: Key, *, end_grace: bool = False, dead: Generation | None = None
) -> None:
    """See that no generation is pending or in grace: raise `UnderWay`, or end what is with `end_grace`.

    A `dead` pending generation is abandoned either way.
    """
    now = clock.now()
    pending, grace = key.generation_in(GenerationState.PENDING, now), key.generation_in(GenerationState.GRACE, now)
    if not end_grace and ((pending and pending != dead) or grace):
        raise _overlap(key, pending if pending != dead else None, grace)
    if pending:
        rows.set_generation_state(tx, key.id, pending.number, GenerationState.ABANDONED)
    for generation in key.generations:
        if generation.state is GenerationState.GRACE:
            expire(tx, key, generation, now)


def expire(tx: Transaction, key: Key, old: Generation, now: datetime) -> None:
    """End a generation in grace for good, at `now` or when it ended by itself."""
    ended = now if old.valid_until is None else min(now, old.valid_until)
    rows.set_generation_state(tx, key.id, old.number, GenerationState.EXPIRED, valid_until_ms=to_ms(ended))


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
    for over in key.generations:
        if over.state is GenerationState.GRACE:
            expire(tx, key, over, at)
    if old := key.generation_in(GenerationState.ACTIVE, at):
        until = grace_end(key, old, generation.grace or timedelta(), at)
        rows.set_generation_state(tx, key.id, old.number, GenerationState.GRACE, valid_until_ms=to_ms(until))
    rows.set_generation_state(tx, key.id, number, GenerationState.ACTIVE, activated_ms=to_ms(at))
    rows.stamp(tx, key.id, epochs.bump(tx, "keys"))
    audit.record(tx, clock, "keys.activate", f"key:{key.name}", id=key.public_id, generation=number, by=by)


def abandon(tx: Transaction, clock: Clock, key: Key, number: int) -> None:
    """Drop a pending generation whose delivery failed; one that is not pending, or was used, is left alone."""
    generation = key.generation(number)
    if generation is None or generation.state is not GenerationState.PENDING or generation.last_used_at is not None:
        return
    rows.set_generation_state(tx, key.id, number, GenerationState.ABANDONED)
    rows.stamp(tx, key.id, epochs.bump(tx, "keys"))
    audit.record(tx, clock, "keys.abandon", f"key:{key.name}", id=key.public_id, generation=number)


def grace_end(key: Key, old: Generation, grace: timedelta, start: datetime) -> datetime:
    """When the grace of `old` ends if it starts at `start`: never past an end that the key or `old` already has."""
    return min(end for end in (start + grace, old.valid_until, key.expires_at) if end is not None)


def extended(key: Key, old: Generation, until: datetime | timedelta, now: datetime) -> datetime:
    """The new end of a grace, not past the key's own. Raises `UsageError` for an end that is no extension."""
    assert old.valid_until is not None
    end = old.valid_until + until if isinstance(until, timedelta) else until
    if key.expires_at is not None:
        end = min(end, key.expires_at)
    if end <= old.valid_until:
        ends = "the key ends then" if old.valid_until == key.expires_at else f"gwctl keys end-grace {key.name}"
        raise UsageError(f"the old secret works until {rfc3339(old.valid_until)} already", hint=ends)
    if end - now > LONGEST_GRACE:
        raise UsageError("grace must be between 0s and 365d", hint="--by 24h")
    return end


def told(done: Rotation, key: Key, now: datetime, *, visible: bool) -> Rotation:
    """A rotation as it stands once the new generation is active."""
    old = key.generation_in(GenerationState.GRACE, now)
    return replace(done, key=key, previous_valid_until=old.valid_until if old else None, in_place=visible or None)


def _overlap(key: Key, pending: Generation | None, grace: Generation | None) -> UnderWay:
    hint = f"gwctl keys rotate {key.name} --end-grace"
    if pending:
        return UnderWay(f"key {key.name} is being rotated already: generation {pending.number} is pending", hint=hint)
    assert grace is not None
    return UnderWay(f"key {key.name} was rotated already: generation {grace.number} is still in grace", hint=hint)
