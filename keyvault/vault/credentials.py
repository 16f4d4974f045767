"""The sealed credential of an upstream: the secret together with all that decides where and how it is sent.

The database's plain columns are for showing. Whoever edits one of them, exchanges records or moves one to another
upstream gets `Tampered` from here, and nothing is sent.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from keyvault.domain.vault import Upstream
from keyvault.errors import Tampered
from keyvault.secrets import Secret
from keyvault.storage.engine import Transaction
from keyvault.vault.open_vault import UPSTREAM_SECRET, OpenVault

PADDING_BYTES: Final = 64
"""Sealed records are padded to a multiple of this, so that their length tells little about the secret's."""


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


def seal_credential(
    tx: Transaction, opened: OpenVault, upstream: Upstream, record_id: str, secret: Secret | None
) -> None:
    """Write the first version of an upstream's sealed record; `secret` is None where none is needed."""
    opened.seal(tx, record_id, UPSTREAM_SECRET, _identity(upstream), _plaintext(upstream, secret), version=1)


def open_credential(tx: Transaction, opened: OpenVault, upstream: Upstream, record_id: str | None) -> OpenUpstream:
    """The upstream with its secret. Raises `Tampered` naming the upstream."""
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
        "dialects": sorted(upstream.dialects),
        "extra_headers": upstream.extra_headers,
        "allow_private": upstream.allow_private,
        "ca_file": upstream.ca_file,
    }


def _plaintext(upstream: Upstream, secret: Secret | None) -> bytes:
    """Canonical JSON, padded with spaces (which JSON ignores)."""
    content = {**_sealed_with(upstream), "secret": secret.reveal() if secret else None}
    text = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    return text.ljust(-(-len(text) // PADDING_BYTES) * PADDING_BYTES)
