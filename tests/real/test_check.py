"""`gwctl check` against a gateway in its own process, and against a real llama.cpp server that nobody here wrote."""

from __future__ import annotations

import asyncio
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keyvault.clock import Clock
from keyvault.domain.routes import Target
from keyvault.secrets import Secret
from opsconsole.staging.checking.checking import Wanted, check
from opsconsole.staging.checking.finding_out import Named
from opsconsole.staging.checking.table import PROBES
from opsconsole.staging.runs import Runs
from opsconsole.staging.simulator import Simulator
from opsconsole.view.checking.report import CheckReport, Verdict
from tests.gateway import Gateway
from tests.proxy.harness import new_home
from tests.proxy.harness import running as serving
from tests.real.conftest import PROFILE
from tests.real.tiny_llama import MODEL, SECRET
from tests.staging import relay as faults
from tests.staging.relay import Fault, place, relay

UNCAPPED = ("error-cap", "error-message-field")
"""Probes that a random model would answer for seconds."""


@pytest.fixture
def direct(gateway: Gateway, simulator: Simulator, tmp_path: Path) -> list[str]:
    """The options that name the simulated provider."""
    key = tmp_path / "provider.key"
    key.write_text(PROFILE.credential)
    return ["--direct", simulator.base_url, "--direct-key-file", str(key)]


def test_a_check_of_this_home_leaves_a_report_and_no_key(gateway: Gateway, direct: list[str], tmp_path: Path) -> None:
    told = gateway.json("check", *direct, "--only", "chat*", "--junit", str(tmp_path / "check.xml"))
    assert told["ok"] is True
    assert {result["verdict"] for result in told["results"]} == {"passed"}
    assert {result["client"] for result in told["results"]} == {"openai"}

    suite = ElementTree.parse(tmp_path / "check.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == (str(len(told["results"])), "0")
    newest = _runs(gateway).newest("check")
    assert newest is not None
    assert newest.summary().verdict == "passed"
    assert CheckReport.of_json(newest.report).to_json() == told
    assert set(newest.done()) == {result["id"] for result in told["results"]}
    assert gateway.json("check", "show") == told
    assert gateway.json("check", "list")["checks"][0]["verdict"] == "passed"
    gateway.run("check", "delete", newest.id[-8:], "--yes")
    assert newest.id not in [each.id for each in _runs(gateway).each("check")]
    assert not [key for key in gateway.json("keys", "list")["keys"] if key["name"].startswith("check-")]


async def test_what_differs_ends_with_exit_7_and_says_what(
    gateway: Gateway, simulator: Simulator, direct: list[str], tmp_path: Path
) -> None:
    key = tmp_path / "gateway.key"
    key.write_text(PROFILE.credential)
    async with relay(simulator.origin, fault=faults.lost_usage) as between:
        words = ["check", between, "--key-file", str(key), *direct, "--only", "chat", "--only", "embeddings"]
        table = await asyncio.to_thread(gateway.gwctl, *words, check=False)
        junit = await asyncio.to_thread(gateway.gwctl, *words, "-o", "junit", check=False)
        paper = await asyncio.to_thread(gateway.gwctl, *words, "-o", "md", check=False)
    assert (table.returncode, junit.returncode, paper.returncode) == (7, 7, 7)
    assert "field usage: direct object, here nothing" in table.stdout
    assert "0 passed, 1 differs, 1 skipped" in table.stderr
    (case,) = ElementTree.fromstring(junit.stdout).iterfind(".//testcase[@name='chat']/failure")
    assert "field usage: direct object, here nothing" in str(case.text)
    assert "| chat | differs |" in paper.stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--key-file", "k"], 2, "no such file"),
        (["--key-stdin", "http://127.0.0.1:9"], 2, "no secret came"),
        (["http://127.0.0.1:9", "--url", "http://127.0.0.1:9"], 2, "named twice"),
        (["--out", "nowhere/check.md"], 2, "no such directory"),
        (["show", "abcdef"], 3, "no such run"),
        (["--direct-model", "m"], 2, "need --direct"),
        (["--only", "nonesuch"], 2, "no probe goes by nonesuch"),
        (["http://127.0.0.1:9"], 5, "connection refused"),
        (["localhost:8900"], 2, "not the base URL of an API"),
        (["-o", "html"], 2, "-o html is for reports"),
    ],
)
def test_what_makes_no_sense_is_refused(gateway: Gateway, words: list[str], code: int, said: str) -> None:
    done = gateway.gwctl("check", *words, check=False)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr


def test_a_file_that_is_there_is_told_before_anything_is_asked(gateway: Gateway, tmp_path: Path) -> None:
    (there := tmp_path / "check.xml").touch()
    before = len(_runs(gateway).each("check"))
    assert gateway.gwctl("check", "--junit", str(there), check=False).returncode == 6
    assert len(_runs(gateway).each("check")) == before


def test_nothing_is_kept_of_a_check_that_could_not_begin(gateway: Gateway) -> None:
    before = _runs(gateway).summaries("check")
    gateway.gwctl("check", "http://127.0.0.1:9", check=False)
    assert _runs(gateway).summaries("check") == before


@pytest.mark.parametrize("alias", [None, "local"], ids=["default upstream", "alias"])
async def test_nothing_is_found_in_front_of_llama(llama: str, tmp_path: Path, alias: str | None) -> None:
    """Beside the server itself, whose answers are gibberish, never the same twice.

    With an alias the gateway lists its own models, and refuses others that llama.cpp would answer.
    """
    home = new_home(tmp_path)
    home.upstreams.create("llama", "llamacpp", base_url=f"{llama}/v1", secret=Secret(SECRET), allow_private=True)
    if alias is not None:
        home.routes.set(alias, [Target("llama", MODEL)])
    wanted = Wanted(probes=[probe for probe in PROBES if probe.id not in UNCAPPED], sdk=False)
    if alias is not None:
        wanted = replace(wanted, named=Named(alias), direct_named=Named(MODEL))
    async with serving(home) as gateway:
        beside = await check(place(gateway.url, gateway.key), place(llama, SECRET), wanted)
        alone = await check(place(gateway.url, gateway.key), None, wanted)
    for report in (beside, alone):
        assert not [result for result in report.results if result.verdict is Verdict.DIFFERS]
        passed = {result.id for result in report.results if result.verdict is Verdict.PASSED}
        assert passed >= {"chat", "chat-schema", "chat-stream-usage", "completion-stream", "response-stream", "message"}


async def test_what_llama_cannot_and_a_fallback_can_is_skipped(
    llama: str, simulator: Simulator, tmp_path: Path
) -> None:
    home = new_home(tmp_path)
    home.upstreams.create("llama", "llamacpp", base_url=f"{llama}/v1", secret=Secret(SECRET), allow_private=True)
    secret = Secret(PROFILE.credential)
    home.upstreams.create("sim", "openai", base_url=simulator.base_url, secret=secret, allow_private=True)
    home.routes.set("local", [Target("llama", MODEL), Target("sim", "sim")])
    probes = [probe for probe in PROBES if probe.id == "chat-image"]
    wanted = Wanted(named=Named("local"), direct_named=Named(MODEL), probes=probes, sdk=False)
    async with serving(home) as gateway:
        report = await check(place(gateway.url, gateway.key), place(llama, SECRET), wanted)
    [result] = report.results
    assert (result.verdict, "image input is not supported" in (result.reason or "")) == (Verdict.SKIPPED, True)


@pytest.mark.parametrize(
    ("fault", "probe"),
    [
        (faults.dropped_field, "chat"),
        (faults.changed_type, "chat"),
        (faults.missing_done, "chat-stream"),
        (faults.lost_usage, "chat-stream-usage"),
        (faults.wrong_status, "error-field"),
        (faults.swallowed_error_body, "error-field"),
        (faults.reordered_events, "chat-stream"),
        (faults.altered_header, "message"),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
async def test_a_planted_fault_is_found_in_front_of_llama(llama: str, fault: Fault, probe: str) -> None:
    wanted = Wanted(probes=[each for each in PROBES if each.id in (probe, "message-tokens")], sdk=False)
    async with relay(llama, fault=fault) as between:
        report = await check(place(between, SECRET), place(llama, SECRET), wanted)
    verdicts: dict[str, Any] = {result.id: result.verdict for result in report.results}
    assert verdicts[probe] is Verdict.DIFFERS
    if fault is not faults.altered_header:
        assert verdicts["message-tokens"] is Verdict.PASSED


def _runs(gateway: Gateway) -> Runs:
    return Runs(gateway.home / "state", Clock())
