"""The demo, as it runs without a terminal: real proxy, simulated providers, and its check holds."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.gateway import GWCTL


@pytest.mark.timeout(120)
def test_the_plain_demo_ends_with_a_ledger_that_agrees_with_the_providers() -> None:
    done = subprocess.run([GWCTL, "demo", "--plain", "--seconds", "4", "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["ok"] is True
    assert sum(target["provider_requests"] for target in told["targets"]) > 10
    assert all(target["provider_requests"] == target["ledger_requests"] for target in told["targets"])
