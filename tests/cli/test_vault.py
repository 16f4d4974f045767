"""`gwctl vault`: what it holds, and the ways to open it."""

from __future__ import annotations

import stat
from pathlib import Path

from keyvault.errors import Exit
from keyvault.vault.history import DUTIES
from tests.cli.conftest import Gwctl

SLOT = {"id", "kind", "scope", "detail", "created_at"}


def test_the_status_needs_no_unlocking(gwctl: Gwctl) -> None:
    (gwctl.home / "config" / "unlock.key").unlink()
    status = gwctl("vault", "status", "--json").json
    last = {f"{duty}_at" for duty in DUTIES}
    assert set(status) == {"vault_id", "records", "old_pepper_tokens", "slots", "data_keys", "peppers", *last}
    assert {status[name] for name in last} == {None}
    assert [(pepper["version"], pepper["tokens"]) for pepper in status["peppers"]] == [(1, 0)]
    assert status["records"] == {"pepper": 1}
    assert {key["compartment"] for key in status["data_keys"]} == {"upstream", "keys"}
    assert set(status["slots"][0]) == SLOT
    assert "gw_" not in gwctl("vault", "status").out


def test_a_key_slot_for_cron_opens_no_provider_secret(gwctl: Gwctl, tmp_path: Path) -> None:
    file = tmp_path / "cron.key"
    made = gwctl("vault", "slots", "create", "file", "--scope", "keys", "--key-file", str(file), "--json").json
    assert (made["kind"], made["scope"], made["detail"]) == ("file", "keys", str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() not in str(made)
    environ = {"GWCTL_KEY_FILE": str(file)}
    made = gwctl("upstreams", "create", "openai", "--provider", "openai", "--secret-stdin", stdin="sk-of-the-provider")
    assert made.code == 0
    assert gwctl("keys", "create", "bot", "--json", environ=environ).code == 0
    assert gwctl("keys", "rotate", "bot", "--json", environ=environ).json["changed"] is True
    opening = gwctl("upstreams", "test", "openai", environ=environ)
    assert (opening.code, "opens only the keys compartment" in opening.err) == (Exit.LOCKED, True)
    assert "sk-of" not in opening.out + opening.err
    create = "upstreams create other --provider openai --secret-stdin"
    assert gwctl(*create.split(), stdin="sk-x\n", environ=environ).code == Exit.LOCKED


def test_a_passphrase_slot_opens_the_vault(gwctl: Gwctl) -> None:
    phrase = "correct horse battery staple\n"
    made = gwctl("vault", "slots", "create", "passphrase", "--secret-stdin", "--json", stdin=phrase)
    assert made.json["kind"] == "passphrase"
    assert "correct horse" not in made.out + made.err
    assert gwctl("vault", "slots", "list", "-o", "name").out == "file-1\npassphrase-1\n"
    assert gwctl("__complete", "vault", "slots", "").out.startswith("list\t")


def test_a_recovery_code_is_written_only_where_it_was_asked_to(gwctl: Gwctl, tmp_path: Path) -> None:
    lost = gwctl("vault", "slots", "create", "recovery", "--json")
    assert lost.code == Exit.USAGE
    assert "--recovery-out FILE" in lost.err
    file = tmp_path / "recovery"
    made = gwctl("vault", "slots", "create", "recovery", "--recovery-out", str(file), "--json")
    assert made.code == 0
    assert file.read_text().strip() not in made.out + made.err
    again = gwctl("vault", "slots", "create", "recovery", "--recovery-out", str(file))
    assert again.code == Exit.CONFLICT
    assert len(gwctl("vault", "slots", "list", "--json").json["slots"]) == 2


def test_deleting_a_slot_needs_its_name_and_the_last_one_stays(gwctl: Gwctl, tmp_path: Path) -> None:
    assert gwctl("vault", "slots", "delete", "file-1", "--confirm", "file-1").code == Exit.CONFLICT
    gwctl("vault", "slots", "create", "recovery", "--recovery-out", str(tmp_path / "recovery"))
    assert gwctl("vault", "slots", "delete", "recovery-1").code == Exit.USAGE
    assert gwctl("vault", "slots", "delete", "recovery-1", "--dry-run").code == 0
    gone = gwctl("vault", "slots", "delete", "recovery-1", "--confirm", "recovery-1", "--json").json
    assert gone["deleted"] is True
    assert gwctl("vault", "slots", "list", "-o", "name").out == "file-1\n"


def test_a_dry_run_makes_no_slot_and_no_file(gwctl: Gwctl, tmp_path: Path) -> None:
    file = tmp_path / "new.key"
    assert gwctl("vault", "slots", "create", "file", "--key-file", str(file), "--dry-run").code == 0
    assert not file.exists()
    assert gwctl("vault", "slots", "list", "-o", "name").out == "file-1\n"


def test_a_key_file_is_never_overwritten(gwctl: Gwctl) -> None:
    before = (gwctl.home / "config" / "unlock.key").read_bytes()
    assert gwctl("vault", "slots", "create", "file").code == Exit.CONFLICT
    assert (gwctl.home / "config" / "unlock.key").read_bytes() == before
