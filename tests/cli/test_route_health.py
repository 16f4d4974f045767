"""`gwctl routes health` and `gwctl routes test`: how targets are, and which would serve."""

from __future__ import annotations

from typing import Any

import pytest

from keyvault.errors import Exit
from keyvault.home import Home
from tests.cli.conftest import Gwctl

OPEN = {
    "target": "openai/gpt-5",
    "state": "open",
    "since_ms": 1_792_065_600_000,
    "until_ms": 1_792_065_610_000,
    "why": "503: \x1b[31moverloaded",
    "in_a_row": 5,
    "requests": 9,
    "failures": 7,
}


@pytest.fixture
def routed(gwctl: Gwctl) -> Gwctl:
    """A route with three targets, the last of which speaks messages alone."""
    for name in ("openai", "groq", "anthropic"):
        words = ["--provider", name, "--secret-stdin", *(["--dialects", "messages"] if name == "anthropic" else [])]
        ran = gwctl("upstreams", "create", name, *words, stdin=f"sk-{name}-0123456789")
        assert ran.code == 0, ran.err
    assert gwctl("routes", "set", "fast", "openai/gpt-5", "groq/llama", "anthropic/claude-haiku-4-5").code == 0
    assert gwctl("routes", "set", "gpt-*", "openai/*").code == 0
    return gwctl


def beat(gwctl: Gwctl, *targets: dict[str, Any]) -> None:
    """A worker that tells this of its targets."""
    home = Home(gwctl.environ, gwctl.clock)
    worker = home.workers.register("127.0.0.1:8900", "127.0.0.1:8901", "0")
    home.workers.beat(worker, {"targets": targets})
    home.close()


def test_health_lists_those_in_trouble_first_and_why(routed: Gwctl) -> None:
    beat(routed, OPEN)
    ran = routed("routes", "health")
    lines = ran.out.splitlines()
    assert lines[1].split()[:2] == ["openai/gpt-5", "open"]
    assert "overloaded" in lines[1]
    assert "\x1b" not in ran.out
    told = routed("routes", "health", "--json").json
    assert told["workers"] == 1
    [first, *others] = told["targets"]
    assert (first["state"], first["since"], first["until"]) == (
        "open",
        "2026-10-15T12:00:00.000Z",
        "2026-10-15T12:00:10.000Z",
    )
    assert (first["failures_in_a_row"], first["recent_requests"], first["recent_failures"]) == (5, 9, 7)
    assert {row["state"] for row in others} == {"closed"}
    assert "groq/llama" in {row["target"] for row in others}


def test_without_a_worker_nobody_can_tell(routed: Gwctl) -> None:
    ran = routed("routes", "health")
    assert (ran.code, "no worker runs" in ran.err) == (Exit.OK, True)


def test_test_says_who_would_serve_in_which_order_and_who_is_left_out(routed: Gwctl) -> None:
    told = routed("routes", "test", "fast", "--json").json
    assert (told["serves"], told["matched"], told["refused"]) == ("openai/gpt-5", "fast", None)
    assert [(row["order"], row["target"], row["rank"], row["left_out"]) for row in told["targets"]] == [
        (1, "openai/gpt-5", "primary", None),
        (2, "groq/llama", "fallback", None),
        (None, "anthropic/claude-haiku-4-5", None, "the upstream does not speak chat"),
    ]
    messages = routed("routes", "test", "fast", "--dialect", "messages", "--json").json
    assert messages["serves"] == "anthropic/claude-haiku-4-5"


def test_test_heeds_what_the_workers_tell(routed: Gwctl) -> None:
    beat(routed, OPEN)
    told = routed("routes", "test", "fast", "--json").json
    assert told["serves"] == "groq/llama"
    assert [(row["target"], row["health"]) for row in told["targets"]][:2] == [
        ("groq/llama", "closed"),
        ("openai/gpt-5", "open"),
    ]


def test_test_names_the_pattern_and_the_model_that_it_becomes(routed: Gwctl) -> None:
    told = routed("routes", "test", "gpt-9-turbo", "--json").json
    assert (told["matched"], told["serves"]) == ("gpt-*", "openai/gpt-9-turbo")


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        (["nothing"], "404 model_not_found"),
        (["gpt-9", "--dialect", "messages"], "404 unsupported_endpoint"),
        (["fast", "--as", "key:narrow"], "403 model_not_allowed"),
        (["gpt-9", "--dialect", "other", "--as", "key:narrow"], "403 endpoint_not_allowed"),
        (["gpt-9", "--as", "key:gone"], "401 invalid_api_key"),
    ],
)
def test_what_nobody_would_serve_is_exit_7_with_the_refusal(routed: Gwctl, words: list[str], refused: str) -> None:
    for name in ("narrow", "gone"):
        routed("keys", "create", name, "--models", "gpt-*", "--project", "acme/web", "--create", "--json")
    routed("keys", "revoke", "gone", "--yes")
    ran = routed("routes", "test", *words)
    assert ran.code == Exit.CHECK_FAILED
    assert refused in ran.out


@pytest.mark.parametrize("words", [["fast", "--dialect", "telepathy"], ["fast", "--as", "customer:acme"]])
def test_nonsense_is_a_mistake_in_the_command(routed: Gwctl, words: list[str]) -> None:
    assert routed("routes", "test", *words).code == Exit.USAGE
