"""Where the target of a rollout stands in a plan."""

from __future__ import annotations

import pytest

from keyvault.clock import EPOCH
from keyvault.domain.endpoints import Dialect
from keyvault.domain.rollouts import Plan, Rollout, State
from keyvault.domain.routes import AS_NAMED, Choice, Route, Target
from keyvault.domain.vault import Upstream
from keyvault.routing.health import Health
from keyvault.routing.planner import Planned, Planner
from tests.unit.test_planner import route, upstream

NEW = Target("new", "m")


def rollout(alias: str = "fast", target: Target = NEW) -> Rollout:
    return Rollout(1, alias, target, State.RUNNING, Plan(steps=(500_000,)), "salt", 0, EPOCH, EPOCH)


def planner(
    *rollouts: Rollout, routes: Route | None = None, new: Upstream | None = None, health: Health | None = None
) -> Planner:
    return Planner(
        [routes or route("fast", "old/m", "spare/m")],
        [upstream("old"), upstream("spare"), new or upstream("new")],
        rollouts=rollouts,
        health=health,
    )


def drawn(of: Planner, model: str = "fast", dialect: Dialect = Dialect.CHAT) -> tuple[Planned, ...] | None:
    plan = of.plan(model, dialect)
    return of.with_new(of.rollouts[plan[0].route.alias], plan, model, dialect)


def named(plan: tuple[Planned, ...] | None) -> list[str] | None:
    return None if plan is None else [str(planned.target) for planned in plan]


def test_it_stands_before_the_route_s_own_and_in_no_other_plan() -> None:
    of = planner(rollout())
    assert named(drawn(of)) == ["new/m", "old/m", "spare/m"]
    assert named(of.plan("fast", Dialect.CHAT)) == ["old/m", "spare/m"]
    assert [planned.trial for planned in drawn(of) or ()] == [True, False, False]


def test_a_target_that_the_route_has_already_is_tried_once_with_what_the_route_says_of_it() -> None:
    choice = Choice(NEW, defaults={"temperature": 0.2})
    found = drawn(planner(rollout(), routes=Route("fast", (Choice(Target("old", "m")),), (choice,))))
    assert named(found) == ["new/m", "old/m"]
    assert found is not None
    assert found[0].choice == choice


def test_while_it_is_not_well_the_others_come_first() -> None:
    health = Health(lambda: 100.0)
    for _ in range(5):
        health.failed(NEW, 100.0, "http_500")
    assert named(drawn(planner(rollout(), health=health))) == ["old/m", "spare/m", "new/m"]


@pytest.mark.parametrize("new", [upstream("new", disabled=True), upstream("new", Dialect.EMBEDDINGS), upstream("gone")])
def test_what_cannot_serve_a_request_is_in_no_plan(new: Upstream) -> None:
    assert drawn(planner(rollout(), new=new)) is None


def test_for_a_pattern_it_takes_the_name_that_was_asked_for() -> None:
    of = planner(rollout("gpt-*", Target("new", AS_NAMED)), routes=Route.of("gpt-*", [Target("old", AS_NAMED)]))
    assert named(drawn(of, "gpt-5")) == ["new/gpt-5", "old/gpt-5"]


def test_what_is_bound_to_it_is_found_there() -> None:
    of = planner(rollout())
    bound = of.bound("fast", Dialect.CHAT, NEW)
    assert bound is not None
    assert bound.target == NEW
    assert named(of.new_at("fast", Dialect.CHAT, "new")) == ["new/m"]
    assert of.new_at("fast", Dialect.CHAT, "old") == ()
    assert planner().bound("fast", Dialect.CHAT, NEW) is None
