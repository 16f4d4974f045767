"""`gwctl init`: what it makes, what it refuses, and where the recovery code goes."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from keyvault.errors import Exit
from tests.cli.conftest import Gwctl


def modes(root: Path) -> dict[str, int]:
    return {str(p.relative_to(root)): stat.S_IMODE(p.stat().st_mode) for p in root.rglob("*")}


def test_the_json_names_home_database_vault_and_slots(nowhere: Gwctl) -> None:
    ran = nowhere("init", "--yes", "--unlock", "file", "--json")
    made = ran.json
    assert set(made) == {"home", "database", "vault_id", "slots"}
    assert made["home"] == str(nowhere.home)
    assert made["database"] == f"sqlite:///{nowhere.home}/data/gateway.db"
    assert [(slot["id"], slot["kind"], slot["scope"]) for slot in made["slots"]] == [("file-1", "file", "all")]
    assert set(made["slots"][0]) == {"id", "kind", "scope", "detail", "created_at"}
    assert made["slots"][0]["created_at"] == "2026-10-01T12:00:00.000Z"


def test_everything_it_makes_is_private(nowhere: Gwctl) -> None:
    nowhere("init", "--yes")
    found = modes(nowhere.home)
    assert {"config/config.toml", "config/unlock.key", "data/gateway.db"} <= set(found)
    assert {mode for name, mode in found.items() if "." in name} == {0o600}
    assert {mode for name, mode in found.items() if "." not in name} == {0o700}


def test_the_default_project_and_the_prices_are_there_at_once(gwctl: Gwctl) -> None:
    assert gwctl("projects", "list", "-o", "name").out == "default/default\n"
    assert gwctl("prices", "list", "--json").json["prices"]


def test_without_a_terminal_there_is_no_recovery_slot_and_a_warning(nowhere: Gwctl) -> None:
    ran = nowhere("init", "--yes")
    assert ran.code == 0
    assert "warning: no recovery slot was made" in ran.err
    assert "recovery code" not in ran.out


def test_the_recovery_code_goes_to_a_new_private_file_and_never_into_json(nowhere: Gwctl, tmp_path: Path) -> None:
    file = tmp_path / "recovery.txt"
    ran = nowhere("init", "--yes", "--recovery-out", str(file), "--json")
    code = file.read_text().strip()
    assert len(code.split("-")) == 14
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert code not in ran.out + ran.err
    assert [slot["kind"] for slot in ran.json["slots"]] == ["file", "recovery"]
    assert "warning: no recovery" not in ran.err


def test_an_existing_recovery_file_is_left_alone_and_nothing_is_set_up(nowhere: Gwctl, tmp_path: Path) -> None:
    file = tmp_path / "recovery.txt"
    file.write_text("precious")
    assert nowhere("init", "--yes", "--recovery-out", str(file)).code == Exit.CONFLICT
    assert file.read_text() == "precious"
    assert nowhere("keys", "list").code == Exit.NOT_FOUND


def test_an_existing_home_is_refused_and_untouched(gwctl: Gwctl) -> None:
    before = {p: p.read_bytes() for p in gwctl.home.rglob("*") if p.is_file()}
    ran = gwctl("init", "--yes", "--json")
    assert ran.code == Exit.CONFLICT
    assert ran.out == ""
    assert {p: p.read_bytes() for p in gwctl.home.rglob("*") if p.is_file()} == before


def test_a_database_without_its_configuration_is_not_overwritten(gwctl: Gwctl) -> None:
    (gwctl.home / "config" / "config.toml").unlink()
    ran = gwctl("init", "--yes")
    assert ran.code == Exit.CONFLICT
    assert "a database is there already" in ran.err


def test_a_configuration_without_its_database_says_so_to_everyone(gwctl: Gwctl) -> None:
    database = gwctl.home / "data" / "gateway.db"
    database.unlink()
    for words, code in (("keys list", Exit.NOT_FOUND), ("init --yes", Exit.CONFLICT)):
        ran = gwctl(*words.split())
        assert ran.code == code
        said = ran.err.splitlines()
        assert said[0] == f"gwctl: the database is missing: {database}"
        config = gwctl.home / "config"
        assert said[1] == f"gwctl: hint: restore it from a backup; to begin anew: mv {config} {config}.aside"
    (gwctl.home / "config").rename(gwctl.home / "config.aside")
    assert gwctl("init", "--yes").code == 0


def test_a_failure_leaves_no_half_made_home(nowhere: Gwctl) -> None:
    (nowhere.home / "config").mkdir(parents=True)
    (nowhere.home / "config" / "unlock.key").write_text("something else")
    assert nowhere("init", "--yes").code == Exit.CONFLICT
    assert not (nowhere.home / "data" / "gateway.db").exists()
    assert (nowhere.home / "config" / "unlock.key").read_text() == "something else"
    (nowhere.home / "config" / "unlock.key").unlink()
    assert nowhere("init", "--yes").code == 0


def test_a_configuration_that_cannot_be_written_leaves_no_key_behind(nowhere: Gwctl) -> None:
    in_the_way = nowhere.home / "config" / ".config.toml.new"
    in_the_way.mkdir(parents=True)
    assert nowhere("init", "--yes").code != 0
    assert [path for path in nowhere.home.rglob("*") if path.is_file()] == []
    in_the_way.rmdir()
    assert nowhere("init", "--yes").code == 0


def test_a_passphrase_comes_from_stdin_or_a_file_only(nowhere: Gwctl) -> None:
    assert nowhere("init", "--yes", "--unlock", "passphrase").code == Exit.USAGE
    ran = nowhere("init", "--yes", "--unlock", "passphrase", "--secret-stdin", stdin="correct horse battery staple\n")
    assert ran.code == 0, ran.err
    assert "correct horse" not in ran.out + ran.err
    assert nowhere("keys", "create", "bot", "--json").code == Exit.LOCKED


def test_a_dry_run_sets_nothing_up(nowhere: Gwctl) -> None:
    ran = nowhere("init", "--yes", "--dry-run")
    assert ran.code == 0
    assert "nothing was changed" in ran.err
    assert not nowhere.home.exists()


def test_a_person_confirms_and_sees_the_recovery_code_once(nowhere: Gwctl) -> None:
    assert nowhere("init", terminal=True, stdin="n\n").code == Exit.FAILURE
    assert not nowhere.home.exists()
    ran = nowhere("init", terminal=True, stdin="y\n")
    assert ran.code == 0
    assert "recovery code, shown this once" in ran.err
    assert ran.err.count("-") >= 13


def test_other_unlock_kinds_are_named_in_the_error(nowhere: Gwctl) -> None:
    ran = nowhere("init", "--yes", "--unlock", "recovery")
    assert ran.code == Exit.USAGE
    assert "beside another way" in ran.err


@pytest.mark.parametrize("url", ["mysql://root:hunter2@db/gw", "postgresql://gw:hunter2@127.0.0.1:1/gw"])
def test_a_database_that_cannot_be_used_is_an_error_without_its_password(nowhere: Gwctl, url: str) -> None:
    ran = nowhere("init", "--yes", environ={"GWCTL_DATABASE_URL": url})
    assert ran.code in (Exit.USAGE, Exit.UNAVAILABLE)
    assert "hunter2" not in ran.out + ran.err
    assert not (nowhere.home / "config" / "config.toml").exists()


def test_a_home_can_lie_on_postgresql(nowhere: Gwctl, postgresql_url: str) -> None:
    made = nowhere("init", "--yes", "--json", environ={"GWCTL_DATABASE_URL": postgresql_url}).json
    assert made["database"].startswith("postgresql://")
    assert nowhere("projects", "list", "-o", "name").out == "default/default\n"
    assert not (nowhere.home / "data" / "gateway.db").exists()
