"""Drills against a real gateway: who served, what clients saw, what was charged, and that nothing stays behind."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from keyvault.domain.drills import Drill, Fault
from keyvault.domain.routes import Target
from keyvault.proxy.drilling import Drilling
from opsconsole.staging.simulation.profile import Profile
from opsconsole.staging.simulator import running
from tests.gateway import GWCTL, Gateway, serving

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(Profile(), Profile()) as simulators:
        gateway = Gateway(tmp_path_factory.mktemp("drill") / "home", GWCTL_TIMEOUTS_FIRST_CONTENT="6")
        for name, simulator in zip(("one", "two"), simulators, strict=True):
            gateway.create_upstream(name, "openai", simulator.base_url, simulator.profile.credential, "--allow-private")
            gateway.set_price(f"{name}/sim")
        gateway.run("routes", "set", "fast", "one/sim", "two/sim")
        gateway.run("routes", "set", "lonely", "one/sim")
        with serving(gateway):
            yield gateway


def drill(gateway: Gateway, *words: str) -> tuple[int, dict[str, object]]:
    done = gateway.gwctl("drill", *words, "--json", check=False)
    return done.returncode, json.loads(done.stdout)


def nothing_left(gateway: Gateway) -> bool:
    left = [gateway.json(noun, "list")[noun] for noun in ("keys", "budgets", "limits", "balances")]
    return not any(left) and {each["state"] for each in gateway.json("drill", "list")["drills"]} <= {"ended"}


def test_a_failing_target_is_replaced_seen_and_charged_once(gateway: Gateway) -> None:
    code, told = drill(gateway, "fast", "--fault", "429", "--requests", "4")
    assert (code, told["verdict"]) == (0, "passed")
    requests = told["requests"]
    assert isinstance(requests, list)
    assert {each["served_by"] for each in requests} == {"two/sim"}
    assert {each["attempts"] for each in requests} == {"one/sim rate_limit_exceeded → two/sim served"}
    number, newest = told["number"], gateway.json("drill", "list")["drills"][0]["id"]
    assert (number, told["currency"]) == (newest, "USD")
    assert gateway.json("drill", "show") == gateway.json("drill", "show", str(number)) == told
    assert nothing_left(gateway)


def test_a_route_without_another_target_does_not_pass(gateway: Gateway) -> None:
    code, told = drill(gateway, "lonely", "--fault", "refuse", "--requests", "2")
    checks = told["checks"]
    assert isinstance(checks, list)
    assert (code, [each["check"] for each in checks if not each["held"]]) == (7, ["another target served"])
    assert nothing_left(gateway)


def test_quotas_run_out_and_are_never_overspent(gateway: Gateway) -> None:
    code, told = drill(gateway, "fast", "--quota")
    assert (code, told["verdict"]) == (0, "passed")
    requests = told["requests"]
    assert isinstance(requests, list)
    assert [each["status"] for each in requests if each["status"] != 200] == [429, 402, 402]
    assert nothing_left(gateway)


def test_the_guards_of_a_rollout_do_not_see_a_drill(gateway: Gateway) -> None:
    gateway.run("rollouts", "start", "fast", "--to", "two/sim", "--percent", "100", "--guard", "error_rate < 50%")
    code, told = drill(gateway, "fast", "--target", "two/sim", "--fault", "500", "--requests", "2")
    arms = gateway.json("rollouts", "status", "fast")["arms"]
    gateway.run("rollouts", "rollback", "fast")
    assert (code, told["verdict"]) == (0, "passed"), told
    assert [(arm["requests"], arm["errors"]) for arm in arms] == [(0, 0), (0, 0)]


def test_a_killed_drill_ends_by_itself(gateway: Gateway) -> None:
    """What is left of it is a row that says when it is over, and a key that expires."""
    words = [str(GWCTL), "drill", "fast", "--fault", "hang", "--requests", "1", "--for", "7s"]
    process = subprocess.Popen(words, env=gateway.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (rows := gateway.rows("SELECT * FROM drills WHERE ended_ms IS NULL")):
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert rows[0]["until_ms"] - rows[0]["created_ms"] == 7000
    [key] = gateway.json("keys", "list")["keys"]
    lived = datetime.fromisoformat(key["expires_at"]) - datetime.fromisoformat(key["created_at"])
    assert abs(lived - timedelta(minutes=5, seconds=7)) < timedelta(seconds=5)
    gateway.run("keys", "delete", key["name"], "--purge", "--confirm", key["name"])
    gateway.run("drill", "stop", str(rows[0]["id"]))


def test_a_drill_is_over_at_its_time() -> None:
    target, now_ms = Target("one", "sim"), NOON.timestamp() * 1000
    drilling = Drilling([Drill(1, 5, "k", target, Fault.HANG, NOON, NOON + timedelta(seconds=7))])
    assert drilling.of(5, target, int(now_ms) + 6_999) is Fault.HANG
    assert drilling.of(5, target, int(now_ms) + 7_000) is None
    assert drilling.of(6, target, int(now_ms)) is None
    assert drilling.of(5, Target("two", "sim"), int(now_ms)) is None


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nope"], 3, "nothing serves 'nope'"),
        (["fast", "--fault", "flood"], 2, "no such fault"),
        (["fast", "--target", "three/sim"], 2, "does not serve fast"),
        (["fast", "--for", "2h"], 2, "from a second to an hour"),
        (["fast", "--dialect", "embeddings"], 2, "cannot speak"),
        (["fast", "--dialect", "messages"], 3, "nothing serves 'fast' at /messages"),
        (["fast", "--fault", "hang", "--for", "6s"], 2, "fast waits 6 s for a first content"),
        (["start", "--key", "nobody", "--target", "one/sim", "--fault", "hang", "--yes"], 3, "no such key"),
        (["stop", "99"], 3, "no such drill"),
    ],
)
def test_what_is_typed_wrongly_gets_one_line(gateway: Gateway, words: list[str], code: int, said: str) -> None:
    done = gateway.gwctl("drill", *words, check=False)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
