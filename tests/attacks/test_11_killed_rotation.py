"""11. kill -9 in the middle of rewrap; two rotate-data at once → resumes; second waits or says busy."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from keyvault.domain.vault import Compartment
from keyvault.errors import Exit
from keyvault.home import Home
from keyvault.keys.locks import Locks
from keyvault.storage import vault as rows
from keyvault.vault.credentials import record_identity
from keyvault.vault.rewrap import AT_ONCE, DataKeys
from tests.cli.conftest import Gwctl
from tests.records import seal_many

RECORDS = 2 * AT_ONCE + 20
ROTATE = """
import os, signal, sys
from keyvault.domain.vault import Compartment
from keyvault.home import Home

calls = 0
def progress(done, total):
    global calls
    calls += 1
    if calls == int(sys.argv[1]):
        {then}
Home(os.environ).data_keys.rotate(Compartment.UPSTREAM, progress=progress)
"""
DIE = "os.kill(os.getpid(), signal.SIGKILL)"
STAY = "print('rotating', flush=True); sys.stdin.read()"


@pytest.fixture
def full(home: Home) -> Home:
    seal_many(home, "openai", RECORDS)
    return home


def rotating(gwctl: Gwctl, calls: int, then: str) -> subprocess.Popen[str]:
    """A process that rotates until its progress was told so many times."""
    program = ROTATE.format(then=then)
    return subprocess.Popen(
        [sys.executable, "-c", program, str(calls)],
        env=gwctl.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip


def rotate(gwctl: Gwctl, *words: str) -> Any:
    return gwctl("vault", "rotate-data", "--compartment", "upstream", *words, "--json").json["rotations"][0]


def opened(gwctl: Gwctl) -> set[bytes]:
    """Every secret, opened by a process that has just begun."""
    fresh = Home(gwctl.environ)
    vault = fresh.vault.unlock(Compartment.UPSTREAM)
    with fresh.database.read() as tx:
        records = rows.records(tx, "upstream-secret")
        found = {vault.open(tx, record.id, record_identity(tx, record.id)) for record in records}
    fresh.close()
    return {json.loads(plain)["secret"] for plain in found}


@pytest.mark.parametrize("calls", [1, 2, 3, 4])
def test_a_rotation_that_was_killed_goes_on_where_it_was(gwctl: Gwctl, full: Home, calls: int) -> None:
    before = opened(gwctl)
    killed = rotating(gwctl, calls, DIE)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert opened(gwctl) == before
    assert len(before) == RECORDS + 2
    done = rotate(gwctl)
    assert (done["changed"], done["resumed"], done["generation"], done["destroyed"]) == (True, True, 3, [1])
    assert done["rewrapped"] == max(0, RECORDS + 2 - (calls - 1) * AT_ONCE)
    assert opened(gwctl) == before
    assert (rotate(gwctl)["generation"], rotate(gwctl)["resumed"]) == (4, False)


def test_the_second_of_two_says_busy_or_waits_and_makes_no_third_key(gwctl: Gwctl, full: Home) -> None:
    first = rotating(gwctl, 2, STAY)
    assert first.stdin is not None
    assert first.stdout is not None
    assert first.stdout.readline() == "rotating\n"
    busy = gwctl("vault", "rotate-data", "--compartment", "upstream")
    assert busy.code == Exit.CONFLICT
    assert "another process is rotating data keys" in busy.err

    def lock(wait: timedelta) -> AbstractContextManager[bool]:
        assert first.stdin is not None
        first.stdin.close()  # the first one goes on only now
        return Locks(full.database, full.paths.state / "locks").data_keys(wait)

    waited = DataKeys(full.database, full.clock, full.vault, lock).rotate(
        Compartment.UPSTREAM, wait=timedelta(seconds=60)
    )
    first.stdout.close()
    assert first.wait(timeout=60) == 0
    assert (waited.changed, waited.generation) == (False, 3)
    states = [key["state"] for key in gwctl("vault", "status", "--json").json["data_keys"]]
    assert states == ["destroyed", "primary", "primary"]
