"""The comparison of the ledger with the providers' counts: it sees every kind of difference it is there for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from keyvault.domain.reports import AttemptLine, RequestDetail, RequestLine
from opsconsole.staging.reconciliation import TargetCheck, reconcile
from opsconsole.staging.simulation.counts import Ending, Seen

AT = datetime(2026, 10, 1, 12, tzinfo=UTC)
TARGET = "openai/gpt-5"


def seen(**changes: Any) -> Seen:
    """A completed request as its provider saw it."""
    values: dict[str, Any] = {
        "path": "/chat/completions",
        "model": "gpt-5",
        "client_request_id": "r1-1",
        "status": 200,
        "ending": Ending.COMPLETED,
        "input_tokens": 100,
        "cached_tokens": 50,
        "output_tokens": 20,
    }
    return Seen(**(values | changes))


def request(request_id: str = "r1", **changes: Any) -> RequestDetail:
    """A request with one attempt that the ledger has as served."""
    counts = dict.fromkeys(("cache_write_tokens", "reasoning_tokens", "first_content_ms", "total_ms"))
    known = {"input_tokens": 100, "cached_input_tokens": 50, "output_tokens": 20, "cost_pico": 7, "charge_pico": 7}
    both: dict[str, Any] = {"status": 200, "outcome": "served", "basis": "provider", "stream": False, **counts, **known}
    both |= {"at": AT, "dialect": "chat", "target": TARGET} | changes
    attempt = AttemptLine(
        number=1, error_code=None, error_text=None, provider_request_id=None, audio_input_tokens=None,
        audio_output_tokens=None, images=None, price_id=1, bound_pico=None, **both,
    )  # fmt: skip
    line = RequestLine(
        request_id=request_id, customer="acme", project="web", key="k", env="live", tags={}, alias="smart",
        model="gpt-5", error=None, attempts=1, **both,
    )  # fmt: skip
    return RequestDetail(line, 1, (attempt,))


def check(saw: list[Seen], requests: list[RequestDetail]) -> TargetCheck:
    [only] = reconcile({TARGET: saw}, requests)
    return only


def test_equal_sides_have_no_problem() -> None:
    found = check([seen()], [request()])
    assert found.problems == ()
    assert found.provider == found.ledger
    assert found.ledger.output_tokens == 20


@pytest.mark.parametrize("count", ["input_tokens", "cached_input_tokens", "output_tokens"])
def test_a_count_that_differs_is_a_problem(count: str) -> None:
    [problem] = check([seen()], [request(**dict.fromkeys([count], 99))]).problems
    assert problem.startswith(f"r1-1: {count} 99, the provider counted ")


def test_a_request_without_a_row_is_a_problem() -> None:
    assert check([seen(), seen(client_request_id="r2-1")], [request()]).problems == (
        "the provider saw r2-1, the ledger has no row",
    )


def test_two_requests_under_one_id_are_a_problem() -> None:
    assert check([seen(), seen()], [request()]).problems == ("the provider saw 2 requests under 1 ids",)


def test_a_served_row_the_provider_never_saw_is_a_problem() -> None:
    assert len(check([seen()], [request(), request("r2")]).problems) == 1


def test_a_row_that_was_never_sent_is_none() -> None:
    unsent = request("r2", outcome="aborted", status=None, basis="estimate")
    assert check([seen()], [request(), unsent]).problems == ()


def test_a_served_row_of_a_cut_answer_is_a_problem() -> None:
    assert len(check([seen(ending=Ending.CUT)], [request()]).problems) == 1


def test_an_aborted_row_is_shown_apart_and_not_compared() -> None:
    given_up = seen(client_request_id="r2-1", ending=Ending.CANCELLED, output_tokens=3)
    found = check([seen(), given_up], [request(), request("r2", outcome="aborted", basis="estimate", output_tokens=5)])
    assert found.problems == ()
    assert (found.provider.unfinished_output_tokens, found.ledger.unfinished_output_tokens) == (3, 5)
    assert found.provider.output_tokens == found.ledger.output_tokens == 20


def test_a_completed_answer_that_failed_in_the_ledger_is_a_problem() -> None:
    assert len(check([seen()], [request(outcome="failed", basis="unknown")]).problems) == 1


def test_an_attempt_that_is_still_open_is_a_problem() -> None:
    assert "r1-1: still open" in check([seen()], [request(outcome="open", basis="unknown")]).problems
