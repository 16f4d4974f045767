"""`gwctl replay` against a real gateway: a dry run, a replay that breaks, the list of them, and wrong words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsconsole.staging.simulation.profile import Profile
from opsconsole.staging.simulator import running
from tests.gateway import Gateway, serving


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(Profile()) as [simulator]:
        gateway = Gateway(tmp_path_factory.mktemp("replay") / "home")
        gateway.create_upstream("openai", "openai", simulator.base_url, simulator.profile.credential, "--allow-private")
        gateway.set_price("openai/sim")
        gateway.run("routes", "set", "fast", "openai/sim")
        with serving(gateway):
            yield gateway


@pytest.fixture
def requests(tmp_path: Path) -> Path:
    texts = ["one", "two", "three [sim:429]"]
    path = tmp_path / "requests.jsonl"
    path.write_text(
        "".join(
            json.dumps(
                {"id": str(i), "model": "fast", "max_tokens": 9, "messages": [{"role": "user", "content": text}]}
            )
            + "\n"
            for i, text in enumerate(texts)
        )
    )
    return path


def test_a_dry_run_says_what_it_would_cost_and_sends_nothing(gateway: Gateway, requests: Path) -> None:
    told = gateway.json("replay", str(requests), "--dry-run")
    assert (told["requests"], told["targets"]) == (3, [{"target": "openai/sim", "requests": 3}])
    assert float(told["expected_cost"]) > 0
    assert gateway.requests() == []


def test_a_replay_tells_what_breaks_and_what_it_cost(gateway: Gateway, requests: Path) -> None:
    done = gateway.gwctl("replay", str(requests), "--json", check=False)
    told = json.loads(done.stdout)
    assert (done.returncode, told["sent"], told["served"], told["broken"]) == (7, 3, 2, 1)
    assert [(each["kind"], each["breaks"]) for each in told["findings"]] == [("limited", True)]
    assert told["found"][0]["target"] == "openai/sim"
    rows = gateway.requests()
    assert {row["env"] for row in rows} == {"test"}
    assert float(told["cost"]) == pytest.approx(sum(float(row["cost"] or 0) for row in rows))
    assert gateway.json("keys", "list")["keys"] == [], "the temporary key is gone"

    listed = gateway.json("replay", "list")["replays"][0]
    assert (listed["id"], listed["verdict"], listed["requests"]) == (told["id"], "failed", 3)
    assert gateway.json("replay", "show", told["id"][-8:])["found"] == told["found"]
    assert gateway.gwctl("replay", "--resume", told["id"], "--tolerate", "1").returncode == 0
    gateway.run("replay", "delete", told["id"], "--yes")
    assert gateway.json("replay", "list")["replays"] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no-such-file.jsonl"], "no such file"),
        (["REQUESTS", "--pin", "nowhere"], "not a target"),
        (["REQUESTS", "--rename", "fast"], "not a pair of names"),
        (["REQUESTS", "--resume", "abcdefgh"], "goes on with its own file"),
        (["--resume", "abcdefgh"], "no such run"),
        (["run"], "no file of requests"),
        (["REQUESTS", "--url", "nonsense", "--key-stdin"], "not the base URL"),
        (["REQUESTS", "--url", "http://127.0.0.1:9/v1"], "no key for"),
        (["REQUESTS", "--max-cost", "-1"], "amount"),
        (["REQUESTS", "--max-cost", "1", "--model", "unknown"], "no price is known"),
    ],
)
def test_what_is_typed_wrongly_gets_one_line(gateway: Gateway, requests: Path, words: list[str], said: str) -> None:
    done = gateway.gwctl("replay", *(str(requests) if word == "REQUESTS" else word for word in words), check=False)
    assert done.returncode in (2, 3)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
