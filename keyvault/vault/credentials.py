"""The sealed record of a credential: the secret together with all that decides where and how it is sent.

The database's plain columns are for showing. Whoever edits one of them, exchanges records or moves one to another
upstream or another credential gets `Tampered` from here, and nothing is sent.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from keyvault.domain.vault import Credential, Upstream
from keyvault.errors import Tampered
from keyvault.secrets import Secret
from keyvault.storage import credentials as rows
from keyvault.storage import vault as vault_rows
from keyvault.storage.engine import Transaction
from keyvault.vault.open_vault import UPSTREAM_SECRET, OpenVault

PADDING_BYTES: Final = 64
"""Sealed records are padded to a multiple of this, so that their length tells little about the secret's."""

FIRST_LABEL: Final = "main"


@dataclass(frozen=True, slots=True)
class OpenUpstream:
    """An upstream with one of its credentials, as the sealed record says."""

    upstream: Upstream
    credential: Credential
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


def seal_credential(
    tx: Transaction, opened: OpenVault, upstream: Upstream, credential: Credential, secret: Secret | None
) -> None:
    """Write a credential's sealed record; `secret` is None where the upstream needs none."""
    content = {**_sealed_with(upstream, credential), "secret": secret.reveal() if secret else None}
    opened.seal(tx, credential.record_id, UPSTREAM_SECRET, _identity(upstream), _padded(content), version=1)


def open_credential(tx: Transaction, opened: OpenVault, upstream: Upstream, credential: Credential) -> OpenUpstream:
    """The upstream with this secret. Raises `Tampered` naming the upstream."""
    changed = changed_upstream(upstream)
    try:
        sealed = json.loads(opened.open(tx, credential.record_id, _identity(upstream)))
    except Tampered:
        raise changed from None
    if not _fits(sealed, _sealed_with(upstream, credential)):
        raise changed
    secret = None if sealed["secret"] is None else Secret(sealed["secret"])
    return OpenUpstream(upstream, credential, secret, sealed["origin"], sealed["auth_header"], sealed["auth_scheme"])


def changed_upstream(upstream: Upstream) -> Tampered:
    return Tampered(
        f"upstream {upstream.name} was changed by something else than gwctl; nothing is sent to it",
        hint=f"gwctl upstreams delete {upstream.name}, then create it again",
    )


def destroy_secret(tx: Transaction, credential: Credential) -> None:
    """Delete the sealed record of a credential; on disk it is overwritten."""
    vault_rows.delete_record(tx, credential.record_id)


def record_identity(tx: Transaction, record_id: str) -> tuple[str, str]:
    """What `OpenVault.open` and `seal` take as the identity of a sealed credential, for whoever seals records anew
    without knowing what they are. Raises `Tampered` for a record that belongs to no credential."""
    found = rows.upstream_of_record(tx, record_id)
    if found is None:
        raise Tampered(f"sealed record {record_id} belongs to no credential", hint="gwctl doctor")
    return found


def _identity(upstream: Upstream) -> tuple[str, str]:
    return upstream.provider, upstream.base_url


def _sealed_with(upstream: Upstream, credential: Credential) -> dict[str, Any]:
    """All that decides where and how a credential is sent, whose it is, and which of them."""
    return {
        "upstream": upstream.name,
        "origin": upstream.base_url,
        "auth_header": upstream.auth_header,
        "auth_scheme": upstream.auth_scheme,
        "dialects": sorted(upstream.dialects),
        "extra_headers": upstream.extra_headers,
        "allow_private": upstream.allow_private,
        "ca_file": upstream.ca_file,
        "credential": credential.id,
        "label": credential.label,
    }


def _fits(sealed: dict[str, Any], expected: dict[str, Any]) -> bool:
    """Whether a record says what the rows say. A record from before an upstream could have several credentials names
    none: it is the first one's."""
    if "label" not in sealed:
        sealed = {**sealed, "label": FIRST_LABEL, "credential": expected["credential"]}
    return {name: sealed.get(name) for name in expected} == expected


def _padded(content: dict[str, Any]) -> bytes:
    """Canonical JSON, padded with spaces (which JSON ignores)."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    return text.ljust(-(-len(text) // PADDING_BYTES) * PADDING_BYTES)
