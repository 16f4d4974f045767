"""`gwctl serve` as a process: the line it prints, its exit code, and that a home is served once."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import pytest

from keyvault.errors import Exit
from tests.cli.conftest import Gwctl

PROGRAM = "from opsconsole.cli.main import main; main()"
SERVE = ("serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")


@pytest.fixture
def served(gwctl: Gwctl) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *SERVE],
        env=gwctl.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.communicate()


def test_it_says_where_it_listens_and_ends_well_at_sigterm(gwctl: Gwctl, served: subprocess.Popen[str]) -> None:
    assert served.stdout is not None
    line = served.stdout.readline()
    listening = re.fullmatch(r"listening on (http://127\.0\.0\.1:\d+) \(admin (http://127\.0\.0\.1:\d+)\)\n", line)
    assert listening, line
    with urllib.request.urlopen(f"{listening[2]}/healthz") as answer:
        assert answer.status == 200
    second = gwctl(*SERVE)
    assert second.code == Exit.CONFLICT
    assert "Traceback" not in second.err
    served.send_signal(signal.SIGTERM)
    assert served.wait(20) == 0
    assert served.stdout.read() == ""


def test_doctor_knows_the_running_proxy(gwctl: Gwctl, served: subprocess.Popen[str]) -> None:
    assert served.stdout is not None
    served.stdout.readline()
    gwctl.clock.ms = int(__import__("time").time() * 1000)
    checks = gwctl("doctor", "--json").json["checks"]
    assert any(f["check"] == "worker" and str(served.pid) in f["text"] for f in checks)


@pytest.mark.parametrize(("words", "code"), [(("--listen", "nowhere"), 2), (("--admin", "0.0.0.0:0"), 2)])
def test_an_address_that_cannot_be_is_a_usage_error(gwctl: Gwctl, words: tuple[str, ...], code: int) -> None:
    assert gwctl(*SERVE, *words).code == code


def test_it_needs_a_home(nowhere: Gwctl) -> None:
    assert nowhere(*SERVE).code == Exit.NOT_FOUND
    assert not os.path.exists(nowhere.home)
