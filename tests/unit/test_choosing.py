"""Which credential of an upstream a request goes with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest

from keyvault.clock import from_ms
from keyvault.domain.endpoints import Dialect
from keyvault.domain.vault import Credential, CredentialState, Upstream
from keyvault.proxy.choosing import Chooser, smooth
from keyvault.vault.upstreams import Opened
from tests.upstreams import credential, opened

NOW = datetime(2026, 10, 1, tzinfo=UTC)
UPSTREAM = Upstream(
    id=1, name="up", provider="openai", base_url="https://api.example.com/v1", dialects=frozenset({Dialect.CHAT}),
    auth_header="authorization", auth_scheme="Bearer", stream_usage=True, catalogue=None, created_at=from_ms(0),
)  # fmt: skip


def chooser(*found: Credential) -> Chooser:
    usable = [each for each in found if each.state in (CredentialState.CURRENT, CredentialState.PREVIOUS)]
    return Chooser(Opened(UPSTREAM, [opened(UPSTREAM, f"sk-{each.id}", each) for each in usable], found))


def turns(choice: Chooser, count: int) -> list[int]:
    return [choice.choose().credential_id for _ in range(count)]


def previous(credential_id: int, **changes: Any) -> Credential:
    return credential(credential_id, state=CredentialState.PREVIOUS, **changes)


@pytest.mark.parametrize(
    ("weights", "round_"),
    [
        ([1], [0]),
        ([7], [0]),
        ([1, 1], [0, 1]),
        ([2, 1], [0, 1, 0]),
        ([5, 1, 1], [0, 0, 1, 0, 2, 0, 0]),
        ([2, 4], [1, 0, 1]),
        ([0, 1], [1]),
        ([0, 0], [0, 1]),
        ([-3, 10**12], [1]),
    ],
    ids=str,
)
def test_turns_are_shared_by_weight_and_spread_evenly(weights: list[int], round_: list[int]) -> None:
    assert smooth(weights) == round_


def test_one_credential_is_chosen_again_and_again_as_the_same_object() -> None:
    choice = chooser(credential(1))
    assert len({id(choice.choose()) for _ in range(5)}) == 1


def test_current_credentials_take_turns_and_a_previous_one_takes_none() -> None:
    choice = chooser(credential(1, label="main", weight=2), credential(2, label="second"), previous(3))
    assert turns(choice, 6) == [1, 2, 1, 1, 2, 1]


def test_what_stands_aside_gets_no_turn() -> None:
    choice = chooser(credential(1, aside_at=NOW), credential(2, label="second"))
    assert turns(choice, 3) == [2, 2, 2]


def test_the_previous_credential_is_the_last_resort() -> None:
    assert turns(chooser(previous(1), credential(2, aside_at=NOW)), 2) == [1, 1]


def test_where_all_stand_aside_the_one_that_was_refused_last_is_still_tried() -> None:
    later = NOW + timedelta(minutes=5)
    assert turns(chooser(credential(1, aside_at=NOW), credential(2, label="b", aside_at=later)), 2) == [2, 2]


def test_what_was_made_with_a_credential_goes_with_it_as_long_as_its_secret_exists() -> None:
    choice = chooser(previous(1), credential(2))
    found = choice.by_id(1)
    assert found is not None
    assert found.auth == [(b"authorization", b"Bearer sk-1")]


def test_what_was_made_with_a_retired_credential_goes_with_the_one_that_took_its_place() -> None:
    retired = credential(1, label="second", state=CredentialState.RETIRED)
    choice = chooser(retired, credential(2), credential(3, label="second"))
    found = choice.by_id(1)
    assert found is not None
    assert found.credential_id == 3
    assert choice.by_id(99) is None


def test_another_credential_stands_in_for_a_refused_one_if_there_is_one() -> None:
    assert chooser(credential(1)).instead_of(1) is None
    second = chooser(previous(1), credential(2), credential(3, label="b", aside_at=NOW)).instead_of(2)
    assert second is not None
    assert second.credential_id == 1


def test_all_that_can_serve_can_be_gone_through() -> None:
    assert [each.credential_id for each in islice(chooser(previous(1), credential(2)), 5)] == [1, 2]
