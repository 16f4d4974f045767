"""`gwctl backup` and `gwctl backup verify`: one private file that holds everything but what opens the vault."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from keyvault.errors import Exit
from tests.cli.conftest import Gwctl

SECRET = "sk-canary-upstream-5d1f8a2b7c"


@pytest.fixture(scope="module")
def used_home(made_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Gwctl:
    """A home with an upstream and a key, to be copied."""
    gwctl = Gwctl(made_home).copied(tmp_path_factory.mktemp("used"))
    made = gwctl("upstreams", "create", "openai", "--provider", "openai", "--secret-stdin", stdin=SECRET)
    assert made.code == 0, made.err
    assert gwctl("keys", "create", "ci-bot", "--json").code == 0
    return gwctl


@pytest.fixture
def used(used_home: Gwctl, tmp_path: Path) -> Gwctl:
    """A home with an upstream and a key."""
    return used_home.copied(tmp_path)


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr]


def rewritten(path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """The backup with other content."""
    found = members(path)
    change(found)
    with tarfile.open(path, "w") as tar:
        for name, content in found.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def test_a_backup_is_one_private_file_that_says_what_it_holds(used: Gwctl, tmp_path: Path) -> None:
    ran = used("backup", str(tmp_path / "b.tar"), "--json")
    assert ran.json["records"] == 2  # the pepper and the credential
    assert ran.json["size_bytes"] == (tmp_path / "b.tar").stat().st_size
    assert ran.json["took_ms"] >= 0
    assert (tmp_path / "b.tar").stat().st_mode & 0o777 == 0o600
    assert list(members(tmp_path / "b.tar")) == ["manifest.json", "config.toml", "database.sqlite"]
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "home") == ["b.tar"]
    verified = used("backup", "verify", str(tmp_path / "b.tar"), "--json").json
    assert verified["audit_entries"] == ran.json["audit_entries"]
    assert verified["records"] == 2


def test_what_opens_the_vault_is_not_in_it_and_it_says_so(used: Gwctl, tmp_path: Path) -> None:
    ran = used("backup", str(tmp_path / "b.tar"))
    assert "recovery" in ran.err
    key = (used.home / "config" / "unlock.key").read_text().strip()
    content = (tmp_path / "b.tar").read_bytes()
    assert key.encode() not in content
    assert SECRET.encode() not in content


def test_into_a_directory_it_is_named_by_the_time(used: Gwctl, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    ran = used("backup", str(tmp_path / "kept"), "--json")
    assert ran.json["file"] == str(tmp_path / "kept" / "gwctl-20261001T120000Z.tar")


def test_compressed_it_is_smaller_and_holds_the_same(used: Gwctl, tmp_path: Path) -> None:
    plain = used("backup", str(tmp_path / "b.tar"), "--json").json
    small = used("backup", str(tmp_path / "b.tar.gz"), "--json").json
    assert small["size_bytes"] < plain["size_bytes"] / 2
    assert gzip.decompress((tmp_path / "b.tar.gz").read_bytes())
    assert used("backup", "verify", str(tmp_path / "b.tar.gz")).code == 0


def test_a_file_that_exists_is_left_alone_unless_forced(used: Gwctl, tmp_path: Path) -> None:
    (tmp_path / "b.tar").write_text("mine")
    for words in (["backup", str(tmp_path / "b.tar")], ["backup", "--dry-run", str(tmp_path / "b.tar")]):
        ran = used(*words)
        assert ran.code == Exit.CONFLICT
        assert "--force" in ran.err
    assert (tmp_path / "b.tar").read_text() == "mine"
    assert used("backup", "--force", str(tmp_path / "b.tar")).code == 0
    assert used("backup", "verify", str(tmp_path / "b.tar")).code == 0


def test_a_link_by_that_name_is_replaced_and_not_followed(used: Gwctl, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("mine")
    (tmp_path / "b.tar").symlink_to(tmp_path / "target")
    assert used("backup", str(tmp_path / "b.tar")).code == Exit.CONFLICT
    assert used("backup", str(tmp_path / "b.tar"), "--force").code == 0
    assert (tmp_path / "target").read_text() == "mine"
    assert not (tmp_path / "b.tar").is_symlink()


def test_a_dry_run_writes_nothing(used: Gwctl, tmp_path: Path) -> None:
    assert used("backup", str(tmp_path / "b.tar"), "--dry-run").code == 0
    assert not (tmp_path / "b.tar").exists()


def test_a_locked_vault_can_be_backed_up_and_that_is_said(used: Gwctl, tmp_path: Path) -> None:
    (used.home / "config" / "unlock.key").rename(tmp_path / "elsewhere.key")
    ran = used("backup", str(tmp_path / "b.tar"))
    assert ran.code == 0, ran.err
    assert "were not opened" in ran.err
    assert f"no file {used.home / 'config' / 'unlock.key'}" in ran.err
    assert ".backup-" not in ran.err
    elsewhere = {"GWCTL_KEY_FILE": str(tmp_path / "elsewhere.key")}
    opened = used("backup", "verify", str(tmp_path / "b.tar"), "--json", environ=elsewhere)
    assert opened.json["records"] == 2


def test_a_backup_that_others_could_read_is_made_private(used: Gwctl, tmp_path: Path) -> None:
    used("backup", str(tmp_path / "b.tar"))
    (tmp_path / "b.tar").chmod(0o644)
    ran = used("backup", "verify", str(tmp_path / "b.tar"))
    assert ran.code == 0
    assert "others could read" in ran.err
    assert (tmp_path / "b.tar").stat().st_mode & 0o777 == 0o600


def cut(found: dict[str, bytes]) -> None:
    found["database.sqlite"] = found["database.sqlite"][:-4096]


def changed(found: dict[str, bytes]) -> None:
    content = bytearray(found["database.sqlite"])
    content[len(content) // 2] ^= 1
    found["database.sqlite"] = bytes(content)


def other_config(found: dict[str, bytes]) -> None:
    found["config.toml"] += b"\n[serve]\n"


def other_head(found: dict[str, bytes]) -> None:
    manifest = json.loads(found["manifest.json"])
    manifest["audit_seq"] -= 1
    found["manifest.json"] = json.dumps(manifest).encode()


def no_manifest(found: dict[str, bytes]) -> None:
    del found["manifest.json"]


def nonsense(found: dict[str, bytes]) -> None:
    found["manifest.json"] = b'{"format": 1}'


@pytest.mark.parametrize("damage", [cut, changed, other_config, other_head, no_manifest, nonsense])
def test_a_backup_that_is_not_whole_is_refused(
    used: Gwctl, tmp_path: Path, damage: Callable[[dict[str, bytes]], None]
) -> None:
    used("backup", str(tmp_path / "b.tar"))
    rewritten(tmp_path / "b.tar", damage)
    for words in (("backup", "verify"), ("restore", "--confirm", "b.tar")):
        ran = used(*words, str(tmp_path / "b.tar"))
        assert ran.code == Exit.FAILURE, ran.err
        assert "internal error" not in ran.err
    assert used("keys", "show", "ci-bot").code == 0


@pytest.mark.parametrize("content", [b"", b"not a tar at all" * 100, os.urandom(4096)])
def test_what_is_no_backup_is_said_to_be_none(used: Gwctl, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "b.tar").write_bytes(content)
    ran = used("backup", "verify", str(tmp_path / "b.tar"))
    assert ran.code == Exit.FAILURE
    assert "not a whole backup" in ran.err


def test_a_hostile_tar_writes_nothing_elsewhere(used: Gwctl, tmp_path: Path) -> None:
    used("backup", str(tmp_path / "b.tar"))
    found = members(tmp_path / "b.tar")
    with tarfile.open(tmp_path / "b.tar", "w") as tar:
        info = tarfile.TarInfo("manifest.json")
        info.size = len(found["manifest.json"])
        tar.addfile(info, io.BytesIO(found["manifest.json"]))
        link = tarfile.TarInfo("config.toml")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    assert used("backup", "verify", str(tmp_path / "b.tar")).code == Exit.FAILURE


def test_a_newer_program_s_backup_is_refused_in_plain_words(used: Gwctl, tmp_path: Path) -> None:
    used("backup", str(tmp_path / "b.tar"))

    def newer(found: dict[str, bytes]) -> None:
        manifest = json.loads(found["manifest.json"])
        found["manifest.json"] = json.dumps({**manifest, "schema": "9999", "program": "9.9"}).encode()

    rewritten(tmp_path / "b.tar", newer)
    ran = used("restore", str(tmp_path / "b.tar"), "--confirm", "b.tar")
    assert ran.code == Exit.FAILURE
    assert "newer version" in ran.err
    assert "9.9" in ran.err


def test_names_that_are_no_place_for_a_file_are_said_so(used: Gwctl, tmp_path: Path) -> None:
    assert used("backup", str(tmp_path / "missing" / "b.tar")).code == Exit.USAGE
    for words in (["backup", "verify"], ["restore"]):
        for unreadable in (tmp_path / "missing.tar", tmp_path):
            ran = used(*words, str(unreadable))
            assert (ran.code, ran.err.count("\n")) == (Exit.USAGE, 2)
            assert f"gwctl: {unreadable}: " in ran.err
