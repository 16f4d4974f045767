"""What the Vault view knows at one moment. No secret is in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from keyvault.domain.vault import Credential, CredentialState, DataKey, Slot, Upstream
from opsconsole.view.snapshot import Question, Snapshot, TargetTraffic
from opsconsole.view.staging.snapshot import NO_NAMES, Names


@dataclass(frozen=True, slots=True)
class VaultQuestion(Question):
    """What the Vault view wants to know."""


@dataclass(frozen=True, slots=True)
class Account:
    """One line: a credential of an upstream, or an upstream that needs none."""

    upstream: Upstream
    credential: Credential | None
    state: str
    """`current`, `staged`, `tested`, `previous`, `refused`, `disabled`, `open`."""
    traffic: TargetTraffic | None = None
    """What its upstream did in the last minutes, all targets together; None: nothing."""

    @property
    def key(self) -> tuple[str, ...]:
        """Which line it is in the next snapshot: a rotation makes new ones."""
        if self.credential is None:
            return (self.upstream.name,)
        return self.upstream.name, self.credential.label, self.credential.state.value


def state_of(upstream: Upstream, credential: Credential | None, now: datetime) -> str:
    """How an account stands, in a word."""
    if upstream.disabled:
        return "disabled"
    if credential is None:
        return "open"
    state = credential.state_at(now)
    if state is CredentialState.CURRENT and credential.aside_at is not None:
        return "refused"
    return state.value


@dataclass(frozen=True, slots=True)
class VaultFacts:
    """The vault itself, as far as it can be told without opening it."""

    vault_id: str
    slots: tuple[Slot, ...]
    data_keys: tuple[DataKey, ...]
    records: int
    peppers: int
    old_pepper_tokens: int
    last_done: Mapping[str, datetime | None]
    """Duty → when it was last done, None: never."""


@dataclass(frozen=True, slots=True)
class VaultSnapshot(Snapshot):
    """The answer to a `VaultQuestion`."""

    question: VaultQuestion
    accounts: tuple[Account, ...] = ()
    vault: VaultFacts | None = None
    names: Names = NO_NAMES
