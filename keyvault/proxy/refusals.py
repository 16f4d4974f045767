"""Whether a credential that a provider refused is really refused: asked off the hot path, with a call of its own.

One answer of 401 may be the provider's mistake, so it proves nothing. The credential's own test is made at most every
few seconds, one at a time, and only an answer that refuses it again lets it step aside: an outage never does. What
stands aside is tested again and again, more and more rarely, and comes back by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from keyvault.clock import Clock
from keyvault.domain.vault import Credential
from keyvault.proxy.choosing import ServingUpstream
from keyvault.vault.upstreams import OpenUpstream

if TYPE_CHECKING:
    from keyvault.vault.testing import TestResult

log = structlog.get_logger()

TEST_SECONDS: Final = 10.0
"""How long one test may take."""
AGAIN_SECONDS: Final = 10.0
"""A credential that was tested is not tested again for so long; the first wait of one that stands aside."""
MAX_WAIT_SECONDS: Final = 900.0

Ask = Callable[[OpenUpstream], "TestResult"]


@dataclass(slots=True)
class _Wait:
    until: float
    seconds: float


class KeepsAside(Protocol):
    """Keeps which credentials stand aside."""

    def step_aside(self, credential: Credential, name: str, note: str) -> bool: ...

    def come_back(self, credential: Credential, name: str) -> bool: ...


class Refusals:
    """Looks into refused credentials and into those that stand aside. `look` blocks: call it from a thread."""

    def __init__(self, asides: KeepsAside, clock: Clock, ask: Ask) -> None:
        self._asides = asides
        self._clock = clock
        self._ask = ask
        self._waits: dict[int, _Wait] = {}

    def look(self, refused: Iterable[ServingUpstream], serving: Iterable[ServingUpstream]) -> None:
        """Test what is due: refused credentials, and those aside whose wait is over."""
        aside = [each for each in serving if each.credential.aside_at is not None]
        known = {each.credential_id for each in aside}
        for each in [*(each for each in refused if each.credential_id not in known), *aside]:
            if self._is_due(each):
                self._test(each)

    def _is_due(self, each: ServingUpstream) -> bool:
        wait = self._waits.get(each.credential_id)
        return wait is None or self._clock.monotonic() >= wait.until

    def _test(self, each: ServingUpstream) -> None:
        name, credential = each.opened.upstream.name, each.credential
        result = self._ask(each.opened)
        if result.refuses_credential:
            if self._asides.step_aside(credential, name, f"http status {result.status}"):
                log.error("credential stands aside", upstream=name, label=credential.label, status=result.status)
            self._wait_longer(each.credential_id)
        elif result.ok and credential.aside_at is not None:
            if self._asides.come_back(credential, name):
                log.warning("credential is back", upstream=name, label=credential.label)
            self._waits.pop(each.credential_id, None)
        else:
            self._wait(each.credential_id, AGAIN_SECONDS)

    def _wait_longer(self, credential_id: int) -> None:
        before = self._waits.get(credential_id)
        self._wait(credential_id, min(before.seconds * 2, MAX_WAIT_SECONDS) if before else AGAIN_SECONDS)

    def _wait(self, credential_id: int, seconds: float) -> None:
        self._waits[credential_id] = _Wait(self._clock.monotonic() + seconds, seconds)


def own_test(environ: Mapping[str, str]) -> Ask:
    """The cheapest call that needs the credential: the list of models, else the smallest request there is."""

    def ask(opened: OpenUpstream) -> TestResult:
        from keyvault.vault.testing import list_models, test_upstream  # with httpx 3 MB, hardly ever needed

        listed = list_models(opened, TEST_SECONDS, environ=environ)
        if listed.ok or listed.refuses_credential:
            return listed
        return test_upstream(opened, timeout=TEST_SECONDS, environ=environ)

    return ask
