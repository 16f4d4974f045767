"""Which targets serve a request, in which order."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime

import pytest

from keyvault.domain.endpoints import Dialect
from keyvault.domain.keys import Policy
from keyvault.domain.routes import Choice, Route, Target, Timeouts, parse_target
from keyvault.domain.vault import Upstream
from keyvault.errors import Refusal
from keyvault.routing.health import Health
from keyvault.routing.planner import UNROUTED, Planner


def upstream(name: str, *dialects: Dialect, disabled: bool = False) -> Upstream:
    return Upstream(
        id=1,
        name=name,
        provider="custom",
        base_url="https://api.example.com/v1",
        dialects=frozenset(dialects or (Dialect.CHAT,)),
        auth_header="authorization",
        auth_scheme="Bearer",
        stream_usage=True,
        catalogue=None,
        created_at=datetime(2026, 10, 1, tzinfo=UTC),
        disabled=disabled,
    )


def route(alias: str, *targets: str) -> Route:
    return Route.of(alias, tuple(parse_target(target) for target in targets))


def plan(planner: Planner, model: str | None, dialect: Dialect = Dialect.CHAT, pin: Target | None = None) -> list[str]:
    return [str(planned.target) for planned in planner.plan(model, dialect, pin)]


def refused(
    planner: Planner, model: str | None, dialect: Dialect = Dialect.CHAT, pin: Target | None = None
) -> tuple[int, str]:
    with pytest.raises(Refusal) as caught:
        planner.plan(model, dialect, pin)
    return caught.value.status, caught.value.error_code


def test_without_routes_the_only_upstream_serves_every_model_as_it_is() -> None:
    assert plan(Planner((), [upstream("openai")]), "gpt-5") == ["openai/gpt-5"]


def test_without_routes_the_default_upstream_is_chosen_among_several() -> None:
    planner = Planner((), [upstream("openai"), upstream("groq")], "GROQ")
    assert plan(planner, "llama-4") == ["groq/llama-4"]


def test_without_routes_and_default_nobody_guesses_among_several() -> None:
    assert refused(Planner((), [upstream("openai"), upstream("groq")]), "gpt-5") == (404, "model_not_found")


def test_disabling_the_other_upstream_does_not_send_its_traffic_elsewhere() -> None:
    planner = Planner((), [upstream("openai", disabled=True), upstream("groq")])
    assert refused(planner, "gpt-5") == (404, "model_not_found")


def test_without_any_upstream_the_gateway_is_not_ready() -> None:
    assert refused(Planner((), []), "gpt-5") == (503, "no_upstream")


def test_a_default_upstream_that_does_not_exist_is_said() -> None:
    assert refused(Planner((), [upstream("openai")], "nowhere"), "gpt-5") == (503, "no_default_upstream")


def test_with_routes_only_aliases_are_served() -> None:
    planner = Planner([route("fast", "openai/gpt-5-mini")], [upstream("openai")])
    assert plan(planner, "fast") == ["openai/gpt-5-mini"]
    assert refused(planner, "gpt-5-mini") == (404, "model_not_found")
    assert refused(planner, "FAST") == (404, "model_not_found")


def test_fallbacks_follow_in_the_order_of_the_route() -> None:
    planner = Planner([route("fast", "b/x", "a/y", "b/z")], [upstream("a"), upstream("b")])
    assert plan(planner, "fast") == ["b/x", "a/y", "b/z"]


def test_targets_that_cannot_serve_are_passed_over() -> None:
    upstreams = [upstream("off", disabled=True), upstream("claude", Dialect.MESSAGES), upstream("good")]
    planner = Planner([route("fast", "off/a", "claude/b", "gone/c", "good/d")], upstreams)
    assert plan(planner, "fast") == ["good/d"]


def test_a_dialect_nobody_speaks_is_refused_as_the_clients_mistake() -> None:
    planner = Planner([route("fast", "openai/x")], [upstream("openai", Dialect.CHAT)])
    assert refused(planner, "fast", Dialect.MESSAGES) == (404, "unsupported_endpoint")


def test_switched_off_upstreams_are_refused_as_ours() -> None:
    planner = Planner([route("fast", "openai/x")], [upstream("openai", disabled=True)])
    assert refused(planner, "fast") == (503, "upstream_disabled")


def test_a_route_whose_upstreams_are_gone_is_refused_as_ours() -> None:
    assert refused(Planner([route("fast", "gone/x")], [upstream("openai")]), "fast") == (503, "no_target")


def test_a_pin_picks_its_target_past_the_routes() -> None:
    planner = Planner([route("fast", "a/x")], [upstream("a"), upstream("b")])
    assert plan(planner, "fast", pin=Target("B", "y")) == ["b/y"]


def test_a_pin_must_name_an_upstream_that_can_serve() -> None:
    planner = Planner((), [upstream("a", disabled=True), upstream("b", Dialect.MESSAGES)])
    assert refused(planner, "m", pin=Target("c", "y")) == (400, "unknown_target")
    assert refused(planner, "m", pin=Target("b", "y")) == (404, "unsupported_endpoint")
    assert refused(planner, "m", pin=Target("a", "y")) == (503, "upstream_disabled")


def test_an_unknown_path_goes_to_the_upstream_that_serves_its_model() -> None:
    planner = Planner([route("fast", "b/x")], [upstream("a"), upstream("b")], "a")
    assert plan(planner, "x", Dialect.OTHER) == ["b/x"]
    assert plan(planner, "fast", Dialect.OTHER) == ["b/x"]
    assert plan(planner, "unheard-of", Dialect.OTHER) == ["a/unheard-of"]


def test_a_request_without_a_model_goes_to_the_default_upstream() -> None:
    routes = [route("fast", "b/x")]
    both = [upstream("a"), upstream("b")]
    assert [p.upstream.name for p in Planner(routes, both, "a").plan(None, Dialect.OTHER)] == ["a"]
    assert Planner(routes, both, "a").plan(None, Dialect.OTHER)[0].target.model == ""
    assert refused(Planner(routes, both), None, Dialect.OTHER) == (404, "no_default_upstream")


def test_the_aliases_of_a_key_are_those_its_policy_allows() -> None:
    planner = Planner([route("gpt-b", "a/x"), route("gpt-a", "a/x"), route("claude", "a/y")], [upstream("a")])
    assert planner.aliases(Policy()) == ["claude", "gpt-a", "gpt-b"]
    assert planner.aliases(Policy(models=("gpt-*",))) == ["gpt-a", "gpt-b"]


def test_without_routes_there_are_no_aliases() -> None:
    assert Planner((), [upstream("a")]).aliases(Policy()) is None


def test_a_refusal_quotes_a_hostile_model_name_harmlessly() -> None:
    with pytest.raises(Refusal) as caught:
        Planner([route("fast", "a/x")], [upstream("a")]).plan("\x1b[31m\u202e" + "x" * 1000, Dialect.CHAT)
    assert caught.value.message.isascii()
    assert len(caught.value.message) < 250


# Patterns


PATTERNS = [
    route("gpt-*", "a/gpt"),
    route("gpt-5*", "a/gpt-5"),
    route("gpt-5-nano", "a/nano"),
    route("*mini", "a/mini"),
    route("*", "a/rest"),
    route("o?", "a/o"),
    route("x[1]*", "a/brackets"),
]


@pytest.mark.parametrize(
    ("model", "target"),
    [
        ("gpt-5-nano", "a/nano"),
        ("gpt-5-large", "a/gpt-5"),
        ("gpt-4", "a/gpt"),
        ("gpt-5-mini", "a/gpt-5"),
        ("claude-mini", "a/mini"),
        ("o3", "a/o"),
        ("o3-pro", "a/rest"),
        ("x[1]y", "a/brackets"),
        ("x1y", "a/rest"),
        ("line\nbreak", "a/rest"),
    ],
)
def test_the_exact_alias_goes_before_the_most_specific_pattern(model: str, target: str) -> None:
    for routes in (PATTERNS, PATTERNS[::-1]):
        assert plan(Planner(routes, [upstream("a")]), model) == [target]


def test_a_pattern_is_no_model_that_a_key_could_be_shown() -> None:
    assert Planner(PATTERNS, [upstream("a")]).aliases(Policy()) == ["gpt-5-nano"]


def test_a_target_may_take_the_name_that_the_client_wrote() -> None:
    planner = Planner([Route("gpt-*", (Choice(Target("a", "*")),), (Choice(Target("b", "z")),))], BOTH)
    [first, second] = planner.plan("gpt-9", Dialect.CHAT)
    assert (first.target, second.target) == (Target("a", "gpt-9"), Target("b", "z"))
    assert first.choice is not None
    assert first.choice.target == Target("a", "*")


# Weights

BOTH = [upstream("a"), upstream("b"), upstream("c")]


def weighted(a: int, b: int, c: int = 0) -> Route:
    primary = tuple(Choice(Target(name, "m"), weight) for name, weight in zip("abc", (a, b, c), strict=True))
    return Route("m", primary, (Choice(Target("a", "last")),))


def test_the_primary_targets_share_the_traffic_by_weight_and_the_others_follow() -> None:
    planner = Planner([weighted(1, 3)], BOTH, draw=random.Random(7).random)
    plans = [plan(planner, "m") for _ in range(4_000)]
    firsts = Counter(each[0] for each in plans)
    assert abs(firsts["b/m"] - 3_000) < 120
    assert {tuple(sorted(each[:2])) for each in plans} == {("a/m", "b/m")}
    assert {each[2] for each in plans} == {"a/last"}


def test_a_weight_of_nothing_serves_only_what_is_bound_or_pinned_to_it() -> None:
    planner = Planner([weighted(1, 0)], BOTH)
    assert plan(planner, "m") == ["a/m", "a/last"]
    bound = planner.bound("m", Dialect.CHAT, Target("b", "m"))
    [pinned] = planner.plan("m", Dialect.CHAT, Target("b", "m"))
    assert bound == pinned
    assert pinned.choice == Choice(Target("b", "m"), 0)


def test_what_is_bound_to_a_target_that_cannot_serve_is_bound_no_more() -> None:
    planner = Planner([weighted(1, 1, 1)], [upstream("a", disabled=True), upstream("b", Dialect.MESSAGES)])
    for gone in (Target("a", "m"), Target("b", "m"), Target("c", "m"), Target("b", "unheard-of")):
        assert planner.bound("m", Dialect.CHAT, gone) is None


def test_a_planned_target_carries_what_its_route_says() -> None:
    routes = [Route("m", (Choice(Target("a", "m"), 1, {"seed": 1}),), timeouts=Timeouts(total=3))]
    planner = Planner(routes, BOTH, "b")
    [routed] = planner.plan("m", Dialect.CHAT)
    [pinned] = planner.plan("m", Dialect.CHAT, Target("a", "other"))
    assert (routed.choice, routed.route) == (routes[0].primary[0], routes[0])
    assert (pinned.choice, pinned.route) == (None, UNROUTED)


# Health


def unwell(*names: str) -> Health:
    health = Health(lambda: 1.0)
    for name in names:
        health.failed(Target(name, "m"), 1.0, "503: no", retry_after=60)
    return health


def test_a_target_that_is_not_well_stands_behind_all_that_are() -> None:
    def draw() -> float:
        return 0.5

    planner = Planner([weighted(5, 1)], BOTH, health=unwell("a"), draw=draw)
    assert plan(planner, "m") == ["b/m", "a/last", "a/m"]


def test_where_nobody_is_well_the_order_stays_and_nothing_is_dropped() -> None:
    planner = Planner([route("m", "b/m", "a/m")], BOTH, health=unwell("a", "b"))
    assert plan(planner, "m") == ["b/m", "a/m"]


# For people


def test_what_a_plan_leaves_out_is_told_with_its_reason() -> None:
    upstreams = [upstream("a"), upstream("b", disabled=True), upstream("c", Dialect.MESSAGES)]
    named = tuple(Choice(Target(name, "m")) for name in ("a", "b", "c", "gone"))
    planner = Planner([Route("m", (*named, Choice(Target("a", "idle"), 0)))], upstreams)
    assert [(str(left.choice.target), left.reason) for left in planner.left_out("m", Dialect.CHAT)] == [
        ("b/m", "the upstream is switched off"),
        ("c/m", "the upstream does not speak chat"),
        ("gone/m", "the upstream does not exist"),
        ("a/idle", "its weight is 0: it serves only what is bound or pinned to it"),
    ]
