"""One key that serves many customers: who pays for a request is said by headers, where the key may say it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from keyvault.domain.budgets import parse_budget
from keyvault.domain.keys import Policy, PolicyChange
from keyvault.domain.limits import LimitChange
from keyvault.domain.scopes import parse_scope
from keyvault.metering.budgets import Terms
from tests.proxy.harness import Running, add_upstream, new_home, running
from tests.proxy.scripted import Line, Provider, Seen, completion


async def answer(seen: Seen, line: Line) -> None:
    await line.answer(200, completion(model="m"))


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with Provider(answer).running() as listening:
        yield listening


@pytest.fixture
async def gw(tmp_path: Path, provider: Provider) -> AsyncIterator[Running]:
    home = new_home(tmp_path / "home")
    add_upstream(home, "up", provider.url)
    home.customers.create("own")
    home.customers.create("acme", multiplier=Decimal(2))
    home.customers.create("empty")
    for path in ("own/app", "own/web", "acme/app", "acme/default", "acme/web"):
        home.customers.create_project(path)
    async with running(home) as serving:
        yield serving


def key(gw: Running, attribute: str, project: str = "own/app") -> str:
    change = PolicyChange(attribute=attribute)
    made = gw.home.keys.create(f"{attribute or 'plain'}-{len(gw.home.keys.list())}", project=project)
    gw.home.keys.update(made.key.name, policy=change)
    return made.secret.reveal()


async def ask(gw: Running, secret: str, *more: tuple[str, str], path: str = "/v1/chat/completions") -> httpx.Response:
    headers = [(b"authorization", b"Bearer " + secret.encode())]
    headers += [(f"x-gateway-{name}".encode(), value.encode("latin-1")) for name, value in more]
    return await gw.client.post(path, json={"model": "m", "messages": []}, headers=headers)


def told(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def payers(gw: Running, count: int) -> list[str | None]:
    """The project that pays, of each attempt; None: the key's own."""
    paths = {project.id: project.path for project in gw.home.customers.list_projects()}
    return [paths[row["project_id"]] if row["project_id"] else None for row in await gw.rows(count)]


async def test_a_key_for_customers_names_any_of_them_and_the_likeliest_project_pays(gw: Running) -> None:
    named = [
        (("customer", "acme"),),
        (("customer", "ACME"), ("project", "acme/Web")),
        (("customer", "acme"), ("project", "web")),
        (("project", "acme/web"),),
        (("project", "web"),),
        (),
    ]
    secret = key(gw, "customers")
    for headers in named:
        assert (await ask(gw, secret, *headers)).status_code == 200
    assert (await ask(gw, key(gw, "customers", "own/web"), ("customer", "own"))).status_code == 200
    elsewhere = key(gw, "customers", "default/default")
    gw.home.customers.create("solo")
    gw.home.customers.create_project("solo/thing")
    assert (await ask(gw, elsewhere, ("customer", "acme"))).status_code == 200
    assert (await ask(gw, elsewhere, ("customer", "solo"))).status_code == 200, "made a moment ago, its only project"
    same, default, only = None, "acme/default", "solo/thing"
    assert await payers(gw, 9) == [
        "acme/app", "acme/web", "acme/web", "acme/web", "own/web", same, same, default, only,
    ]  # fmt: skip


async def test_the_price_is_the_one_of_whoever_pays(gw: Running) -> None:
    secret = key(gw, "customers")
    await ask(gw, secret)
    await ask(gw, secret, ("customer", "acme"))
    own, named = await gw.rows(2)
    assert own["charge_pico"] == own["cost_pico"] == named["cost_pico"] > 0
    assert named["charge_pico"] == 2 * named["cost_pico"]


async def test_limits_budgets_and_balances_are_those_of_whoever_pays(gw: Running) -> None:
    secret = key(gw, "customers")
    gw.home.limits.set(parse_scope("project:acme/web"), LimitChange(rpm=1))
    gw.home.balances.top_up(parse_scope("project:acme/app"), 1, "hardly anything")
    gw.home.budgets.set(parse_scope("customer:own"), Terms(*parse_budget("1usd/day")))

    async def outcome(project: str) -> tuple[int, str | None]:
        headers = {"authorization": f"Bearer {secret}", "x-gateway-project": project}
        body = {"model": "m", "max_tokens": 5, "messages": []}
        response = await gw.client.post("/v1/chat/completions", json=body, headers=headers)
        return response.status_code, (response.json().get("error") or {}).get("code")

    assert [await outcome("acme/web") for _ in range(2)] == [(200, None), (429, "rate_limit_exceeded")]
    assert await outcome("acme/app") == (402, "insufficient_quota")
    assert await outcome("acme/default") == (200, None)
    assert await outcome("own/web") == (200, None)
    web = gw.home.customers.get_project("own/web").id
    [budget] = gw.home.budgets.list()
    assert budget.spent_pico == sum(row["charge_pico"] for row in await gw.rows(3) if row["project_id"] == web) > 0


async def test_the_tags_of_a_request_are_on_record_with_it(gw: Running) -> None:
    for attribute in ("customers", "projects"):
        answered = await ask(gw, key(gw, attribute), ("tags", "team=web, feature = search"))
        assert answered.status_code == 200
    await ask(gw, key(gw, "customers"))
    named = {"feature": "search", "team": "web"}
    assert [row["tags"] and json.loads(row["tags"]) for row in await gw.rows(3)] == [named, named, None]


async def test_a_key_for_projects_names_projects_of_its_own_customer_and_nobody_else(gw: Running) -> None:
    secret = key(gw, "projects")
    assert (await ask(gw, secret, ("project", "web"))).status_code == 200
    assert (await ask(gw, secret, ("project", "OWN/web"))).status_code == 200
    assert await payers(gw, 2) == ["own/web", "own/web"]
    assert told(await ask(gw, secret, ("project", "acme/web"))) == (403, "attribution_not_allowed")
    assert told(await ask(gw, secret, ("project", "nobody/web"))) == (403, "attribution_not_allowed")
    assert told(await ask(gw, secret, ("customer", "own"))) == (403, "attribution_not_allowed")
    assert told(await ask(gw, secret, ("project", "none"))) == (400, "unknown_payer")


async def test_from_any_other_key_every_such_header_is_refused_also_when_it_names_its_own(gw: Running) -> None:
    secret = key(gw, "")
    for header in (("customer", "own"), ("project", "app"), ("project", "own/app"), ("tags", "a=b"), ("customer", "")):
        assert told(await ask(gw, secret, header)) == (403, "attribution_not_allowed")
    assert (await gw.client.get("/v1/models", headers=gw.headers(x_gateway_customer="own"))).status_code == 403
    assert (await ask(gw, secret)).status_code == 200
    assert len(await gw.rows(1)) == 1


NAMING_NOBODY = (
    ([("customer", "nobody")], (400, "unknown_payer")),
    ([("customer", "")], (400, "unknown_payer")),
    ([("customer", "empty")], (400, "unknown_payer")),
    ([("customer", "acme"), ("project", "none")], (400, "unknown_payer")),
    ([("customer", "acme"), ("project", "own/web")], (400, "invalid_payer")),
    ([("project", "acme/web/x")], (400, "unknown_payer")),
    ([("project", "/")], (400, "unknown_payer")),
    ([("customer", "acme"), ("customer", "own")], (400, "repeated_header")),
    ([("customer", "\xe4cme")], (400, "unknown_payer")),
    ([("tags", "novalue")], (400, "invalid_tags")),
    ([("tags", "a=1,a=2")], (400, "invalid_tags")),
    ([("tags", "a b=1")], (400, "invalid_tags")),
    ([("tags", "note=sk-proj-Ab3Cd4Ef5Gh6Ij7Kl8Mn9Op0")], (400, "invalid_tags")),
    ([("tags", ",".join(f"t{n}=1" for n in range(9)))], (400, "invalid_tags")),
)


async def test_what_names_nobody_is_refused_in_words_that_tell_nothing(gw: Running) -> None:
    secret = key(gw, "customers")
    for headers, refused in NAMING_NOBODY:
        response = await ask(gw, secret, *headers)
        assert told(response) == refused, headers
        assert not {"acme", "own", "web"} & set(response.json()["error"]["message"].replace(",", "").split()), headers


async def test_a_customer_with_several_projects_and_none_that_is_meant_is_ambiguous(gw: Running) -> None:
    gw.home.customers.create("many")
    for path in ("many/a", "many/b"):
        gw.home.customers.create_project(path)
    assert told(await ask(gw, key(gw, "customers"), ("customer", "many"))) == (400, "ambiguous_payer")


async def test_who_is_suspended_cannot_be_named_from_the_next_request_on(gw: Running) -> None:
    secret = key(gw, "customers")
    assert (await ask(gw, secret, ("project", "acme/web"))).status_code == 200
    gw.home.customers.update_project("acme/web", suspended=True)
    assert told(await ask(gw, secret, ("project", "acme/web"))) == (403, "payer_suspended")
    assert (await ask(gw, secret, ("project", "acme/app"))).status_code == 200
    gw.home.customers.update("acme", suspended=True)
    assert told(await ask(gw, secret, ("project", "acme/app"))) == (403, "payer_suspended")
    gw.home.customers.update("acme", suspended=False)
    assert (await ask(gw, secret, ("project", "acme/app"))).status_code == 200


async def test_whom_nobody_vouches_for_cannot_be_named(gw: Running) -> None:
    secret = key(gw, "customers")
    with gw.home.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE customers SET multiplier_ppm = 0 WHERE name = 'acme'")
    assert told(await ask(gw, secret, ("customer", "acme"))) == (403, "payer_suspended")
    assert (await ask(gw, secret)).status_code == 200


async def test_a_key_may_stop_naming_others_at_its_next_request(gw: Running) -> None:
    secret = key(gw, "customers")
    assert (await ask(gw, secret, ("customer", "acme"))).status_code == 200
    [name] = [each.name for each in gw.home.keys.list() if each.policy.attribute]
    gw.home.keys.update(name, policy=PolicyChange(attribute="projects"))
    assert told(await ask(gw, secret, ("customer", "acme"))) == (403, "attribution_not_allowed")


async def test_work_that_ends_later_is_not_started_for_another_payer(gw: Running) -> None:
    policy = Policy(endpoints=("all",), attribute="customers")
    secret = gw.home.keys.create("worker", project="own/app", policy=policy).secret.reveal()
    headers = {"authorization": f"Bearer {secret}", "x-gateway-customer": "acme"}
    body = {"model": "m", "input": "hi", "background": True}
    assert told(await gw.client.post("/v1/responses", json=body, headers=headers)) == (400, "payer_not_possible")
    assert await gw.rows(0) == []


async def test_tags_are_kept_with_the_attempt_and_no_such_header_reaches_the_provider(
    gw: Running, provider: Provider
) -> None:
    secret = key(gw, "projects")
    assert (await ask(gw, secret, ("tags", "team=web, feature=search"), ("project", "web"))).status_code == 200
    [row] = await gw.rows(1)
    assert json.loads(row["tags"]) == {"feature": "search", "team": "web"}
    assert not [name for name, _ in provider.seen[-1].headers if name.startswith("x-gateway")]
