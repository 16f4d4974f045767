"""Passphrase slots: their parameters are limited before any memory is asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from keyvault.errors import Tampered, UsageError
from keyvault.secrets import Secret
from keyvault.vault.passphrase import Argon2Parameters, check_new, derive_secret, normalised

WRITTEN = {"kdf": "argon2id", "salt": "00" * 16, "memory_kib": 65536, "iterations": 3, "lanes": 4}
CHEAP = Argon2Parameters(salt="00" * 16, memory_kib=64, iterations=1, lanes=1)


def test_the_usual_cost_is_64_mib_three_passes_four_lanes() -> None:
    parameters = Argon2Parameters("00" * 16)
    assert json.loads(parameters.to_json()) == WRITTEN
    assert Argon2Parameters.from_json(parameters.to_json()) == parameters


@pytest.mark.parametrize(
    "change",
    [
        {"memory_kib": 64 * 1024 * 1024},
        {"memory_kib": 2**63},
        {"iterations": 10**6},
        {"lanes": 10**6},
        {"memory_kib": 0},
        {"memory_kib": -1},
        {"memory_kib": 8},
        {"memory_kib": True},
        {"memory_kib": 65536.0},
        {"memory_kib": "65536"},
        {"iterations": None},
        {"salt": "00"},
        {"salt": "zz" * 16},
        {"salt": 7},
        {"kdf": "scrypt"},
        {"surprise": 1},
    ],
    ids=str,
)
def test_parameters_that_were_never_written_are_refused_before_allocation(change: dict[str, Any]) -> None:
    with pytest.raises(Tampered):
        Argon2Parameters.from_json(json.dumps({**WRITTEN, **change}))


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", "[" * 100_000, '{"kdf":"argon2id"}'], ids=lambda t: t[:20])
def test_parameters_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(Tampered):
        Argon2Parameters.from_json(text)


def test_a_composed_and_a_decomposed_umlaut_are_the_same_passphrase() -> None:
    assert derive_secret(normalised("pa\u00df\u00fc"), CHEAP) == derive_secret(normalised("pa\u00dfu\u0308"), CHEAP)


def test_a_short_passphrase_is_refused_for_a_new_slot_without_showing_it() -> None:
    with pytest.raises(UsageError, match="at least 12") as caught:
        check_new(Secret("hunter2"))
    assert "hunter2" not in str(caught.value)
    assert check_new(Secret("correct horse")) == b"correct horse"
