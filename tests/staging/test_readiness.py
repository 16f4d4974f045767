"""`gwctl readiness` through a real gateway: every step passes, every step fails, and nothing stays behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keyvault.clock import Clock
from opsconsole.readers.staging import paper_of
from opsconsole.staging.runs import Runs
from opsconsole.staging.simulation.profile import Profile
from opsconsole.staging.simulator import Simulator, running
from tests.gateway import Gateway, serving

STEPS = ["check", "replay", "compare", "drill", "quota", "spend", "keys", "rollout"]


@pytest.fixture(scope="module")
def simulators() -> Iterator[list[Simulator]]:
    with running(Profile(), Profile()) as simulators:
        yield simulators


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, simulators: list[Simulator]) -> Iterator[Gateway]:
    """`fast` has two targets; of `broken` nobody answers."""
    gateway = Gateway(tmp_path_factory.mktemp("readiness") / "home")
    for name, simulator in zip(("one", "two"), simulators, strict=True):
        gateway.create_upstream(name, "openai", simulator.base_url, simulator.profile.credential)
        gateway.set_price(f"{name}/sim")
    gateway.create_upstream("gone", "openai", "http://127.0.0.1:9/v1", "sk-gone")
    gateway.set_price("gone/sim")
    gateway.run("routes", "set", "fast", "one/sim", "two/sim")
    gateway.run("routes", "set", "broken", "gone/sim")
    with serving(gateway):
        yield gateway


@pytest.fixture
def staging(tmp_path: Path, simulators: list[Simulator]) -> Path:
    """A staging file with every step, its requests and the key of the API behind the gateway."""
    asked = [{"model": "gpt", "max_tokens": 9, "messages": [{"role": "user", "content": f"Name {i}"}]} for i in "ab"]
    (tmp_path / "requests.jsonl").write_text("".join(json.dumps(each) + "\n" for each in asked))
    prompts = [{"prompt": f"Say {i}", "expected": {"regex": "."}} for i in "abc"]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(each) + "\n" for each in prompts))
    (tmp_path / "openai.key").write_text(simulators[0].profile.credential)
    file = tmp_path / "staging.toml"
    file.write_text(
        f"""
        [check]
        only = ["chat"]
        client = "httpx"
        direct = {{ url = "{simulators[0].base_url}", key_file = "openai.key" }}
        [replay]
        file = "requests.jsonl"
        max_cost = "1usd"
        direct = {{ url = "{simulators[0].base_url}", key_file = "openai.key", model = "sim" }}
        [compare]
        prompts = "prompts.jsonl"
        models = ["two/sim"]
        least = 3
        [drill]
        faults = ["500"]
        requests = 2
        [quota]
        [spend]
        requests = 2
        [keys]
        [rollout]
        to = "two/sim"
        requests = 50
        """
    )
    return file


def ready(gateway: Gateway, *words: str) -> tuple[int, dict[str, Any]]:
    done = gateway.gwctl("readiness", *words, "--json", check=False)
    return done.returncode, json.loads(done.stdout)


def verdicts(told: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["verdict"] for step in told["steps"]}


def nothing_left(gateway: Gateway) -> bool:
    left = [gateway.json(noun, "list")[noun] for noun in ("keys", "budgets", "limits", "balances")]
    aliases = {route["alias"] for route in gateway.json("routes", "list")["routes"]}
    projects = [project["path"] for project in gateway.json("projects", "list")["projects"]]
    drills = {each["state"] for each in gateway.json("drill", "list")["drills"]}
    rollouts = {each["state"] for each in gateway.json("rollouts", "list")["rollouts"]}
    return (
        not any(left)
        and (aliases, projects) == ({"fast", "broken"}, ["default/default"])
        and drills | rollouts <= {"ended", "rolled_back"}
    )


def test_an_alias_that_passes_every_step_is_ready_and_goes_on_where_it_was(gateway: Gateway, staging: Path) -> None:
    gateway.run("routes", "set", "readiness-0123456789abcdefghjkmnpqrs", "one/sim")  # left by one that was killed
    code, told = ready(gateway, "fast", "-f", str(staging))
    assert verdicts(told) == dict.fromkeys(STEPS, "passed"), told
    assert (code, told["verdict"], told["ready"], told["sentence"]) == (0, "ready", True, "fast is ready")
    assert nothing_left(gateway)
    found = {each["what"]: each["found"] for step in told["steps"] for each in step["evidence"]}
    assert found["the old secret is refused, and nothing leaves"].startswith("401 invalid_api_key")
    assert found["no request fails while routes change"].startswith("0 of ")
    assert found["to begin the real one"].startswith("gwctl rollouts start fast --to two/sim --percent 5 --guard 'err")

    sent = len(gateway.requests())
    items = gateway.home / "state" / "staging" / "readiness" / told["id"] / "items.jsonl"
    kept = items.read_text().splitlines(keepends=True)
    items.write_text("".join(line for line in kept if not line.startswith('{"id":"keys"')))
    assert verdicts(gateway.json("readiness", "show"))["keys"] == "not run"
    code, again = ready(gateway, "--resume", told["id"][-8:])
    assert (code, again["verdict"]) == (0, "ready")
    assert len(gateway.requests()) == sent + 3, "only the keys were tried again"

    run = Runs(gateway.home / "state", Clock()).open("readiness", told["id"])
    assert paper_of(run).findings == ("fast is ready",), "the console shows the same report"
    gateway.run("readiness", "delete", told["id"], "--yes")
    assert gateway.json("readiness", "list")["readinesses"] == []
    assert gateway.json("replay", "list")["replays"] == []


def test_an_alias_that_nobody_serves_fails_each_step(gateway: Gateway, staging: Path) -> None:
    done = gateway.gwctl("readiness", "broken", "-f", str(staging), "--json", check=False)
    told = json.loads(done.stdout)
    assert verdicts(told) == {
        **dict.fromkeys(STEPS, "failed"),
        "spend": "could not be tried",
        "keys": "could not be tried",
    }, told
    assert (done.returncode, told["verdict"], told["ready"]) == (7, "not ready", False)
    assert "broken is not ready; failed: check, replay, compare, drill, quota, rollout" in done.stderr
    assert nothing_left(gateway)


def test_thresholds_of_the_file_decide(gateway: Gateway, staging: Path) -> None:
    text = staging.read_text().replace("least = 3", "least = 20").replace("[keys]", '[keys]\nwithin = "0s"')
    staging.write_text(text.replace('max_cost = "1usd"', "slower = 1.5"))
    code, told = ready(gateway, "fast", "-f", str(staging), "--only", "compare,keys,replay")
    assert {name for name, verdict in verdicts(told).items() if verdict == "failed"} == {"compare", "keys", "replay"}
    assert {name for name, verdict in verdicts(told).items() if verdict == "not run"} == set(STEPS) - {
        "compare",
        "keys",
        "replay",
    }
    assert code == 7


def test_what_the_application_s_key_may_not_do_does_not_pass(gateway: Gateway, staging: Path) -> None:
    gateway.create_key("app", "--models", "other-*")
    try:
        staging.write_text('[alias]\nkey = "app"\n' + staging.read_text())
        code, told = ready(gateway, "fast", "-f", str(staging), "--only", "replay,keys")
    finally:
        gateway.run("keys", "delete", "app", "--purge", "--confirm", "app")
    assert code == 7
    found = {step["name"]: (step["verdict"], json.dumps(step)) for step in told["steps"]}
    assert found["replay"][0] == "failed"
    assert "403" in found["replay"][1]
    assert found["keys"][0] == "could not be tried"


def test_what_was_not_run_is_said(gateway: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "staging.toml"
    file.write_text('[alias]\nname = "fast"\n[keys]\n')
    page = tmp_path / "readiness.html"
    done = gateway.gwctl("readiness", "run", "-f", str(file), "--out", str(page))
    assert done.stdout == ""
    assert "fast is ready so far; not run: check, replay, compare" in page.read_text()
    assert "fast is ready so far" in gateway.gwctl("readiness", "show", "-o", "md").stdout


def test_a_dry_run_says_what_it_would_cost_and_asks_nothing(gateway: Gateway, staging: Path) -> None:
    before, revision = len(gateway.requests()), gateway.json("routes", "history")
    told = gateway.json("readiness", "fast", "-f", str(staging), "--dry-run")
    assert [step["step"] for step in told["steps"]] == STEPS
    assert all(step["possible"] for step in told["steps"])
    assert all(float(step["expected_cost"]) > 0 for step in told["steps"] if step["step"] not in ("check", "compare"))
    assert (len(gateway.requests()), gateway.json("routes", "history")) == (before, revision)


def test_without_a_worker_nothing_can_be_tried_and_that_is_said(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "home")
    gateway.create_upstream("one", "openai", "http://127.0.0.1:9/v1", "sk-gone")
    gateway.run("routes", "set", "fast", "one/sim")
    gateway.run("readiness", "init", str(tmp_path / "staging.toml"))
    code, told = ready(gateway, "run", "-f", str(tmp_path / "staging.toml"))
    tried = [step for step in told["steps"] if step["verdict"] != "not run"]
    assert (code, {step["verdict"] for step in tried}, len(tried)) == (7, {"could not be tried"}, 5)
    assert {step["summary"] for step in tried if step["name"] in ("check", "drill", "keys")} == {
        "because no worker is live (gwctl serve, or name a gateway with --url)"
    }
    assert gateway.json("projects", "list")["projects"][0]["path"] == "default/default"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["fast"], 2, "which file?"),
        (["fast", "-f", "nowhere.toml"], 2, "no such file"),
        (["run", "-f", "FILE"], 2, "which alias?"),
        (["fast", "-f", "FILE", "--only", "nap"], 2, "no such step: 'nap'"),
        (["run", "--resume", "abcdefgh"], 3, "no such run"),
        (["fast", "--resume", "abcdefgh"], 2, "goes on as it began"),
        (["show", "abcdefgh"], 3, "no such run"),
    ],
)
def test_what_is_typed_wrongly_gets_one_line(
    gateway: Gateway, staging: Path, words: list[str], code: int, said: str
) -> None:
    typed = [str(staging) if word == "FILE" else word for word in words]
    done = gateway.gwctl("readiness", *typed, check=False)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
