"""2. Two rows' records swapped, or one copied to a new id → tampered, and nothing is sent."""

from __future__ import annotations

import pytest

from keyvault.errors import Tampered
from keyvault.home import Home
from tests.attacks.conftest import read, write
from tests.cli.conftest import Gwctl

OF = "(SELECT record_id FROM credentials WHERE upstream_id = (SELECT id FROM upstreams WHERE name = ?))"


def blob(gwctl: Gwctl, name: str) -> bytes:
    [(found,)] = read(gwctl.home, f"SELECT blob FROM sealed_records WHERE id = {OF}", name)
    return bytes(found)


def refused(home: Home, name: str) -> bool:
    with pytest.raises(Tampered, match=f"upstream {name} was changed"):
        home.upstreams.open(name)
    return True


def test_swapped_records_open_for_neither(gwctl: Gwctl, home: Home) -> None:
    home.upstreams.open("openai")
    first, second = blob(gwctl, "openai"), blob(gwctl, "mistral")
    write(gwctl.home, f"UPDATE sealed_records SET blob = ? WHERE id = {OF}", second, "openai")
    write(gwctl.home, f"UPDATE sealed_records SET blob = ? WHERE id = {OF}", first, "mistral")
    assert refused(home, "openai")
    assert refused(home, "mistral")


def test_a_record_copied_to_a_new_id_does_not_open(gwctl: Gwctl, home: Home) -> None:
    home.upstreams.open("openai")
    copy = "INSERT INTO sealed_records SELECT 'upstream-copy', purpose, generation, version, blob, updated_ms"
    write(gwctl.home, f"{copy} FROM sealed_records WHERE id = {OF}", "openai")
    write(gwctl.home, f"UPDATE credentials SET record_id = 'upstream-copy' WHERE record_id = {OF}", "openai")
    assert refused(home, "openai")


def test_a_fresh_command_refuses_the_whole_database(gwctl: Gwctl, home: Home) -> None:
    first = blob(gwctl, "openai")
    write(gwctl.home, f"UPDATE sealed_records SET blob = ? WHERE id = {OF}", first, "mistral")
    opened = gwctl("vault", "unlock")
    assert opened.code != 0
    assert "put back" in opened.err or "changed" in opened.err
