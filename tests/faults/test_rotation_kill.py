"""kill -9 between any two steps of a rotation: what is in its place works, and the next run converges by itself."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from keyvault.domain.keys import GenerationState
from keyvault.domain.vault import Compartment
from keyvault.home import Home
from keyvault.keys.directory import Directory
from keyvault.keys.rotating import FINISHED, Terms
from keyvault.keys.rotation import Rotation, UnderWay
from tests.faults.dying import KEY, STEPS, VARIABLE, delivery_to
from tests.gateway import GWCTL
from tests.real.waiting import eventually

TOKEN = re.compile(r"sk-gw_live_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}")
AT_ONCE = Terms(wait_lock=timedelta())
EVERY_STEP = [(kind, step) for kind, steps in STEPS.items() for step in steps]


class Night:
    """A home with a key, its secret where a job delivers it to, and jobs that die."""

    def __init__(self, root: Path, kind: str) -> None:
        self.kind = kind
        self.place = root / ("secret" if kind != "env-file" else ".env")
        self.environ = {"PATH": os.environ["PATH"], "GWCTL_HOME": str(root / "home")}
        self.home = Home(self.environ)
        self.first = self.home.keys.create(KEY).secret.reveal()
        line = f"A=1\n{VARIABLE}='{self.first}' # the gateway's\nB=2\n"
        self.place.write_text(line if kind == "env-file" else f"{self.first}\n")

    def die_after(self, step: str) -> None:
        words = [sys.executable, "-m", "tests.faults.dying", self.kind, str(self.place), step]
        done = subprocess.run(words, env=self.environ, cwd=Path(__file__).parents[2], capture_output=True, text=True)
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert not TOKEN.search(done.stdout + done.stderr)

    def run_again(self, terms: Terms = AT_ONCE) -> Rotation:
        return self.home.rotations.run(KEY, delivery_to(self.home, self.kind, self.place), terms)

    @property
    def secret(self) -> str:
        """What is in the place now."""
        found = TOKEN.findall(self.place.read_text())
        assert len(found) == 1
        return str(found[0])

    def generation_of(self, secret: str) -> int | None:
        """Which generation the proxy takes a secret for; None where it refuses it."""
        vault = self.home.vault
        directory = Directory(self.home.database, lambda: vault.unlock(Compartment.KEYS).peppers())
        directory.load()
        caller = directory.authenticate(secret.encode(), self.home.clock.now_ms())
        return caller.generation if caller else None

    def states(self) -> dict[int, str]:
        return {g.number: g.state_at(self.home.clock.now()).value for g in self.home.keys.get(KEY).generations}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made")
    environ = {"PATH": os.environ["PATH"], "GWCTL_HOME": str(root / "home")}
    subprocess.run([GWCTL, "init", "--yes", "--unlock", "file"], env=environ, check=True)
    return root


@pytest.fixture
def night(request: pytest.FixtureRequest, made: Path, tmp_path: Path) -> Iterator[Night]:
    shutil.copytree(made / "home", tmp_path / "home")
    night = Night(tmp_path, request.param)
    yield night
    night.home.close()


@pytest.mark.parametrize(("night", "step"), EVERY_STEP, indirect=["night"])
def test_killed_after_any_step_it_leaves_a_working_secret_and_the_next_run_converges(night: Night, step: str) -> None:
    night.die_after(step)
    if (night.kind, step) == ("exec", "started the command"):
        eventually(lambda: night.secret != night.first)  # the command itself lives on, and was given all of the secret
    assert night.generation_of(night.secret) is not None, "what is in the place works"
    was_in_place = night.secret != night.first
    if step == "acknowledged":
        with pytest.raises(UnderWay):
            night.run_again()
        assert not night.run_again(Terms(if_older_than=timedelta(days=30))).changed
    else:
        done = night.run_again()
        assert done.changed
        finished = was_in_place and night.kind != "exec"
        assert done.reason == (FINISHED if finished else None)
        assert done.generation == (2 if finished or step == "locked" else 3)
    states = night.states()
    current = night.generation_of(night.secret)
    assert current is not None
    assert states[current] == GenerationState.ACTIVE
    assert states[1] == GenerationState.GRACE
    assert night.generation_of(night.first) == 1, "who has not switched is not cut off"
    assert GenerationState.PENDING not in states.values()
    assert [p.name for p in night.place.parent.iterdir() if "gwctl" in p.name or p.name.endswith(".new")] == []


@pytest.mark.parametrize("night", ["out"], indirect=True)
def test_a_dead_rotation_whose_secret_was_used_is_never_dropped(night: Night) -> None:
    night.die_after("minted")
    directory_states = night.states()
    assert directory_states == {2: "pending", 1: "active"}
    # Somebody has the secret after all: the proxy saw it used.
    with night.home.database.write() as tx:
        tx.exec_driver_sql("UPDATE key_generations SET last_used_ms = 1 WHERE number = 2")
    night.home.keys.abandon(KEY, 2)
    assert night.states() == {2: "pending", 1: "active"}
    assert not night.run_again(Terms(if_older_than=timedelta())).changed
    assert night.states() == {2: "active", 1: "grace"}


@pytest.mark.parametrize("night", ["env-file"], indirect=True)
def test_the_other_lines_survive_every_death(night: Night) -> None:
    for step in STEPS["env-file"][:-1]:
        night.die_after(step)
        night.run_again(Terms(end_grace=True))
        text = night.place.read_text()
        assert re.sub("'sk-gw[^']*'", "''", text) == f"A=1\n{VARIABLE}='' # the gateway's\nB=2\n"
