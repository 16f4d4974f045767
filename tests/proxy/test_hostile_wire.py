"""Bytes that no honest client sends: each is refused in plain words, and nothing gets past to the handler."""

from __future__ import annotations

import pytest

from tests.proxy.wire import Wire, read_in

MALFORMED = {
    "no blank between name and colon": b"GET / HTTP/1.1\r\nHost : gw\r\n\r\n",
    "a blank in a name": b"GET / HTTP/1.1\r\nHost: gw\r\nX Y: 1\r\n\r\n",
    "a header without colon": b"GET / HTTP/1.1\r\nHost: gw\r\nabc\r\n\r\n",
    "a header without name": b"GET / HTTP/1.1\r\nHost: gw\r\n: abc\r\n\r\n",
    "a folded header": b"GET / HTTP/1.1\r\nHost: gw\r\nX: a\r\n b\r\n\r\n",
    "a folded first header": b"GET / HTTP/1.1\r\n Host: gw\r\n\r\n",
    "bare line feeds": b"GET / HTTP/1.1\nHost: gw\n\n",
    "a bare line feed in the headers": b"GET / HTTP/1.1\r\nHost: gw\nX: 1\r\n\r\n",
    "a bare line feed in a value": b"GET / HTTP/1.1\r\nHost: gw\r\nX: a\nContent-Length: 5\r\n\r\n",
    "a bare carriage return in a value": b"GET / HTTP/1.1\r\nHost: gw\r\nX: a\rb\r\n\r\n",
    "a bare carriage return at the end": b"GET / HTTP/1.1\r\nHost: gw\r\n\rX: 1\r\n\r\n",
    "NUL in a value": b"GET / HTTP/1.1\r\nHost: gw\r\nX: a\0b\r\n\r\n",
    "NUL in a name": b"GET / HTTP/1.1\r\nHost: gw\r\nX\0: a\r\n\r\n",
    "a control character in a value": b"GET / HTTP/1.1\r\nHost: gw\r\nX: a\x1bb\r\n\r\n",
    "DEL in a value": b"GET / HTTP/1.1\r\nHost: gw\r\nX: a\x7fb\r\n\r\n",
    "NUL in the target": b"GET /\0 HTTP/1.1\r\nHost: gw\r\n\r\n",
    "a control character in the target": b"GET /\x07 HTTP/1.1\r\nHost: gw\r\n\r\n",
    "non-ASCII in the target": b"GET /\xc3\xa9 HTTP/1.1\r\nHost: gw\r\n\r\n",
    "DEL in the target": b"GET /\x7f HTTP/1.1\r\nHost: gw\r\n\r\n",
    "a fragment": b"GET /a#b HTTP/1.1\r\nHost: gw\r\n\r\n",
    "a blank in the target": b"GET /a b HTTP/1.1\r\nHost: gw\r\n\r\n",
    "two blanks": b"GET  / HTTP/1.1\r\nHost: gw\r\n\r\n",
    "a tab": b"GET\t/ HTTP/1.1\r\nHost: gw\r\n\r\n",
    "a blank behind the version": b"GET / HTTP/1.1 \r\nHost: gw\r\n\r\n",
    "an empty line before": b"\r\nGET / HTTP/1.1\r\nHost: gw\r\n\r\n",
    "absolute-form": b"GET http://gw/v1/models HTTP/1.1\r\nHost: gw\r\n\r\n",
    "absolute-form to elsewhere": b"GET http://evil/ HTTP/1.1\r\nHost: gw\r\n\r\n",
    "asterisk-form": b"OPTIONS * HTTP/1.1\r\nHost: gw\r\n\r\n",
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET / HTTP/1.1\r\nHost: gw\r\nHost: gw\r\n\r\n",
    "two Hosts on 1.0": b"GET / HTTP/1.0\r\nHost: gw\r\nHost: evil\r\n\r\n",
    "a Host with user information": b"GET / HTTP/1.1\r\nHost: a@gw\r\n\r\n",
    "a Host with a path": b"GET / HTTP/1.1\r\nHost: gw/x\r\n\r\n",
    "CL and TE": b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE and CL": b"POST / HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two equal lengths": b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "two lengths": b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "a list of lengths": b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Length: 5, 5\r\n\r\nhello",
    "a negative length": b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Length: -5\r\n\r\nhello",
    "a signed length": b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Length: +5\r\n\r\nhello",
    "a hexadecimal length": b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Length: 0x5\r\n\r\nhello",
    "an empty length": b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Length:\r\n\r\n",
    "a blank in the length": b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Length: 1 2\r\n\r\nhello",
    "digits of another script": b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Length: \xd9\xa5\r\n\r\nhello",
    "chunks on 1.0": b"POST / HTTP/1.0\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two codings": b"POST / HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a blank before TE's colon": b"POST / HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "TE behind a bare CR": b"POST / HTTP/1.1\r\nHost: gw\r\nX: 1\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked is not last": b"POST / HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
    "identity": b"POST / HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: identity\r\n\r\n",
    "xchunked": b"POST / HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked behind a vertical tab": b"POST / HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "quoted chunked": b'POST / HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "a length beyond 64 bits": b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "an unknown minor version": b"GET / HTTP/1.10\r\nHost: gw\r\n\r\n",
    "garbage": b"\x80\x00\x01\x02\xff\r\n\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x11" * 64,
    "JSON without a head": b'{"model": "gpt"}\r\n\r\n',
    "lower case method": b"get / HTTP/1.1\r\nHost: gw\r\n\r\n",
}

CHUNKED = b"POST / HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n\r\n"

MALFORMED_CHUNKS = {
    "no size": b"\r\n",
    "not a number": b"x\r\n",
    "negative": b"-5\r\nhello\r\n0\r\n\r\n",
    "0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "a blank before": b" 5\r\nhello\r\n0\r\n\r\n",
    "a blank behind": b"5 \r\nhello\r\n0\r\n\r\n",
    "an underscore": b"1_0\r\n" + b"x" * 16 + b"\r\n0\r\n\r\n",
    "bare line feed": b"5\nhello\r\n0\r\n\r\n",
    "bare carriage return": b"5\rhello\r\n0\r\n\r\n",
    "longer than announced": b"4\r\nhello\r\n0\r\n\r\n",
    "shorter than announced": b"6\r\nhello\r\n0\r\n\r\n",
    "no line end behind": b"5\r\nhello0\r\n\r\n",
    "anything but a line end behind": b"5\r\nhelloXY0\r\n\r\n",
    "line feed alone behind": b"5\r\nhello\n0\r\n\r\n",
    "seventeen digits": b"00000000000000005\r\nhello\r\n0\r\n\r\n",
    "a control character in an extension": b"5;a=\x00\r\nhello\r\n0\r\n\r\n",
    "a bare CR in an extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "an endless extension": b"5;" + b"a" * 5000,
    "a long extension": b"5;" + b"a" * 5000 + b"\r\nhello\r\n0\r\n\r\n",
    "an endless size": b"0" * 5000,
    "a length among the trailers": b"0\r\nContent-Length: 5\r\n\r\n",
    "a coding among the trailers": b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a trailer without colon": b"0\r\nabc\r\n\r\n",
    "a folded trailer": b"0\r\nA: b\r\n c\r\n\r\n",
    "a bare line feed behind the trailers": b"0\r\n\n",
    "the next request in the trailers": b"0\r\nGET /admin HTTP/1.1\r\nHost: gw\r\n\r\n",
    "a flood of tiny chunks": b"1\r\na\r\n" * 5000,
}


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_head_is_a_400_and_the_end(sent: bytes) -> None:
    wire = Wire()
    answer = await wire.send(sent + b"GET /admin HTTP/1.1\r\nHost: gw\r\n\r\n")
    assert wire.handler.served == []
    assert len(wire.handler.refused) == 1
    assert wire.handler.refused[0][0].status == 400
    assert b"connection: close" in answer
    assert wire.transport.ended
    assert (await wire.send(b"GET / HTTP/1.1\r\nHost: gw\r\n\r\n")) == answer


@pytest.mark.parametrize("sent", MALFORMED_CHUNKS.values(), ids=MALFORMED_CHUNKS)
async def test_malformed_chunks_are_a_400_and_the_end(sent: bytes) -> None:
    wire = Wire()
    await wire.send(CHUNKED, sent)
    assert wire.handler.served == []
    assert wire.statuses == [400]
    assert wire.transport.ended
    assert wire.bodies.held == 0


@pytest.mark.parametrize(
    ("status", "sent"),
    [
        (505, b"GET / HTTP/2.0\r\nHost: gw\r\n\r\n"),
        (505, b"GET / HTTP/0.9\r\nHost: gw\r\n\r\n"),
        (505, b"GET / HTTP/1.2\r\nHost: gw\r\n\r\n"),
        (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (400, b"GET /\r\n"),
        (501, b"CONNECT evil:443 HTTP/1.1\r\nHost: evil:443\r\n\r\n"),
        (501, b"TRACE / HTTP/1.1\r\nHost: gw\r\n\r\n"),
        (501, b"BREW / HTTP/1.1\r\nHost: gw\r\n\r\n"),
        (501, b"PROPFIND / HTTP/1.1\r\nHost: gw\r\n\r\n"),
        (501, b"POST / HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        (417, b"POST / HTTP/1.1\r\nHost: gw\r\nExpect: miracles\r\nContent-Length: 5\r\n\r\nhello"),
        (413, b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Length: 67108865\r\n\r\n"),
        (413, b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Length: " + b"9" * 19 + b"\r\n\r\n"),
        (413, CHUNKED + b"fffffffffffffff\r\n"),
        (414, b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: gw\r\n\r\n"),
        (414, b"GET /" + b"a" * 70_000),
        (431, b"GET / HTTP/1.1\r\nHost: gw\r\nX: " + b"a" * 70_000),
        (431, b"GET / HTTP/1.1\r\nHost: gw\r\nX: " + b"a" * 70_000 + b"\r\n\r\n"),
        (431, b"GET / HTTP/1.1\r\nHost: gw\r\n" + b"X: 1\r\n" * 101 + b"\r\n"),
        (431, CHUNKED + b"0\r\n" + b"X: 1\r\n" * 20_000),
    ],
)
async def test_what_cannot_be_served_has_its_own_status(status: int, sent: bytes) -> None:
    wire = Wire()
    await wire.send(sent)
    assert wire.handler.served == []
    assert [refusal.status for refusal, _ in wire.handler.refused] == [status]
    assert wire.transport.ended


@pytest.mark.parametrize(
    "upgrade",
    [
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n",
    ],
)
async def test_an_upgrade_reaches_the_handler_as_an_ordinary_request(upgrade: bytes) -> None:
    wire = Wire()
    body = b"hello" if b"Content-Length" in upgrade else b""
    await wire.send(b"GET /v1/realtime HTTP/1.1\r\nHost: gw\r\n" + upgrade + b"\r\n" + body)
    await wire.send(b"GET /next HTTP/1.1\r\nHost: gw\r\n\r\n")
    assert [(request.path, request.body) for request in wire.handler.served] == [("/v1/realtime", body), ("/next", b"")]


async def test_the_refusal_of_a_tls_hello_says_what_is_wrong() -> None:
    wire = Wire()
    await wire.send(MALFORMED["a TLS hello"])
    assert "plain http" in wire.handler.refused[0][0].message


async def test_messages_about_the_wire_never_repeat_what_was_sent() -> None:
    for sent in (*MALFORMED.values(), *(CHUNKED + chunks for chunks in MALFORMED_CHUNKS.values())):
        wire = Wire()
        await wire.send(sent.replace(b"gw", b"c4nary"))
        message = wire.handler.refused[0][0].message
        assert "c4nary" not in message
        assert message == message.strip().rstrip(".")
        assert message.isprintable()


# The same bytes in other pieces are the same requests.

STREAM = (
    b"POST /v1/chat/completions?x=1 HTTP/1.1\r\nHost: gw\r\nAuthorization: Bearer x\r\nContent-Length: 11\r\n\r\n"
    b'{"a": true}'
    b"POST /v1/embeddings HTTP/1.1\r\nHost: gw\r\ntransfer-encoding: Chunked\r\n\r\n"
    b"1\r\na\r\nA;x=y\r\nbcdefghijk\r\n00\r\nTrailer: 1\r\nAuthorization: late\r\n\r\n"
    b"GET /v1/models HTTP/1.1\r\nHost: gw\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    b"HEAD / HTTP/1.1\r\nHost: gw\r\nConnection: close\r\n\r\n"
    b"GET /never HTTP/1.1\r\nHost: gw\r\n\r\n"
)


def seen(wire: Wire) -> list[tuple[str, str, str, list[tuple[bytes, bytes]], bytes]]:
    return [(r.method, r.path, r.query, r.headers, r.body) for r in wire.handler.served]


async def test_requests_cut_in_two_at_every_byte_are_the_same_requests() -> None:
    whole = await read_in([STREAM])
    assert [request[1] for request in seen(whole)] == ["/v1/chat/completions", "/v1/embeddings", "/v1/models", "/"]
    assert seen(whole)[1][4] == b"abcdefghijk"
    for cut in range(1, len(STREAM)):
        wire = await read_in([STREAM[:cut], STREAM[cut:]])
        assert seen(wire) == seen(whole), cut
        assert wire.transport.written == whole.transport.written, cut
        assert wire.bodies.held == 0


async def test_requests_sent_byte_by_byte_are_the_same_requests() -> None:
    whole = await read_in([STREAM])
    wire = await read_in([STREAM[at : at + 1] for at in range(len(STREAM))])
    assert seen(wire) == seen(whole)
    assert wire.transport.written == whole.transport.written


@pytest.mark.parametrize("sent", [*MALFORMED.values(), *(CHUNKED + chunks for chunks in MALFORMED_CHUNKS.values())])
async def test_what_is_refused_whole_is_refused_byte_by_byte(sent: bytes) -> None:
    wire = await read_in([sent[at : at + 1] for at in range(len(sent))])
    assert wire.handler.served == []
    assert len(wire.handler.refused) == 1
