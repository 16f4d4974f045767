"""`gwctl replay` against a real gateway: a dry run, a replay that breaks, the list of them, and wrong words."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from opsconsole.staging.asking import said
from opsconsole.staging.exchanges import Exchange, read_file
from opsconsole.staging.simulation.profile import Profile
from opsconsole.staging.simulator import running
from tests.gateway import GWCTL, Gateway, serving


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


def test_what_was_captured_is_replayed_from_the_capture_and_from_its_export(gateway: Gateway, tmp_path: Path) -> None:
    secret = gateway.create_key("app")
    gateway.run("captures", "start", "--scope", "key:app")
    chat = {"model": "fast", "messages": [{"role": "user", "content": "hello"}], "temperature": 1.0}
    responses = {"model": "fast", "input": "hello"}
    asked = [
        (path, {**body, "stream": stream})
        for path, body in (("/chat/completions", chat), ("/responses", responses))
        for stream in (False, True)
    ]
    asked.append(("/chat/completions", {**chat, "messages": [{"role": "user", "content": "[sim:429]"}]}))
    with httpx.Client(headers={"authorization": f"Bearer {secret}"}, trust_env=False) as client:
        answers = [client.post(gateway.base_url + path, json=body) for path, body in asked]
    while gateway.json("captures", "show", "1")["taken"] < len(asked):
        pass
    out = tmp_path / "capture.jsonl"
    gateway.run("captures", "export", "1", "--out", str(out))
    exchanges = [each for each in read_file(out) if isinstance(each, Exchange)]
    assert [(each.path, json.loads(each.body)) for each in exchanges] == asked
    assert b'"temperature":1.0' in exchanges[0].body
    for exchange, answer in zip(exchanges, answers, strict=True):
        recorded = exchange.recorded
        assert recorded is not None
        assert recorded.answer is not None
        assert recorded.status == answer.status_code
        heard = said(exchange.path, recorded.answer)
        assert (heard.complete, heard.error_code is None) == (answer.is_success, answer.is_success)
        assert recorded.usage is not None
        assert (recorded.target, recorded.total_ms is not None) == ("openai/sim", True)
    told = [gateway.json("replay", source) for source in (str(out), "capture:1")]
    figures = ("requests", "sent", "served", "broken", "recorded_cost")
    assert [[each[name] for name in figures] for each in told] == [[5, 5, 4, 0, told[0]["recorded_cost"]]] * 2
    assert float(told[0]["recorded_cost"]) > 0
    gateway.run("captures", "delete", "1", "--confirm", "1")
    gateway.run("keys", "delete", "app", "--purge", "--confirm", "app")


def test_going_back_is_shown_by_the_same_requests_without_the_gateway(gateway: Gateway, requests: Path) -> None:
    [upstream] = gateway.json("upstreams", "list")["upstreams"]
    key = requests.with_name("key")
    key.write_text(Profile().credential)
    key.chmod(0o600)
    ways = [(), ("--url", upstream["base_url"], "--key-file", str(key), "--rename", "fast=sim"), ("--model", "unknown")]
    through, without, wrong = (
        json.loads(gateway.gwctl("replay", str(requests), *way, "--json", check=False).stdout)["id"] for way in ways
    )
    told = gateway.json("replay", "diff", through, without)
    assert (told["requests"], told["not_in_both"], told["different"], told["differences"]) == (3, 0, 0, [])
    assert [each["one"] for each in told["figures"] if each["figure"] == "broken"] == [1]
    done = gateway.gwctl("replay", "diff", through, wrong, check=False)
    assert (done.returncode, f"2 of 3 requests break in {wrong[-8:]} only" in done.stderr) == (7, True)


def test_an_interrupted_replay_goes_on_within_its_bounds(gateway: Gateway, requests: Path) -> None:
    words = [str(GWCTL), "replay", str(requests), "--rate", "0.01", "--max-cost", "0.0005", "--tolerate", "1"]
    with subprocess.Popen(words, env=gateway.environ, stderr=subprocess.PIPE, text=True) as process:
        while not [
            each
            for each in gateway.json("replay", "list")["replays"]
            if each["verdict"] == "not done" and each["requests"]
        ]:
            assert process.poll() is None
        [key] = gateway.json("keys", "list")["keys"]
        lives = datetime.fromisoformat(key["expires_at"]) - datetime.fromisoformat(key["created_at"])
        assert lives > timedelta(hours=20), "a long replay does not outlive its key"
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        said = process.stderr.read()
    assert process.returncode == 130
    assert gateway.json("keys", "list")["keys"] == []
    resume = said.split("gwctl replay ")[1].split()
    assert gateway.json("replay", *resume, "--dry-run")["requests"] == 2
    assert gateway.gwctl("replay", *resume, "--model", "other", check=False).returncode == 2
    done = gateway.gwctl("replay", *resume, "--json", check=False)
    assert (done.returncode, json.loads(done.stdout)["sent"]) == (0, 3), "one that breaks is still tolerated"


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
        (["-", "--key-stdin"], "stdin cannot be both"),
        (["capture:x"], "not a capture"),
        (["capture:99"], "no such capture"),
    ],
)
def test_what_is_typed_wrongly_gets_one_line(gateway: Gateway, requests: Path, words: list[str], said: str) -> None:
    done = gateway.gwctl("replay", *(str(requests) if word == "REQUESTS" else word for word in words), check=False)
    assert done.returncode in (2, 3)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
