"""What the vault holds, without its secrets: slots, generations, upstreams and the states of their credentials."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from keyvault.domain.endpoints import Dialect


class Compartment(StrEnum):
    """Two sets of data keys, so that a slot may open the second without the first."""

    UPSTREAM = "upstream"
    """Provider secrets."""
    KEYS = "keys"
    """The peppers of downstream tokens."""


class SlotKind(StrEnum):
    FILE = "file"
    KEYRING = "keyring"
    PASSPHRASE = "passphrase"
    RECOVERY = "recovery"


class SlotScope(StrEnum):
    ALL = "all"
    KEYS = "keys"
    """Opens only the `keys` compartment."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One way to open the vault."""

    id: str
    kind: SlotKind
    scope: SlotScope
    created_at: datetime
    detail: str = ""
    """Where the unlock secret is kept, for people: a path, a keyring backend."""


@dataclass(frozen=True, slots=True)
class DataKey:
    """One generation of a compartment's data key, without the key."""

    number: int
    compartment: Compartment
    state: str
    """`primary`, `decrypt-only` or `destroyed`."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Upstream:
    """A named provider account. Its credential is sealed; this is what may be shown."""

    id: int
    name: str
    provider: str
    base_url: str
    """Scheme, host, optional port and path prefix such as `https://api.openai.com/v1`, without a trailing slash."""
    dialects: frozenset[Dialect]
    auth_header: str
    """Lower case; empty when the upstream needs no credential."""
    auth_scheme: str
    """`Bearer` or empty."""
    stream_usage: bool
    """Takes `stream_options.include_usage`."""
    catalogue: str | None
    """The provider whose catalogue prices apply (a genai-prices provider id), or None."""
    created_at: datetime
    disabled: bool = False
    allow_private: bool = False
    """May resolve to loopback, private or link-local addresses, and use plain http."""
    ca_file: str | None = None
    has_secret: bool = True
    verified_at: datetime | None = None
    """When `upstreams test` last had a good answer; None: untried."""
    verified_note: str = ""
    extra_headers: dict[str, str] = field(default_factory=dict)
    """Sent with each request unless the client sent its own, e.g. `anthropic-version`."""


class CredentialState(StrEnum):
    """The life of a credential, in this order; an undone rotation lets `current` and `previous` change places."""

    STAGED = "staged"
    """Sealed, and not yet seen to work: no traffic."""
    TESTED = "tested"
    """A real call with it was answered well; still no traffic."""
    CURRENT = "current"
    PREVIOUS = "previous"
    """Replaced, and usable until its overlap is over."""
    RETIRED = "retired"
    """Its secret is destroyed."""


@dataclass(frozen=True, slots=True)
class Credential:
    """One secret of an upstream, without the secret."""

    id: int
    upstream_id: int
    label: str
    """Which account of the upstream; each label has at most one staged, one current and one previous credential."""
    state: CredentialState
    weight: int
    """Its share of the upstream's requests, among the current credentials."""
    record_id: str
    """Its sealed record."""
    created_at: datetime
    changed_at: datetime
    """When it got into its state."""
    until: datetime | None = None
    """When a previous one is retired."""
    tested_at: datetime | None = None
    test_note: str = ""
    """What came of its last test."""
    aside_at: datetime | None = None
    """Since when it gets no traffic because the provider refuses it."""
    aside_note: str = ""

    def state_at(self, now: datetime) -> CredentialState:
        """Its state, with an overlap that is over counted as over."""
        if self.state is CredentialState.PREVIOUS and self.until is not None and self.until <= now:
            return CredentialState.RETIRED
        return self.state

    @property
    def is_staged(self) -> bool:
        """It waits for its promotion."""
        return self.state in (CredentialState.STAGED, CredentialState.TESTED)
