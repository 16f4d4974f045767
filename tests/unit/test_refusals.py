"""A credential steps aside only when its own test says so, and comes back by itself."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from keyvault.domain.vault import Credential
from keyvault.proxy.choosing import ServingUpstream
from keyvault.proxy.refusals import MAX_WAIT_SECONDS, Refusals
from keyvault.vault.testing import TestResult
from keyvault.vault.upstreams import OpenUpstream
from tests.conftest import FrozenClock
from tests.unit.test_choosing import NOW, UPSTREAM
from tests.upstreams import credential, opened

GOOD = TestResult(True, "models", 5, 200)
REFUSED = TestResult(False, "models", 5, 401, error_code="invalid_api_key")
FORBIDDEN = TestResult(False, "models", 5, 403, error_code="model_not_allowed")
BROKEN = TestResult(False, "models", 5, 500, error_code="server_error")
SILENT = TestResult(False, "models", 5, error_code="connect_timeout")


@dataclass
class Stage:
    """Plays the provider and the vault's service."""

    clock: FrozenClock = field(default_factory=FrozenClock)
    answer: TestResult = REFUSED
    asked: int = 0
    said: list[str] = field(default_factory=list)

    def ask(self, _: OpenUpstream) -> TestResult:
        self.asked += 1
        return self.answer

    def step_aside(self, credential: Credential, name: str, note: str) -> bool:
        self.said.append(f"{name} {credential.id} aside: {note}")
        return True

    def come_back(self, credential: Credential, name: str) -> bool:
        self.said.append(f"{name} {credential.id} back")
        return True


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def refusals(stage: Stage) -> Refusals:
    return Refusals(stage, stage.clock, stage.ask)


def serving(credential_id: int = 1, *, aside: bool = False) -> ServingUpstream:
    return ServingUpstream(opened(UPSTREAM, "sk-1", credential(credential_id, aside_at=NOW if aside else None)))


def test_a_refusal_that_its_own_test_confirms_lets_a_credential_step_aside(stage: Stage, refusals: Refusals) -> None:
    refusals.look([serving()], [serving()])
    assert stage.said == ["up 1 aside: http status 401"]


@pytest.mark.parametrize("answer", [GOOD, BROKEN, SILENT, FORBIDDEN], ids=lambda each: str(each.status))
def test_nothing_else_lets_it_step_aside_not_even_an_outage(
    stage: Stage, refusals: Refusals, answer: TestResult
) -> None:
    stage.answer = answer
    refusals.look([serving()], [serving()])
    assert (stage.asked, stage.said) == (1, [])


def test_a_credential_that_nobody_doubts_is_not_tested(stage: Stage, refusals: Refusals) -> None:
    refusals.look([], [serving()])
    assert stage.asked == 0


def test_a_credential_is_not_tested_again_and_again_however_often_it_is_doubted(
    stage: Stage, refusals: Refusals
) -> None:
    stage.answer = BROKEN
    for _ in range(5):
        refusals.look([serving()], [serving()])
        stage.clock.advance(seconds=1)
    assert stage.asked == 1
    stage.clock.advance(seconds=10)
    refusals.look([serving()], [serving()])
    assert stage.asked == 2


def test_what_stands_aside_is_tested_more_and_more_rarely_and_comes_back(stage: Stage, refusals: Refusals) -> None:
    times = []
    for second in range(200):
        before = stage.asked
        refusals.look([], [serving(aside=True)])
        if stage.asked > before:
            times.append(second)
        stage.clock.advance(seconds=1)
    assert times == [0, 10, 30, 70, 150]
    stage.answer = GOOD
    stage.clock.advance(seconds=MAX_WAIT_SECONDS)
    refusals.look([], [serving(aside=True)])
    assert stage.said[-1] == "up 1 back"


def test_an_outage_while_aside_proves_nothing_either_way(stage: Stage, refusals: Refusals) -> None:
    stage.answer = replace(SILENT)
    refusals.look([], [serving(aside=True)])
    assert stage.said == []
