"""What holds take from the course of things: from answers that broke their caps, from routes that set fields of a body,
from targets that failed, from marks for a provider's cache."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

from keyvault.domain.prices import Rates, flat
from keyvault.domain.routes import Choice, Route, Target
from tests.proxy.harness import Running, add_upstream
from tests.proxy.scripted import Line, Provider, Seen, chunk, completion
from tests.proxy.test_holds import MICRO, post, prepaid


async def holds(gateway: Running, count: int) -> list[int]:
    """What was held for each attempt, in micro-dollars."""
    return [row["hold_pico"] // MICRO for row in await gateway.rows(count)]


async def test_more_is_held_for_a_target_that_broke_its_cap_and_less_again_with_each_answer_that_keeps_it(
    tmp_path: Path,
) -> None:
    took = iter([900, 400, 400, 400, 400])

    async def says(_: Seen, line: Line) -> None:
        await line.answer(200, completion(output=next(took)))

    async with prepaid(tmp_path, says, micro=100_000) as (gateway, _):
        for _ in range(5):
            assert (await gateway.chat(max_tokens=400)).status_code == 200
        first, *later = await holds(gateway, 5)
        beyond = [(held - first) // 2 for held in later]  # a token of output costs two
        assert beyond == [400, 200, 100, 0], "at most the cap once more, then half of it, until it is not worth it"


async def test_a_count_of_the_gateways_own_or_a_little_more_than_the_cap_teaches_nothing(tmp_path: Path) -> None:
    answers = iter([completion(output=460), {**completion("word " * 2000), "usage": None}, completion()])

    async def says(_: Seen, line: Line) -> None:
        await line.answer(200, next(answers))

    async with prepaid(tmp_path, says, micro=100_000) as (gateway, _):
        for _ in range(3):
            assert (await gateway.chat(max_tokens=400)).status_code == 200
        assert len(set(await holds(gateway, 3))) == 1


ONE_CHOICE = Route("m", (Choice(Target("up", "m"), overrides={"n": 1}),))


async def test_a_stream_is_ended_at_what_the_route_says_and_not_at_what_the_client_asked(tmp_path: Path) -> None:
    async def endless(_: Seen, line: Line) -> None:
        await line.begin_stream()
        with contextlib.suppress(ConnectionError):
            while True:
                await line.event(chunk({"content": " word" * 20}))

    async with prepaid(tmp_path, endless, micro=100_000) as (gateway, provider):
        gateway.home.routes.put(ONE_CHOICE)
        answer = await gateway.chat(stream=True, max_tokens=200, n=4)
        assert answer.status_code == 200
        assert provider.seen[0].json["n"] == 1
        [row] = await gateway.rows(1)
        assert row["error_code"] == "hold_reached"
        assert 200 <= row["output"] < 400


async def test_what_may_have_followed_a_broken_stream_is_reckoned_by_the_choices_that_the_route_sets(
    tmp_path: Path,
) -> None:
    async def breaks(_: Seen, line: Line) -> None:
        await line.begin_stream()
        await line.event(chunk({"content": "one"}))
        line.cut()

    async with prepaid(tmp_path, breaks, micro=100_000) as (gateway, _):
        gateway.home.routes.put(ONE_CHOICE)
        await gateway.chat(stream=True, max_tokens=5000, n=4)
        [row] = await gateway.rows(1)
        assert 256 * 2 < row["doubt_pico"] // MICRO < 2 * 256 * 2


async def test_a_target_that_the_money_no_longer_covers_is_passed_over_for_a_cheaper_one(tmp_path: Path) -> None:
    async def breaks(_: Seen, line: Line) -> None:
        line.cut()

    async with (
        Provider(breaks).running() as first,
        Provider(breaks).running() as dear,
        prepaid(tmp_path) as (gateway, last),
    ):
        for name, provider in (("first", first), ("dear", dear)):
            add_upstream(gateway.home, name, provider.url)
        gateway.home.prices.set_own("dear", "m", Rates(input=flat(10**12), output=flat(8 * 10**12)))
        gateway.home.routes.set("m", [Target(name, "m") for name in ("first", "dear", "up")])
        assert (await gateway.chat(max_tokens=100)).status_code == 200
        assert (len(first.seen), len(dear.seen), len(last.seen)) == (1, 0, 1)


@pytest.mark.parametrize(("mark", "rate"), [(None, 1), ({"type": "ephemeral"}, 10)])
async def test_a_mark_for_the_providers_cache_is_held_at_what_writing_to_it_costs(
    tmp_path: Path, mark: Any, rate: int
) -> None:
    answer = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "x"}], "usage": {"input_tokens": 5, "output_tokens": 1},
    }  # fmt: skip

    async def says(_: Seen, line: Line) -> None:
        await line.answer(200, answer)

    async with prepaid(tmp_path, says, micro=100_000) as (gateway, provider):
        add_upstream(gateway.home, "any", provider.url, "custom")
        written = Rates(input=flat(10**12), output=flat(10**12), cache_write=flat(10 * 10**12))
        gateway.home.prices.set_own("any", "m", written)
        gateway.home.routes.set("m", [Target("any", "m")])
        part = {"type": "text", "text": "hi", **({} if mark is None else {"cache_control": mark})}
        asked = {"model": "m", "max_tokens": 10, "messages": [{"role": "user", "content": [part]}]}
        assert (await post(gateway, "messages", asked)).status_code == 200
        [held] = await holds(gateway, 1)
        assert held // rate in range(90, 170)
