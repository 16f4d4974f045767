"""Upstreams and credentials for tests that need one without a vault."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from keyvault.clock import from_ms
from keyvault.domain.vault import Credential, CredentialState, Upstream
from keyvault.secrets import Secret
from keyvault.vault.upstreams import OpenUpstream


def credential(credential_id: int = 1, **changes: Any) -> Credential:
    """A current credential of upstream 1."""
    record_id = f"upstream-{credential_id}"
    made = Credential(credential_id, 1, "main", CredentialState.CURRENT, 1, record_id, from_ms(0), from_ms(0))
    return replace(made, **changes)


def opened(upstream: Upstream, secret: str | None = None, of: Credential | None = None) -> OpenUpstream:
    """An upstream with one of its credentials open."""
    sealed = None if secret is None else Secret(secret)
    return OpenUpstream(
        upstream, of or credential(), sealed, upstream.base_url, upstream.auth_header, upstream.auth_scheme
    )
