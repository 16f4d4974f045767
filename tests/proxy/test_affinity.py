"""Conversation state goes back to the target that made it: sealed reasoning, and responses stored at the provider."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from keyvault.domain.endpoints import Dialect
from keyvault.domain.keys import Policy
from keyvault.domain.routes import Choice, Route, Target
from keyvault.home import Home
from keyvault.proxy.dialects.meter import stream_meter
from keyvault.proxy.server import serving
from keyvault.routing.affinity import digest_of_reasoning
from keyvault.secrets import Secret
from keyvault.storage import affinities
from tests.proxy.harness import UPSTREAM_SECRET, new_home
from tests.proxy.scripted import Line, Provider, Seen

FIRST, SECOND = Target("first", "m"), Target("second", "m")
SPOKEN = (Dialect.RESPONSES, Dialect.MESSAGES)


@dataclass
class Maker:
    """A provider that seals its reasoning, and knows its own when it comes back."""

    name: str
    well: bool = True
    asked: list[Any] = field(default_factory=list)

    @property
    def sealed(self) -> str:
        return f"{self.name}-{len(self.asked)}-".ljust(48, "x")

    async def __call__(self, seen: Seen, line: Line) -> None:
        self.asked.append(seen.json)
        if not self.well:
            await line.answer(503, {"error": {"message": "not now", "code": "overloaded"}})
            return
        answer = self._message() if seen.path.endswith("/messages") else self._response()
        if not seen.json.get("stream"):
            await line.answer(200, answer)
            return
        await line.begin_stream()
        for event in self._events(answer):
            await line.piece(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
        await line.end_stream()

    def _response(self) -> dict[str, Any]:
        reasoning = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": self.sealed}
        text = {"type": "output_text", "text": "hello", "annotations": []}
        message = {"type": "message", "id": "msg_1", "role": "assistant", "content": [text]}
        return {
            "id": f"resp_{self.name}{len(self.asked)}",
            "object": "response",
            "status": "completed",
            "output": [reasoning, message],
            "usage": {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10},
        }

    def _message(self) -> dict[str, Any]:
        thinking = {"type": "thinking", "thinking": "hm", "signature": self.sealed}
        content = [thinking, {"type": "text", "text": "hello"}]
        usage = {"input_tokens": 7, "output_tokens": 3}
        return {"id": "msg_1", "type": "message", "role": "assistant", "content": content, "usage": usage}

    def _events(self, answer: dict[str, Any]) -> list[dict[str, Any]]:
        if "output" in answer:
            return [
                {"type": "response.created", "response": {**answer, "output": []}},
                {"type": "response.output_item.done", "item": answer["output"][0]},
                {"type": "response.output_text.delta", "delta": "hello"},
                {"type": "response.completed", "response": {**answer, "output": []}},
            ]
        thought, said = ({"type": kind, kind: ""} for kind in ("thinking", "text"))
        return [
            {"type": "message_start", "message": {**answer, "content": []}},
            {"type": "content_block_start", "index": 0, "content_block": thought},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": self.sealed}},
            {"type": "content_block_stop", "index": 0},
            {"type": "content_block_start", "index": 1, "content_block": said},
            {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "hello"}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
            {"type": "message_stop"},
        ]


@dataclass
class Talk:
    """A conversation through a gateway whose route `m` has both providers, the second as the first's fallback."""

    home: Home
    key: str
    first: Maker
    second: Maker
    running: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    async def start(self) -> None:
        self.client = await self.running.enter_async_context(served(self.home, self.key))

    async def restart(self) -> None:
        await self.running.aclose()
        await self.start()

    async def ask(self, dialect: str, body: dict[str, Any], *, stream: bool = False) -> httpx.Response:
        asked = {"model": "m", **body} | ({"stream": True} if stream else {})
        return await self.client.post(
            f"/v1/{dialect}", json={"max_tokens": 50, **asked} if dialect == "messages" else asked
        )

    async def begin_at_second(self, dialect: str, *, stream: bool = False) -> str:
        """The first turn, which the second provider serves since the first is not well; what it sealed."""
        self.first.well = False
        body = {"input": "hi"} if dialect == "responses" else {"messages": [{"role": "user", "content": "hi"}]}
        answer = await self.ask(dialect, body, stream=stream)
        assert answer.status_code == 200
        assert self.second.sealed in answer.text
        self.first.well = True
        self.home.routes.put(route(weights=(1, 0)))  # nothing else would ever go to the second
        self.first.asked.clear()
        return self.second.sealed


def route(*, weights: tuple[int, int] | None = None, affinity: bool = True) -> Route:
    if weights is None:
        return Route("m", (Choice(FIRST),), (Choice(SECOND),), affinity=affinity)
    return Route("m", (Choice(FIRST, weights[0]), Choice(SECOND, weights[1])), affinity=affinity)


@contextlib.asynccontextmanager
async def served(home: Home, key: str) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {key}"}
    async with (
        serving(home, "127.0.0.1:0", "127.0.0.1:0") as (url, _),
        httpx.AsyncClient(base_url=url, trust_env=False, verify=False, timeout=20, headers=headers) as client,
    ):
        yield client


@contextlib.asynccontextmanager
async def talk(directory: Path, *, affinity: bool = True, **policy: Any) -> AsyncIterator[Talk]:
    first, second = Maker("first"), Maker("second")
    async with Provider(first).running() as one, Provider(second).running() as two:
        home = new_home(directory / "home")
        for name, provider in (("first", one), ("second", two)):
            home.upstreams.create(
                name, "custom", base_url=f"{provider.url}/v1", secret=Secret(UPSTREAM_SECRET), allow_private=True,
                dialects=SPOKEN,
            )  # fmt: skip
        home.routes.put(route(affinity=affinity))
        key = home.keys.create("tester", policy=Policy(**policy)).secret.reveal()
        conversation = Talk(home, key, first, second)
        async with conversation.running:
            await conversation.start()
            yield conversation
        home.close()


def going_on(dialect: str, sealed: str) -> dict[str, Any]:
    """The next turn, with what was sealed in the one before."""
    if dialect == "responses":
        return {"input": [{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": sealed}]}
    thinking = {"type": "thinking", "thinking": "hm", "signature": sealed}
    return {"messages": [{"role": "assistant", "content": [thinking]}, {"role": "user", "content": "and?"}]}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", ["responses", "messages"])
async def test_sealed_reasoning_goes_back_to_the_target_that_made_it(
    tmp_path: Path, dialect: str, stream: bool
) -> None:
    async with talk(tmp_path) as conversation:
        sealed = await conversation.begin_at_second(dialect, stream=stream)
        assert (await conversation.ask(dialect, going_on(dialect, sealed))).status_code == 200
        assert conversation.first.asked == []
        conversation.second.well = False
        assert (await conversation.ask(dialect, going_on(dialect, sealed))).status_code == 503
        assert conversation.first.asked == [], "nobody else can read it"


async def test_it_does_so_after_a_restart(tmp_path: Path) -> None:
    async with talk(tmp_path) as conversation:
        sealed = await conversation.begin_at_second("responses")
        await conversation.restart()
        assert (await conversation.ask("responses", going_on("responses", sealed))).status_code == 200
        assert conversation.first.asked == []


async def test_a_stored_response_is_gone_on_from_where_it_is(tmp_path: Path) -> None:
    async with talk(tmp_path, endpoints=("all",), isolation=False) as conversation:
        await conversation.begin_at_second("responses")
        body = {"input": "and?", "previous_response_id": "resp_second1"}
        assert (await conversation.ask("responses", body)).json()["id"] == "resp_second2"
        conversation.home.routes.put(Route("m", (Choice(FIRST), Choice(Target("first", "other")))))
        refused = await conversation.ask("responses", body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "previous_response_not_found")
        assert conversation.first.asked == []


async def test_where_the_target_is_gone_the_provider_judges_what_it_is_sent(tmp_path: Path) -> None:
    async with talk(tmp_path) as conversation:
        sealed = await conversation.begin_at_second("messages")
        conversation.home.routes.put(Route("m", (Choice(FIRST),), (Choice(Target("first", "other")),)))
        assert (await conversation.ask("messages", going_on("messages", sealed))).status_code == 200
        assert len(conversation.first.asked) == 1


async def test_a_route_may_do_without(tmp_path: Path) -> None:
    async with talk(tmp_path, affinity=False) as conversation:
        sealed = await conversation.begin_at_second("messages")
        conversation.home.routes.put(route(weights=(1, 0), affinity=False))
        assert (await conversation.ask("messages", going_on("messages", sealed))).status_code == 200
        assert len(conversation.first.asked) == 1


async def test_state_that_nobody_here_made_binds_nothing(tmp_path: Path) -> None:
    async with talk(tmp_path) as conversation:
        assert (await conversation.ask("responses", going_on("responses", "z" * 64))).status_code == 200
        assert len(conversation.first.asked) == 1


async def test_who_made_something_is_on_record_before_the_answer_ends(tmp_path: Path) -> None:
    async with talk(tmp_path) as conversation:
        sealed = await conversation.begin_at_second("responses")
        digest = digest_of_reasoning(sealed)
        with conversation.home.database.read() as tx:
            assert affinities.find(tx, [digest or b""]) == {digest: SECOND}


async def test_a_pin_is_stronger(tmp_path: Path) -> None:
    async with talk(tmp_path, pin=True) as conversation:
        sealed = await conversation.begin_at_second("responses")
        conversation.client.headers["x-gateway-pin"] = "first/m"
        assert (await conversation.ask("responses", going_on("responses", sealed))).status_code == 200
        assert len(conversation.first.asked) == 1


def sealed_in(dialect: Dialect, *events: dict[str, Any]) -> tuple[str, ...]:
    """What a stream's meter has seen sealed."""
    meter = stream_meter(dialect)
    for event in events:
        meter.feed(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
    return meter.metered().sealed


def test_a_response_tells_its_sealed_reasoning_item_by_item_or_at_its_end() -> None:
    items = [{"type": "reasoning", "encrypted_content": text} for text in ("one", "two")] + [{"type": "message"}]
    done = [{"type": "response.output_item.done", "item": item} for item in items]
    completed = {"type": "response.completed", "response": {"id": "resp_1", "output": items}}
    assert sealed_in(Dialect.RESPONSES, *done, completed) == ("one", "two")
    assert sealed_in(Dialect.RESPONSES, completed) == ("one", "two")
    assert sealed_in(Dialect.RESPONSES, done[0]) == ("one",)
    assert sealed_in(Dialect.RESPONSES, {"type": "response.completed", "response": {"output": 7}}) == ()


def test_a_message_tells_its_signatures_and_its_redacted_thinking() -> None:
    def delta(**fields: str) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": 0, "delta": fields}

    stop = {"type": "content_block_stop", "index": 0}
    redacted = {"type": "content_block_start", "index": 1, "content_block": {"type": "redacted_thinking", "data": "r"}}
    thought = [delta(type="thinking_delta", thinking=word) for word in ("let", "me")]
    signed = delta(type="signature_delta", signature="s")
    assert sealed_in(Dialect.MESSAGES, *thought, signed, stop, redacted, *thought, signed, stop) == ("s", "r", "s")
    assert sealed_in(Dialect.MESSAGES, signed, stop) == ("s",), "the thinking itself may be left out"
    assert sealed_in(Dialect.MESSAGES, *thought, delta(type="text_delta", text='a "signature": x'), stop) == ()
