"""`gwctl keys rotate` in its forms, the grace of old secrets, and the files that `gwctl rotation install` prints."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from keyvault.domain.keys import Caller
from keyvault.domain.vault import Compartment
from keyvault.errors import Exit
from keyvault.home import Home
from keyvault.keys.directory import Directory
from keyvault.keys.locks import Locks
from opsconsole.cli.io import Streams
from opsconsole.cli.main import run
from tests.cli.conftest import Gwctl
from tests.cli.test_keys import TOKEN, ClosedPipe

_NO_TIME = timedelta()
RESULT = {
    "changed", "name", "secret", "generation", "previous", "reason", "delivered_to", "in_place", "result", "error",
}  # fmt: skip


@pytest.fixture
def three(gwctl: Gwctl) -> Gwctl:
    for name in ("ant", "bee", "cat"):
        gwctl("keys", "create", name, "--json")
    return gwctl


def generations(gwctl: Gwctl, name: str) -> list[str]:
    return [g["state"] for g in gwctl("keys", "show", name, "--json").json["generations"]]


# --- one key ------------------------------------------------------------------------------------------------------


def test_a_file_gets_the_secret_and_stdout_does_not(gwctl: Gwctl, tmp_path: Path) -> None:
    gwctl("keys", "create", "bot", "--json")
    out = tmp_path / "bot.key"
    ran = gwctl("keys", "rotate", "bot", "--out", str(out), "--json")
    assert ran.json["delivered_to"] == str(out)
    assert ran.json["in_place"] is True
    assert ran.json["secret"] is None
    assert ran.json["previous"] == {"generation": 1, "valid_until": "2026-10-02T12:00:00.000Z"}
    assert TOKEN.fullmatch(out.read_text().strip())
    assert not TOKEN.search(ran.out + ran.err)


def test_a_file_keeps_its_mode_where_it_is_strict_and_gets_0600_where_it_is_not(gwctl: Gwctl, tmp_path: Path) -> None:
    gwctl("keys", "create", "bot", "--json")
    out = tmp_path / "bot.key"
    for before, after in ((0o400, 0o400), (0o644, 0o600), (0o640, 0o600)):
        out.unlink(missing_ok=True)
        out.write_text("old")
        out.chmod(before)
        assert gwctl("keys", "rotate", "bot", "--out", str(out), "--end-grace").code == 0
        assert out.stat().st_mode & 0o7777 == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "K=…\n"),
        ("A=1", "A=1\nK=…\n"),
        ("A=1\nK=old\nB=2", "A=1\nK=…\nB=2"),
        ("  export K='old' # mine\n", "  export K='…' # mine\n"),
        ('K="a b" \nKK=1\n', 'K="…" \nKK=1\n'),
        ("K=first\nK=second\n", "K=first\nK=…\n"),
        ("A=1\r\nK=old\r\n", "A=1\r\nK=…\r\n"),
        ("A=1\r\n", "A=1\r\nK=…\r\n"),
        ("# K=old\nK=\n", "# K=old\nK=…\n"),
        ("K=old#not-a-comment\n", "K=…\n"),
    ],
)
def test_one_line_of_an_env_file_is_rewritten(gwctl: Gwctl, tmp_path: Path, before: str, after: str) -> None:
    gwctl("keys", "create", "bot", "--json")
    env = tmp_path / ".env"
    env.write_bytes(before.encode())
    assert gwctl("keys", "rotate", "bot", "--env-file", str(env), "--var", "K").code == 0
    assert TOKEN.sub("…", env.read_bytes().decode()) == after
    assert env.stat().st_mode & 0o777 == 0o600


def test_a_file_without_the_current_secret_is_named(gwctl: Gwctl, tmp_path: Path) -> None:
    gwctl("keys", "create", "bot", "--json")
    gwctl("keys", "rotate", "bot", "--json")
    ran = gwctl("keys", "rotate", "bot", "--out", str(tmp_path / "new"), "--if-older-than", "30d", "--json")
    assert (ran.json["changed"], ran.json["in_place"]) == (False, False)
    assert "does not hold the current secret of key bot" in ran.err


@pytest.mark.parametrize(
    "words",
    [
        "",
        "bot --due",
        "--all --due",
        "bot --out a --exec b --json",
        "bot --env-file a --json",
        "bot --var A --json",
        "bot --out a -o secret",
        "--all --out one-file",
        "bot --json --verify ftp://x",
        "bot --out /no/such/directory/file",
    ],
)
def test_what_makes_no_sense_is_a_usage_error(gwctl: Gwctl, words: str) -> None:
    gwctl("keys", "create", "bot", "--json")
    assert gwctl("keys", "rotate", *words.split(), "--yes").code == Exit.USAGE
    assert generations(gwctl, "bot") == ["active"]


def test_a_rotation_that_another_process_is_at_is_busy(gwctl: Gwctl) -> None:
    made = gwctl("keys", "create", "bot", "--json").json
    home = Home(gwctl.environ)
    with Locks(home.database, home.paths.state / "rotations").key(made["id"], wait=_NO_TIME) as held:
        assert held
        ran = gwctl("keys", "rotate", "bot", "--wait-lock", "0s", "--json")
    home.close()
    assert ran.code == Exit.CONFLICT
    assert "is being rotated by another process" in ran.err
    assert gwctl("keys", "rotate", "bot", "--wait-lock", "0s", "--json").code == 0


# --- many keys ----------------------------------------------------------------------------------------------------


def test_a_batch_is_one_document_and_one_failure_does_not_stop_the_others(three: Gwctl, tmp_path: Path) -> None:
    (tmp_path / "bee").mkdir()
    ran = three("keys", "rotate", "--all", "--yes", "--out", f"{tmp_path}/{{name}}", "--json")
    assert ran.code == Exit.FAILURE
    told = json.loads(ran.out)
    assert (told["rotated"], told["unchanged"], told["failed"]) == (2, 0, 1)
    assert [(r["name"], r["result"]) for r in told["results"]] == [
        ("ant", "rotated"), ("bee", "failed"), ("cat", "rotated"),
    ]  # fmt: skip
    assert set(told["results"][0]) == RESULT
    assert told["results"][1]["error"]["code"] == "invalid_request"
    assert generations(three, "bee") == ["active"]
    assert TOKEN.fullmatch((tmp_path / "cat").read_text().strip())


def test_secrets_of_a_batch_count_as_delivered_once_the_document_is_out(three: Gwctl) -> None:
    told = three("keys", "rotate", "ant", "cat", "--json").json
    assert all(TOKEN.fullmatch(result["secret"]) for result in told["results"])
    assert [generations(three, name) for name in ("ant", "bee", "cat")] == [
        ["active", "grace"],
        ["active"],
        ["active", "grace"],
    ]


def test_secrets_of_a_batch_that_nobody_read_are_dropped(three: Gwctl) -> None:
    streams = Streams(io.StringIO(), ClosedPipe(), io.StringIO())
    assert run(["keys", "rotate", "ant", "bee", "--json"], three.environ, streams, three.clock) == Exit.FAILURE
    assert [generations(three, name) for name in ("ant", "bee")] == [["abandoned", "active"]] * 2


def test_only_keys_whose_policy_says_so_are_due(three: Gwctl, tmp_path: Path) -> None:
    three("keys", "update", "bee", "--rotate-every", "30d")
    place = ("--out", f"{tmp_path}/{{name}}", "--json")
    assert three("keys", "rotate", "--due", *place).json["results"] == []
    three.clock.advance(days=31)
    assert "ROTATION DUE" in three("keys", "list").out
    told = three("keys", "rotate", "--due", *place).json
    assert [result["name"] for result in told["results"]] == ["bee"]
    assert three("keys", "rotate", "--due", *place).json["results"] == []


def test_a_dry_run_of_a_batch_changes_nothing(three: Gwctl, tmp_path: Path) -> None:
    told = three("keys", "rotate", "--all", "--dry-run", "--out", f"{tmp_path}/{{name}}", "--json").json
    assert (told["rotated"], told["dry_run"]) == (3, True)
    assert list(tmp_path.iterdir()) == [three.home]
    assert generations(three, "ant") == ["active"]


# --- who has not switched -----------------------------------------------------------------------------------------


def test_show_says_who_still_uses_the_old_secret(gwctl: Gwctl) -> None:
    old = gwctl("keys", "create", "bot", "--json").json["secret"]
    gwctl("keys", "rotate", "bot", "--json")
    assert "old secret    never used; works until 2026-10-02T12:00:00.000Z" in gwctl("keys", "show", "bot").out
    gwctl.clock.advance(seconds=60)
    _use(gwctl, old)
    said = "STILL USED, last 2026-10-01T12:01:00.000Z by OpenAI/Python 3.3 from 10.0.0.7; works until"
    assert said in gwctl("keys", "show", "bot").out


def test_a_grace_ends_when_told_and_is_extended_up_to_the_end_of_the_key(gwctl: Gwctl) -> None:
    old = gwctl("keys", "create", "bot", "--expires", "3d", "--json").json["secret"]
    gwctl("keys", "rotate", "bot", "--json")
    extended = gwctl("keys", "extend-grace", "bot", "--by", "24h", "--json").json
    assert extended["generations"][1]["valid_until"] == "2026-10-03T12:00:00.000Z"
    extended = gwctl("keys", "extend-grace", "bot", "--until", "2027-01-01", "--json").json
    assert extended["generations"][1]["valid_until"] == "2026-10-04T12:00:00.000Z", "the key's own end"
    assert gwctl("keys", "extend-grace", "bot", "--by", "24h").code == Exit.USAGE
    assert _use(gwctl, old) is not None
    assert gwctl("keys", "end-grace", "bot").code == Exit.USAGE, "nobody said yes"
    assert gwctl("keys", "end-grace", "bot", "--yes").code == 0
    assert _use(gwctl, old) is None
    gwctl.clock.advance(days=-1)
    assert _use(gwctl, old) is None, "a clock that goes back revives nothing"
    assert gwctl("keys", "extend-grace", "bot", "--by", "24h").code == Exit.CONFLICT


def test_a_pending_generation_is_acknowledged_by_hand(gwctl: Gwctl) -> None:
    gwctl("keys", "create", "bot", "--json")
    assert gwctl("keys", "acknowledge", "bot").code == Exit.CONFLICT
    home = Home(gwctl.environ, gwctl.clock)
    home.keys.rotate("bot", _NO_TIME)
    home.close()
    assert gwctl("keys", "acknowledge", "bot", "--json").json["generations"][0]["state"] == "active"
    assert gwctl("keys", "acknowledge", "bot", "--generation", "9").code == Exit.NOT_FOUND


def _use(gwctl: Gwctl, secret: str) -> Caller | None:
    """A successful request, as the proxy sees it; None where it would refuse."""
    home = Home(gwctl.environ, gwctl.clock)
    directory = Directory(home.database, lambda: home.vault.unlock(Compartment.KEYS).peppers(), clock=gwctl.clock)
    directory.load()
    caller = directory.authenticate(secret.encode(), gwctl.clock.now_ms())
    if caller is not None:
        directory.used(caller, gwctl.clock.now_ms(), "OpenAI/Python 3.3", "10.0.0.7")
        directory.flush()
    home.close()
    return caller


# --- at night -----------------------------------------------------------------------------------------------------


def test_the_crontab_line_names_the_key_file_and_shows_no_secret(gwctl: Gwctl) -> None:
    ran = gwctl("rotation", "install", "--cron", "--print", "--user", "gw", "--key-file", "/etc/night.key")
    lines = [line for line in ran.out.splitlines() if not line.startswith("#")]
    assert lines[:2] == [f"GWCTL_HOME={gwctl.home}", "GWCTL_KEY_FILE=/etc/night.key"]
    assert re.fullmatch(r"17 3 \* \* \*  gw /\S+/gwctl keys rotate --due --grace 24h --out '\S+/\{name\}'", lines[2])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="the Debian package systemd is not installed")
def test_systemd_finds_nothing_wrong_with_the_units(gwctl: Gwctl, tmp_path: Path) -> None:
    words = ["--systemd", "--print", "--user", "root", "--key-file", "/etc/night.key", "--json"]
    units = [tmp_path / Path(file["path"]).name for file in gwctl("rotation", "install", *words).json["files"]]
    for unit, file in zip(units, gwctl("rotation", "install", *words).json["files"], strict=True):
        unit.write_text(file["content"])
    assert "LoadCredential=gwctl-unlock:/etc/night.key" in units[0].read_text()
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "gwctl" in line]) == (0, [])


@pytest.mark.parametrize(
    "words",
    ["", "--cron --systemd --print", "--cron", "--cron --print --out /one", "--cron --print --user a%b"],
)
def test_install_says_what_to_do_instead(gwctl: Gwctl, words: str) -> None:
    ran = gwctl("rotation", "install", *words.split())
    assert (ran.code, ran.out) == (Exit.USAGE, "")
