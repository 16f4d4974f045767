"""Upstreams: named provider accounts. Everything but looking at them and stopping them needs the vault unlocked.

What becomes of an upstream's credentials once it exists is told in `keyvault.vault.lifecycle`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from keyvault import audit
from keyvault.clock import Clock
from keyvault.domain.endpoints import Dialect
from keyvault.domain.names import check_name, fold, not_found
from keyvault.domain.providers import preset
from keyvault.domain.vault import Compartment, Credential, CredentialState, Upstream
from keyvault.errors import Conflict, GatewayError
from keyvault.secrets import Secret
from keyvault.storage import credentials, epochs
from keyvault.storage import upstreams as rows
from keyvault.storage.engine import Database, Transaction
from keyvault.storage.seals import touch
from keyvault.vault.credentials import (
    FIRST_LABEL,
    OpenUpstream,
    changed_upstream,
    destroy_secret,
    open_credential,
    seal_credential,
)
from keyvault.vault.open_vault import OpenVault
from keyvault.vault.upstream_rules import check_headers, check_secret, choose_base_url, choose_ca_file
from keyvault.vault.vault import Vault

__all__ = ["OpenUpstream", "Opened", "Upstreams"]


@dataclass(frozen=True, slots=True)
class Opened:
    """An upstream with what could be opened of its credentials, and why the others could not."""

    upstream: Upstream
    credentials: Sequence[OpenUpstream]
    """The current ones and the previous ones whose overlap is not over, oldest first."""
    all: Sequence[Credential]
    """Retired and staged ones too."""
    problems: Sequence[GatewayError] = ()


_SERVING: Final = (CredentialState.CURRENT, CredentialState.PREVIOUS)


class Upstreams:
    """Creates, lists, opens, stops and removes upstreams."""

    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock

    def create(
        self,
        name: str,
        provider: str,
        *,
        base_url: str | None = None,
        secret: Secret | None,
        allow_private: bool = False,
        ca_file: str | None = None,
        dialects: Collection[Dialect] | None = None,
        auth_header: str | None = None,
        auth_scheme: str | None = None,
        stream_usage: bool | None = None,
        catalogue: str | None = None,
        extra_headers: Mapping[str, str] | None = None,
    ) -> Upstream:
        """Make an upstream from a preset; what is given stands in for what the preset says.

        Raises `UsageError` for anything that cannot be right, `NotFound` for an unknown provider, `Conflict` for a
        name that exists, `Locked`.
        """
        chosen = preset(provider)
        check_secret(chosen, secret)
        header = (chosen.auth_header if auth_header is None else auth_header.lower()) if secret else ""
        upstream = Upstream(
            id=0,
            name=check_name("upstream", name),
            provider=chosen.name,
            base_url=choose_base_url(chosen, base_url, allow_private),
            dialects=frozenset(dialects or chosen.dialects),
            auth_header=header,
            auth_scheme=(chosen.auth_scheme if auth_scheme is None else auth_scheme) if secret else "",
            stream_usage=chosen.stream_usage if stream_usage is None else stream_usage,
            catalogue=chosen.catalogue if catalogue is None else catalogue or None,
            created_at=self._clock.now(),
            allow_private=allow_private,
            ca_file=choose_ca_file(ca_file),
            has_secret=secret is not None,
            extra_headers=dict(chosen.extra_headers if extra_headers is None else extra_headers),
        )
        check_headers(upstream)
        return self._store(upstream, secret)

    def list(self) -> list[Upstream]:
        """All upstreams, by name, disabled ones too."""
        with self._database.read() as tx:
            return rows.all_upstreams(tx)

    def get(self, name: str) -> Upstream:
        """Raises `NotFound` with the nearest name."""
        with self._database.read() as tx:
            return find_upstream(tx, name)

    def disable(self, name: str) -> Upstream:
        """Take it out of service at once; the vault may be locked."""
        with self._database.write() as tx:
            return self._set_disabled(tx, name, True)

    def enable(self, name: str) -> Upstream:
        """Put it back into service."""
        with self._database.change() as tx:
            return self._set_disabled(tx, name, False)

    def delete(self, name: str) -> Upstream:
        """Remove it and all its credentials for good. What it served stays on record."""
        with self._database.change() as tx:
            upstream = find_upstream(tx, name)
            gone = credentials.of_upstream(tx, upstream.id)
            for credential in gone:
                destroy_secret(tx, credential)
            credentials.delete(tx, *(credential.id for credential in gone))
            rows.delete(tx, upstream.id)
            self._changed(tx, "delete", upstream)
        return upstream

    def record_test(self, name: str, note: str) -> Upstream:
        """Remember that a real call was answered well just now; `note` says by what."""
        with self._database.write() as tx:
            upstream = find_upstream(tx, name)
            rows.set_verified(tx, upstream.id, self._clock.now(), note[:200])
            audit.record(tx, self._clock, "upstreams.test", f"upstream:{upstream.name}", note=note[:200])
            return find_upstream(tx, name)

    def open(self, name: str, label: str | None = None) -> OpenUpstream:
        """An upstream with its first current credential, or with the current one of an account. Raises `NotFound`,
        `Tampered`, `Locked`."""
        vault = self._vault.unlock(Compartment.UPSTREAM)
        with self._database.read() as tx:
            upstream = find_upstream(tx, name)
            found = credentials.of_upstream(tx, upstream.id)
            current = [each for each in found if each.state is CredentialState.CURRENT]
            if not current:
                raise changed_upstream(upstream)
            for credential in current:
                if label is None or fold(credential.label) == fold(label):
                    return open_credential(tx, vault, upstream, credential)
            known = [each.label for each in current]
            listed = f"gwctl upstreams credentials list {upstream.name}"
            raise not_found(f"credential of upstream {upstream.name}", label or "", known, otherwise=listed)

    def open_all(self) -> Sequence[Opened]:
        """All upstreams, disabled ones too, with the credentials that may serve: one that was changed does not stop
        the others. Raises `Locked`."""
        vault = self._vault.unlock(Compartment.UPSTREAM)
        with self._database.read() as tx:
            found = credentials.by_upstream(tx)
            return [self._opened(tx, vault, each, found.get(each.id, [])) for each in rows.all_upstreams(tx)]

    def examine(self) -> Sequence[GatewayError | None]:
        """For each sealed credential, staged ones too, why it cannot be opened; None where it can. Raises `Locked`."""
        vault = self._vault.unlock(Compartment.UPSTREAM)
        with self._database.read() as tx:
            found = credentials.by_upstream(tx)
            return [
                _problem(tx, vault, upstream, credential)
                for upstream in rows.all_upstreams(tx)
                for credential in found.get(upstream.id, [])
                if credential.state is not CredentialState.RETIRED
            ]

    def _opened(self, tx: Transaction, vault: OpenVault, upstream: Upstream, found: Sequence[Credential]) -> Opened:
        now = self._clock.now()
        serving = [each for each in found if each.state_at(now) in _SERVING]
        opened: list[OpenUpstream] = []
        problems: list[GatewayError] = [] if serving else [changed_upstream(upstream)]
        for credential in serving:
            try:
                opened.append(open_credential(tx, vault, upstream, credential))
            except GatewayError as error:
                problems.append(error)
        return Opened(upstream, opened, found, problems)

    def _store(self, upstream: Upstream, secret: Secret | None) -> Upstream:
        vault = self._vault.unlock(Compartment.UPSTREAM)
        with self._database.change() as tx:
            if rows.find(tx, upstream.name) is not None:
                raise Conflict(f"upstream {upstream.name} exists already", hint=f"gwctl upstreams show {upstream.name}")
            made = rows.insert(tx, upstream)
            record_id, state = f"upstream-{self._clock.ulid()}", CredentialState.CURRENT
            credential = credentials.insert(tx, made.id, FIRST_LABEL, state, record_id, self._clock.now())
            seal_credential(tx, vault, made, credential, secret)
            self._changed(tx, "create", made, provider=made.provider, base_url=made.base_url)
            return made

    def _set_disabled(self, tx: Transaction, name: str, disabled: bool) -> Upstream:
        upstream = find_upstream(tx, name)
        touch(tx, "upstreams", upstream.id)  # one that only looks as it should is told of
        if upstream.disabled is not disabled:
            rows.set_disabled(tx, upstream.id, disabled)
            self._changed(tx, "disable" if disabled else "enable", upstream)
        return find_upstream(tx, name)

    def _changed(self, tx: Transaction, verb: str, upstream: Upstream, **detail: str) -> None:
        epochs.bump(tx, "upstreams")
        audit.record(tx, self._clock, f"upstreams.{verb}", f"upstream:{upstream.name}", **detail)


def find_upstream(tx: Transaction, name: str) -> Upstream:
    """Raises `NotFound` with the nearest name."""
    found = rows.find(tx, name)
    if found is None:
        known = [upstream.name for upstream in rows.all_upstreams(tx)]
        raise not_found("upstream", name, known, otherwise="gwctl upstreams list")
    return found


def _problem(tx: Transaction, vault: OpenVault, upstream: Upstream, credential: Credential) -> GatewayError | None:
    try:
        open_credential(tx, vault, upstream, credential)
    except GatewayError as error:
        return error
    return None
