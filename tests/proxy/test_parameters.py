"""What a route sets in the body of a request, before the target gets it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from keyvault.domain.endpoints import ENDPOINTS, Dialect
from keyvault.domain.prices import Rates, flat
from keyvault.domain.routes import Choice, Route, Target
from keyvault.proxy.dialects.bodies import Body
from keyvault.proxy.dialects.body import read_body
from keyvault.proxy.dialects.effective import effective
from tests.proxy.harness import DOLLAR_PER_MILLION, add_upstream, new_home, running
from tests.proxy.scripted import Line, Provider, Seen, completion

CHAT: Final = "/chat/completions"


def body_of(text: str | dict[str, Any], path: str = CHAT) -> Body:
    raw = text if isinstance(text, str) else json.dumps({"model": "m", **text})
    return read_body(ENDPOINTS[path], b"application/json", raw.encode())


def sent(body: Body, **parameters: Any) -> dict[str, Any]:
    """What a target with these parameters gets, without the model."""
    choice = Choice(Target("up", "m"), **parameters)
    found: dict[str, Any] = json.loads(effective(body, choice).rewritten("m"))
    del found["model"]
    return found


CASES: Final[dict[str, tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]]] = {
    # what is shown: (path, what the client sent, what the route says, what the target gets)
    "a default fills what is missing": (CHAT, {}, {"defaults": {"seed": 1}}, {"seed": 1}),
    "a default gives way": (CHAT, {"seed": 2}, {"defaults": {"seed": 1}}, {"seed": 2}),
    "null is no value": (CHAT, {"seed": None}, {"defaults": {"seed": 1}}, {"seed": 1}),
    "an override wins": (CHAT, {"seed": 2}, {"overrides": {"seed": 1}}, {"seed": 1}),
    "an override wins over a default": (CHAT, {}, {"defaults": {"seed": 2}, "overrides": {"seed": 1}}, {"seed": 1}),
    "a field is taken out": (CHAT, {"seed": 2, "user": "x"}, {"overrides": {"seed": None}}, {"user": "x"}),
    "a whole table": (CHAT, {}, {"defaults": {"reasoning": {"effort": "low"}}}, {"reasoning": {"effort": "low"}}),
    "one cap for another": (
        CHAT, {"max_completion_tokens": 9}, {"overrides": {"max_tokens": 5}}, {"max_tokens": 5},
    ),
    "no second cap": (
        CHAT, {"max_completion_tokens": 9}, {"defaults": {"max_tokens": 5}}, {"max_completion_tokens": 9},
    ),
    "a cap by the endpoint's own name": (
        "/responses", {}, {"defaults": {"max_tokens": 50}}, {"max_output_tokens": 50},
    ),
    "no cap where an endpoint knows none": (
        "/embeddings", {"input": "x"}, {"overrides": {"max_tokens": 5}}, {"input": "x"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("shown", CASES)
def test_parameters_are_set_under_and_over_what_the_client_said(shown: str) -> None:
    path, given, parameters, expected = CASES[shown]
    assert sent(body_of(given, path), **parameters) == expected


def test_a_target_without_parameters_gets_the_body_itself() -> None:
    body = body_of({})
    assert effective(body, Choice(Target("up", "m"))) is body
    assert effective(body, None) is body


def test_what_decides_the_cost_is_read_of_what_the_target_gets() -> None:
    body = body_of({"n": 4, "messages": []})
    assert (body.output_cap, body.choices, body.added_bytes) == (None, 4, 0)
    found = effective(body, Choice(Target("up", "m"), defaults={"max_tokens": 500}, overrides={"n": 1}))
    assert (found.output_cap, found.choices) == (500, 1)
    longer = len(found.rewritten("m")) - len(body.rewritten("m"))
    assert longer <= found.added_bytes


def test_the_clients_own_values_keep_their_bytes() -> None:
    body = body_of('{"model":"m","temperature":1.50,"seed":12345678901234567890,"metadata":{"a":1e2}}')
    found = effective(body, Choice(Target("up", "m"), defaults={"top_p": 0.9})).rewritten("x")
    assert found == b'{"model":"x","temperature":1.50,"seed":12345678901234567890,"metadata":{"a":1e2},"top_p":0.9}'


def test_forms_and_unknown_paths_go_as_they_are() -> None:
    choice = Choice(Target("up", "m"), overrides={"seed": 1})
    unknown = read_body(None, b"application/json", b'{"model":"m"}')
    form = read_body(
        ENDPOINTS["/audio/transcriptions"],
        b"multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--x--\r\n',
    )
    assert effective(unknown, choice) is unknown
    assert effective(form, choice) is form


@pytest.mark.parametrize("dialect", [Dialect.CHAT, Dialect.RESPONSES, Dialect.MESSAGES, Dialect.COMPLETIONS])
def test_every_dialect_with_a_cap_knows_one_a_route_can_set(dialect: Dialect) -> None:
    path = next(endpoint.path for endpoint in ENDPOINTS.values() if endpoint.dialect is dialect)
    choice = Choice(Target("up", "m"), overrides={"max_completion_tokens": 7})
    assert effective(body_of({"prompt": "x"}, path), choice).output_cap == 7


async def test_each_target_of_a_route_gets_its_own_parameters(tmp_path: Path) -> None:
    async def refuse(_: Seen, line: Line) -> None:
        await line.answer(500, {"error": {"message": "no"}})

    async def answer(_: Seen, line: Line) -> None:
        await line.answer(200, completion())

    home = new_home(tmp_path / "home")
    async with Provider(refuse).running() as first, Provider(answer).running() as second:
        add_upstream(home, "first", first.url)
        add_upstream(home, "second", second.url)
        home.routes.put(
            Route(
                "m",
                (Choice(Target("first", "one"), defaults={"temperature": 0.5}),),
                (Choice(Target("second", "two"), overrides={"max_tokens": 9, "temperature": None}),),
            )
        )
        home.prices.set_own("first", "one", Rates(input=flat(0), output=flat(DOLLAR_PER_MILLION)))
        home.prices.set_own("second", "two", Rates(input=flat(0), output=flat(DOLLAR_PER_MILLION)))
        async with running(home) as gateway:
            assert (await gateway.chat(max_tokens=100)).status_code == 200
            bounds = [row["bound_pico"] for row in await gateway.rows(2)]
    assert bounds == [100 * DOLLAR_PER_MILLION // 10**6, 9 * DOLLAR_PER_MILLION // 10**6], "what each may cost at most"
    assert [(s.json["model"], s.json["max_tokens"], s.json.get("temperature")) for s in first.seen[:1]] == [
        ("one", 100, 0.5)
    ]
    assert [(s.json["model"], s.json["max_tokens"], s.json.get("temperature")) for s in second.seen] == [
        ("two", 9, None)
    ]
