"""`gwctl vault unlock`, `change-passphrase`, `test-recovery`, `rotate-data` and `rotate-pepper`, as they are typed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keyvault.errors import Exit
from keyvault.home import Home
from keyvault.keys.directory import Directory
from tests.cli.conftest import Gwctl

OLD, NEW = "correct horse battery staple", "another battery staple horse"


@contextmanager
def descriptor(content: str) -> Iterator[str]:
    read_end, write_end = os.pipe()
    os.write(write_end, content.encode())
    os.close(write_end)
    try:
        yield str(read_end)
    finally:
        os.close(read_end)


@pytest.fixture
def with_passphrase(gwctl: Gwctl) -> Gwctl:
    gwctl("vault", "slots", "create", "passphrase", "--secret-stdin", stdin=OLD)
    return gwctl


def outcomes(gwctl: Gwctl, **environ: str) -> dict[str, str]:
    ran = gwctl("vault", "unlock", "--explain", "-o", "csv", environ=environ)
    return dict(line.split(",")[:2] for line in ran.out.splitlines()[1:])


# --- unlock -------------------------------------------------------------------------------------------------------


def test_unlock_says_what_opens_the_vault_and_how_far(gwctl: Gwctl, tmp_path: Path) -> None:
    opened = gwctl("vault", "unlock", "--json").json
    assert opened["source"].startswith("key file ")
    assert (opened["scope"], opened["compartments"]) == ("all", ["upstream", "keys"])
    file = tmp_path / "cron.key"
    gwctl("vault", "slots", "create", "file", "--scope", "keys", "--key-file", str(file))
    opened = gwctl("vault", "unlock", "--json", environ={"GWCTL_KEY_FILE": str(file)}).json
    assert (opened["scope"], opened["compartments"]) == ("keys", ["keys"])


def test_unlock_without_anything_that_opens_is_exit_4(gwctl: Gwctl) -> None:
    (gwctl.home / "config" / "unlock.key").unlink()
    locked = gwctl("vault", "unlock")
    assert locked.code == Exit.LOCKED
    assert "GWCTL_KEY_FILE" in locked.err


def test_explain_tells_of_every_source_in_order(with_passphrase: Gwctl) -> None:
    told = with_passphrase("vault", "unlock", "--explain", "--json").json["sources"]
    assert [source["source"] for source in told] == [
        "GWCTL_UNLOCK_FD", "CREDENTIALS_DIRECTORY", "key file", "GWCTL_UNLOCK_COMMAND", "OS keyring",
        "GWCTL_PASSPHRASE_FD", "prompt",
    ]  # fmt: skip
    assert [source["outcome"] for source in told] == ["absent", "absent", "used", *["not asked"] * 4]
    assert told[2]["why"] == "scope all"


def test_explain_names_a_source_that_is_broken_and_asks_no_further(with_passphrase: Gwctl) -> None:
    key_file = with_passphrase.home / "config" / "unlock.key"
    key_file.chmod(0o644)
    refused = with_passphrase("vault", "unlock", "--explain", "--json")
    assert refused.code == Exit.LOCKED
    assert '"refused"' in refused.out
    assert "others" in refused.out
    key_file.unlink()
    with descriptor(OLD) as number:
        assert outcomes(with_passphrase, GWCTL_PASSPHRASE_FD=number)["GWCTL_PASSPHRASE_FD"] == "used"
    with descriptor("wrong horse battery staple") as number:
        assert outcomes(with_passphrase, GWCTL_PASSPHRASE_FD=number)["GWCTL_PASSPHRASE_FD"] == "refused"


# --- passphrase and recovery code ---------------------------------------------------------------------------------


def opens(gwctl: Gwctl, passphrase: str) -> bool:
    (gwctl.home / "config" / "unlock.key").unlink(missing_ok=True)
    with descriptor(passphrase + "\n") as number:
        return gwctl("vault", "unlock", environ={"GWCTL_PASSPHRASE_FD": number}).code == 0


def test_a_changed_passphrase_opens_and_the_old_one_does_not(with_passphrase: Gwctl) -> None:
    done = with_passphrase("vault", "change-passphrase", "--passphrase-stdin", "--json", stdin=NEW + "\n")
    assert (done.json["id"], done.json["replaces"]) == ("passphrase-2", "passphrase-1")
    assert NEW not in done.out + done.err
    assert with_passphrase("vault", "status", "--json").json["passphrase_changed_at"] == "2026-10-01T12:00:00.000Z"
    assert opens(with_passphrase, NEW)
    assert not opens(with_passphrase, OLD)


def test_the_new_passphrase_may_come_from_a_descriptor_while_the_old_one_unlocks(with_passphrase: Gwctl) -> None:
    (with_passphrase.home / "config" / "unlock.key").unlink()
    with descriptor(OLD) as old, descriptor(NEW) as new:
        environ = {"GWCTL_PASSPHRASE_FD": old, "GWCTL_NEW_PASSPHRASE_FD": new}
        assert with_passphrase("vault", "change-passphrase", environ=environ).code == 0
    assert opens(with_passphrase, NEW)


@pytest.mark.parametrize("words", ["--passphrase-stdin --dry-run", "--passphrase-stdin --slot passphrase-9"])
def test_a_passphrase_that_was_not_changed_still_opens(with_passphrase: Gwctl, words: str) -> None:
    with_passphrase("vault", "change-passphrase", *words.split(), stdin=NEW)
    assert opens(with_passphrase, OLD)
    assert not opens(with_passphrase, NEW)


def test_a_short_or_missing_passphrase_is_refused(with_passphrase: Gwctl) -> None:
    assert with_passphrase("vault", "change-passphrase", "--passphrase-stdin", stdin="short").code == Exit.USAGE
    assert with_passphrase("vault", "change-passphrase").code == Exit.USAGE
    assert opens(with_passphrase, OLD)


def test_without_a_passphrase_slot_there_is_nothing_to_change(gwctl: Gwctl) -> None:
    assert gwctl("vault", "change-passphrase", "--passphrase-stdin", stdin=NEW).code == Exit.NOT_FOUND


def test_a_recovery_code_is_tried_out_and_the_day_remembered(gwctl: Gwctl, tmp_path: Path) -> None:
    file = tmp_path / "code"
    gwctl("vault", "slots", "create", "recovery", "--recovery-out", str(file))
    code = file.read_text()
    (gwctl.home / "config" / "unlock.key").unlink()
    tested = gwctl("vault", "test-recovery", "--secret-stdin", "--json", stdin=code.lower())
    assert (tested.json["id"], tested.json["opens"]) == ("recovery-1", True)
    assert gwctl("vault", "status", "--json").json["recovery_tested_at"] == "2026-10-01T12:00:00.000Z"
    wrong = gwctl("vault", "test-recovery", "--secret-stdin", stdin="X" + code[1:])
    assert wrong.code == Exit.LOCKED
    assert "checksum" in wrong.err


# --- data keys ----------------------------------------------------------------------------------------------------


def test_data_keys_are_rotated_in_both_compartments(gwctl: Gwctl) -> None:
    secret = gwctl("keys", "create", "bot", "-o", "secret").out.strip()
    done = gwctl("vault", "rotate-data", "--json").json["rotations"]
    assert [(r["compartment"], r["generation"], r["destroyed"]) for r in done] == [
        ("upstream", 3, [1]),
        ("keys", 4, [2]),
    ]
    status = gwctl("vault", "status", "--json").json
    assert [key["state"] for key in status["data_keys"]] == ["destroyed", "destroyed", "primary", "primary"]
    assert status["upstream_data_rotated_at"] == status["keys_data_rotated_at"] == "2026-10-01T12:00:00.000Z"
    assert authenticated(gwctl, secret)
    assert gwctl("doctor", "--json").code in (0, Exit.CHECK_FAILED)


def test_a_dry_run_rotates_nothing(gwctl: Gwctl) -> None:
    done = gwctl("vault", "rotate-data", "--compartment", "keys", "--dry-run", "--json").json["rotations"]
    assert (done[0]["rewrapped"], done[0]["dry_run"]) == (1, True)
    assert [key["state"] for key in gwctl("vault", "status", "--json").json["data_keys"]] == ["primary", "primary"]
    assert gwctl("vault", "rotate-pepper", "--dry-run").code == 0
    assert len(gwctl("vault", "status", "--json").json["peppers"]) == 1


def test_with_a_slot_of_scope_keys_nothing_of_the_providers_is_begun(gwctl: Gwctl, tmp_path: Path) -> None:
    file = tmp_path / "cron.key"
    gwctl("vault", "slots", "create", "file", "--scope", "keys", "--key-file", str(file))
    environ = {"GWCTL_KEY_FILE": str(file)}
    assert gwctl("vault", "rotate-data", environ=environ).code == Exit.LOCKED
    assert gwctl("vault", "rotate-data", "--compartment", "upstream", environ=environ).code == Exit.LOCKED
    assert len(gwctl("vault", "status", "--json").json["data_keys"]) == 2
    assert gwctl("vault", "rotate-data", "--compartment", "keys", environ=environ).code == 0


def test_the_bar_is_for_people_only(gwctl: Gwctl) -> None:
    assert "sealing records anew: 1 of 1" in gwctl("vault", "rotate-data", "--compartment", "keys", terminal=True).err
    assert "sealing" not in gwctl("vault", "rotate-data", "--compartment", "keys").err


# --- pepper -------------------------------------------------------------------------------------------------------


def authenticated(gwctl: Gwctl, secret: str) -> bool:
    """Whether a proxy that starts now would know the token; it stores what it saw as a proxy does."""
    home = Home(gwctl.environ, gwctl.clock)
    try:
        directory = Directory(home.database, home.vault.unlock().peppers, clock=gwctl.clock)
        directory.load()
        known = directory.authenticate(secret.encode(), gwctl.clock.now_ms()) is not None
        directory.flush()
    finally:
        home.close()
    return known


@pytest.fixture
def secrets(gwctl: Gwctl) -> dict[str, str]:
    return {name: gwctl("keys", "create", name, "-o", "secret").out.strip() for name in ("busy", "idle")}


def test_tokens_move_to_the_new_pepper_at_their_next_use(gwctl: Gwctl, secrets: dict[str, str]) -> None:
    rotated = gwctl("vault", "rotate-pepper", "--json").json
    assert rotated == {"version": 2, "old_pepper_tokens": 2}
    assert authenticated(gwctl, secrets["busy"])
    status = gwctl("vault", "status", "--json").json
    assert [(pepper["version"], pepper["tokens"]) for pepper in status["peppers"]] == [(1, 1), (2, 1)]
    assert status["old_pepper_tokens"] == 1
    listed = gwctl("vault", "status", "--stragglers", "--json").json["stragglers"]
    assert [(token["key"], token["pepper_version"]) for token in listed] == [("idle", 1)]
    assert all(authenticated(gwctl, secret) for secret in secrets.values())


def test_a_second_rotation_waits_for_the_first(gwctl: Gwctl, secrets: dict[str, str]) -> None:
    gwctl("vault", "rotate-pepper")
    again = gwctl("vault", "rotate-pepper")
    assert again.code == Exit.CONFLICT
    assert "--stragglers" in again.err
    for secret in secrets.values():
        authenticated(gwctl, secret)
    assert gwctl("vault", "rotate-pepper", "--json").json["version"] == 3
    assert [p["version"] for p in gwctl("vault", "status", "--json").json["peppers"]] == [2, 3]


def test_finishing_is_refused_while_a_token_would_be_lost(gwctl: Gwctl, secrets: dict[str, str]) -> None:
    gwctl("vault", "rotate-pepper")
    authenticated(gwctl, secrets["busy"])
    refused = gwctl("vault", "rotate-pepper", "--finish")
    assert refused.code == Exit.CONFLICT
    assert "idle" in refused.err
    assert "--confirm pepper-1" in refused.err
    assert "busy" not in refused.err
    assert gwctl("vault", "rotate-pepper", "--finish", "--confirm", "idle").code == Exit.USAGE
    assert gwctl("vault", "rotate-pepper", "--finish", "--dry-run").code == 0
    assert authenticated(gwctl, secrets["idle"])
    done = gwctl("vault", "rotate-pepper", "--finish", "--json").json
    assert (done["destroyed"], done["lost"]) == ([1], 0)


def test_finishing_by_name_ends_the_tokens_that_were_left(gwctl: Gwctl, secrets: dict[str, str]) -> None:
    gwctl("vault", "rotate-pepper")
    authenticated(gwctl, secrets["busy"])
    done = gwctl("vault", "rotate-pepper", "--finish", "--confirm", "pepper-1", "--json").json
    assert [token["key"] for token in done["stragglers"]] == ["idle"]
    assert not authenticated(gwctl, secrets["idle"])
    assert authenticated(gwctl, secrets["busy"])
    assert gwctl("keys", "show", "idle", "--json").json["generations"][0]["state"] == "revoked"
    assert gwctl("vault", "status", "--stragglers", "--json").json["stragglers"] == []


def test_tokens_that_nobody_can_use_again_are_no_stragglers(gwctl: Gwctl, secrets: dict[str, str]) -> None:
    gwctl("keys", "revoke", "idle", "--yes")
    gwctl("keys", "suspend", "busy", "--yes")
    gwctl("vault", "rotate-pepper")
    listed = gwctl("vault", "status", "--stragglers", "--json").json["stragglers"]
    assert [token["key"] for token in listed] == ["busy"]
