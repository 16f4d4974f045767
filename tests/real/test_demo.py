"""The demo, as it runs without a terminal: real proxy, simulated providers, and its check holds."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.gateway import GWCTL
from tests.real.waiting import eventually


@pytest.mark.timeout(120)
def test_the_plain_demo_ends_with_a_ledger_that_agrees_with_the_providers() -> None:
    done = subprocess.run([GWCTL, "demo", "--plain", "--seconds", "4", "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["ok"] is True
    assert sum(target["provider_requests"] for target in told["targets"]) > 10
    assert all(target["provider_requests"] == target["ledger_requests"] for target in told["targets"])


def test_a_killed_demo_leaves_no_gateway_behind() -> None:
    with subprocess.Popen([GWCTL, "demo", "--plain", "--seconds", "60"], stderr=subprocess.PIPE, text=True) as demo:
        assert demo.stderr is not None
        while "requests sent" not in demo.stderr.readline():
            assert demo.poll() is None
        children = Path(f"/proc/{demo.pid}/task/{demo.pid}/children").read_text().split()
        assert children
        demo.kill()
    eventually(lambda: not any(_runs(child) for child in children))


def _runs(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
