"""Whatever opens the vault leaves no core file and lets nobody attach; whatever is written is for this user alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from keyvault.errors import Exit
from tests.cli.conftest import Gwctl
from tests.gateway import GWCTL

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prctl and /proc are Linux's")

RUN = """
import ctypes, io, json, resource, sys
from opsconsole.cli.io import Streams
from opsconsole.cli.main import run
code = run(sys.argv[1:], streams=Streams(io.StringIO("sk-some-provider-secret"), io.StringIO(), io.StringIO()))
print(json.dumps([code, ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE)]))
"""


def after(gwctl: Gwctl, *words: str) -> tuple[int, int, list[int]]:
    """Exit code, PR_GET_DUMPABLE and core limit of a process that ran one command."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, *words], env=gwctl.environ, capture_output=True, text=True, check=True
    )
    code, dumpable, core = json.loads(done.stdout)
    return code, dumpable, core


OPENING = [
    ("keys", "create", "ci-bot", "--json"),
    ("upstreams", "create", "openai", "--provider", "openai", "--secret-stdin"),
    ("vault", "slots", "create", "file", "--key-file", "second.key"),
    ("doctor", "--offline"),
    ("backup", "kept.tar"),
]


@linux
@pytest.mark.parametrize("words", OPENING, ids=" ".join)
def test_a_command_that_opens_the_vault_is_hardened(gwctl: Gwctl, tmp_path: Path, words: tuple[str, ...]) -> None:
    placed = [str(tmp_path / word) if "." in word else word for word in words]
    code, dumpable, core = after(gwctl, *placed)
    assert code in (0, Exit.CHECK_FAILED)  # doctor may find the port taken
    assert (dumpable, core) == (0, [0, 0])


@linux
def test_it_is_hardened_before_the_secret_is_there(gwctl: Gwctl, tmp_path: Path) -> None:
    """The command that fetches the key looks at the process that will get it."""
    key, seen = gwctl.home / "config" / "unlock.key", tmp_path / "limits"
    elsewhere = key.rename(tmp_path / "unlock.key")
    fetch = tmp_path / "fetch"
    fetch.write_text(f"#!/bin/sh\ncat /proc/$PPID/limits > {seen}\ncat {elsewhere}\n")
    fetch.chmod(0o700)
    gwctl.environ["GWCTL_UNLOCK_COMMAND"] = str(fetch)
    assert after(gwctl, "keys", "create", "ci-bot", "--json")[0] == 0
    [line] = [line for line in seen.read_text().splitlines() if line.startswith("Max core file size")]
    assert line.split()[4:6] == ["0", "0"]


@linux
def test_a_command_that_opens_nothing_is_left_as_it_is(gwctl: Gwctl) -> None:
    assert after(gwctl, "keys", "list")[:2] == (0, 1)


def modes(home: Path) -> dict[str, str]:
    """Everything below a directory that somebody else might read or write."""
    everything = [home, *home.rglob("*")]
    return {str(path): oct(path.stat().st_mode) for path in everything if path.stat().st_mode & 0o077}


def test_everything_made_is_private_even_under_an_open_umask(tmp_path: Path) -> None:
    """Processes of their own: the umask is the process's."""
    home = tmp_path / "some" / "where" / "home"
    environ = {"PATH": os.environ["PATH"], "GWCTL_HOME": str(home), "TERM": "dumb"}

    def gwctl(*words: str, stdin: str = "") -> None:
        line = ["sh", "-c", 'umask 0; exec "$@"', "sh", str(GWCTL), *words]
        done = subprocess.run(line, env=environ, input=stdin, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr

    gwctl("init", "--yes", "--unlock", "file", "--recovery-out", str(tmp_path / "recovery.txt"))
    gwctl("upstreams", "create", "openai", "--provider", "openai", "--secret-stdin", stdin="sk-some-provider-secret")
    gwctl("keys", "create", "ci-bot", "--json")
    gwctl("keys", "rotate", "ci-bot", "--out", str(home / "ci-bot.key"))
    gwctl("vault", "slots", "create", "file", "--key-file", str(home / "second.key"))
    gwctl("backup", str(home / "kept.tar"))
    gwctl("restore", str(home / "kept.tar"), "--confirm", "kept.tar")
    assert modes(tmp_path / "some") == {}
    assert (tmp_path / "recovery.txt").stat().st_mode & 0o777 == 0o600
