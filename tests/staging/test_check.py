"""`check` finds what a proxy in between does to answers, and finds nothing where nothing is done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from keyvault.errors import GatewayError, Locked, NotFound, Unavailable, UsageError
from opsconsole.staging.checking.checking import Wanted, check
from opsconsole.staging.checking.finding_out import Named
from opsconsole.staging.checking.probes import Models
from opsconsole.staging.checking.sdk import SdkProber
from opsconsole.staging.checking.table import PROBES
from opsconsole.staging.simulation.profile import Profile
from opsconsole.staging.simulator import Simulator, running
from opsconsole.view.checking.report import CheckReport, Result, Verdict
from tests.proxy.harness import UPSTREAM_SECRET, add_upstream, new_home
from tests.proxy.harness import running as serving
from tests.proxy.scripted import Line, Provider, Script, Seen, chunk, completion
from tests.staging import relay as faults
from tests.staging.relay import Fault, place, relay

MODELS = Named(embedding="sim")


@pytest.fixture(scope="module")
def simulators() -> Iterator[list[Simulator]]:
    """Three providers that say something else each, to the same questions."""
    with running(*(Profile(seed=seed, credential=UPSTREAM_SECRET) for seed in (1, 2, 3))) as found:
        yield found


def of(*ids: str, sdk: bool = False) -> Wanted:
    return Wanted(named=MODELS, probes=[probe for probe in PROBES if probe.id in ids], sdk=sdk, at_once=1)


def differing(report: CheckReport) -> dict[str, Result]:
    return {result.id: result for result in report.results if result.verdict is Verdict.DIFFERS}


FAULTS: list[tuple[Fault, str, str, bool]] = [
    (faults.dropped_field, "chat", "field created", True),
    (faults.changed_type, "chat", "field usage.total_tokens", True),
    (faults.missing_done, "chat-stream", "last event", True),
    (faults.merged_tool_deltas, "chat-stream-tools", "events", False),
    (faults.lost_usage, "chat-stream-usage", "usage event", True),
    (faults.wrong_status, "error-field", "status", True),
    (faults.swallowed_error_body, "error-field", "field error", True),
    (faults.reordered_events, "chat-stream", "order", True),
    (faults.reencoded_number, "response", "spelling temperature", False),
    (faults.altered_header, "chat", "header content-type", True),
]


@pytest.mark.parametrize(("fault", "probe", "aspect", "alone"), FAULTS, ids=lambda each: getattr(each, "__name__", ""))
async def test_a_planted_fault_is_found(
    simulators: list[Simulator], fault: Fault, probe: str, aspect: str, alone: bool
) -> None:
    """Beside the provider, whose answers differ each time. `alone`: also without, for clients could not do with it."""
    wanted = of(probe)
    origins = [simulator.origin for simulator in simulators]
    async with relay(*origins) as provider, relay(provider, fault=fault) as between:
        found = differing(await check(place(between), place(provider), wanted))
        by_itself = differing(await check(place(between), None, wanted))
    assert aspect in [difference.aspect for difference in found[probe].differences]
    assert (probe in by_itself) == alone


async def test_nothing_is_found_through_a_plain_relay_though_all_answers_differ(simulators: list[Simulator]) -> None:
    wanted = Wanted(named=MODELS, sdk=False, at_once=1)
    origins = [simulator.origin for simulator in simulators]
    async with relay(*origins) as provider, relay(provider) as between:
        report = await check(place(between), place(provider), wanted)
    assert not differing(report)
    assert report.count(Verdict.PASSED) == len(PROBES)


async def test_nothing_is_found_by_the_official_sdks_through_a_plain_relay(simulators: list[Simulator]) -> None:
    async with relay(simulators[0].origin) as between:
        report = await check(place(between), place(simulators[0].origin), Wanted(named=MODELS))
    assert not differing(report)
    assert {result.client for result in report.results} == {"openai", "anthropic", "httpx"}


@pytest.mark.parametrize("sdk", [False, True], ids=["httpx", "sdk"])
async def test_nothing_is_found_through_the_gateway(simulators: list[Simulator], tmp_path: Path, sdk: bool) -> None:
    home = new_home(tmp_path)
    add_upstream(home, "sim", simulators[0].origin, "custom")
    async with serving(home) as gateway:
        wanted = Wanted(named=MODELS, sdk=sdk)
        beside = await check(place(gateway.url, gateway.key), place(simulators[0].origin), wanted)
        alone = await check(place(gateway.url, gateway.key), None, wanted)
    for report in (beside, alone):
        assert not differing(report)
        assert report.count(Verdict.PASSED) == len(PROBES)
    why = {each.aspect: each.allowed for result in beside.results for each in result.allowed}
    assert "the gateway asks for the usage" in str(why["field usage in content events"])


async def garbled(seen: Seen, line: Line) -> None:
    await line.answer(200, b"<html>Welcome</html>", "x-powered-by: a web server")


async def moved(seen: Seen, line: Line) -> None:
    await line.answer(302, b"", "location: https://elsewhere.example/v1")


async def empty(seen: Seen, line: Line) -> None:
    await line.answer(200, {"object": "list", "data": []})


@pytest.mark.parametrize(
    ("script", "error", "said"),
    [
        (garbled, UsageError, "does not answer as an API: 200, application/json"),
        (moved, UsageError, "sends elsewhere: 302"),
        (empty, NotFound, "names no model"),
    ],
)
async def test_what_is_no_api_is_one_clear_error(script: Script, error: type[GatewayError], said: str) -> None:
    async with Provider(script).running() as provider:
        with pytest.raises(error, match=said):
            await check(place(provider.url))


async def test_a_wrong_key_a_wrong_model_and_nobody_there_are_one_clear_error_each(simulators: list[Simulator]) -> None:
    with pytest.raises(Locked, match="refuses the key: 401 Incorrect API key"):
        await check(place(simulators[0].origin, "sk-wrong"))
    with pytest.raises(Unavailable, match="connection refused"):
        await check(place(simulators[0].origin), place("http://127.0.0.1:9"))
    with pytest.raises(NotFound, match="has no model 'nonesuch': The model"):
        await check(place(simulators[0].origin), None, Wanted(named=Named("nonesuch")))


async def limited(seen: Seen, line: Line) -> None:
    """A model without tools, which knows only the newer name of the cap."""
    if seen.path == "/v1/models":
        await line.answer(200, {"object": "list", "data": [{"id": "m", "object": "model"}]})
    elif b'"max_tokens"' in seen.body:
        await line.answer(400, {"error": {"message": "not supported: 'max_tokens'; use 'max_completion_tokens'"}})
    elif b'"tools"' in seen.body:
        await line.answer(400, {"error": {"message": "tools are not supported"}})
    else:
        await line.answer(200, completion())


@pytest.mark.parametrize("beside", [False, True])
async def test_what_a_model_cannot_do_is_skipped_with_its_reason(beside: bool) -> None:
    wanted = Wanted(probes=of("chat", "chat-tool", "embeddings").probes, sdk=False)
    async with Provider(limited).running() as provider:
        report = await check(place(provider.url), place(provider.url) if beside else None, wanted)
    assert report.ok
    assert [(result.verdict.value, result.remark) for result in report.results] == [
        ("passed", ""),
        ("skipped", "because the answer is 400: tools are not supported"),
        ("skipped", "because no model for it is named"),
    ]


async def test_a_difference_can_be_ignored_by_name(simulators: list[Simulator]) -> None:
    wanted = replace(of("chat"), ignored=("header *",))
    async with relay(simulators[0].origin, fault=faults.altered_header) as between:
        report = await check(place(between), place(simulators[0].origin), wanted)
    assert report.ok
    assert [(each.aspect, each.allowed) for each in report.results[0].allowed] == [
        ("header content-type", "ignored as asked")
    ]


async def cut_at_its_cap(seen: Seen, line: Line) -> None:
    await line.begin_stream()
    for event in (chunk({"role": "assistant", "content": "hel"}), chunk({}, "length"), "[DONE]"):
        await line.event(event)
    await line.end_stream()


async def test_what_an_sdk_leaves_unread_is_known_all_the_same() -> None:
    """It raises an error at the event that says so; what was on the wire behind it is still compared."""
    (probe,) = of("chat-stream-tool").probes
    async with Provider(cut_at_its_cap).running() as provider, SdkProber(place(provider.url), timeout=5) as prober:
        seen = await prober.ask(probe, Models("m"))
    assert seen.sdk["raises"] == "LengthFinishReasonError"
    assert [event.data for event in seen.answer.events][2:] == ["[DONE]"]
