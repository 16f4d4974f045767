"""What a client may take of our time and memory."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from keyvault.errors import Refusal
from keyvault.proxy.http1 import BodyBudget, Exchange, Limits, ServerConnection
from keyvault.settings import Settings
from tests.proxy.wire import Wire, settled

LIMITS = Limits(
    head_timeout=10,
    body_timeout=20,
    write_timeout=30,
    keep_alive_timeout=40,
    linger_timeout=5,
    slowest_body=100,
    slowest_read=1000,
)
HEAD = b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Length: %d\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: gw\r\n\r\n"


class Flow:
    """Counts how often it is told to pause and to go on."""

    def __init__(self) -> None:
        self.paused = self.resumed = 0

    def pause_reading(self) -> None:
        self.paused += 1

    def resume_reading(self) -> None:
        self.resumed += 1


def after(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def wait_for_ever(exchange: Exchange) -> None:
    await asyncio.Event().wait()


def test_limits_come_from_the_settings() -> None:
    limits = Limits.of(replace(Settings(), max_body=7, max_head=8192, head_timeout=3.0))
    assert (limits.max_body, limits.max_head, limits.max_target, limits.head_timeout) == (7, 8192, 8192, 3.0)


# Time.


async def test_a_client_that_never_says_anything_is_closed_without_a_word() -> None:
    wire = Wire(LIMITS)
    wire.connection.check(after(9))
    assert not wire.transport.closing
    wire.connection.check(after(11))
    assert wire.transport.closing
    assert wire.transport.written == b""


async def test_a_head_that_trickles_in_is_timed_from_its_first_byte() -> None:
    wire = Wire(LIMITS)
    await wire.send(b"GET / HT")
    for _ in range(5):
        wire.connection.check(after(9))
        await wire.send(b"T")
    wire.connection.check(after(11))
    assert wire.statuses == [400]  # `HTTTTT`; a well-formed trickle ends by the clock:
    wire = Wire(LIMITS)
    await wire.send(*(GET[at : at + 1] for at in range(20)))
    wire.connection.check(after(11))
    assert wire.statuses == [408]
    assert wire.transport.ended


async def test_a_body_that_stops_is_given_up() -> None:
    wire = Wire(LIMITS)
    await wire.send(HEAD % 10 + b"12345")
    wire.connection.check(after(19))
    assert wire.statuses == []
    wire.connection.check(after(21))
    assert wire.statuses == [408]
    assert wire.bodies.held == 0


async def test_a_body_that_trickles_is_given_up_though_it_never_stops() -> None:
    wire = Wire(replace(LIMITS, body_timeout=0.05, slowest_body=1_000_000))
    await wire.send(HEAD % 10_000)
    loop, began = asyncio.get_running_loop(), asyncio.get_running_loop().time()
    while wire.statuses == [] and loop.time() < began + 5:
        await wire.send(b"x")
        wire.connection.check(loop.time())
    assert wire.statuses == [408]


async def test_a_quick_body_may_take_as_long_as_its_size_needs() -> None:
    wire = Wire(LIMITS)
    await wire.send(HEAD % 10_000 + b"x" * 5_000)
    wire.connection.check(after(19))
    assert wire.statuses == []


async def test_a_request_that_is_being_served_has_no_time_limit_here() -> None:
    wire = Wire(LIMITS)
    wire.handler.answer = wait_for_ever
    await wire.send(GET)
    wire.connection.check(after(100_000))
    await settled()
    assert wire.handler.cancelled == 0
    assert not wire.transport.closing


async def test_an_idle_connection_is_closed_in_the_end() -> None:
    wire = Wire(LIMITS)
    await wire.send(GET)
    wire.connection.check(after(39))
    assert not wire.transport.closing
    wire.connection.check(after(41))
    assert wire.transport.closing
    assert wire.statuses == [200]


async def test_a_refused_client_is_listened_to_for_a_while_and_no_longer() -> None:
    wire = Wire(LIMITS)
    await wire.send(b"nonsense\r\n\r\n")
    wire.connection.check(after(4))
    assert not wire.transport.closing
    wire.connection.check(after(6))
    assert wire.transport.aborted


# Clients that do not read.


async def test_whoever_feeds_an_answer_is_told_when_the_client_does_not_keep_up() -> None:
    wire = Wire(LIMITS)
    wire.handler.answer = wait_for_ever
    await wire.send(GET)
    flow = wire.handler.exchanges[0].flow = Flow()
    wire.connection.pause_writing()
    assert (flow.paused, flow.resumed) == (1, 0)
    wire.connection.resume_writing()
    assert (flow.paused, flow.resumed) == (1, 1)


async def test_who_begins_to_feed_a_stalled_answer_is_told_at_once() -> None:
    wire = Wire(LIMITS)
    wire.handler.answer = wait_for_ever
    await wire.send(GET)
    wire.connection.pause_writing()
    flow = wire.handler.exchanges[0].flow = Flow()
    assert flow.paused == 1


async def test_a_finished_answer_tells_nobody_any_more() -> None:
    wire = Wire(LIMITS)
    flow = Flow()

    async def answer(exchange: Exchange) -> None:
        exchange.flow = flow
        exchange.reply(200, [], b"")
        await asyncio.Event().wait()

    wire.handler.answer = answer
    await wire.send(GET)
    wire.connection.pause_writing()
    assert flow.paused == 0


async def test_a_client_that_reads_nothing_is_cut_off() -> None:
    wire = Wire(LIMITS)
    wire.handler.answer = wait_for_ever
    await wire.send(GET)
    wire.transport.unread = 100_000
    wire.connection.pause_writing()
    wire.connection.check(after(29))
    assert not wire.transport.aborted
    wire.connection.check(after(31))
    await settled()
    assert wire.transport.aborted
    assert wire.handler.cancelled == 1


async def test_a_client_that_reads_slowly_is_served_on() -> None:
    wire = Wire(LIMITS)
    wire.handler.answer = wait_for_ever
    await wire.send(GET)
    wire.transport.unread = 100_000
    wire.connection.pause_writing()
    for step in range(1, 6):
        wire.transport.unread -= 1000
        wire.connection.check(after(25 * step))
    assert not wire.transport.aborted
    wire.transport.unread -= 10
    wire.connection.check(after(25 * 5 + 31))
    assert wire.transport.aborted


async def test_a_client_that_reads_slowly_is_served_on_though_more_is_written_than_it_was_behind_with() -> None:
    wire = Wire(LIMITS)
    wire.handler.answer = wait_for_ever
    await wire.send(GET)
    wire.transport.unread = 5
    wire.connection.pause_writing()
    wire.transport.unread = 50_000
    for step in range(1, 6):
        wire.connection.check(after(25 * step))
        wire.transport.unread -= 1000
    assert not wire.transport.aborted
    wire.connection.check(after(25 * 6))
    wire.connection.check(after(25 * 6 + 31))
    assert wire.transport.aborted


async def test_a_client_that_never_takes_its_last_answer_is_cut_off() -> None:
    wire = Wire(LIMITS)
    wire.transport.unread = 50_000
    await wire.send(b"GET / HTTP/1.1\r\nHost: gw\r\nConnection: close\r\n\r\n")
    assert wire.transport.closing
    assert not wire.transport.aborted
    wire.connection.check(after(31))
    assert wire.transport.aborted


async def test_a_client_that_does_not_read_gets_no_further_request_served() -> None:
    wire = Wire(LIMITS)
    wire.connection.pause_writing()
    await wire.send(GET + GET)
    assert wire.handler.served == []
    wire.connection.resume_writing()
    for _ in range(3):
        await settled()
    assert len(wire.handler.served) == 2


# Memory.


async def test_pipelined_requests_are_held_up_to_a_bound_and_we_never_stop_reading() -> None:
    wire = Wire(replace(LIMITS, max_head=1000))
    go_on = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        await go_on.wait()
        exchange.reply(200, [], b"")

    wire.handler.answer = answer
    await wire.send(GET, GET * 30, b"x" * 100_000)
    assert wire.transport.reading
    go_on.set()
    answered = await wire.send()
    assert wire.statuses == [200]
    assert b"connection: close" in answered
    assert len(wire.handler.served) == 1
    assert wire.transport.ended


@pytest.mark.parametrize("while_serving", [True, False])
async def test_who_pipelines_too_much_is_told_that_no_more_is_answered_and_may_take_its_answer_slowly(
    while_serving: bool,
) -> None:
    wire = Wire(replace(LIMITS, max_head=1000))
    go_on = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        await go_on.wait()
        exchange.reply(200, [], b"")
        wire.transport.unread = 5000
        wire.connection.pause_writing()

    wire.handler.answer = answer
    flood = b"x" * 100_000
    await wire.send(GET, flood if while_serving else b"")
    go_on.set()
    await wire.send(b"" if while_serving else flood)
    assert wire.statuses == [200]
    assert wire.transport.ended
    wire.connection.check(after(6))
    assert not wire.transport.aborted
    wire.transport.unread = 0
    wire.connection.resume_writing()
    wire.connection.check(after(7))
    assert wire.transport.aborted


async def test_a_few_pipelined_requests_lose_nothing() -> None:
    wire = Wire(replace(LIMITS, max_head=1000))
    await wire.send(GET * 20)
    for _ in range(20):
        await settled()
    assert wire.statuses == [200] * 20


@pytest.mark.parametrize("framing", [b"Content-Length: 101\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n65\r\n"])
async def test_a_body_over_its_limit_is_refused_before_it_comes(framing: bytes) -> None:
    wire = Wire(replace(LIMITS, max_body=100))
    await wire.send(b"POST / HTTP/1.1\r\nHost: gw\r\n" + framing)
    assert wire.statuses == [413]


async def test_chunks_that_add_up_to_too_much_are_refused() -> None:
    wire = Wire(replace(LIMITS, max_body=100))
    await wire.send(
        b"POST / HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n\r\n" + b"20\r\n" + b"x" * 32 + b"\r\n"
    )
    assert wire.statuses == []
    await wire.send((b"20\r\n" + b"x" * 32 + b"\r\n") * 3)
    assert wire.statuses == [413]
    assert wire.bodies.held == 0


async def test_a_body_of_exactly_the_limit_is_served() -> None:
    wire = Wire(replace(LIMITS, max_body=100))
    await wire.send(HEAD % 100 + b"x" * 100)
    assert wire.statuses == [200]


async def test_all_bodies_together_have_a_cap_that_counts_what_has_come() -> None:
    bodies = BodyBudget(1000)
    first, second = Wire(LIMITS, bodies=bodies), Wire(LIMITS, bodies=bodies)
    first.handler.answer = wait_for_ever
    await first.send(HEAD % 900 + b"x" * 900)
    assert bodies.held == 900
    await second.send(HEAD % 800, b"x" * 100)
    assert second.statuses == []
    await second.send(b"x")
    assert second.statuses == [503]
    assert bodies.held == 900
    first.transport.lose(None)
    await settled()
    assert bodies.held == 0


async def test_the_cap_is_given_back_when_an_answer_is_complete() -> None:
    wire = Wire(LIMITS)
    await wire.send(HEAD % 900 + b"x" * 900)
    assert wire.statuses == [200]
    assert wire.bodies.held == 0


async def test_the_cap_is_given_back_when_a_client_leaves_in_the_middle_of_a_body() -> None:
    wire = Wire(LIMITS)
    await wire.send(HEAD % 900 + b"x" * 500)
    assert wire.bodies.held == 500
    wire.transport.lose(ConnectionResetError())
    assert wire.bodies.held == 0
    assert not wire.connections


async def test_a_body_in_single_bytes_takes_no_more_memory_than_its_size() -> None:
    import tracemalloc

    wire = Wire(LIMITS)
    await wire.send(HEAD % 200_000)
    tracemalloc.start()
    try:
        for _ in range(199_999):
            wire.connection.data_received(b"x")
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 300_000


async def test_a_large_request_right_behind_an_answer_is_no_flood() -> None:
    wire = Wire()
    returning = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        exchange.reply(200, [], b"")
        await returning.wait()

    wire.handler.answer = answer
    await wire.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    head = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 200000\r\n\r\n"
    await wire.send(head + b"x" * 150_000)
    returning.set()
    await wire.send(b"x" * 50_000)
    assert wire.statuses == [200, 200]
    assert len(wire.handler.served[1].body) == 200_000


async def test_what_comes_behind_an_answer_is_bounded_too() -> None:
    wire = Wire(replace(LIMITS, max_head=1000, max_body=1000))
    returning = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        exchange.reply(200, [], b"")
        await returning.wait()

    wire.handler.answer = answer
    await wire.send(GET)
    await wire.send(GET, b"x" * 2000)
    returning.set()
    await wire.send()
    assert wire.statuses == [200]
    assert wire.transport.ended


async def test_an_answer_that_is_held_back_is_given_when_its_time_has_come_and_then_the_connection_closes() -> None:
    wire = Wire(LIMITS)

    def turn_away(exchange: Exchange) -> None:
        refusal = Refusal(401, "invalid_api_key", "no")
        refusal.hold_seconds = 3.0
        raise refusal

    wire.handler.on_admit = turn_away
    assert await wire.send(GET, GET, b"x" * 1000) == b""
    wire.connection.check(after(2))
    assert not wire.transport.written
    wire.connection.check(after(4))
    await settled()
    assert wire.statuses == [401]
    assert b"connection: close" in wire.transport.written
    assert not wire.handler.served


async def test_a_client_that_leaves_while_its_answer_is_held_back_is_forgotten() -> None:
    connections: set[ServerConnection] = set()
    wire = Wire(LIMITS, connections=connections)

    def turn_away(exchange: Exchange) -> None:
        refusal = Refusal(401, "invalid_api_key", "no")
        refusal.hold_seconds = 3.0
        raise refusal

    wire.handler.on_admit = turn_away
    await wire.send(GET)
    wire.transport.lose(None)
    assert not connections
