"""26. Database or backup world-readable: fixed or refused, with a message that names the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyvault.errors import Exit
from tests.cli.conftest import Gwctl

OPENED = ("data/gateway.db", "config/config.toml", "state/journal.jsonl", "data", "data/gateway.schema-0001.bak")
ANY_PORT = {"GWCTL_SERVE_LISTEN": "127.0.0.1:0", "GWCTL_SERVE_ADMIN": "127.0.0.1:0"}


@pytest.mark.parametrize("name", OPENED)
def test_doctor_names_what_others_may_read_and_fixes_it(gwctl: Gwctl, name: str) -> None:
    path = gwctl.home / name
    if not path.exists():
        path.touch()
    path.chmod(0o755 if path.is_dir() else 0o644)
    ran = gwctl("doctor", "--offline", environ=ANY_PORT)
    assert ran.code == Exit.CHECK_FAILED
    assert f"others may read {path}" in ran.out
    fixed = gwctl("doctor", "--offline", "--fix", environ=ANY_PORT)
    assert fixed.code == 0, fixed.out
    assert str(path) in fixed.err
    assert path.stat().st_mode & 0o077 == 0


def test_an_open_backup_is_closed_before_it_is_used(gwctl: Gwctl, tmp_path: Path) -> None:
    backup = tmp_path / "b.tar"
    gwctl("backup", str(backup))
    for words in (("backup", "verify", str(backup)), ("restore", str(backup), "--confirm", "b.tar")):
        backup.chmod(0o666)
        ran = gwctl(*words)
        assert ran.code == 0, ran.err
        assert f"others could read {backup}" in ran.err
        assert backup.stat().st_mode & 0o077 == 0


def test_an_open_key_file_opens_nothing(gwctl: Gwctl) -> None:
    (gwctl.home / "config" / "unlock.key").chmod(0o644)
    ran = gwctl("keys", "create", "ci-bot", "--json")
    assert ran.code == Exit.LOCKED
    assert "unlock.key" in ran.err
