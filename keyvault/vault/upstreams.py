"""Upstreams: named provider accounts, whose credentials are sealed together with where and how they may be sent.

The database's plain columns are for showing. What decides where a secret goes (origin, header, trust) is read from the
sealed record and compared with the columns: whoever edits a row in the database gets `Tampered`, and nothing is sent.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from keyvault import audit
from keyvault.clock import Clock
from keyvault.domain.addresses import check_base_url
from keyvault.domain.endpoints import Dialect
from keyvault.domain.names import check_name
from keyvault.domain.providers import Preset, preset
from keyvault.domain.vault import Compartment, Upstream
from keyvault.errors import Conflict, NotFound, Tampered, UsageError
from keyvault.secrets import Secret
from keyvault.storage import epochs
from keyvault.storage import upstreams as rows
from keyvault.storage import vault as vault_rows
from keyvault.storage.engine import Database, Transaction
from keyvault.vault.open_vault import UPSTREAM_SECRET, OpenVault
from keyvault.vault.vault import Vault

MAX_SECRET_BYTES: Final = 8192
PADDING_BYTES: Final = 64
"""Sealed records are padded to a multiple of this, so that their length tells little about the secret's."""
_SECRET = re.compile(r"[\x21-\x7e]+\Z")
_HEADER = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,64}\Z")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]{0,512}\Z")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,31}\Z|\Z")
_FORBIDDEN_HEADERS: Final = frozenset(
    {"connection", "content-length", "content-type", "cookie", "host", "keep-alive", "proxy-authorization"}
    | {"te", "trailer", "transfer-encoding", "upgrade"}
)


@dataclass(frozen=True, slots=True)
class OpenUpstream:
    """An upstream with its credential, as the sealed record says."""

    upstream: Upstream
    secret: Secret | None = field(repr=False)
    base_url: str
    auth_header: str
    auth_scheme: str

    def auth_headers(self) -> list[tuple[bytes, bytes]]:
        """The header lines that carry the credential, none where there is no credential."""
        if self.secret is None:
            return []
        value = f"{self.auth_scheme} {self.secret.reveal()}" if self.auth_scheme else self.secret.reveal()
        return [(self.auth_header.encode("ascii"), value.encode("ascii"))]


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

        Raises `UsageError` for anything that cannot be right, `Conflict` for a name that exists, `Locked`.
        """
        chosen = preset(provider)
        _check_secret(chosen, secret)
        header = (chosen.auth_header if auth_header is None else auth_header.lower()) if secret else ""
        upstream = Upstream(
            id=0,
            name=check_name("upstream", name),
            provider=chosen.name,
            base_url=_base_url(chosen, base_url, allow_private),
            dialects=frozenset(dialects or chosen.dialects),
            auth_header=header,
            auth_scheme=(chosen.auth_scheme if auth_scheme is None else auth_scheme) if secret else "",
            stream_usage=chosen.stream_usage if stream_usage is None else stream_usage,
            catalogue=chosen.catalogue if catalogue is None else catalogue or None,
            created_at=self._clock.now(),
            allow_private=allow_private,
            ca_file=_ca_file(ca_file),
            has_secret=secret is not None,
            extra_headers=dict(chosen.extra_headers if extra_headers is None else extra_headers),
        )
        _check_headers(upstream)
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
            return _open(tx, opened, *_find(tx, name))

    def open_all(self) -> Sequence[OpenUpstream]:
        """All upstreams with their credentials, disabled ones too. Raises `Tampered` naming the first changed one."""
        opened = self._vault.unlock(Compartment.UPSTREAM)
        with self._database.read() as tx:
            return [_open(tx, opened, *_find(tx, upstream.name)) for upstream in rows.all_upstreams(tx)]

    def _store(self, upstream: Upstream, secret: Secret | None) -> Upstream:
        opened = self._vault.unlock(Compartment.UPSTREAM)
        record_id = f"upstream-{self._clock.ulid()}"
        with self._database.write() as tx:
            if rows.find(tx, upstream.name) is not None:
                raise Conflict(f"upstream {upstream.name} exists already", hint=f"gwctl upstreams show {upstream.name}")
            rows.insert(tx, upstream, record_id)
            plaintext = _plaintext(upstream, secret)
            opened.seal(tx, record_id, UPSTREAM_SECRET, _identity(upstream), plaintext, version=1)
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
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "gwctl upstreams list"
        raise NotFound(f"no such upstream: {name[:70]!a}", hint=hint)
    return found


def _open(tx: Transaction, opened: OpenVault, upstream: Upstream, record_id: str | None) -> OpenUpstream:
    changed = Tampered(
        f"upstream {upstream.name} was changed by something else than gwctl; nothing is sent to it",
        hint=f"gwctl upstreams delete {upstream.name}, then create it again",
    )
    if record_id is None:
        raise changed
    try:
        sealed = json.loads(opened.open(tx, record_id, _identity(upstream)))
    except Tampered:
        raise changed from None
    if {name: sealed.get(name) for name in _sealed_with(upstream)} != _sealed_with(upstream):
        raise changed
    secret = None if sealed["secret"] is None else Secret(sealed["secret"])
    return OpenUpstream(upstream, secret, sealed["origin"], sealed["auth_header"], sealed["auth_scheme"])


def _identity(upstream: Upstream) -> tuple[str, str]:
    return upstream.provider, upstream.base_url


def _sealed_with(upstream: Upstream) -> dict[str, Any]:
    """All that decides where and how a credential is sent, and whose it is."""
    return {
        "upstream": upstream.name,
        "origin": upstream.base_url,
        "auth_header": upstream.auth_header,
        "auth_scheme": upstream.auth_scheme,
        "extra_headers": upstream.extra_headers,
        "allow_private": upstream.allow_private,
        "ca_file": upstream.ca_file,
    }


def _plaintext(upstream: Upstream, secret: Secret | None) -> bytes:
    """Canonical JSON, padded with spaces (which JSON ignores)."""
    content = {**_sealed_with(upstream), "secret": secret.reveal() if secret else None}
    text = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    return text.ljust(-(-len(text) // PADDING_BYTES) * PADDING_BYTES)


def _base_url(chosen: Preset, given: str | None, allow_private: bool) -> str:
    url = given or chosen.base_url
    if url is None:
        raise UsageError(f"provider {chosen.name} needs a base URL", hint=f"--base-url {chosen.base_url_form}")
    return check_base_url(url, allow_private)


def _check_secret(chosen: Preset, secret: Secret | None) -> None:
    """Refuse what can be no credential, without showing it."""
    if secret is None:
        if chosen.needs_secret:
            raise UsageError(f"provider {chosen.name} needs a credential", hint="--secret-stdin or --secret-file FILE")
        return
    text = secret.reveal()
    if not text:
        raise UsageError("the credential is empty")
    if len(text) > MAX_SECRET_BYTES:
        raise UsageError(f"the credential is longer than {MAX_SECRET_BYTES} characters")
    if not _SECRET.match(text):
        raise UsageError(
            "the credential has a space, a line break or a character that is not plain ASCII",
            hint="pass the credential alone, on one line",
        )


def _check_headers(upstream: Upstream) -> None:
    if upstream.has_secret and not _HEADER.match(upstream.auth_header):
        raise UsageError("not a valid name for the credential's header", hint="such as authorization or x-api-key")
    if not _SCHEME.match(upstream.auth_scheme):
        raise UsageError("not a valid authentication scheme", hint="such as Bearer")
    for name, value in upstream.extra_headers.items():
        if not _HEADER.match(name) or not _HEADER_VALUE.match(value):
            raise UsageError(f"not a valid header: {name[:64]!a}")
    names = {upstream.auth_header, *upstream.extra_headers}
    if forbidden := names & _FORBIDDEN_HEADERS:
        raise UsageError(f"the gateway sets this header itself: {min(forbidden)}")


def _ca_file(path: str | None) -> str | None:
    if path is None:
        return None
    if not Path(path).is_file():
        raise UsageError(f"no such certificate file: {path}")
    return str(Path(path).absolute())
