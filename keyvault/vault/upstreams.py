"""Upstreams: named provider accounts. Creating and opening need the vault unlocked; stopping and removing do not."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from keyvault import audit
from keyvault.clock import Clock
from keyvault.domain.endpoints import Dialect
from keyvault.domain.names import check_name, not_found
from keyvault.domain.providers import preset
from keyvault.domain.vault import Compartment, Upstream
from keyvault.errors import Conflict, GatewayError
from keyvault.secrets import Secret
from keyvault.storage import epochs
from keyvault.storage import upstreams as rows
from keyvault.storage import vault as vault_rows
from keyvault.storage.engine import Database, Transaction
from keyvault.vault.credentials import OpenUpstream, open_credential, seal_credential
from keyvault.vault.open_vault import OpenVault
from keyvault.vault.upstream_rules import check_headers, check_secret, choose_base_url, choose_ca_file
from keyvault.vault.vault import Vault

__all__ = ["OpenUpstream", "Upstreams"]


class Upstreams:
    """Creates, lists, opens and removes upstreams. Only `create` and `open` need the vault unlocked."""

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
            return _find(tx, name)[0]

    def disable(self, name: str) -> Upstream:
        """Take it out of service at once; the vault may be locked."""
        return self._set_disabled(name, True)

    def enable(self, name: str) -> Upstream:
        return self._set_disabled(name, False)

    def delete(self, name: str) -> Upstream:
        """Remove it and its sealed credential for good; the vault may be locked."""
        with self._database.write() as tx:
            upstream, record_id = _find(tx, name)
            rows.delete(tx, upstream.id)
            if record_id is not None:
                vault_rows.delete_record(tx, record_id)
            self._changed(tx, "delete", upstream)
        return upstream

    def record_test(self, name: str, note: str) -> Upstream:
        """Remember that a real call was answered well just now; `note` says by what."""
        with self._database.write() as tx:
            upstream, _ = _find(tx, name)
            rows.set_verified(tx, upstream.id, self._clock.now(), note[:200])
            audit.record(tx, self._clock, "upstreams.test", f"upstream:{upstream.name}", note=note[:200])
            return _find(tx, name)[0]

    def open(self, name: str) -> OpenUpstream:
        """An upstream with its credential. Raises `NotFound`, `Tampered`, `Locked`."""
        opened = self._vault.unlock(Compartment.UPSTREAM)
        with self._database.read() as tx:
            return open_credential(tx, opened, *_find(tx, name))

    def open_all(self) -> Sequence[tuple[Upstream, OpenUpstream | GatewayError]]:
        """All upstreams, disabled ones too, each with its credential or with why that cannot be opened: one of them
        that was changed does not stop the others. Raises `Locked`."""
        vault = self._vault.unlock(Compartment.UPSTREAM)
        with self._database.read() as tx:
            return [(found[0], _opened(tx, vault, *found)) for found in rows.all_with_records(tx)]

    def _store(self, upstream: Upstream, secret: Secret | None) -> Upstream:
        opened = self._vault.unlock(Compartment.UPSTREAM)
        record_id = f"upstream-{self._clock.ulid()}"
        with self._database.write() as tx:
            if rows.find(tx, upstream.name) is not None:
                raise Conflict(f"upstream {upstream.name} exists already", hint=f"gwctl upstreams show {upstream.name}")
            rows.insert(tx, upstream, record_id)
            seal_credential(tx, opened, upstream, record_id, secret)
            self._changed(tx, "create", upstream, provider=upstream.provider, base_url=upstream.base_url)
            return _find(tx, upstream.name)[0]

    def _set_disabled(self, name: str, disabled: bool) -> Upstream:
        with self._database.write() as tx:
            upstream, _ = _find(tx, name)
            if upstream.disabled is not disabled:
                rows.set_disabled(tx, upstream.id, disabled)
                self._changed(tx, "disable" if disabled else "enable", upstream)
            return _find(tx, name)[0]

    def _changed(self, tx: Transaction, verb: str, upstream: Upstream, **detail: str) -> None:
        epochs.bump(tx, "upstreams")
        audit.record(tx, self._clock, f"upstreams.{verb}", f"upstream:{upstream.name}", **detail)


def _find(tx: Transaction, name: str) -> tuple[Upstream, str | None]:
    found = rows.find(tx, name)
    if found is None:
        known = [upstream.name for upstream in rows.all_upstreams(tx)]
        raise not_found("upstream", name, known, otherwise="gwctl upstreams list")
    return found


def _opened(
    tx: Transaction, vault: OpenVault, upstream: Upstream, record_id: str | None
) -> OpenUpstream | GatewayError:
    try:
        return open_credential(tx, vault, upstream, record_id)
    except GatewayError as error:
        return error
