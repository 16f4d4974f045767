"""Answers the Vault view's question. It never opens the vault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from keyvault.domain.vault import Credential, CredentialState
from opsconsole.readers.around import Surroundings
from opsconsole.readers.names import names_of
from opsconsole.view.live import reading
from opsconsole.view.snapshot import TargetTraffic
from opsconsole.view.vault.snapshot import Account, VaultFacts, VaultQuestion, VaultSnapshot, state_of

if TYPE_CHECKING:
    from keyvault.home import Home

FACTS_AGE: Final = timedelta(seconds=5)
_LOOKED_BACK: Final = timedelta(minutes=5)


class VaultReader:
    def __init__(self, home: Home, around: Surroundings, zone: str) -> None:
        self._home = home
        self._around = around
        self._zone = zone
        self._facts: tuple[datetime, VaultFacts] | None = None

    def read(self, question: VaultQuestion) -> VaultSnapshot:
        home = self._home
        now = home.clock.now()
        traffic = self._traffic()
        accounts = tuple(
            Account(upstream, credential, state_of(upstream, credential, now), traffic.get(upstream.name))
            for upstream, found in home.credentials.by_upstream()
            for credential in _shown(found, now)
        )
        return VaultSnapshot(
            question=question,
            taken_at=now,
            accounts=accounts,
            vault=self._vault(now),
            names=names_of(home.routes.current(), self._around),
            **self._around.read(now, home.workers.live()),
        )

    def _traffic(self) -> Mapping[str, TargetTraffic]:
        live = self._home.reports.live(_LOOKED_BACK, "target", self._zone)
        return by_upstream(reading.targets(live.targets, ()))

    def _vault(self, now: datetime) -> VaultFacts:
        if self._facts is not None and now - self._facts[0] < FACTS_AGE:
            return self._facts[1]
        status = self._home.vault.status()
        facts = VaultFacts(
            vault_id=status.vault_id,
            slots=status.slots,
            data_keys=status.data_keys,
            records=sum(status.records.values()),
            peppers=len(status.peppers),
            old_pepper_tokens=status.old_pepper_tokens,
            last_done=status.last_done,
        )
        self._facts = (now, facts)
        return facts


def _shown(found: Sequence[Credential], now: datetime) -> list[Credential | None]:
    """All but the retired ones; None for an upstream that has none."""
    credentials: list[Credential | None] = [each for each in found if each.state_at(now) is not CredentialState.RETIRED]
    return credentials or [None]


def by_upstream(targets: tuple[TargetTraffic, ...]) -> Mapping[str, TargetTraffic]:
    """What the targets of each upstream did together. The latency is that of the busiest."""
    summed: dict[str, TargetTraffic] = {}
    for target in sorted(targets, key=lambda each: -each.attempts):
        name = target.target.partition("/")[0]
        before = summed.get(name)
        if before is None:
            summed[name] = TargetTraffic(
                name, target.attempts, target.failures, target.per_second, target.first_p50_ms, target.disabled
            )
        else:
            summed[name] = TargetTraffic(
                name,
                before.attempts + target.attempts,
                before.failures + target.failures,
                before.per_second + target.per_second,
                before.first_p50_ms,
                before.disabled,
            )
    return summed
