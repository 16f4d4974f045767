"""10. Older program, newer format → refuses to write."""

from __future__ import annotations

from keyvault.domain.vault import Compartment
from keyvault.errors import Exit
from keyvault.home import Home
from tests.attacks.conftest import read, write
from tests.cli.conftest import Gwctl

TABLES = ("vault_slots", "vault_generations", "sealed_records", "keys", "upstreams", "audit")


def content(gwctl: Gwctl) -> list[object]:
    return [read(gwctl.home, f"SELECT * FROM {table} ORDER BY 1") for table in TABLES]


def test_a_newer_schema_is_refused_by_every_command_that_writes(gwctl: Gwctl, home: Home) -> None:
    write(gwctl.home, "UPDATE alembic_version SET version_num = '9999'")
    before = content(gwctl)
    for command in ("keys create bot --json", "vault rotate-data", "vault rotate-pepper", "customers create acme",
                    "upstreams disable openai", "vault slots create recovery --recovery-out R"):  # fmt: skip
        refused = gwctl(*command.split())
        assert refused.code == Exit.FAILURE, command
        assert "written by a newer version (schema 9999" in refused.err
    assert content(gwctl) == before


def test_a_record_of_a_newer_format_is_neither_read_nor_sealed_anew(gwctl: Gwctl, home: Home) -> None:
    """The rest of the rotation goes on; the record keeps its bytes and the data key that opens it."""
    home.vault.unlock()
    record_id, blob = read(gwctl.home, "SELECT id, blob FROM sealed_records WHERE purpose = 'upstream-secret'")[0]
    newer = blob[:3] + b"\2" + blob[4:]
    write(gwctl.home, "UPDATE sealed_records SET blob = ? WHERE id = ?", newer, record_id)
    home.database.sealer = None  # the newer program has vouched for what it wrote
    done = home.data_keys.rotate(Compartment.UPSTREAM)
    assert (done.rewrapped, done.left, done.destroyed) == (1, (record_id,), ())
    assert read(gwctl.home, "SELECT blob FROM sealed_records WHERE id = ?", record_id) == [(newer,)]


def test_a_slot_of_a_newer_format_is_left_alone(gwctl: Gwctl, home: Home) -> None:
    [(wrapped,)] = read(gwctl.home, "SELECT wrapped FROM vault_slots")
    write(gwctl.home, "UPDATE vault_slots SET wrapped = ?", wrapped[:4] + b"\7" + wrapped[5:])
    before = content(gwctl)
    refused = gwctl("vault", "slots", "create", "recovery", "--recovery-out", str(gwctl.home / "code"))
    assert refused.code == Exit.FAILURE
    assert "written by a newer version" in refused.err
    assert content(gwctl) == before
