"""`gwctl keys scan` and `keys identify`: a leak is found, and named, without being shown again."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from keyvault.errors import Exit
from tests.cli.conftest import Gwctl


@pytest.fixture
def leaked(gwctl: Gwctl, tmp_path: Path) -> tuple[str, Path]:
    """A key's secret, and a directory where it stands in a file."""
    secret = gwctl("keys", "create", "ci-bot", "-o", "secret").out.strip()
    directory = tmp_path / "repository"
    directory.mkdir()
    (directory / "settings.py").write_text(f"import os\nKEY = {secret!r}\n")
    return secret, directory


def test_a_scan_names_file_line_and_key(gwctl: Gwctl, leaked: tuple[str, Path]) -> None:
    secret, directory = leaked
    ran = gwctl("keys", "scan", str(directory))
    assert ran.code == Exit.CHECK_FAILED
    assert re.search(r"settings\.py +2 +sk-gw_live_\S+ +ci-bot", ran.out)
    assert secret not in ran.out + ran.err
    assert gwctl("keys", "scan", str(directory), "--json").out.count('"name": "ci-bot"') == 1


def test_a_clean_directory_is_exit_0(gwctl: Gwctl, tmp_path: Path) -> None:
    ran = gwctl("keys", "scan", str(tmp_path))
    assert (ran.code, ran.out) == (Exit.OK, "")


def test_a_scan_needs_no_gateway(gwctl: Gwctl, leaked: tuple[str, Path], tmp_path: Path) -> None:
    ran = gwctl("keys", "scan", str(leaked[1]), environ={"GWCTL_HOME": str(tmp_path / "elsewhere")})
    assert ran.code == Exit.CHECK_FAILED
    assert "not ours" in ran.out


def test_a_scan_of_nothing_is_an_error(gwctl: Gwctl) -> None:
    assert gwctl("keys", "scan").code == Exit.USAGE
    ran = gwctl("keys", "scan", "/does/not/exist")
    assert (ran.code, ran.err) == (Exit.USAGE, "gwctl: not searched: /does/not/exist: no such file or directory\n")


def test_what_cannot_be_read_keeps_nothing_else_from_being_searched(
    gwctl: Gwctl, leaked: tuple[str, Path], tmp_path: Path
) -> None:
    missing = tmp_path / "missing"
    assert gwctl("keys", "scan", str(missing), str(leaked[1])).code == Exit.CHECK_FAILED
    (leaked[1] / "settings.py").unlink()
    ran = gwctl("keys", "scan", str(missing), str(leaked[1]), "--json")
    assert (ran.code, '"unread": 1' in ran.out) == (Exit.USAGE, True)


def test_the_gitleaks_rule_finds_what_we_mint(gwctl: Gwctl, leaked: tuple[str, Path]) -> None:
    [rule] = tomllib.loads(gwctl("keys", "scan", "--rule", "gitleaks").out)["rules"]
    match = re.search(rule["regex"], f"key={leaked[0]}\n")
    assert match is not None
    assert match[rule["secretGroup"]] == leaked[0]


def test_the_github_pattern_finds_its_own_test_string(gwctl: Gwctl) -> None:
    lines = gwctl("keys", "scan", "--rule", "github").out.splitlines()
    rule = dict(line.split(": ", 1) for line in lines)
    assert re.search(rule["secret format"], rule["test string"])


def test_identify_tells_key_and_generation(gwctl: Gwctl, leaked: tuple[str, Path]) -> None:
    told = gwctl("keys", "identify", "--json", stdin=f"Authorization: Bearer {leaked[0]}\n")
    assert (told.json["name"], told.json["state"], told.json["generation"]) == ("ci-bot", "active", 1)
    assert leaked[0] not in told.out


def test_identify_says_when_a_key_is_not_of_this_gateway(gwctl: Gwctl) -> None:
    foreign = "sk-gw_test_000000000000_00000000000000000000000000000000000000000001rMNQM"
    ran = gwctl("keys", "identify", stdin=foreign)
    assert ran.code == Exit.NOT_FOUND
    assert "not of this gateway" in ran.out


def test_identify_refuses_a_text_without_a_key(gwctl: Gwctl) -> None:
    ran = gwctl("keys", "identify", stdin="sk-proj-something-else")
    assert ran.code == Exit.NOT_FOUND
    assert "something-else" not in ran.err
