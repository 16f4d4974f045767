"""The client-facing wire: requests as they come, answers as they go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from keyvault.errors import Refusal
from keyvault.proxy.http1 import Exchange, Limits, ServerConnection
from tests.proxy.wire import Wire, settled

POST = b"POST /v1/chat/completions?a=b HTTP/1.1\r\nHost: gw\r\nX-One: 1\r\nContent-Length: 5\r\n\r\nhello"
GET = b"GET /v1/models HTTP/1.1\r\nHost: gw\r\n\r\n"


async def test_a_request_arrives_with_everything_the_client_said() -> None:
    wire = Wire()
    assert await wire.send(POST) == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
    (request,) = wire.handler.served
    assert (request.method, request.path, request.query, request.version) == (
        "POST",
        "/v1/chat/completions",
        "a=b",
        "1.1",
    )
    assert request.headers == [(b"host", b"gw"), (b"x-one", b"1"), (b"content-length", b"5")]
    assert request.header(b"x-one") == b"1"
    assert request.header(b"x-two") is None
    assert request.body == b"hello"
    assert request.peer == "192.0.2.7"
    assert 0 < request.started <= asyncio.get_running_loop().time()


async def test_a_header_that_comes_twice_is_kept_twice() -> None:
    wire = Wire()
    await wire.send(b"GET / HTTP/1.1\r\nHost: gw\r\nAuthorization: a\r\nauthorization:  b \t\r\nEmpty:\r\n\r\n")
    assert wire.handler.served[0].all(b"authorization") == [b"a", b"b"]
    assert wire.handler.served[0].header(b"empty") == b""


async def test_a_whole_answer_goes_out_in_one_write() -> None:
    wire = Wire()
    await wire.send(POST)
    assert len(wire.transport.writes) == 1


async def test_a_chunked_body_arrives_whole_without_its_framing() -> None:
    wire = Wire()
    head = b"POST / HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n\r\n"
    await wire.send(
        head + b"3\r\nhel\r\n2;ext=1\r\nlo\r\n0\r\nX-Trailer: 1\r\nAuthorization: Bearer late\r\n\r\n" + GET
    )
    first, second = wire.handler.served
    assert first.body == b"hello"
    assert first.header(b"authorization") is None
    assert first.header(b"x-trailer") is None
    assert second.path == "/v1/models"


async def test_a_connection_is_kept_for_the_next_request() -> None:
    wire = Wire()
    await wire.send(POST)
    await wire.send(GET)
    assert wire.statuses == [200, 200]
    assert not wire.transport.closing


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"Connection: close\r\n", False),
        (b"1.1", b"Connection: x, Close\r\n", False),
        (b"1.1", b"Connection: keep-alive\r\nConnection: close\r\n", False),
        (b"1.0", b"", False),
        (b"1.0", b"Connection: keep-alive\r\n", True),
    ],
)
async def test_the_client_says_whether_the_connection_is_kept(version: bytes, connection: bytes, kept: bool) -> None:
    wire = Wire()
    answer = await wire.send(b"GET / HTTP/%b\r\nHost: gw\r\n%b\r\n" % (version, connection))
    assert wire.transport.closing is not kept
    assert (b"connection: close" in answer) is not kept
    assert (b"connection: keep-alive" in answer) is (kept and version == b"1.0")


async def test_a_head_answer_has_a_length_but_no_body() -> None:
    wire = Wire()

    async def answer(exchange: Exchange) -> None:
        exchange.reply(200, [], b"12345")

    wire.handler.answer = answer
    assert await wire.send(b"HEAD / HTTP/1.1\r\nHost: gw\r\n\r\n") == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"


async def test_a_streamed_head_answer_has_no_body_either() -> None:
    wire = Wire()

    async def answer(exchange: Exchange) -> None:
        exchange.start(200, [], length=10)
        exchange.send(b"12345")
        exchange.finish()

    wire.handler.answer = answer
    await wire.send(b"HEAD / HTTP/1.1\r\nHost: gw\r\n\r\n")
    assert bytes(wire.transport.written) == b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n"
    assert not wire.transport.closing


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_that_have_no_body_say_nothing_of_one(status: int) -> None:
    wire = Wire()

    async def answer(exchange: Exchange) -> None:
        exchange.reply(status, [], b"")

    wire.handler.answer = answer
    answered = await wire.send(GET)
    assert b"content-length" not in answered
    assert answered.endswith(b"\r\n\r\n")


async def test_a_stream_goes_out_in_chunks_one_write_each() -> None:
    wire = Wire()
    go_on = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        exchange.start(200, [(b"content-type", b"text/event-stream")], length=None)
        exchange.send(b"one")
        await go_on.wait()
        exchange.send(b"x" * 17)
        exchange.finish(b"end")

    wire.handler.answer = answer
    await wire.send(GET)
    go_on.set()
    await settled()
    assert wire.transport.writes == [
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n",
        b"11\r\n" + b"x" * 17 + b"\r\n",
        b"3\r\nend\r\n0\r\n\r\n",
    ]
    assert not wire.transport.closing


async def test_a_head_that_nothing_follows_does_not_wait() -> None:
    wire = Wire()

    async def answer(exchange: Exchange) -> None:
        exchange.start(200, [], length=None)
        await asyncio.Event().wait()

    wire.handler.answer = answer
    assert (await wire.send(GET)).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_a_sized_stream_ends_by_its_length() -> None:
    wire = Wire()

    async def answer(exchange: Exchange) -> None:
        exchange.start(200, [], length=6)
        exchange.send(b"abc")
        exchange.finish(b"def")

    wire.handler.answer = answer
    assert (await wire.send(GET)).endswith(b"content-length: 6\r\n\r\nabcdef")
    assert not wire.transport.closing


async def test_an_old_client_gets_a_stream_up_to_the_close() -> None:
    wire = Wire()

    async def answer(exchange: Exchange) -> None:
        exchange.start(200, [], length=None)
        exchange.finish(b"abc")

    wire.handler.answer = answer
    answered = await wire.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert answered == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabc"
    assert wire.transport.closing


async def test_an_answer_shorter_than_announced_is_cut() -> None:
    wire = Wire()

    async def answer(exchange: Exchange) -> None:
        exchange.start(200, [], length=6)
        exchange.finish(b"abc")

    wire.handler.answer = answer
    await wire.send(GET)
    assert wire.transport.closing


async def test_an_aborted_stream_ends_without_its_last_chunk() -> None:
    wire = Wire()

    async def answer(exchange: Exchange) -> None:
        exchange.start(200, [], length=None)
        exchange.send(b"abc")
        exchange.abort()

    wire.handler.answer = answer
    assert (await wire.send(GET)).endswith(b"3\r\nabc\r\n")
    assert wire.transport.closing


async def test_what_would_split_an_answer_is_never_written() -> None:
    wire = Wire()

    async def answer(exchange: Exchange) -> None:
        with pytest.raises(ValueError, match="a line end"):
            exchange.reply(200, [(b"x", b"a\r\nSet-Cookie: b")], b"")
        exchange.reply(500, [], b"")

    wire.handler.answer = answer
    await wire.send(GET)
    assert wire.statuses == [500]


async def test_pipelined_requests_are_answered_one_at_a_time_and_in_order() -> None:
    wire = Wire()
    at_work: list[str] = []

    async def answer(exchange: Exchange) -> None:
        at_work.append(exchange.request.path)
        assert len(at_work) == 1
        await asyncio.sleep(0)
        at_work.clear()
        exchange.reply(200, [], exchange.request.path.encode())

    wire.handler.answer = answer
    await wire.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: gw\r\n\r\n" % number for number in range(3)))
    for _ in range(3):
        await settled()
    assert [request.path for request in wire.handler.served] == ["/0", "/1", "/2"]
    assert bytes(wire.transport.written).index(b"/0") < bytes(wire.transport.written).index(b"/2")


async def test_a_client_that_leaves_has_its_request_cancelled_even_with_more_waiting() -> None:
    wire = Wire()
    started = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        started.set()
        await asyncio.Event().wait()

    wire.handler.answer = answer
    await wire.send(POST + GET + GET[:10])
    assert started.is_set()
    assert wire.transport.reading
    wire.transport.lose(ConnectionResetError())
    await settled()
    assert wire.handler.cancelled == 1
    assert len(wire.handler.served) == 1
    assert not wire.connections


async def test_a_client_that_closes_its_half_has_left() -> None:
    wire = Wire()

    async def answer(exchange: Exchange) -> None:
        await asyncio.Event().wait()

    wire.handler.answer = answer
    await wire.send(POST)
    wire.connection.eof_received()
    await settled()
    assert wire.handler.cancelled == 1
    assert wire.transport.aborted


async def test_work_behind_a_complete_answer_is_not_cancelled() -> None:
    wire = Wire()
    go_on, done = asyncio.Event(), asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        exchange.reply(200, [], b"")
        await go_on.wait()
        done.set()

    wire.handler.answer = answer
    await wire.send(POST)
    wire.transport.lose(None)
    await settled()
    assert wire.connections, "the server must be able to wait for it"
    go_on.set()
    await settled()
    assert done.is_set()
    assert wire.handler.cancelled == 0
    assert not wire.connections


async def test_what_is_sent_after_the_client_left_is_dropped() -> None:
    wire = Wire()

    async def answer(exchange: Exchange) -> None:
        exchange.start(200, [], length=None)
        try:
            await asyncio.Event().wait()
        finally:
            assert exchange.gone
            exchange.send(b"more")
            exchange.finish()

    wire.handler.answer = answer
    await wire.send(POST)
    written = bytes(wire.transport.written)
    wire.transport.lose(None)
    await settled()
    assert bytes(wire.transport.written) == written


async def test_a_refusal_at_the_head_keeps_the_connection_when_the_rest_is_small() -> None:
    wire = Wire()

    def refuse(exchange: Exchange) -> None:
        raise Refusal(401, "invalid_api_key", "no such key")

    wire.handler.on_admit = refuse
    await wire.send(POST[:-5], b"he", b"llo")
    await wire.send(POST)
    assert wire.statuses == [401, 401]
    assert wire.handler.served == []
    assert not wire.transport.closing
    assert wire.bodies.held == 0


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 100000\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Length: 5\r\nExpect: 100-continue\r\n",
    ],
)
async def test_a_refusal_at_the_head_closes_gently_when_more_may_come(rest: bytes) -> None:
    wire = Wire()

    def refuse(exchange: Exchange) -> None:
        raise Refusal(401, "invalid_api_key", "no such key")

    wire.handler.on_admit = refuse
    answer = await wire.send(b"POST / HTTP/1.1\r\nHost: gw\r\n" + rest + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in answer
    assert wire.transport.ended
    assert not wire.transport.closing, "closing at once would reset the answer while the client still sends"
    await wire.send(b"x" * 50_000)
    assert len(wire.transport.writes) == 1


async def test_continue_is_said_only_to_those_who_are_admitted() -> None:
    wire = Wire()
    head = b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\n"
    assert await wire.send(head) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert (await wire.send(b"hello")).endswith(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")


async def test_continue_is_not_said_when_the_body_is_already_coming() -> None:
    wire = Wire()
    head = b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    assert (await wire.send(head + b"hel", b"lo")).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("at_the_head", [False, True], ids=["while it serves", "at the head"])
async def test_a_handler_that_fails_is_an_internal_error_and_reported(at_the_head: bool) -> None:
    wire = Wire()
    reported: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context["message"]))

    def fail(exchange: Exchange) -> None:
        raise KeyError("a bug")

    if at_the_head:
        wire.handler.on_admit = fail
    else:
        wire.handler.answer = fail
    await wire.send(POST)
    assert wire.statuses == [500]
    assert b"a bug" not in wire.transport.written
    assert reported == ["serving a request failed"]


async def test_a_handler_that_fails_in_mid_answer_cuts_it() -> None:
    wire = Wire()
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)

    async def answer(exchange: Exchange) -> None:
        exchange.start(200, [], length=None)
        exchange.send(b"abc")
        raise KeyError("a bug")

    wire.handler.answer = answer
    assert (await wire.send(POST)).endswith(b"3\r\nabc\r\n")
    assert wire.transport.closing


async def test_a_handler_may_refuse_while_it_serves() -> None:
    wire = Wire()

    async def answer(exchange: Exchange) -> None:
        raise Refusal(404, "model_not_found", "no such model")

    wire.handler.answer = answer
    await wire.send(POST)
    await wire.send(POST)
    assert wire.statuses == [404, 404]


async def test_an_answer_that_is_forgotten_closes_the_connection() -> None:
    wire = Wire()

    async def answer(exchange: Exchange) -> None:
        return

    wire.handler.answer = answer
    assert await wire.send(POST) == b""
    assert wire.transport.closing


async def test_draining_closes_idle_connections_at_once() -> None:
    wire = Wire()
    await wire.send(POST)
    wire.connection.drain()
    await settled()
    assert not wire.connections


async def test_draining_finishes_the_request_under_way_and_says_so() -> None:
    wire = Wire()
    go_on = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        await go_on.wait()
        exchange.reply(200, [], b"done")

    wire.handler.answer = answer
    await wire.send(POST + GET)
    wire.connection.drain()
    go_on.set()
    await settled()
    assert wire.statuses == [200]
    assert b"connection: close" in wire.transport.written
    assert len(wire.handler.served) == 1
    assert not wire.connections


async def test_cutting_ends_a_request_as_if_the_client_had_left() -> None:
    wire = Wire()

    async def answer(exchange: Exchange) -> None:
        await asyncio.Event().wait()

    wire.handler.answer = answer
    await wire.send(POST)
    wire.connection.cut()
    await settled()
    assert wire.handler.cancelled == 1
    assert not wire.connections


async def test_one_connection_too_many_is_told_so() -> None:
    first = Wire(Limits(max_connections=1))
    second = Wire(Limits(max_connections=1), connections=first.connections)
    assert first.transport.written == b""
    assert second.statuses == [503]
    assert second.transport.ended


async def test_one_task_serves_all_requests_of_a_connection_and_ends_with_it() -> None:
    for leave_at_work in (False, True):
        wire = Wire()
        tasks: list[asyncio.Task[None] | None] = []

        async def answer(exchange: Exchange, tasks: list[asyncio.Task[None] | None] = tasks) -> None:
            tasks.append(asyncio.current_task())
            await asyncio.sleep(0)
            if exchange.request.path.startswith("/wait"):
                await asyncio.Event().wait()
            exchange.reply(200, [], b"")

        wire.handler.answer = answer
        for _ in range(3):
            await wire.send(GET)
        if leave_at_work:
            await wire.send(GET.replace(b"GET /", b"GET /wait", 1))
        task = tasks[0]
        assert task is not None
        assert set(tasks) == {task}
        assert not task.done()
        wire.transport.lose(None)
        await settled()
        assert task.done()
        assert wire.handler.cancelled == leave_at_work
        assert not wire.connections
        assert wire.bodies.held == 0


async def test_a_handler_that_is_cancelled_from_within_takes_nothing_from_what_follows() -> None:
    wire = Wire()

    async def answer(exchange: Exchange) -> None:
        exchange.reply(200, [], exchange.request.path.encode())
        if exchange.request.path == "/0":
            raise asyncio.CancelledError

    wire.handler.answer = answer
    for number in range(3):
        await wire.send(b"GET /%d HTTP/1.1\r\nHost: gw\r\n\r\n" % number)
    assert wire.statuses == [200, 200, 200]


@pytest.mark.parametrize("served_before", [0, 1])
@pytest.mark.parametrize(
    "leaves",
    [ServerConnection.eof_received, lambda connection: connection.connection_lost(None)],
    ids=["with a word", "without one"],
)
async def test_a_client_that_leaves_between_a_body_and_its_handler_is_not_served_but_forgotten(
    served_before: int, leaves: Callable[[ServerConnection], None]
) -> None:
    """As one does that sends the end of TLS in one segment with its request."""
    wire = Wire()
    for _ in range(served_before):
        await wire.send(POST)
    wire.connection.data_received(POST)
    assert wire.bodies.held
    leaves(wire.connection)
    await settled()
    assert len(wire.handler.served) == served_before
    assert not wire.connections
    assert wire.bodies.held == 0
