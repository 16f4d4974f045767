"""`check` finds what a proxy in between does to answers, and finds nothing where nothing is done."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from opsconsole.staging.checking.checking import Wanted, check
from opsconsole.staging.checking.finding_out import Named
from opsconsole.staging.checking.table import PROBES
from opsconsole.staging.simulation.profile import Profile
from opsconsole.staging.simulator import Simulator, running
from opsconsole.view.checking.report import CheckReport, Result, Verdict
from tests.staging import relay as faults
from tests.staging.relay import Fault, place, relay

MODELS = Named(embedding="sim")


@pytest.fixture(scope="module")
def simulators() -> Iterator[list[Simulator]]:
    """Three providers that say something else each, to the same questions."""
    with running(*(Profile(seed=seed) for seed in (1, 2, 3))) as found:
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


@pytest.mark.parametrize("sdk", [False, True], ids=["httpx", "sdk"])
async def test_nothing_is_found_through_a_plain_relay(simulators: list[Simulator], sdk: bool) -> None:
    wanted = Wanted(named=MODELS, sdk=sdk, at_once=1)
    origins = [simulator.origin for simulator in simulators]
    async with relay(*origins) as provider, relay(provider) as between:
        beside = await check(place(between), place(provider), wanted)
        alone = await check(place(between), None, wanted)
    for report in (beside, alone):
        assert not differing(report)
        assert report.count(Verdict.PASSED) == len(PROBES)
