"""`gwctl compare` through a real gateway: figures that are the ledger's, a second look, a ceiling, a kill, a guard."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from opsconsole.staging.simulation.pace import Pace
from opsconsole.staging.simulation.profile import Profile
from opsconsole.staging.simulator import Simulator, running
from tests.gateway import GWCTL, Gateway, serving
from tests.real.waiting import eventually

MODELS = "good,openai/sim-empty"


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with running(Profile(pace=Pace(first_content_ms=2, tokens_per_second=4000))) as [simulator]:
        yield simulator


@pytest.fixture(scope="module")
def gateway(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path_factory.mktemp("compare") / "home")
    gateway.create_upstream("openai", "openai", simulator.base_url, simulator.profile.credential)
    for model in ("sim", "sim-empty"):
        gateway.set_price(f"openai/{model}", input_usd="10", output_usd="100")
    gateway.run("routes", "set", "good", "openai/sim")
    with serving(gateway):
        yield gateway


def prompts(tmp_path: Path, count: int, **more: Any) -> str:
    """A file of prompts of which a text of any length is right."""
    path = tmp_path / "prompts.jsonl"
    expected = {"expected": {"regex": "[a-z]"}}
    told = [
        {"id": f"p{n}", "prompt": f"{tmp_path.name} {n}", "max_tokens": 9, **expected, **more} for n in range(count)
    ]
    path.write_text("".join(json.dumps(each) + "\n" for each in told))
    return str(path)


def compared(gateway: Gateway, *words: str, code: int = 0) -> Any:
    done = gateway.gwctl("compare", *words, "--json", check=False)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if done.stdout else done.stderr


def test_a_dry_run_says_what_it_would_cost_and_asks_nothing(
    gateway: Gateway, simulator: Simulator, tmp_path: Path
) -> None:
    before = len(simulator.counts.requests)
    told = compared(gateway, prompts(tmp_path, 3), "--models", MODELS, "--dry-run")
    assert [(each["model"], each["requests"]) for each in told["estimates"]] == [("good", 3), ("openai/sim-empty", 3)]
    assert all(0 < float(each["expected_cost"]) <= float(each["at_most"]) for each in told["estimates"])
    assert len(simulator.counts.requests) == before


def test_a_comparison_tells_who_is_better_at_what_cost_and_a_second_look_is_free(
    gateway: Gateway, simulator: Simulator, tmp_path: Path
) -> None:
    source, earlier = prompts(tmp_path, 12, task="chat"), len(gateway.requests())
    told = compared(gateway, source, "--models", MODELS, "--repeat", "2")
    good, empty = told["models"]
    assert (good["right"]["value"], empty["right"]["value"], good["targets"]) == (1.0, 0.0, ["openai/sim"])
    assert [(each["task"], each["model"]) for each in told["best"]] == [(None, "good"), ("chat", "good")]
    rows = gateway.requests()[earlier:]
    assert len(rows) == 48
    assert float(good["cost"]) == pytest.approx(sum(float(row["cost"]) for row in rows if row["alias"] == "good"))
    assert good["output_tokens"] == sum(row["output_tokens"] for row in rows if row["alias"] == "good")
    assert 0 < good["first_content_ms"] <= good["total_ms"]
    assert told["sentences"][1].startswith("good answers better than openai/sim-empty: 100 points on 12 prompts")
    assert gateway.json("keys", "list")["keys"] == [], "the temporary key is gone"

    before = len(simulator.counts.requests)
    again = compared(gateway, source, "--models", MODELS, "--repeat", "2")
    assert len(simulator.counts.requests) == before
    assert [each["reused"] for each in again["models"]] == [24, 24]
    assert again["models"][0]["right"] == good["right"]

    listed = gateway.json("compare", "list")["comparisons"]
    assert [each["verdict"] for each in listed[:2]] == ["best: good", "best: good"]
    page = tmp_path / "found.html"
    gateway.run("compare", "show", again["id"][-8:], "--out", str(page))
    assert "100 points on 12 prompts" in page.read_text()
    gateway.run("compare", "delete", again["id"], "--yes")
    assert again["id"] not in gateway.run("compare", "list")


def test_a_guard_for_ci_breaks_where_a_model_is_worse(gateway: Gateway, tmp_path: Path) -> None:
    words = (prompts(tmp_path, 8), "--models", MODELS, "--fail-if-worse")
    done = gateway.gwctl("compare", *words, "good", check=False)
    assert done.returncode == 7
    assert "worse than good: good answers better than openai/sim-empty" in done.stderr
    assert gateway.gwctl("compare", *words, "openai/sim-empty").returncode == 0
    assert gateway.gwctl("compare", "show", "--fail-if-worse", "good", "--margin", "5", check=False).returncode == 7


def test_a_ceiling_stops_it_and_it_goes_on_with_more(gateway: Gateway, tmp_path: Path) -> None:
    source, earlier = prompts(tmp_path, 10), len(gateway.requests())
    stopped = compared(gateway, source, "--models", MODELS, "--max-cost", "0.008usd", code=7)
    spent = sum(float(row["cost"]) for row in gateway.requests()[earlier:])
    assert 0 < spent <= 0.008
    assert stopped["unfinished"] == "the cost ceiling is reached"
    whole = compared(gateway, "--resume", stopped["id"][-8:], "--max-cost", "1")
    assert whole["unfinished"] is None
    assert len(gateway.requests()) - earlier == 20
    refused = compared(gateway, source, "--models", "good,openai/unpriced", "--max-cost", "1", code=2)
    assert "what 'openai/unpriced' takes at most is not known" in refused


def test_a_comparison_that_was_killed_goes_on_where_it_was(
    gateway: Gateway, simulator: Simulator, tmp_path: Path
) -> None:
    source, before = prompts(tmp_path, 10), len(simulator.counts.requests)
    words = [str(GWCTL), "compare", source, "--models", MODELS, "--rate", "20", "--concurrency", "1"]
    process = subprocess.Popen(words, env=gateway.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    eventually(lambda: len(simulator.counts.requests) >= before + 3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    killed = gateway.json("compare", "list")["comparisons"][0]
    assert killed["verdict"] == "not done"
    told = compared(gateway, "--resume", killed["id"])
    assert [each["answered"] for each in told["models"]] == [10, 10]
    assert 20 <= len(simulator.counts.requests) - before <= 21  # one may have been under way
    keys = gateway.json("keys", "list")["keys"]
    assert [key["name"].startswith("compare-") for key in keys] == [True], "it ends by itself"
    gateway.run("keys", "delete", keys[0]["name"], "--purge", "--confirm", keys[0]["name"])


def test_a_person_reviews_on_a_pipe(gateway: Gateway, tmp_path: Path) -> None:
    models = "good,openai/sim"  # they say the same: nobody has to look
    compared(gateway, prompts(tmp_path, 2, expected={"contains": "x"}), "--models", models)
    assert gateway.json("compare", "review")["pending"] == 0
    compared(gateway, prompts(tmp_path, 3), "--models", MODELS)
    done = gateway.gwctl("compare", "review", "--json", stdin="1\nu\n2\n=\n?\nq\n")
    assert json.loads(done.stdout) == {**json.loads(done.stdout), "reviewed": 2, "pending": 1}
    assert "sim-empty" not in done.stderr
    assert "review" in gateway.json("compare", "show")["models"][0]["preferred"]


def test_another_place_is_asked_with_a_key_of_its_own(gateway: Gateway, simulator: Simulator, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(simulator.profile.credential)
    there = ("--url", simulator.base_url, "--key-file", str(key))
    told = compared(gateway, prompts(tmp_path, 2), "--models", "sim,sim-429", *there)
    assert [(each["answered"], each["cost"] is None) for each in told["models"]] == [(2, True), (0, True)]
    assert told["models"][1]["errors"][0].startswith("429 rate_limit_exceeded")
    assert "sk-sim" not in json.dumps(told)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["FILE"], 2, "needs prompts and models"),
        (["FILE", "--models", "good"], 2, "two models or more"),
        (["FILE", "--models", "good,good"], 2, "named twice"),
        (["FILE", "--models", "good,nobody/x"], 3, "nobody serves 'nobody/x'"),
        (["none.jsonl", "--models", MODELS], 3, "no such file"),
        (["FILE", "--models", MODELS, "--fail-if-worse", "other"], 2, "'other' is not compared"),
        (["FILE", "--models", MODELS, "--margin", "5"], 2, "--margin says how much"),
        (["FILE", "--resume", "abcdef"], 2, "its own prompts"),
        (["FILE", "--models", MODELS, "--out", "nowhere/c.md"], 2, "no such directory"),
        (["FILE", "--models", MODELS, "--out", "c.pdf"], 2, "nothing is written as .pdf"),
        (["FILE", "--models", "a,b", "--url", "http://127.0.0.1:9/v1"], 2, "no key for"),
        (["--resume", "abcdef"], 3, "no such run"),
        (["show", "abcdef"], 3, "no such run"),
    ],
)
def test_what_makes_no_sense_is_said(gateway: Gateway, tmp_path: Path, words: list[str], code: int, said: str) -> None:
    source = prompts(tmp_path, 1)
    done = gateway.gwctl("compare", *[source if word == "FILE" else word for word in words], check=False)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
