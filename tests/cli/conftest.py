"""Runs command lines in the test's own process, against a home of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from keyvault.home import Home
from opsconsole.cli.io import Streams
from opsconsole.cli.main import run
from tests.canaries import Canaries
from tests.conftest import FrozenClock
from tests.few_prices import keep_few

ANY_PORT = {"GWCTL_SERVE_LISTEN": "127.0.0.1:0", "GWCTL_SERVE_ADMIN": "127.0.0.1:0"}
"""For who looks whether the ports are free: a gateway of somebody else's may have the usual ones."""


@dataclass(frozen=True)
class Ran:
    """What a command line did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        assert self.code == 0, self.err
        return [json.loads(line) for line in self.out.splitlines()]


class FakeTerminal(io.StringIO):
    """Text that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Gwctl:
    """`gwctl(…words…)` runs one command line and returns what it did."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.clock = FrozenClock()
        self.canaries = Canaries()
        self.environ: dict[str, str] = {"PATH": os.environ["PATH"], "GWCTL_HOME": str(home), "TERM": "dumb"}

    def copied(self, root: Path) -> Gwctl:
        """The same home once more, below `root`, where time and random bytes go on from here."""
        copy = Gwctl(root / "home")
        shutil.copytree(self.home, copy.home)
        copy.clock.ms, copy.clock.drawn = self.clock.ms, self.clock.drawn
        return copy

    def __call__(
        self, *words: str, stdin: str = "", terminal: bool = False, environ: Mapping[str, str] | None = None
    ) -> Ran:
        make = FakeTerminal if terminal else io.StringIO
        self.canaries.given(words, stdin)
        streams = Streams(make(stdin), make(), make())
        code = run(words, {**self.environ, **(environ or {})}, streams, self.clock)
        assert isinstance(streams.stdout, io.StringIO)
        assert isinstance(streams.stderr, io.StringIO)
        ran = Ran(code, streams.stdout.getvalue(), streams.stderr.getvalue())
        self.canaries.made(words, ran.out + ran.err)
        return ran


@pytest.fixture
def nowhere(tmp_path: Path) -> Gwctl:
    """Nothing is set up yet."""
    return Gwctl(tmp_path / "home")


@pytest.fixture(scope="session")
def made_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home as `gwctl init` makes it, to be copied."""
    home = tmp_path_factory.mktemp("made") / "home"
    ran = Gwctl(home)("init", "--yes", "--unlock", "file", "--json")
    assert ran.code == 0, ran.err
    with contextlib.closing(Home({"GWCTL_HOME": str(home)}, FrozenClock())) as made:
        keep_few(made)
    return home


@pytest.fixture
def gwctl(made_home: Path, tmp_path: Path) -> Gwctl:
    """A home that was set up, with nothing in it yet."""
    return Gwctl(made_home).copied(tmp_path)
