"""The life of an upstream's credentials: staged, tested, current, previous, retired.

A new secret gets no traffic before its promotion. From then on it and the one it replaces both work, until the overlap
is over or somebody ends it; until then the rotation can be undone. Accounts of one upstream are told apart by a label,
and each label rotates for itself. Each change is one transaction, so that a request finds either state whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from keyvault import audit
from keyvault.clock import Clock
from keyvault.domain.names import check_name, fold, not_found, shown
from keyvault.domain.providers import preset
from keyvault.domain.vault import Compartment, Credential, CredentialState, Upstream
from keyvault.errors import Conflict, UsageError
from keyvault.secrets import Secret, scrub
from keyvault.storage import credentials as rows
from keyvault.storage import epochs, upstreams
from keyvault.storage.engine import Database, Transaction
from keyvault.vault.asides import settle_alert
from keyvault.vault.credentials import OpenUpstream, destroy_secret, open_credential, seal_credential
from keyvault.vault.upstream_rules import check_secret
from keyvault.vault.upstreams import find_upstream
from keyvault.vault.vault import Vault

OVERLAP: Final = timedelta(hours=24)
MAX_WEIGHT: Final = 100

Rotated = tuple[Credential, Credential | None]
"""The current credential and the previous one, None where there is none or its secret is gone."""


class Credentials:
    """Stages, promotes, exchanges, retires and deletes the credentials of upstreams."""

    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock

    def of(self, name: str) -> Sequence[Credential]:
        """All credentials of an upstream, retired ones too, oldest first. Raises `NotFound`."""
        with self._database.read() as tx:
            return rows.of_upstream(tx, find_upstream(tx, name).id)

    def by_upstream(self) -> Sequence[tuple[Upstream, Sequence[Credential]]]:
        """Every upstream by name, with all its credentials, oldest first."""
        with self._database.read() as tx:
            found = rows.by_upstream(tx)
            return [(upstream, found.get(upstream.id, [])) for upstream in upstreams.all_upstreams(tx)]

    def create(self, name: str, label: str, secret: Secret, *, weight: int = 1) -> Credential:
        """Stage the first secret of another account. Raises `Conflict` for a label that exists."""
        _check_weight(weight)
        with self._database.change() as tx:
            upstream, found = self._open(tx, name)
            if _labelled(found, check_name("credential", label)):
                hint = f"gwctl upstreams rotate {upstream.name} --label {label}"
                raise Conflict(f"upstream {upstream.name} has a credential {label} already", hint=hint)
            return self._stage(tx, upstream, label, secret, weight)

    def stage(self, name: str, secret: Secret, label: str | None = None) -> Credential:
        """Seal a new secret for an account, in place of one that was staged before. It gets no traffic yet.

        Raises `Conflict` while the account's last rotation is in its overlap.
        """
        with self._database.change() as tx:
            upstream, found = self._open(tx, name)
            same = _account(upstream, found, label)
            self._refuse_overlap(upstream, same)
            self._drop(tx, *(each for each in same if each.is_staged))
            return self._stage(tx, upstream, same[-1].label, secret, same[-1].weight)

    def staged(self, name: str, label: str | None = None) -> Credential:
        """What waits for its promotion. Raises `Conflict` where nothing does."""
        with self._database.read() as tx:
            upstream = find_upstream(tx, name)
            return _staged(upstream, _account(upstream, rows.of_upstream(tx, upstream.id), label))

    def open(self, name: str, credential: Credential) -> OpenUpstream:
        """An upstream with a credential in whatever state. Raises `Tampered`, `Locked`."""
        vault = self._vault.unlock(Compartment.UPSTREAM)
        with self._database.read() as tx:
            return open_credential(tx, vault, find_upstream(tx, name), credential)

    def tested(self, name: str, credential: Credential, note: str, *, ok: bool) -> Credential:
        """Remember what came of a real call with a credential; a good answer makes a staged one promotable."""
        with self._database.change() as tx:
            upstream = find_upstream(tx, name)
            if all(each.id != credential.id for each in rows.of_upstream(tx, upstream.id)):
                raise _replaced(upstream)
            rows.set_tested(tx, credential.id, self._clock.now(), scrub(note)[:200])
            if ok and credential.state is CredentialState.STAGED:
                rows.set_state(tx, credential.id, CredentialState.TESTED, self._clock.now())
            self._record(tx, "test", upstream, credential, ok=ok)
            return rows.get(tx, credential.id)

    def promote(
        self, name: str, label: str | None = None, *, overlap: timedelta = OVERLAP, only: Credential | None = None
    ) -> Rotated:
        """Let the staged secret take the traffic; the one it replaces stays usable for the overlap.

        `only`: the one that was tested. Raises `Conflict` where somebody has staged another since.
        """
        with self._database.change() as tx:
            upstream, found = self._open(tx, name)
            same = _account(upstream, found, label)
            new = _staged(upstream, same)
            if only is not None and only.id != new.id:
                raise _replaced(upstream)
            self._refuse_overlap(upstream, same)
            old = _in(same, CredentialState.CURRENT)
            if old is not None:
                self._step_down(tx, upstream, old, overlap)
            rows.set_state(tx, new.id, CredentialState.CURRENT, self._clock.now())
            self._changed(tx, "promote", upstream, new, replaces=old.id if old else None)
            settle_alert(tx, self._clock, upstream)
            return rows.get(tx, new.id), self._still_usable(tx, old)

    def undo(self, name: str, label: str | None = None) -> Rotated:
        """Let the current and the previous secret change places; the overlap ends when it would have ended.

        Raises `Conflict` where there is no previous secret any more.
        """
        with self._database.change() as tx:
            upstream, found = self._open(tx, name)
            same = _account(upstream, found, label)
            new, old = _in(same, CredentialState.CURRENT), _in(same, CredentialState.PREVIOUS)
            if new is None or old is None:
                raise Conflict(f"upstream {upstream.name} has no previous credential to go back to")
            rows.set_state(tx, new.id, CredentialState.PREVIOUS, self._clock.now(), until=old.until)
            rows.set_state(tx, old.id, CredentialState.CURRENT, self._clock.now())
            self._changed(tx, "undo", upstream, old, replaces=new.id)
            settle_alert(tx, self._clock, upstream)
            return rows.get(tx, old.id), rows.get(tx, new.id)

    def retire(self, name: str, label: str | None = None) -> Sequence[Credential]:
        """End the overlap now: destroy the previous secrets, of one account or of all. May find nothing to do."""
        with self._database.change() as tx:
            upstream, found = self._open(tx, name)
            chosen = found if label is None else _account(upstream, found, label)
            ended = [each for each in chosen if each.state is CredentialState.PREVIOUS]
            for credential in ended:
                self._retire(tx, upstream, credential)
            return [rows.get(tx, each.id) for each in ended]

    def retire_over(self) -> int:
        """Destroy the previous secrets whose overlap is over, of all upstreams; how many."""
        with self._database.change() as tx:
            return self._retire_over(tx)

    def set_weight(self, name: str, label: str | None, weight: int) -> Credential:
        """Give an account another share of the requests. Zero leaves it what depends on it."""
        _check_weight(weight)
        with self._database.change() as tx:
            upstream, found = self._open(tx, name)
            same = _account(upstream, found, label)
            for credential in same:
                rows.set_weight(tx, credential.id, weight)
            self._changed(tx, "update", upstream, same[-1], weight=weight)
            return rows.get(tx, (_in(same, CredentialState.CURRENT) or same[-1]).id)

    def delete(self, name: str, label: str) -> Sequence[Credential]:
        """Remove an account with all its secrets. Raises `Conflict` for the last one that can serve."""
        with self._database.change() as tx:
            upstream, found = self._open(tx, name)
            same = _account(upstream, found, label)
            if not any(each.state is CredentialState.CURRENT for each in found if each not in same):
                hint = f"gwctl upstreams rotate {upstream.name}, or delete the upstream"
                raise Conflict(f"{same[0].label} is the last credential of upstream {upstream.name}", hint=hint)
            self._drop(tx, *same)
            self._changed(tx, "delete", upstream, same[-1])
            settle_alert(tx, self._clock, upstream)
            return same

    def _open(self, tx: Transaction, name: str) -> tuple[Upstream, list[Credential]]:
        """An upstream and its credentials, once those whose overlap is over are retired."""
        upstream = find_upstream(tx, name)
        self._retire_over(tx)
        return upstream, rows.of_upstream(tx, upstream.id)

    def _stage(self, tx: Transaction, upstream: Upstream, label: str, secret: Secret, weight: int) -> Credential:
        if not upstream.has_secret:
            raise UsageError(f"upstream {upstream.name} takes no credential")
        check_secret(preset(upstream.provider), secret)
        record_id, state = f"upstream-{self._clock.ulid()}", CredentialState.STAGED
        made = rows.insert(tx, upstream.id, label, state, record_id, self._clock.now(), weight=weight)
        seal_credential(tx, self._vault.unlock(Compartment.UPSTREAM), upstream, made, secret)
        self._record(tx, "stage", upstream, made)
        return made

    def _step_down(self, tx: Transaction, upstream: Upstream, old: Credential, overlap: timedelta) -> None:
        if overlap <= timedelta(0):
            self._retire(tx, upstream, old)
        else:
            now = self._clock.now()
            rows.set_state(tx, old.id, CredentialState.PREVIOUS, now, until=now + overlap)

    def _still_usable(self, tx: Transaction, old: Credential | None) -> Credential | None:
        found = None if old is None else rows.get(tx, old.id)
        return found if found is not None and found.state is CredentialState.PREVIOUS else None

    def _retire_over(self, tx: Transaction) -> int:
        ended = rows.over(tx, self._clock.now())
        for credential in ended:
            self._retire(tx, upstreams.get(tx, credential.upstream_id), credential)
        return len(ended)

    def _retire(self, tx: Transaction, upstream: Upstream, credential: Credential) -> None:
        destroy_secret(tx, credential)
        rows.set_state(tx, credential.id, CredentialState.RETIRED, self._clock.now())
        self._changed(tx, "retire", upstream, credential)

    def _drop(self, tx: Transaction, *gone: Credential) -> None:
        for credential in gone:
            destroy_secret(tx, credential)
        rows.delete(tx, *(credential.id for credential in gone))

    def _refuse_overlap(self, upstream: Upstream, same: Sequence[Credential]) -> None:
        old = _in(same, CredentialState.PREVIOUS)
        if old is not None and old.until is not None:
            raise Conflict(
                f"the last rotation of {upstream.name} is in its overlap until {old.until:%Y-%m-%d %H:%M:%S} UTC",
                hint=f"gwctl upstreams retire {upstream.name}",
            )

    def _changed(
        self, tx: Transaction, verb: str, upstream: Upstream, credential: Credential, **detail: object
    ) -> None:
        epochs.bump(tx, "upstreams")
        self._record(tx, verb, upstream, credential, **detail)

    def _record(self, tx: Transaction, verb: str, upstream: Upstream, credential: Credential, **detail: object) -> None:
        told = {name: value for name, value in detail.items() if value is not None}
        about = {"label": credential.label, "credential": credential.id, **told}
        audit.record(tx, self._clock, f"credentials.{verb}", f"upstream:{upstream.name}", **about)


def _account(upstream: Upstream, found: Sequence[Credential], label: str | None) -> list[Credential]:
    """The credentials of one account, oldest first, at least one; without a label, of the only one there is."""
    names = list(dict.fromkeys(each.label for each in found))
    if label is None and len(names) != 1:
        raise UsageError(
            f"upstream {upstream.name} has several credentials: {', '.join(names)}",
            hint=f"say which: --label {names[0]}" if names else None,
        )
    same = _labelled(found, names[0] if label is None else label)
    if not same:
        listed = f"gwctl upstreams credentials list {upstream.name}"
        raise not_found(f"credential of upstream {upstream.name}", label or "", names, otherwise=listed)
    return same


def _labelled(found: Sequence[Credential], label: str) -> list[Credential]:
    return [each for each in found if fold(each.label) == fold(label)]


def _staged(upstream: Upstream, same: Sequence[Credential]) -> Credential:
    for credential in same:
        if credential.is_staged:
            return credential
    hint = f"gwctl upstreams rotate {upstream.name} --stage-only"
    raise Conflict(f"upstream {upstream.name} has no staged credential", hint=hint)


def _replaced(upstream: Upstream) -> Conflict:
    hint = f"gwctl upstreams credentials list {upstream.name}"
    return Conflict(f"another credential of upstream {upstream.name} was staged in the meantime", hint=hint)


def _in(same: Sequence[Credential], state: CredentialState) -> Credential | None:
    return next((each for each in same if each.state is state), None)


def _check_weight(weight: int) -> None:
    if not 0 <= weight <= MAX_WEIGHT:
        raise UsageError(f"not a weight: {shown(str(weight))}", hint=f"0 to {MAX_WEIGHT}")
