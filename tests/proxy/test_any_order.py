"""Whatever happens to a client's connection, in whatever order: answers stay in order, and nothing is left of it.

Some hundred lives in the suite; more by command:

    ANY_ORDER=50000 python -m pytest tests/proxy/test_any_order.py --timeout 0
"""

from __future__ import annotations

import asyncio
import os
import random
import re
from typing import Any

from keyvault.errors import Refusal
from keyvault.proxy.http1 import BodyBudget, Exchange, Limits
from tests.proxy.wire import Wire, settled

LIVES = int(os.environ.get("ANY_ORDER", "400"))


def request(any_: random.Random, number: int) -> bytes:
    method = any_.choice([b"POST"] * 5 + [b"GET", b"HEAD"])
    version = any_.choice([b"1.1"] * 6 + [b"1.0"])
    extra = any_.choice([b""] * 6 + [b"Connection: close\r\n", b"Expect: 100-continue\r\n"])
    head = b"%b /%d HTTP/%b\r\nHost: gw\r\n%b" % (method, number, version, extra)
    body = b"b" * any_.choice([0, 3, 100, 3000, 5000])
    if version == b"1.1" and body and any_.random() < 0.3:
        return head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    return head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


class Life:
    """One connection, its client, and a handler that may do anything."""

    def __init__(self, seed: int) -> None:
        self._any = random.Random(seed)
        limits = Limits(max_body=4000, max_head=self._any.choice([200, 8192]))
        self.wire = Wire(limits, bodies=BodyBudget(self._any.choice([1 << 20, 6000])))
        self.wire.handler.answer = self._answer
        self.wire.handler.on_admit = self._admit
        self.answered: list[int] = []
        self._now = asyncio.get_running_loop().time()

    def _admit(self, exchange: Exchange) -> None:
        match self._any.randrange(30):
            case 0 | 1 | 2:
                raise Refusal(401, "no", "no")
            case 3:
                refusal = Refusal(401, "no", "no")
                refusal.hold_seconds = 1.0
                raise refusal
            case 4:
                raise RuntimeError("a mistake at the head")

    async def _answer(self, exchange: Exchange) -> None:
        number = int(exchange.request.path[1:])
        self.answered.append(number)
        text = b"<%d>" % number
        for _ in range(self._any.choice([0, 0, 1, 2, 5])):
            await asyncio.sleep(0)
        match self._any.choice(
            ["reply"] * 6 + ["stream", "stream", "sized", "late", "wait", "cancel", "nothing", "fail"]
        ):
            case "reply":
                exchange.reply(200, [], text * self._any.choice([1, 1, 1, 30_000]))
            case "stream":
                exchange.start(200, [], length=None)
                exchange.send(text)
                await asyncio.sleep(0)
                exchange.finish(text)
            case "sized":
                exchange.start(200, [], length=2 * len(text))
                exchange.send(text)
                await asyncio.sleep(0)
                exchange.finish(self._any.choice([text, b""]))
            case "late":
                exchange.reply(200, [], text)
                await asyncio.sleep(0)
                raise RuntimeError("a mistake behind the answer")
            case "wait":
                await asyncio.Event().wait()
            case "cancel":
                raise asyncio.CancelledError
            case "fail":
                raise RuntimeError("a mistake")

    async def lead(self) -> None:
        data = b"".join(request(self._any, number) for number in range(self._any.choice([1, 2, 6])))
        for _ in range(self._any.choice([5, 20, 60])):
            if self.wire.transport.lost:
                break
            size = self._any.choice([1, 5, 50, 500, 5000])
            if await self._happens(data[:size]):
                data = data[size:]

    async def _happens(self, data: bytes) -> bool:
        """Something; whether it was that data came."""
        connection, transport = self.wire.connection, self.wire.transport
        match self._any.choice(["data"] * 12 + ["turn"] * 6 + ["stall", "read", "read", "time", "drain", "leave"]):
            case "data" if data and not transport.closing:
                connection.data_received(data)
                return True
            case "turn":
                await asyncio.sleep(0)
            case "stall":
                connection.pause_writing()
            case "read":
                connection.resume_writing()
            case "time":
                self._now += self._any.choice([0.3, 1, 5, 100])
                connection.check(self._now)
            case "drain":
                connection.drain()
            case "leave":
                leaves: list[Any] = [connection.eof_received, connection.cut, lambda: transport.lose(None)]
                self._any.choice(leaves)()
        return False


async def test_whatever_happens_to_a_connection_nothing_is_left_of_it() -> None:
    mistakes: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: mistakes.append(context["message"]))
    for seed in range(LIVES):
        life = Life(seed)
        await life.lead()
        await settled()
        wire = life.wire
        written = bytes(wire.transport.written)
        wire.transport.lose(None)
        await settled()
        await settled()
        assert wire.transport.written == written, (seed, "written to nobody")
        assert wire.bodies.held == 0, seed
        assert not wire.connections, seed
        for numbers in ([int(number) for number in re.findall(rb"<(\d+)>", written)], life.answered):
            assert numbers == sorted(numbers), seed
    assert set(mistakes) == {"serving a request failed"}
    [test] = asyncio.all_tasks()
    assert test is asyncio.current_task(), "a task is left"
