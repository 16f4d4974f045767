"""1. Any bit flipped, any truncation, bytes appended to a sealed record → typed error; `doctor` names the record."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from keyvault.errors import Exit, SealError
from keyvault.home import Home
from tests.attacks.conftest import read, write
from tests.cli.conftest import Gwctl

RECORD = (
    """id = (SELECT record_id FROM credentials WHERE upstream_id = (SELECT id FROM upstreams WHERE name = 'openai'))"""
)


def damaged(blob: bytes) -> Iterator[bytes]:
    for position in range(len(blob)):
        flipped = blob[position] ^ (1 << position % 8)
        yield blob[:position] + bytes([flipped]) + blob[position + 1 :]
        yield blob[:position]
    yield blob + b"\0"
    yield blob + blob


def test_a_damaged_record_never_opens(gwctl: Gwctl, home: Home) -> None:
    [(blob,)] = read(gwctl.home, f"SELECT blob FROM sealed_records WHERE {RECORD}")
    assert home.upstreams.open("openai").secret is not None
    for changed in damaged(bytes(blob)):
        write(gwctl.home, f"UPDATE sealed_records SET blob = ? WHERE {RECORD}", changed)
        with pytest.raises(SealError):
            home.upstreams.open("openai")
    write(gwctl.home, f"UPDATE sealed_records SET blob = ? WHERE {RECORD}", blob)
    assert home.upstreams.open("openai").secret is not None


@pytest.mark.parametrize("change", [lambda b: b[:100], lambda b: b + b"\0", lambda b: bytes(200), lambda b: b""])
def test_doctor_names_the_record(gwctl: Gwctl, home: Home, change: Callable[[bytes], bytes]) -> None:
    [(blob,)] = read(gwctl.home, f"SELECT blob FROM sealed_records WHERE {RECORD}")
    write(gwctl.home, f"UPDATE sealed_records SET blob = ? WHERE {RECORD}", change(bytes(blob)))
    found = gwctl("doctor", "--json")
    assert found.code == Exit.CHECK_FAILED
    assert "upstream openai" in found.out
    assert "canary" not in found.out + found.err
