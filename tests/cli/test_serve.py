"""`gwctl serve` as a process: the line it prints, its exit code, and that a home is served once."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import pytest

from keyvault.errors import Exit
from tests.cli.conftest import Gwctl

PROGRAM = "from opsconsole.cli.main import main; main()"
SERVE = ("serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
LIMIT_SECONDS = 30


def start(gwctl: Gwctl, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words],
        env=gwctl.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def refused(gwctl: Gwctl, *words: str) -> tuple[int, str]:
    """Exit code and errors of a serve that must end by itself."""
    process = start(gwctl, *words)
    try:
        out, err = process.communicate(timeout=LIMIT_SECONDS)
    finally:
        process.kill()
    assert out == ""
    assert "Traceback" not in err
    return process.returncode, err


@pytest.fixture
def served(gwctl: Gwctl) -> Iterator[subprocess.Popen[str]]:
    process = start(gwctl, *SERVE)
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
    served.send_signal(signal.SIGTERM)
    assert served.wait(LIMIT_SECONDS) == 0
    assert served.stdout.read() == ""


def test_a_home_is_served_once(gwctl: Gwctl, served: subprocess.Popen[str]) -> None:
    assert served.stdout is not None
    assert served.stdout.readline()
    code, err = refused(gwctl, *SERVE)
    assert code == Exit.CONFLICT
    assert err.startswith("gwctl: ")


def test_doctor_knows_the_running_proxy(gwctl: Gwctl, served: subprocess.Popen[str]) -> None:
    assert served.stdout is not None
    assert served.stdout.readline()
    gwctl.clock.ms = time.time_ns() // 1_000_000
    checks = gwctl("doctor", "--json").json["checks"]
    (worker,) = [f["text"] for f in checks if f["check"] == "worker"]
    assert re.fullmatch(rf"serving on 127\.0\.0\.1:[1-9]\d*, process {served.pid}, ready", worker)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--listen", "nowhere"), "serve.listen: not an address: 'nowhere'"),
        (("--admin", "0.0.0.0:0"), "serve.admin: 0.0.0.0 is not a loopback address"),
        (("--tls-cert", "/nonexistent"), "serve.tls_cert and serve.tls_key go together"),
        (("--tls-cert", "/nonexistent", "--tls-key", "/nonexistent"), "/nonexistent: cannot be used for TLS"),
    ],
)
def test_what_cannot_be_served_is_a_configuration_error(gwctl: Gwctl, words: tuple[str, ...], message: str) -> None:
    code, err = refused(gwctl, *SERVE, *words)
    assert code == Exit.USAGE
    assert message in err


def test_a_variable_that_nothing_reads_is_told_before_serving(gwctl: Gwctl) -> None:
    gwctl.environ["GWCTL_SERVE_LISTN"] = "127.0.0.1:1"
    _, err = refused(gwctl, *SERVE, "--listen", "nowhere")
    assert err.startswith("gwctl: warning: no such setting: GWCTL_SERVE_LISTN; see gwctl help settings\n")


def test_it_needs_a_home(nowhere: Gwctl) -> None:
    code, err = refused(nowhere, *SERVE)
    assert code == Exit.NOT_FOUND
    assert len(err.splitlines()) == 3
    assert not nowhere.home.exists()
