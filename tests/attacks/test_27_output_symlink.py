"""27. Output path is a symlink to a system file → target untouched.

The link itself is replaced by the new file. Lines of a file are not changed through a link, and nothing but a regular
file is ever written.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from keyvault.errors import Exit
from tests.cli.conftest import Gwctl
from tests.cli.test_keys import TOKEN

SYSTEM = "root:x:0:0:root:/root:/bin/bash\n"


@pytest.fixture
def system_file(tmp_path: Path) -> Path:
    path = tmp_path / "passwd"
    path.write_text(SYSTEM)
    path.chmod(0o644)
    return path


def test_a_link_is_replaced_and_its_target_untouched(gwctl: Gwctl, system_file: Path, tmp_path: Path) -> None:
    gwctl("keys", "create", "bot", "--json")
    out = tmp_path / "secret"
    out.symlink_to(system_file)
    assert gwctl("keys", "rotate", "bot", "--out", str(out)).code == 0
    assert (system_file.read_text(), system_file.stat().st_mode & 0o777) == (SYSTEM, 0o644)
    assert not out.is_symlink()
    assert TOKEN.fullmatch(out.read_text().strip())
    assert out.stat().st_mode & 0o777 == 0o600


def test_links_planted_beside_the_file_are_not_followed_either(gwctl: Gwctl, system_file: Path, tmp_path: Path) -> None:
    gwctl("keys", "create", "bot", "--json")
    out = tmp_path / "secret"
    out.write_text("old\n")
    for planted in (".secret.gwctl-new", ".secret.gwctl-old"):
        (tmp_path / planted).symlink_to(system_file)
    assert gwctl("keys", "rotate", "bot", "--out", str(out)).code == 0
    assert (system_file.read_text(), system_file.stat().st_mode & 0o777) == (SYSTEM, 0o644)
    assert TOKEN.fullmatch(out.read_text().strip())


def test_a_failed_rotation_puts_the_link_back(gwctl: Gwctl, system_file: Path, tmp_path: Path) -> None:
    gwctl("keys", "create", "bot", "--json")
    out = tmp_path / "secret"
    out.symlink_to(system_file)
    assert gwctl("keys", "rotate", "bot", "--out", str(out), "--verify", "http://127.0.0.1:9").code == Exit.CHECK_FAILED
    assert out.readlink() == system_file
    assert system_file.read_text() == SYSTEM


def test_lines_are_not_changed_through_a_link(gwctl: Gwctl, system_file: Path, tmp_path: Path) -> None:
    gwctl("keys", "create", "bot", "--json")
    env = tmp_path / ".env"
    env.symlink_to(system_file)
    ran = gwctl("keys", "rotate", "bot", "--env-file", str(env), "--var", "K", "--json")
    assert (ran.code, ran.out) == (Exit.USAGE, "")
    assert "a symbolic link" in ran.err
    assert system_file.read_text() == SYSTEM
    assert env.is_symlink()


@pytest.mark.parametrize("kind", ["fifo", "directory", "socket", "link to a device"])
def test_nothing_but_a_file_is_written(gwctl: Gwctl, tmp_path: Path, kind: str) -> None:
    gwctl("keys", "create", "bot", "--json")
    out = tmp_path / "secret"
    if kind == "fifo":
        os.mkfifo(out)
    elif kind == "directory":
        out.mkdir()
    elif kind == "socket":  # no device of the system's: without the check, root would replace it
        os.mknod(out, stat.S_IFSOCK | 0o600)
    else:
        out.symlink_to("/dev/null")
    before = os.lstat(out)
    ran = gwctl("keys", "rotate", "bot", "--out", str(out), "--json")
    assert (ran.code, ran.out) == (Exit.USAGE, "")
    assert os.lstat(out).st_ino == before.st_ino
    assert gwctl("keys", "show", "bot", "--json").json["generations"][0]["generation"] == 1
