"""The provider-facing wire: answers as providers send them, well or badly."""

from __future__ import annotations

import asyncio

import pytest

from keyvault.proxy.upstream import Origin, Pool, UpstreamConnection, UpstreamFailure
from keyvault.proxy.upstream.pool import END_WITHIN
from tests.proxy.wire import Heard, MemoryTransport, settled

ORIGIN = Origin.parse("https://api.example.com/v1")
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: api.example.com\r\ncontent-length: 5\r\n\r\n"
SIZED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Request-Id:  req_1 \r\n\r\n"
    b"3\r\nhel\r\n2;ext\r\nlo\r\n0\r\nX-Trailer: late\r\n\r\n"
)


class Line:
    """One connection to a provider, in memory."""

    def __init__(self) -> None:
        self.released: list[UpstreamConnection] = []
        self.connection = UpstreamConnection(ORIGIN, self.released.append)
        self.transport = MemoryTransport(self.connection)

    def send(self, head: bytes = HEAD, body: bytes = b"hello") -> Heard:
        heard = Heard()
        self.connection.send(head, body, heard)
        return heard

    def answer(self, *pieces: bytes) -> None:
        for piece in filter(None, pieces):
            if not self.transport.closing:
                self.connection.data_received(piece)

    @property
    def kept(self) -> bool:
        return self.released == [self.connection] and not self.transport.closing


async def test_a_request_goes_out_in_one_write() -> None:
    line = Line()
    line.send()
    assert line.transport.writes == [], "it goes with those of other requests"
    await asyncio.sleep(0)
    assert line.transport.writes == [HEAD + b"hello"]


async def test_a_large_body_is_not_copied_behind_its_head() -> None:
    line = Line()
    line.send(HEAD, b"x" * 100_000)
    assert line.transport.writes == [HEAD, b"x" * 100_000]


@pytest.mark.parametrize("answer", [SIZED, CHUNKED], ids=["sized", "chunked"])
async def test_an_answer_comes_without_its_framing_and_the_connection_is_kept(answer: bytes) -> None:
    line = Line()
    heard = line.send()
    line.answer(answer)
    assert (heard.status, heard.body, heard.ended, heard.failure) == (200, b"hello", 1, None)
    assert line.kept
    assert line.connection.reused


@pytest.mark.parametrize("answer", [SIZED, CHUNKED], ids=["sized", "chunked"])
async def test_an_answer_in_any_two_pieces_is_the_same_answer(answer: bytes) -> None:
    for cut in range(1, len(answer)):
        line = Line()
        heard = line.send()
        line.answer(answer[:cut], answer[cut:])
        assert (heard.status, heard.body, heard.ended) == (200, b"hello", 1), cut
        assert line.kept, cut
    line = Line()
    heard = line.send()
    line.answer(*(answer[at : at + 1] for at in range(len(answer))))
    assert (heard.status, heard.body, heard.ended) == (200, b"hello", 1)


async def test_headers_have_lower_case_names_and_no_outer_blanks_and_trailers_are_none() -> None:
    line = Line()
    heard = line.send()
    line.answer(CHUNKED)
    assert heard.headers == [(b"transfer-encoding", b"chunked"), (b"x-request-id", b"req_1")]


async def test_answers_follow_one_another_on_a_connection() -> None:
    line = Line()
    for answer in (
        SIZED,
        CHUNKED,
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
        SIZED,
    ):
        heard = line.send()
        await settled()
        line.answer(answer)
        assert heard.ended == 1
    assert len(line.released) == 5


async def test_informational_answers_are_skipped() -> None:
    line = Line()
    heard = line.send()
    line.answer(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", SIZED)
    assert (heard.status, heard.body, heard.ended) == (200, b"hello", 1)
    assert heard.headers[0] == (b"content-type", b"application/json")


async def test_the_answer_to_head_has_no_body_whatever_its_length() -> None:
    line = Line()
    heard = line.send(b"HEAD /v1/models HTTP/1.1\r\nhost: x\r\n\r\n", b"")
    line.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
    assert (heard.status, heard.body, heard.ended) == (200, b"", 1)
    assert line.kept
    heard = line.send()
    await settled()
    line.answer(SIZED)
    assert heard.body == b"hello"


async def test_a_redirect_is_an_answer_like_any_other() -> None:
    line = Line()
    heard = line.send()
    line.answer(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: https://evil/\r\nContent-Length: 0\r\n\r\n")
    assert (heard.status, heard.ended) == (307, 1)
    assert line.transport.writes == [HEAD + b"hello"]


async def test_an_answer_without_framing_ends_with_the_connection() -> None:
    line = Line()
    heard = line.send()
    line.answer(b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo")
    assert heard.ended == 0
    line.transport.lose(None)
    assert (heard.body, heard.ended) == (b"hello", 1)
    assert not line.released


async def test_an_answer_without_framing_that_is_reset_is_not_complete() -> None:
    line = Line()
    heard = line.send()
    line.answer(b"HTTP/1.1 200 OK\r\n\r\nhel")
    line.transport.lose(ConnectionResetError())
    assert heard.ended == 0
    assert heard.failure is not None
    assert heard.failure.code == "connection_lost"


async def test_a_connection_the_provider_wants_closed_is_not_kept() -> None:
    for answer in (
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    ):
        line = Line()
        heard = line.send()
        line.answer(answer)
        assert heard.ended == 1
        assert not line.released
        assert line.transport.closing


@pytest.mark.parametrize("surplus", [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"garbage", b"HTTP/1.1 500"])
async def test_a_connection_that_carried_a_byte_too_many_is_not_kept(surplus: bytes) -> None:
    line = Line()
    heard = line.send()
    line.answer(SIZED + surplus)
    assert (heard.status, heard.body, heard.ended, heard.failure) == (200, b"hello", 1, None)
    assert not line.released
    assert line.transport.closing


async def test_a_word_out_of_turn_ends_a_kept_connection() -> None:
    line = Line()
    line.send()
    line.answer(SIZED)
    line.answer(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    assert not line.connection.usable


@pytest.mark.parametrize("word", [SIZED, CHUNKED, b"HTTP/1.1 408 Request Timeout\r\n\r\n", b"lo"])
async def test_what_a_kept_connection_brings_before_it_was_asked_is_no_answer(word: bytes) -> None:
    """It may be what was left of somebody else's. Another connection is worth a try: nothing was sent on this one."""
    line = Line()
    line.send()
    line.answer(SIZED)
    written = len(line.transport.writes)
    heard = line.send()
    line.answer(word)
    await settled()
    assert heard.failure is not None
    assert (heard.status, heard.failure.code, heard.failure.bytes_received) == (0, "connection_lost", False)
    assert len(line.transport.writes) == written
    assert not line.connection.usable


async def test_a_new_connection_may_answer_before_it_was_asked() -> None:
    line = Line()
    heard = line.send()
    line.answer(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
    assert (heard.status, heard.ended) == (503, 1)
    assert line.transport.writes == [HEAD + b"hello"]


async def test_an_answer_of_which_enough_has_come_is_given_a_moment_to_end() -> None:
    line, pool = Line(), Pool(connect_timeout=5, environ={})
    heard = line.send()
    line.answer(CHUNKED[:-10])
    line.connection.pause_reading()
    pool.let_end(line.connection, heard)
    assert line.transport.reading, "or its end would never come"
    now = line.connection.loop.time()
    pool.check(now + END_WITHIN - 1)
    line.answer(CHUNKED[-10:])
    pool.check(now + END_WITHIN + 1)
    assert line.kept


async def test_an_answer_that_does_not_end_is_ended() -> None:
    late, closed = Line(), Line()
    pool = Pool(connect_timeout=5, environ={})
    for line in (late, closed):
        heard = line.send()
        line.answer(CHUNKED[:-10])
        pool.let_end(line.connection, heard)
        pool.check(line.connection.loop.time() + (END_WITHIN + 1 if line is late else 0))
        assert line.connection.usable is (line is closed)
    pool.close()
    assert not closed.connection.usable


async def test_a_connection_that_serves_another_request_already_is_left_alone() -> None:
    line, pool = Line(), Pool(connect_timeout=5, environ={})
    heard = line.send()
    line.answer(CHUNKED)
    line.send()
    line.connection.pause_reading()
    pool.let_end(line.connection, heard)
    pool.check(line.connection.loop.time() + END_WITHIN + 1)
    assert line.connection.usable
    assert not line.transport.reading


async def test_a_connection_whose_request_is_not_all_sent_is_not_kept() -> None:
    line = Line()
    heard = line.send()
    line.transport.unread = 1000
    line.answer(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
    assert (heard.status, heard.ended) == (413, 1)
    assert not line.released


MALFORMED = {
    "not http": b"SSH-2.0-OpenSSH_9.2\r\n",
    "http/2": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "another coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a coding without chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
    "a chunk size that is none": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "a chunk too long": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
    "a folded header": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
    "NUL in a header": b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
    "an endless head": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 300_000,
    "an endless reason": b"HTTP/1.1 200 " + b"a" * 300_000,
    "too many headers": b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 300,
    "endless informational answers": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 10_000,
    "an endless chunk extension": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;" + b"a" * 300_000,
    "endless trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: 1\r\n" * 60_000,
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
}


@pytest.mark.parametrize("answer", MALFORMED.values(), ids=MALFORMED)
async def test_an_answer_that_is_not_http_is_a_protocol_error(answer: bytes) -> None:
    for step in (len(answer), 1000):
        line = Line()
        heard = line.send()
        line.answer(*(answer[at : at + step] for at in range(0, len(answer), step)))
        await settled()
        assert heard.ended == 0
        assert heard.failure is not None
        assert heard.failure.code == "protocol_error"
        assert heard.failure.bytes_received
        assert heard.failure.text.isprintable()
        assert line.transport.aborted
        assert not line.released


@pytest.mark.parametrize(
    "headers", [[b"X: 1"] * 258, [b"X: " + b"a" * 60_000] * 5], ids=["too many", "together too large"]
)
async def test_a_head_that_is_too_large_is_refused_complete_or_not(headers: list[bytes]) -> None:
    head = b"\r\n".join([b"HTTP/1.1 200 OK", *headers, b""])
    for answer in (head, head + b"\r\n", head + b"Content-Length: 1\r\n\r\na"):
        for step in (len(answer), 1000):
            line = Line()
            heard = line.send()
            line.answer(*(answer[at : at + step] for at in range(0, len(answer), step)))
            await settled()
            assert (heard.status, heard.ended) == (0, 0)
            assert heard.failure is not None
            assert heard.failure.text.startswith("the head ")


async def test_trailers_are_no_headers_of_this_answer_nor_of_the_next() -> None:
    line = Line()
    for _ in range(2):
        heard = line.send()
        await settled()
        line.answer(CHUNKED[:-2] + b"X-Late: 1\r\n\r\n")
        assert heard.ended == 1
        assert b"x-late" not in dict(heard.headers)


@pytest.mark.parametrize("answer", [SIZED, CHUNKED], ids=["sized", "chunked"])
async def test_an_answer_cut_at_any_byte_is_lost_and_never_complete(answer: bytes) -> None:
    for cut in range(len(answer)):
        line = Line()
        heard = line.send()
        line.answer(answer[:cut])
        line.transport.lose(None)
        assert heard.ended == 0, cut
        assert heard.failure is not None
        assert heard.failure.code == "connection_lost"
        assert heard.failure.bytes_received is (cut > 0)


async def test_closing_cancels_the_call_at_once_and_is_the_last_that_is_heard() -> None:
    line = Line()
    heard = line.send()
    line.answer(CHUNKED[:-20])
    line.connection.close()
    assert line.transport.aborted
    line.connection.data_received(CHUNKED[-20:])
    await settled()
    assert (heard.ended, heard.failure) == (0, None)


async def test_pieces_that_come_in_one_read_go_on_together() -> None:
    line = Line()
    pieces: list[bytes] = []

    class Keeper(Heard):
        def on_data(self, data: bytes) -> None:
            pieces.append(data)

    heard = Keeper()
    line.connection.send(HEAD, b"", heard)
    line.answer(CHUNKED[:-22] + b"2\r\n!!\r\n", b"no chunk")
    assert pieces == [b"hello!!"]
    assert heard.failure is not None
    line = Line()
    line.connection.send(HEAD, b"", heard := Keeper())
    line.answer(CHUNKED[:-22] + b"2\r\n!!\r\nno chunk")
    assert pieces == [b"hello!!"] * 2, "what came before the fault is the client's"
    assert heard.failure is not None


async def test_a_sink_may_close_from_within_a_callback() -> None:
    line = Line()

    class Leaver(Heard):
        def on_data(self, data: bytes) -> None:
            super().on_data(data)
            line.connection.close()

    heard = Leaver()
    line.connection.send(HEAD, b"", heard)
    line.answer(CHUNKED[:-35], CHUNKED[-35:])
    await settled()
    assert (heard.body, heard.ended, heard.failure) == (b"hel", 0, None)
    assert not line.released


async def test_a_sink_may_send_the_next_request_from_within_on_end() -> None:
    line = Line()
    second = Heard()

    class Follower(Heard):
        def on_end(self) -> None:
            super().on_end()
            line.connection.send(HEAD, b"", second)

    line.connection.send(HEAD, b"", Follower())
    line.answer(SIZED)
    await settled()
    line.answer(CHUNKED)
    assert (second.body, second.ended) == (b"hello", 1)


async def test_sending_on_a_dead_connection_fails_softly() -> None:
    line = Line()
    line.transport.lose(None)
    heard = line.send()
    assert heard.failure is not None
    assert (heard.failure.code, heard.failure.bytes_received) == ("connection_lost", False)


async def test_reading_stops_and_goes_on_as_the_client_needs() -> None:
    line = Line()
    line.send()
    line.connection.pause_reading()
    assert not line.transport.reading
    line.connection.resume_reading()
    assert line.transport.reading


async def test_a_kept_connection_always_reads_so_that_its_end_is_noticed() -> None:
    line = Line()
    heard = line.send()
    line.connection.pause_reading()
    line.answer(SIZED)
    assert heard.ended == 1
    assert line.transport.reading
    line.connection.pause_reading()
    assert line.transport.reading, "nothing is under way, so there is nothing to pause"


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "header"),
    [
        ("https://api.openai.com/v1", "api.openai.com", 443, "/v1", b"api.openai.com"),
        ("https://api.example.com:8443", "api.example.com", 8443, "", b"api.example.com:8443"),
        ("http://127.0.0.1:80/", "127.0.0.1", 80, "", b"127.0.0.1"),
        ("http://[::1]:11434/v1/", "::1", 11434, "/v1", b"[::1]:11434"),
        ("https://[2001:db8::1]", "2001:db8::1", 443, "", b"[2001:db8::1]"),
    ],
)
def test_an_origin_is_read_from_its_base_url(url: str, host: str, port: int, path: str, header: bytes) -> None:
    origin = Origin.parse(url)
    assert (origin.host, origin.port, origin.path, origin.host_header) == (host, port, path, header)


@pytest.mark.parametrize("url", ["ftp://x", "https://", "api.openai.com", ""])
def test_what_is_no_origin_is_an_error(url: str) -> None:
    with pytest.raises(ValueError, match="not an http"):
        Origin.parse(url)


def test_a_failure_tells_its_code_and_text() -> None:
    failure = UpstreamFailure("tls_error", "x")
    assert (failure.code, failure.text, failure.bytes_received) == ("tls_error", "x", False)
