"""32. Disk full, read-only directory, `--exec` failing, hanging or closing stdin → old key untouched, exit ≠ 0,
no secret in the message.

After each of them the old secret is where it was and works, the new one was dropped, and an alert says what happened;
the next rotation that succeeds resolves it.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from keyvault.errors import Exit
from tests.cli.conftest import Gwctl, Ran

SECRET: Final = "sk-gw_"


class Owner:
    """A key whose secret lies in a file."""

    def __init__(self, gwctl: Gwctl, directory: Path) -> None:
        self.gwctl = gwctl
        directory.mkdir(mode=0o700)
        self.out = directory / "secret"
        gwctl("keys", "create", "bot", "--json")
        assert gwctl("keys", "rotate", "bot", "--grace", "0s", "--out", str(self.out)).code == 0
        self.before = self.out.read_text()

    def rotate(self, *place: str) -> Ran:
        return self.gwctl("keys", "rotate", "bot", *place)

    def check_untouched(self, ran: Ran, *, minted: bool = True) -> None:
        assert ran.code not in (Exit.OK, Exit.USAGE)
        assert SECRET not in ran.out + ran.err
        assert self.out.read_text() == self.before
        assert [path.name for path in self.out.parent.iterdir()] == ["secret"]
        generations = self.gwctl("keys", "show", "bot", "--json").json["generations"]
        states = [(generation["generation"], generation["state"]) for generation in generations]
        assert states == [*([(3, "abandoned")] if minted else []), (2, "active"), (1, "expired")]
        assert self.alerts() == ["key:bot"]
        assert self.rotate("--out", str(self.out)).code == 0
        assert self.alerts() == []

    def alerts(self) -> list[str]:
        listed = self.gwctl("alerts", "list", "--json").json["alerts"]
        return [alert["scope"] for alert in listed if alert["kind"] == "rotation_failed"]


@pytest.fixture
def owner(gwctl: Gwctl, tmp_path: Path) -> Owner:
    return Owner(gwctl, tmp_path / "keys")


COMMANDS: Final = {
    "failing": "sh -c 'cat >/dev/null; exit 3'",
    "failing and showing the secret": "sh -c 'cat; exit 3'",
    "killed": "sh -c 'kill -9 $$'",
    "hanging": "sh -c 'cat >/dev/null; sleep 60'",
    "closing stdin": "sh -c 'exec 0<&-; exit 0'",
    "not reading stdin": "true",
    "missing": "/no/such/command",
}


@pytest.mark.parametrize("how", COMMANDS)
def test_a_command_that_does_not_take_the_secret(owner: Owner, how: str) -> None:
    ran = owner.rotate("--exec", COMMANDS[how], "--exec-limit", "1s")
    shown = [line for line in ran.err.splitlines() if "[redacted]" in line]
    assert bool(shown) == (how == "failing and showing the secret")
    owner.check_untouched(ran)


def test_a_command_that_hangs_is_ended_with_what_it_started(owner: Owner, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 60 & echo $! $$ > {shlex.quote(str(pids))}; wait"
    assert owner.rotate("--exec", f"sh -c {shlex.quote(script)}", "--exec-limit", "1s").code == Exit.FAILURE
    for pid in pids.read_text().split():
        with pytest.raises(ProcessLookupError):
            _signal_unless_zombie(int(pid))


def _signal_unless_zombie(pid: int) -> None:
    """A process that has ended and that nobody asked about yet still has its number."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        raise ProcessLookupError from None
    if state == "Z":
        raise ProcessLookupError
    os.kill(pid, 0)


class Disk:
    """A small file system of its own: full or read-only when wanted."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self) -> None:
        with (self.path / "filler").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
            for _ in range(64):
                file.write(bytes(4096))

    def empty(self) -> None:
        (self.path / "filler").unlink()

    def make(self, mode: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{mode}", str(self.path)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "disk"
    path.mkdir()
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k,mode=0700", "tmpfs", str(path)], capture_output=True
    )
    if not mounted or mounted.returncode:
        pytest.skip("a file system can be mounted by root only, and not in every container")
    yield Disk(path)
    subprocess.run(["umount", str(path)], check=True)


@pytest.mark.parametrize("place", [["--out"], ["--var", "K", "--env-file"]], ids=["out", "env-file"])
def test_a_full_disk(gwctl: Gwctl, disk: Disk, place: list[str]) -> None:
    owner = Owner(gwctl, disk.path / "keys")
    disk.fill()
    ran = owner.rotate(*place, str(owner.out))
    disk.empty()
    assert "no space left on device; the old secret works on" in ran.err
    owner.check_untouched(ran)


def test_a_read_only_directory(gwctl: Gwctl, disk: Disk) -> None:
    owner = Owner(gwctl, disk.path / "keys")
    disk.make("ro")
    ran = owner.rotate("--out", str(owner.out))
    disk.make("rw")
    assert "cannot be written to" in ran.err
    owner.check_untouched(ran, minted=False)


def test_a_gateway_that_refuses_the_new_secret(owner: Owner) -> None:
    ran = owner.rotate("--out", str(owner.out), "--verify", "http://127.0.0.1:9")
    assert ran.code == Exit.CHECK_FAILED
    owner.check_untouched(ran)
