"""Homes that attackers get at: the same as the command line's tests have."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keyvault.home import Home
from keyvault.secrets import Secret
from keyvault.storage.engine import sqlite_module
from tests.cli.conftest import Gwctl, gwctl, made_home, nowhere

__all__ = ["gwctl", "made_home", "nowhere"]


@pytest.fixture
def home(gwctl: Gwctl) -> Iterator[Home]:
    """The home of `gwctl`, with two upstreams, as another process has it open."""
    opened = Home(gwctl.environ, gwctl.clock)
    for name, provider in (("openai", "openai"), ("mistral", "mistral")):
        opened.upstreams.create(name, provider, secret=Secret(f"sk-canary-of-{name}"))
    yield opened
    opened.close()


def write(home: Path, statement: str, *parameters: Any) -> int:
    """What somebody with the database file and no unlock secret does; how many rows it changed."""
    connection = sqlite_module().connect(str(home / "data" / "gateway.db"), timeout=10, isolation_level=None)
    with contextlib.closing(connection):
        return int(connection.execute(statement, parameters).rowcount)


def read(home: Path, statement: str, *parameters: Any) -> list[Any]:
    """What lies in the database file."""
    connection = sqlite_module().connect(str(home / "data" / "gateway.db"), timeout=10, isolation_level=None)
    with contextlib.closing(connection):
        return list(connection.execute(statement, parameters).fetchall())
