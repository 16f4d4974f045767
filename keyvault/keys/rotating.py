"""A rotation from beginning to end: lock, mint, deliver, prove, acknowledge.

One process at a time rotates a key, from before the new secret exists until it is acknowledged. Killed at any instant,
it leaves a working secret where it was delivering to, and the next rotation of the key finds out how far it came: a
secret that is in its place is acknowledged, one that nobody got is dropped and another made. A delivery that fails
changes nothing for the old secret, and somebody is told by an alert.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from keyvault import audit
from keyvault.alerts import Alerts
from keyvault.clock import Clock, rfc3339, to_ms
from keyvault.domain.keys import Generation, GenerationState, Key, KeyState
from keyvault.errors import Conflict, GatewayError
from keyvault.keys import rotation, token
from keyvault.keys.delivery import Delivery, DeliveryFailed
from keyvault.keys.known import existing_key
from keyvault.keys.lifecycle import Keys
from keyvault.keys.locks import Locks
from keyvault.keys.making import by_id
from keyvault.keys.minting import MintingVault, all_peppers
from keyvault.keys.rotation import Rotation, UnderWay
from keyvault.secrets import Secret
from keyvault.storage import epochs
from keyvault.storage import keys as rows
from keyvault.storage.engine import Database, Transaction

FAILED: Final = "rotation_failed"
"""The kind of alert."""

Prove = Callable[[Secret], None]
"""Raises `GatewayError` where a secret is not accepted."""

Steps = Generator[str, None, Rotation]
"""The names of steps as they are complete, and in the end what came of them."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a key is rotated."""

    grace: timedelta = timedelta(hours=24)
    if_older_than: timedelta | None = None
    """Change nothing while the newest secret is younger, or an old one is still in grace."""
    end_grace: bool = False
    """End what another rotation left under way."""
    wait_lock: timedelta = timedelta(seconds=30)


USUAL: Final = Terms()


class Rotations:
    """The service behind `gwctl keys rotate`."""

    def __init__(
        self, database: Database, keys: Keys, vault: MintingVault, clock: Clock, alerts: Alerts, locks: Locks
    ) -> None:
        self._database = database
        self._keys = keys
        self._vault = vault
        self._clock = clock
        self._alerts = alerts
        self.locks = locks

    def run(self, name: str, delivery: Delivery, terms: Terms = USUAL, *, prove: Prove | None = None) -> Rotation:
        """Rotate a key now; see `steps`."""
        return completed(self.steps(name, delivery, terms, prove=prove))

    def steps(self, name: str, delivery: Delivery, terms: Terms = USUAL, *, prove: Prove | None = None) -> Steps:
        """Rotate a key, step by step. Raises `GatewayError`, of which all but `UnderWay` is also an alert."""
        key = self._keys.get(name)
        try:
            done = yield from self._alone(key, delivery, terms, prove)
        except UnderWay:
            raise
        except GatewayError as error:
            with contextlib.suppress(GatewayError):  # the error itself matters more than that it cannot be kept
                self._alerts.raise_alert(FAILED, f"key:{key.name}", error.message)
            raise
        if done.changed:
            self._alerts.resolve(FAILED, f"key:{key.name}")
        return done

    def begin(self, name: str, terms: Terms = USUAL) -> Rotation:
        """Make the new secret for a person who takes it along: it is pending until it is used or acknowledged. Raises
        `UnderWay`."""
        key = self._keys.get(name)
        with self.locks.key(key.public_id, terms.wait_lock) as held:
            if not held:
                raise _busy(key)
            return self._keys.rotate(
                key.name, terms.grace, if_older_than=terms.if_older_than, end_grace=terms.end_grace
            )

    def rehearse(self, name: str, delivery: Delivery, terms: Terms = USUAL) -> Rotation:
        """What `run` would do to the key, as far as it can be known before; for a database that keeps nothing."""
        delivery.check()
        key = self._keys.get(name)
        return self._mint(key, key.generation_in(GenerationState.PENDING, self._clock.now()), terms)

    def due(self) -> Sequence[Key]:
        """The keys whose policy asks for a new secret now."""
        now = self._clock.now()
        return [key for key in self.living() if (due := key.rotation_due_at) is not None and due <= now]

    def living(self) -> Sequence[Key]:
        """The keys that can be rotated, by name."""
        now = self._clock.now()
        return [key for key in self._keys.list() if key.state_at(now) in (KeyState.ACTIVE, KeyState.SUSPENDED)]

    def end_grace(self, name: str) -> Key:
        """Have the old secret refused from now on. Raises `Conflict` where none is in grace."""

        def end(tx: Transaction, key: Key, old: Generation) -> dict[str, Any]:
            rotation.expire(tx, key, old, self._clock.now())
            return {"was_until": rfc3339(old.valid_until)}

        return self._change_grace(name, "keys.end_grace", end)

    def extend_grace(self, name: str, until: datetime | timedelta) -> Key:
        """Let the old secret work until a moment, or for so much longer, but never past an end the key has."""

        def extend(tx: Transaction, key: Key, old: Generation) -> dict[str, Any]:
            assert old.valid_until is not None
            end = rotation.extended(key, old, until, self._clock.now())
            rows.set_generation_state(tx, key.id, old.number, GenerationState.GRACE, valid_until_ms=to_ms(end))
            return {"was_until": rfc3339(old.valid_until), "until": rfc3339(end)}

        return self._change_grace(name, "keys.extend_grace", extend)

    def _change_grace(
        self, name: str, action: str, change: Callable[[Transaction, Key, Generation], dict[str, Any]]
    ) -> Key:
        with self._database.change() as tx:
            key = existing_key(tx, name)
            rotation.refuse_ended(key)
            old = key.generation_in(GenerationState.GRACE, self._clock.now())
            if old is None:
                raise Conflict(f"no old secret of key {key.name} is in grace", hint=f"gwctl keys show {key.name}")
            told = {"id": key.public_id, "generation": old.number, **change(tx, key, old)}
            rows.stamp(tx, key.id, epochs.bump(tx, "keys"))
            audit.record(tx, self._clock, action, f"key:{key.name}", **told)
            return by_id(tx, key.id)

    def _alone(self, before: Key, delivery: Delivery, terms: Terms, prove: Prove | None) -> Steps:
        with self.locks.key(before.public_id, terms.wait_lock) as held:
            if not held:
                raise _busy(before)
            yield "locked"
            key, now = self._keys.get(before.name), self._clock.now()
            if key.public_id != before.public_id:
                raise Conflict(f"key {before.name} became another one while this rotation waited")
            if _active(key, now) != _active(before, now):
                return rotation.left(key, now, "another process rotated it while this one waited")
            with delivery.alone():
                delivery.check()
                return (yield from self._deliver(key, delivery, terms, prove))

    def _deliver(self, key: Key, delivery: Delivery, terms: Terms, prove: Prove | None) -> Steps:
        """With the lock held, a pending generation is what a rotation left that did not live to its end."""
        now = self._clock.now()
        dead, held = key.generation_in(GenerationState.PENDING, now), delivery.held()
        if dead is not None and dead.last_used_at is not None:  # somebody has it after all
            key, dead = self._keys.acknowledge(key.name, dead.number), None
        if dead is not None and held is not None and self._is_of(held, key, dead):
            active = key.generation_in(GenerationState.ACTIVE, now)
            done = Rotation(True, key, held, dead.number, active.number if active else None, None, FINISHED)
            steps: Iterator[str] = iter(())
            delivery.resume()
        else:
            _tidy(delivery)
            done = self._mint(key, dead, terms)
            if not done.changed:
                return self._looked_at(done, held, visible=delivery.visible)
            yield "minted"
            steps = delivery.steps(done)
        delivered = False
        try:
            yield from steps
            delivered = True
            if prove is not None:
                assert done.secret is not None
                prove(done.secret)
                yield "proved"
        except BaseException as error:
            # What cannot be taken back goes on working, beside the old secret, until the next rotation.
            if delivery.visible or not delivered:
                self._take_back(done, delivery, error)
            raise
        key = self._keys.acknowledge(key.name, done.generation)
        yield "acknowledged"
        _tidy(delivery)
        return rotation.told(done, key, self._clock.now(), visible=delivery.visible)

    def _mint(self, key: Key, dead: Generation | None, terms: Terms) -> Rotation:
        try:
            return self._keys.rotate(
                key.name, terms.grace, if_older_than=terms.if_older_than, end_grace=terms.end_grace, dead=dead
            )
        except UnderWay as error:
            if terms.if_older_than is None:
                raise
            return rotation.left(key, self._clock.now(), error.message)

    def _looked_at(self, done: Rotation, held: Secret | None, *, visible: bool) -> Rotation:
        """A rotation that did nothing, and whether that leaves the place with the current secret."""
        active = done.key.generation_in(GenerationState.ACTIVE, self._clock.now())
        if not visible or active is None:
            return done
        return replace(done, in_place=held is not None and self._is_of(held, done.key, active))

    def _take_back(self, done: Rotation, delivery: Delivery, error: BaseException) -> None:
        """Leave everything as it was. While the new secret may still be in its place, it goes on working."""
        now = self._keys.get(done.key.name).generation(done.generation)
        if now is not None and (now.state is not GenerationState.PENDING or now.last_used_at is not None):
            raise DeliveryFailed(f"{_text(error)}; the new secret was used already, so it stays") from None
        try:
            delivery.undo()
        except OSError as failed:
            kept = f"what was there before could not be put back: {_text(failed)}"
            raise DeliveryFailed(f"{_text(error)}; and {kept}; both secrets work on") from None
        with contextlib.suppress(GatewayError):  # the next rotation drops it
            self._keys.abandon(done.key.name, done.generation)
        if isinstance(error, OSError):
            raise DeliveryFailed(f"{_text(error)}; the old secret works on") from None

    def _is_of(self, secret: Secret, key: Key, generation: Generation) -> bool:
        """Whether a secret is that of a generation, told by its MAC."""
        presented = secret.reveal().encode()
        macs = [token.mac(pepper.secret, presented) for pepper in all_peppers(self._vault)]
        with self._database.read() as tx:
            return rows.generation_with(tx, key.id, macs) == generation.number


FINISHED: Final = "finished a rotation that had been cut short"


def completed(steps: Generator[str, None, T]) -> T:
    """Take all steps; what came of them."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


def _tidy(delivery: Delivery) -> None:
    """Remove what a delivery no longer needs; what cannot be removed now, the next rotation removes."""
    with contextlib.suppress(OSError):
        delivery.done()


def _busy(key: Key) -> UnderWay:
    return UnderWay(f"key {key.name} is being rotated by another process", hint="--wait-lock 5m")


def _active(key: Key, now: datetime) -> int | None:
    generation = key.generation_in(GenerationState.ACTIVE, now)
    return generation.number if generation else None


def _text(error: BaseException) -> str:
    if isinstance(error, GatewayError):
        return error.message
    if isinstance(error, OSError):
        reason = (error.strerror or type(error).__name__).lower()
        return f"{error.filename}: {reason}" if error.filename else f"the secret could not be delivered: {reason}"
    return "interrupted"
