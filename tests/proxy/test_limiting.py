"""Rate limits at work: what is counted, what is given back, and how a client's SDK learns of it."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import anthropic
import openai
import pytest

from keyvault.domain.endpoints import Dialect, Family
from keyvault.domain.keys import Policy
from keyvault.domain.ledger import Basis, Outcome, Settlement, Usage
from keyvault.domain.limits import Limit, LimitChange
from keyvault.domain.routes import Target
from keyvault.domain.scopes import Payer, Scope, ScopeKind, ScopeRef, parse_scope
from keyvault.errors import Refusal
from keyvault.proxy.admission import Call
from keyvault.proxy.limiting import Limiter
from keyvault.proxy.permit import UNLIMITED, Permit
from keyvault.proxy.reckoning import USUAL_OUTPUT
from tests.attacks.conftest import write
from tests.conftest import FrozenClock
from tests.proxy.harness import Running, add_upstream
from tests.proxy.scripted import Line, Provider, Script, Seen, chunk, completion
from tests.proxy.test_gateway import answer_well, gateway, stream_well

KEY = parse_scope("key:tester")
CUSTOMER = parse_scope("customer:default")


@contextlib.asynccontextmanager
async def limited(
    tmp_path: Path, *scripts: Script, scope: Scope = KEY, model: str = "", **amounts: int
) -> AsyncIterator[tuple[Running, list[Provider]]]:
    """A gateway whose key has this limit."""
    async with gateway(tmp_path, *(scripts or (answer_well,))) as (gw, providers):
        gw.home.limits.set(scope, LimitChange(**amounts), model=model)
        yield gw, providers


async def test_requests_beyond_the_limit_are_refused_and_every_answer_tells_what_is_left(tmp_path: Path) -> None:
    async with limited(tmp_path, rpm=2) as (gw, [provider]):
        first, second, third = [await gw.chat() for _ in range(3)]
    assert [r.status_code for r in (first, second, third)] == [200, 200, 429]
    assert [r.headers["x-ratelimit-remaining-requests"] for r in (first, second, third)] == ["1", "0", "0"]
    assert {r.headers["x-ratelimit-limit-requests"] for r in (first, second, third)} == {"2"}
    assert re.fullmatch(r"[0-9.]+s", first.headers["x-ratelimit-reset-requests"])
    assert "x-ratelimit-limit-tokens" not in first.headers
    error = third.json()["error"]
    assert (error["code"], error["type"]) == ("rate_limit_exceeded", "requests")
    assert error["message"].startswith(
        "rate limit reached for this key on requests per minute (RPM): limit 2; try again in"
    )
    wait_ms = int(third.headers["retry-after-ms"])
    assert 0 < wait_ms <= 30_000
    assert int(third.headers["retry-after"]) == -(-wait_ms // 1000)
    assert len(provider.seen) == 2


async def test_tokens_are_reckoned_first_and_settled_by_the_providers_count(tmp_path: Path) -> None:
    async with limited(tmp_path, answer_well, tpm=100) as (gw, _):
        first, second = [await gw.chat(max_tokens=50) for _ in range(2)]
        refused = await gw.chat(max_tokens=90)
    told = [int(r.headers["x-ratelimit-remaining-tokens"]) for r in (first, second, refused)]
    assert told[0] < 50
    assert told[1] >= told[0] - 10, "the first answer was of ten tokens"
    assert refused.status_code == 429
    assert refused.json()["error"]["type"] == "tokens"
    assert told[2] >= 80


async def test_what_came_to_more_than_reckoned_is_waited_for(tmp_path: Path) -> None:
    async def long_answer(seen: Seen, line: Line) -> None:
        await line.answer(200, completion(output=10_000))

    async with limited(tmp_path, long_answer, tpm=1_000) as (gw, _):
        assert (await gw.chat(max_tokens=1)).status_code == 200
        refused = await gw.chat(max_tokens=1)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 500


async def test_the_official_sdk_waits_as_long_as_it_is_told_and_then_succeeds(tmp_path: Path) -> None:
    async def a_little_too_much(seen: Seen, line: Line) -> None:
        await line.answer(200, completion(prompt=0, output=600_000))

    async with limited(tmp_path, a_little_too_much, tpm=600_000) as (gw, [provider]):
        client = openai.AsyncOpenAI(base_url=f"{gw.url}/v1", api_key=gw.key, http_client=_direct(), max_retries=1)
        ask: Any = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        await client.chat.completions.create(**ask, max_tokens=1)
        await client.chat.completions.create(**ask, max_tokens=9_000)  # by itself the SDK would try again too early
        with pytest.raises(openai.RateLimitError) as caught:
            await client.with_options(max_retries=0).chat.completions.create(**ask, max_tokens=600_000)
        await client.close()
        metrics = (await gw.client.get(f"{gw.admin}/metrics")).text
    assert (caught.value.code, caught.value.type) == ("rate_limit_exceeded", "tokens")
    assert len(provider.seen) == 2
    assert 'code="rate_limit_exceeded"' in metrics


def _direct() -> Any:
    return openai.DefaultAsyncHttpxClient(trust_env=False)


async def test_anthropics_sdk_gets_its_own_error_and_headers(tmp_path: Path) -> None:
    async def message(seen: Seen, line: Line) -> None:
        usage = {"input_tokens": 3, "output_tokens": 1}
        content = [{"type": "text", "text": "hi"}]
        more = {"content": content, "model": "m", "stop_reason": "end_turn", "stop_sequence": None, "usage": usage}
        await line.answer(200, {"id": "m", "type": "message", "role": "assistant", **more})

    async with limited(tmp_path, message, rpm=1, tpm=10_000) as (gw, [provider]):
        gw.home.upstreams.delete("up0")
        add_upstream(gw.home, "claude", provider.url, "anthropic")
        http = anthropic.DefaultAsyncHttpxClient(trust_env=False)
        client = anthropic.AsyncAnthropic(base_url=gw.url, api_key=gw.key, http_client=http, max_retries=0)
        ask: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
        headers = (await client.messages.with_raw_response.create(**ask)).headers
        with pytest.raises(anthropic.RateLimitError) as caught:
            await client.messages.create(**ask)
        await client.close()
    assert headers["anthropic-ratelimit-requests-limit"] == "1"
    assert headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert headers["anthropic-ratelimit-requests-reset"].endswith("Z")
    assert headers["anthropic-ratelimit-tokens-limit"] == "10000"
    assert not [name for name in headers if name.startswith("x-ratelimit")]
    assert cast(Any, caught.value.body)["error"]["type"] == "rate_limit_error"
    assert int(caught.value.response.headers["retry-after"]) > 50


async def test_a_request_under_way_makes_room_however_it_ends(tmp_path: Path) -> None:
    """With room for one at once, each ending is followed by another request."""
    leaving = asyncio.Event()

    async def each(seen: Seen, line: Line) -> None:
        match seen.json["user"]:
            case "streamed":
                await stream_well(seen, line)
            case "refused":
                await line.answer(400, {"error": {"message": "no"}})
            case "failed":
                line.cut()
            case "broken":
                await line.begin_stream()
                await line.event(chunk({"content": "word"}))
                line.cut()
            case "left":
                leaving.set()
                await line.left()
            case _:
                await answer_well(seen, line)

    async with limited(tmp_path, each, parallel=1) as (gw, _):
        left = asyncio.create_task(gw.chat(user="left"))
        await leaving.wait()
        meanwhile = await gw.chat(user="meanwhile")
        left.cancel()
        ended = [await _until_admitted(gw)]
        for user in ("streamed", "broken", "failed", "refused", "served"):
            answer = await gw.chat(user=user, stream=user in ("streamed", "broken"))
            unknown = await gw.client.get("/v1/models/none", headers=gw.headers())
            ended += [answer.status_code, unknown.status_code]
        ended.append((await gw.chat(user="served")).status_code)
    assert meanwhile.status_code == 429
    assert meanwhile.json()["error"]["type"] == "requests"
    assert "requests at once: limit 1; try again in 1s" in meanwhile.json()["error"]["message"]
    assert 429 not in ended, ended


async def _until_admitted(gw: Running) -> int:
    for _ in range(500):
        if (status := (await gw.chat(user="served")).status_code) != 429:
            return status
        await asyncio.sleep(0.01)
    return 429


async def test_a_request_that_reached_nobody_is_not_counted_but_one_that_did_is(tmp_path: Path) -> None:
    async def refusing(seen: Seen, line: Line) -> None:
        await line.answer(400, {"error": {"message": "broken"}})

    async with limited(tmp_path, refusing, rpm=1, tpm=100_000) as (gw, _):
        add_upstream(gw.home, "away", "http://127.0.0.1:9")
        gw.home.routes.set("away", [Target("away", "m")])
        gw.home.routes.set("m", [Target("up0", "m")])
        away = [(await gw.chat(model="away")).status_code for _ in range(2)]
        answers = [await gw.chat() for _ in range(2)]
        last = answers[1].headers
    assert away == [502, 502]
    assert [answer.status_code for answer in answers] == [400, 429]
    assert int(last["x-ratelimit-remaining-tokens"]) > 99_990, "a refused request took no tokens"


async def test_questions_that_cost_nothing_are_requests_but_take_no_tokens(tmp_path: Path) -> None:
    async with limited(tmp_path, rpm=2, tpm=1_000) as (gw, _):
        gw.home.routes.set("m", [Target("up0", "m")])
        answers = [await gw.client.get("/v1/models", headers=gw.headers()) for _ in range(3)]
    assert [a.status_code for a in answers] == [200, 200, 429]
    assert answers[1].headers["x-ratelimit-remaining-requests"] == "0"
    assert answers[1].headers["x-ratelimit-remaining-tokens"] == "1000"


async def test_a_change_counts_for_the_next_request_and_what_was_counted_stays(tmp_path: Path) -> None:
    async with limited(tmp_path, rpm=5) as (gw, _):
        assert (await gw.chat()).headers["x-ratelimit-remaining-requests"] == "4"
        gw.home.limits.set(KEY, LimitChange(rpm=3))
        assert (await gw.chat()).headers["x-ratelimit-remaining-requests"] == "1"
        gw.home.limits.set(KEY, LimitChange(rpm=1))
        assert (await gw.chat()).status_code == 429
        gw.home.limits.delete(KEY)
        answer = await gw.chat()
    assert answer.status_code == 200
    assert not [name for name in answer.headers if "ratelimit" in name]


async def test_the_limits_of_whom_a_request_names_apply_to_it(tmp_path: Path) -> None:
    async with limited(tmp_path, rpm=50) as (gw, _):
        gw.home.customers.create("acme")
        gw.home.customers.create_project("acme/default")
        gw.home.limits.set(parse_scope("customer:acme"), LimitChange(rpm=1))
        key = gw.home.keys.create("many", policy=Policy(attribute="customers")).secret.reveal()
        body = {"model": "m", "messages": []}
        headers = {"authorization": f"Bearer {key}", "x-gateway-customer": "acme"}
        named = [await gw.client.post("/v1/chat/completions", json=body, headers=headers) for _ in range(2)]
        plain = await gw.chat(key=key)
    assert [answer.status_code for answer in named] == [200, 429]
    assert "for the customer on" in named[1].json()["error"]["message"]
    assert plain.status_code == 200


async def test_a_limit_that_something_else_than_gwctl_wrote_refuses(tmp_path: Path) -> None:
    async with limited(tmp_path, rpm=1) as (gw, [provider]):
        write(tmp_path / "home", "UPDATE limits SET rpm = 1000000")
        write(tmp_path / "home", "UPDATE epochs SET money = money + 1")
        answer = await gw.chat()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "limit_not_vouched_for")
    assert not provider.seen


# One worker's memory, with a clock that stands still.


@dataclass
class Asking:
    """As much of a call as a limit looks at."""

    key_id: int = 1
    env: str = "live"
    model: str = "gpt-5"
    tokens: int = 100
    permit: Permit = UNLIMITED
    dialect: Dialect = Dialect.CHAT
    asks_for_free: bool = False
    payer: Payer = field(default_factory=lambda: Payer(2, "acme", 3, "web", 1_000_000))

    @property
    def caller(self) -> Asking:
        return self

    @property
    def exchange(self) -> Any:
        return self

    request = body = exchange
    choices = 1

    @property
    def output_cap(self) -> int | None:
        return self.tokens - 1

    def find(self, _: bytes) -> int:
        return -1

    def __len__(self) -> int:
        return 4


@dataclass
class Stage:
    """A worker's limiter and the limits it judges by."""

    clock: FrozenClock
    limiter: Limiter

    def limits(self, *limits: Limit) -> None:
        self.limiter.renew(limits)

    def admits(self, **asking: Any) -> bool:
        try:
            self.permit(**asking)
        except Refusal:
            return False
        return True

    def permit(self, **asking: Any) -> Permit:
        return self.limiter.admit(cast(Call, Asking(**asking)))

    def left(self, **asking: Any) -> dict[str, str]:
        """What a refused or admitted call would be told."""
        call = Asking(**asking)
        with contextlib.suppress(Refusal):
            self.limiter.admit(cast(Call, call)).close()
        return {name.decode(): value.decode() for name, value in call.permit.headers(Family.OPENAI)}


@pytest.fixture
def stage(clock: FrozenClock) -> Stage:
    return Stage(clock, Limiter(clock))


def limit(
    number: int, kind: ScopeKind = ScopeKind.KEY, model: str = "", scope_id: int | None = None, **amounts: int | None
) -> Limit:
    ids = {ScopeKind.KEY: 1, ScopeKind.CUSTOMER: 2, ScopeKind.PROJECT: 3}
    scope = ScopeRef(kind, ids[kind] if scope_id is None else scope_id, "x")
    return Limit(number, scope, model, **{"rpm": None, "tpm": None, "parallel": None, **amounts})


def settled(usage: Usage, status: int | None = 200) -> Settlement:
    return Settlement(
        request_id="r",
        number=1,
        outcome=Outcome.SERVED,
        final=True,
        status=status,
        usage=usage,
        basis=Basis.PROVIDER,
        total_ms=1,
        first_content_ms=None,
        price_id=None,
        cost_pico=None,
        charge_pico=None,
    )


def test_nothing_is_taken_of_any_limit_when_one_has_no_room(stage: Stage) -> None:
    stage.limits(limit(1, rpm=10, tpm=10_000, parallel=1), limit(2, ScopeKind.CUSTOMER, rpm=1))
    stage.permit().close()
    for _ in range(20):
        assert not stage.admits()
    stage.limits(limit(1, rpm=10, tpm=10_000, parallel=1))
    assert stage.admits()
    assert not stage.admits(), "one at once"
    assert stage.limiter.refused == {"requests": 20, "parallel": 1}


def test_each_scope_counts_for_itself_and_all_that_apply_must_have_room(stage: Stage) -> None:
    stage.limits(limit(1, rpm=5), limit(2, ScopeKind.PROJECT, rpm=3), limit(3, ScopeKind.KEY, scope_id=9, rpm=1))
    assert [stage.admits() for _ in range(4)] == [True, True, True, False]
    other = Payer(2, "acme", 77, "app", 1_000_000)
    assert [stage.admits(payer=other) for _ in range(3)] == [True, True, False], "the key's own five are gone"
    assert [stage.admits(key_id=9, payer=other) for _ in range(2)] == [True, False]
    assert stage.permit(key_id=10, payer=other) is UNLIMITED


def test_a_pattern_counts_its_models_together_and_no_others(stage: Stage) -> None:
    stage.limits(limit(1, model="gpt-5*", rpm=2), limit(2, rpm=4))
    assert [stage.admits(model=m) for m in ("gpt-5", "gpt-5-mini", "gpt-5", "o3", "o3", "o3")] == [
        *(True, True, False),
        *(True, True, False),
    ]


def test_live_and_test_keys_are_counted_apart(stage: Stage) -> None:
    stage.limits(limit(1, ScopeKind.CUSTOMER, rpm=1))
    assert [stage.admits(env=env) for env in ("live", "live", "test", "test")] == [True, False, True, False]


def test_the_nearest_limit_is_told(stage: Stage) -> None:
    stage.limits(limit(1, rpm=5, tpm=1_000), limit(2, ScopeKind.PROJECT, rpm=4, tpm=400), limit(3, model="o*", rpm=1))
    assert stage.left(tokens=100) == {
        "x-ratelimit-limit-requests": "4",
        "x-ratelimit-remaining-requests": "3",
        "x-ratelimit-reset-requests": "15s",
        "x-ratelimit-limit-tokens": "400",
        "x-ratelimit-remaining-tokens": "400",
        "x-ratelimit-reset-tokens": "0ms",
    }
    assert stage.left(model="o3")["x-ratelimit-limit-requests"] == "1"


def test_the_longest_wait_is_told(stage: Stage) -> None:
    stage.limits(limit(1, rpm=60, parallel=1), limit(2, ScopeKind.CUSTOMER, tpm=600))
    stage.permit(tokens=600)
    with pytest.raises(Refusal) as caught:
        stage.permit(tokens=100)
    assert (caught.value.type, caught.value.retry_after_ms, caught.value.retry_after_seconds) == ("tokens", 10_000, 10)
    stage.clock.advance(seconds=9.5)
    with pytest.raises(Refusal) as caught:
        stage.permit(tokens=100)
    assert (caught.value.type, caught.value.retry_after_seconds) == ("requests", 1)


@pytest.mark.parametrize(
    ("usages", "used"),
    [
        ([], 0),
        ([Usage(input=7, output=3)], 10),
        ([Usage(input=7, output=300)], 307),
        ([Usage(input=0, output=0), Usage(input=7, output=3)], 10),
        ([Usage()], 100),
        ([Usage(), Usage(input=7, output=3)], 100),
        ([Usage(), Usage(input=7, output=300)], 307),
    ],
)
def test_tokens_are_settled_by_what_all_attempts_took(stage: Stage, usages: list[Usage], used: int) -> None:
    stage.limits(limit(1, tpm=1_000))
    permit = stage.permit(tokens=100)
    for usage in usages:
        permit.settled(settled(usage))
    permit.close()
    permit.close()
    assert stage.left(tokens=0)["x-ratelimit-remaining-tokens"] == str(1_000 - used)


def test_a_cap_above_the_limit_can_still_be_served(stage: Stage) -> None:
    stage.limits(limit(1, tpm=1_000))
    permit = stage.permit(tokens=50_000)
    assert not stage.admits(tokens=1)
    permit.settled(settled(Usage(input=7, output=3)))
    permit.close()
    assert stage.left(tokens=0)["x-ratelimit-remaining-tokens"] == "990"
    assert not stage.admits(tokens=50_000)
    stage.clock.advance(seconds=1)
    assert stage.admits(tokens=50_000)


def test_an_answer_without_a_cap_is_reckoned_as_a_usual_one(stage: Stage) -> None:
    class NoCap(Asking):
        output_cap = None

    stage.limits(limit(1, tpm=USUAL_OUTPUT + 1))
    stage.limiter.admit(cast(Call, NoCap()))
    assert not stage.admits(tokens=1)


def test_what_was_counted_stays_when_numbers_change_and_goes_with_the_limit(stage: Stage) -> None:
    stage.limits(limit(1, rpm=2, parallel=3))
    under_way = [stage.permit(), stage.permit()]
    stage.limits(limit(1, rpm=3, parallel=2))
    assert not stage.admits(), "two are under way"
    under_way[0].close()
    assert [stage.admits(), stage.admits()] == [True, False]
    stage.limits(limit(1, rpm=None, parallel=None, tpm=500))
    assert stage.admits(tokens=500)
    stage.limits()
    assert not stage.limiter
    assert stage.permit() is UNLIMITED
    under_way[1].close()


def test_memory_does_not_grow_with_the_models_that_clients_name(stage: Stage) -> None:
    stage.limits(limit(1, model="gpt-*", rpm=10_000), limit(2, ScopeKind.PROJECT, rpm=10_000))
    for number in range(2_000):
        stage.permit(model=f"gpt-{number}").close()
    assert [len(rule.counts) for rule in stage.limiter.rules] == [1, 1]
