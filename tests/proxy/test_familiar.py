"""A head that a connection has sent before is read like any other: what the handler sees is the same."""

from __future__ import annotations

import pytest

from keyvault.proxy.http1 import Limits, Request
from tests.proxy.wire import Wire


def post(body: bytes, *, length: bytes | None = None, key: bytes = b"one", extra: bytes = b"") -> bytes:
    size = length or b"%d" % len(body)
    head = (
        b"POST /v1/x?a=b HTTP/1.1\r\nHost: gw\r\nAuthorization: Bearer %b\r\n%bContent-Length: %b\r\nX-Last: 1\r\n\r\n"
    )
    return head % (key, extra, size) + body


def seen(request: Request) -> dict[str, object]:
    values = {name: getattr(request, name) for name in request.__struct_fields__}
    return {name: value for name, value in values.items() if name not in ("started", "lasting")}


FIRST = post(b"hello")
LATER = {
    "the same again": FIRST,
    "a longer body": post(b"x" * 1234),
    "no body": post(b""),
    "another key": post(b"hello", key=b"two"),
    "one more header": post(b"hello", extra=b"X-New: 1\r\n"),
    "a length with zeros before it": post(b"hello", length=b"005"),
    "a length of two zeros": post(b"", length=b"00"),
    "a blank behind the length": post(b"hello", length=b"5 "),
    "a length that is none": post(b"hello", length=b"5x"),
    "a length with a sign": post(b"hello", length=b"+5"),
    "a length in other digits": post(b"hello", length="٥".encode()),
    "a second length": post(b"hello", extra=b"Content-Length: 5\r\n"),
    "a second length behind the first": post(b"hello", length=b"5\r\nContent-Length: 6"),
    "a body too large": post(b"", length=b"5000"),
    "a body far too large": post(b"", length=b"9" * 30),
    "chunks": post(b"5\r\nhello\r\n0\r\n\r\n").replace(b"Content-Length: 15", b"Transfer-Encoding: chunked"),
    "no length at all": b"GET /v1/models HTTP/1.1\r\nHost: gw\r\n\r\n",
    "not http": b"\x16\x03\x01\r\n\r\n",
}


@pytest.mark.parametrize("later", LATER.values(), ids=LATER.keys())
@pytest.mark.parametrize("cut", [None, 30, 95, -3])
async def test_what_follows_a_known_head_is_seen_as_on_a_new_connection(later: bytes, cut: int | None) -> None:
    limits = Limits(max_body=4000)
    known, new = Wire(limits=limits), Wire(limits=limits)
    before = len(await known.send(FIRST))
    pieces = [later] if cut is None else [later[:cut], later[cut:]]
    assert (await known.send(*pieces))[before:] == await new.send(*pieces)
    assert [seen(r) for r in known.handler.served[1:]] == [seen(r) for r in new.handler.served]
    assert [(r.status, r.error_code) for r, _ in known.handler.refused] == [
        (r.status, r.error_code) for r, _ in new.handler.refused
    ]


@pytest.mark.parametrize("byte", [b"", b"0", b"1", b" ", b"\r", b"\n", b":", b"\xff"], ids=repr)
async def test_a_head_that_differs_in_any_byte_is_read_anew(byte: bytes) -> None:
    for at in range(FIRST.index(b"\r\n\r\n") + 4):
        later = FIRST[:at] + byte + FIRST[at + 1 :] + FIRST
        known, new = Wire(), Wire()
        before = len(await known.send(FIRST))
        assert (await known.send(later))[before:] == await new.send(later), later
        assert [seen(r) for r in known.handler.served[1:]] == [seen(r) for r in new.handler.served], later
        for wire in (known, new):
            wire.transport.lose(None)


async def test_what_was_worked_out_from_a_head_lasts_only_as_long_as_the_head() -> None:
    wire = Wire()
    for request in (FIRST, post(b"other body"), post(b"hello", key=b"two"), FIRST):
        await wire.send(request)
    one, again, two, back = (request.lasting for request in wire.handler.served)
    assert one is again
    assert len({id(one), id(two), id(back)}) == 3
