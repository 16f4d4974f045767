"""8. Every slot lost → plain words, an exit code, and nothing overwritten."""

from __future__ import annotations

from keyvault.errors import Exit
from keyvault.home import Home
from tests.attacks.conftest import read, write
from tests.cli.conftest import Gwctl

COMMANDS = ("vault unlock", "vault rotate-data", "vault rotate-pepper", "vault slots create recovery --recovery-out R",
            "keys create bot --json", "upstreams create o --provider openai --secret-stdin", "init --yes")  # fmt: skip


def everything(gwctl: Gwctl) -> list[object]:
    tables = ("vault_slots", "vault_generations", "sealed_records", "keys", "upstreams")
    return [read(gwctl.home, f"SELECT * FROM {table} ORDER BY 1") for table in tables]


def each_is_refused(gwctl: Gwctl, said: str) -> None:
    before = everything(gwctl)
    for command in COMMANDS:
        refused = gwctl(*command.split(), stdin="sk-x")
        assert refused.code == (Exit.CONFLICT if command.startswith("init") else Exit.LOCKED), command
        assert said in refused.err or command.startswith("init")
        assert "Traceback" not in refused.err
    assert everything(gwctl) == before


def test_the_key_file_is_gone(gwctl: Gwctl, home: Home) -> None:
    (gwctl.home / "config" / "unlock.key").unlink()
    each_is_refused(gwctl, "the vault is locked")
    assert not (gwctl.home / "config" / "unlock.key").exists()


def test_the_rows_of_the_slots_are_gone(gwctl: Gwctl, home: Home) -> None:
    key = (gwctl.home / "config" / "unlock.key").read_bytes()
    write(gwctl.home, "DELETE FROM vault_slots")
    each_is_refused(gwctl, "the vault has no slots left")
    assert (gwctl.home / "config" / "unlock.key").read_bytes() == key


def test_what_needs_no_unlocking_still_works(gwctl: Gwctl, home: Home) -> None:
    gwctl("keys", "create", "bot", "--json")
    (gwctl.home / "config" / "unlock.key").unlink()
    assert gwctl("keys", "list").code == 0
    assert gwctl("keys", "revoke", "bot", "--yes").code == 0
    assert gwctl("usage").code == 0
    assert gwctl("vault", "status").code == 0
