"""Plain events go straight from the provider's read to the client's write, and nothing can tell that they did."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Sequence
from functools import partial
from itertools import accumulate, pairwise
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyvault.domain.endpoints import Dialect
from keyvault.proxy.ceiling import Ceiling
from keyvault.proxy.dialects.meter import stream_meter
from keyvault.proxy.dialects.straight import MOST_PIECES, MOST_UNREAD, Straight
from keyvault.proxy.ending import Ending, Patience
from keyvault.proxy.http1 import Exchange, Request
from keyvault.proxy.http1.limits import Limits
from keyvault.proxy.http1.outlet import Outlet
from keyvault.proxy.relay import Relay
from keyvault.proxy.upstream import UpstreamConnection
from tests.proxy.test_upstream import ORIGIN
from tests.proxy.wire import Heard, MemoryTransport

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"data: [DONE]\n\n"
PATIENCE = Patience(connect=9, first_content=9, idle=9, total=9)


def chunk(content: bytes, *, digits: str = "%x", extension: str = "") -> bytes:
    return (digits % len(content) + extension).encode() + b"\r\n" + content + b"\r\n"


def chat(delta: object, **more: Any) -> bytes:
    fields = {"id": "c1", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta}], **more}
    return b"data: " + json.dumps(fields, separators=(",", ":")).encode() + b"\n\n"


def delta(text: str) -> bytes:
    return (
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":%b}\n\n'
        % json.dumps({"type": "text_delta", "text": text}).encode()
    )


def told_of_end(text: str, reason: str) -> bytes:
    """An event that adds a text and says how the answer ends, or that it does not yet."""
    return chat({"content": text}).replace(b"}]", b',"finish_reason":%b}]' % reason.encode())


class LongWay(Relay):
    """A relay that reads everything."""

    def shortcut(self) -> None:
        return None


class Passage:
    """One stream from a provider to a client, both in memory."""

    def __init__(
        self,
        relay: type[Relay],
        dialect: Dialect = Dialect.CHAT,
        ceiling: int | None = None,
        outlet: Outlet | None = None,
    ) -> None:
        self.client = MemoryTransport(asyncio.Protocol())
        self.connection = UpstreamConnection(ORIGIN, lambda connection: None)
        self.provider = MemoryTransport(self.connection)
        self.outlet = outlet or Outlet(self.client, asyncio.get_running_loop(), Limits())
        self.relay = relay(
            Exchange(self.outlet, Request("POST")),
            self.connection,
            partial(stream_meter, dialect, drop_usage=True),
            PATIENCE,
            added=list,
            began=0,
            deadline=1e9,
            secrets=(),
            max_collected=1 << 20,
            ceiling=Ceiling(dialect, "unheard-of", ceiling, choices=1, asked=None) if ceiling is not None else None,
        )
        self.connection.send(b"POST / HTTP/1.1\r\n\r\n", b"", self.relay)

    def answer(self, *reads: bytes) -> None:
        for read in filter(None, reads):
            if not self.provider.closing:
                self.provider.receive(read)

    def told(self) -> tuple[bytes, Ending | None]:
        """What the client was sent of the body, without its framing, and how it ended."""
        body, rest = b"", bytes(self.client.written).partition(b"\r\n\r\n")[2]
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
        ending = self.relay.ending.result() if self.relay.ending.done() else None
        if ending is not None:
            ending.first_content_at = None
        return body, ending


PIECES = st.sampled_from(
    [
        *[chat({"content": text}) for text in (" word", "語", " a{b}", ' "quoted"', "back\\slash", "x" * 300)] * 2,
        chat({"content": "more", "and": "beside"}),
        chat({"content": "open"}).replace(b'open"', b'open\\"'),
        chat({"content": "done"}, error=None),
        chat({"content": " told"}, usage={"prompt_tokens": 3, "completion_tokens": 4}),
        *[told_of_end(" word", reason) for reason in ("null", " null", '""', '"stop"', "1")],
        chat({"role": "assistant", "content": ""}),
        chat({"tool_calls": [{"index": 0, "function": {"arguments": '{"a'}}]}),
        chat({"content": " cr"}).replace(b"\n", b"\r\n"),
        chat({"content": " bare cr"})[:-3] + b',"a":\r1}\n\n',
        chat({"content": " two"}) * 2,
        chat({"content": " lines"})[:-2] + b"\ndata: \n\n",
        chat({"content": " unended"})[:-1],
        chat({"content": " ends early"}).replace(b"}\n\n", b"\n\n}"),
        chat({"content": "refused"}).replace(b'"choices"', b'"error":{"message":"busy"},"choices"'),
        b": ping\n\n",
        delta("elsewhere"),
        END,
    ]
)
FRAMED = st.builds(
    lambda content, form: chunk(content, **form),
    PIECES,
    st.sampled_from([{}] * 8 + [{"digits": "%X"}, {"digits": "%04x"}, {"extension": ";ext=1"}]),
)


@given(
    chunks=st.lists(FRAMED, max_size=12),
    cuts=st.lists(st.integers(0, 4_000), max_size=3),
    ceiling=st.sampled_from([None, 0, 30]),
    repeated=st.sampled_from([1, 1, MOST_UNREAD]),
    begins=st.sampled_from([chat({"content": " begins"}), told_of_end(" begins", "null"), told_of_end(" ", '"stop"')]),
)
def test_the_straight_way_comes_to_the_same_as_the_long_one(
    chunks: list[bytes], cuts: list[int], ceiling: int | None, repeated: int, begins: bytes
) -> None:
    plain = [chunk(begins)] * (1 + repeated)
    reads = cut_at([*plain, *chunks, b"0\r\n\r\n"], cuts)

    straight, long = asyncio.run(both_ways(reads, ceiling))
    assert straight == long


async def both_ways(reads: Sequence[bytes], ceiling: int | None = None) -> list[tuple[bytes, Ending | None]]:
    told = []
    for relay in (Relay, LongWay):
        passage = Passage(relay, ceiling=ceiling)
        passage.answer(HEAD, *reads)
        told.append(passage.told())
    return told


async def test_a_text_that_does_not_end_is_read_the_same_way() -> None:
    """What looks like the end of an event is within its text."""
    plain = chat({"content": "word"})
    broken = plain.replace(b'word"', b'word\\"')
    straight, long = await both_ways([chunk(plain), chunk(broken), b"0\r\n\r\n"])
    assert straight == long
    assert long[1] is not None
    assert long[1].metered is not None
    assert long[1].metered.produced != "wordword\\"


async def test_texts_that_each_come_with_the_end_are_read_the_same_way() -> None:
    ends = chat({"content": " word"}).replace(b'"index":0', b'"finish_reason":"stop"')
    straight, long = await both_ways([chunk(chat({"content": " word"})), *[chunk(ends)] * 3, b"0\r\n\r\n"])
    assert straight == long
    assert long[1] is not None
    assert long[1].failure is None


def cut_at(reads: list[bytes], cuts: Sequence[int]) -> list[bytes]:
    """Reads as they are, but for further cuts anywhere."""
    ends = [0, *accumulate(len(read) for read in reads)]
    whole = b"".join(reads)
    return [whole[start:end] for start, end in pairwise(sorted({*ends, *(cut for cut in cuts if cut < len(whole))}))]


@pytest.mark.parametrize(
    ("dialect", "event"),
    [
        (Dialect.CHAT, chat({"content": " word"})),
        (Dialect.MESSAGES, delta(" word")),
        (Dialect.RESPONSES, delta(" word").replace(b"content_block_delta", b"response.output_text.delta")),
    ],
    ids=lambda value: str(value) if isinstance(value, Dialect) else "",
)
@pytest.mark.parametrize("ceiling", [None, 10_000], ids=["no ceiling", "a ceiling"])
async def test_a_plain_event_is_written_as_the_very_bytes_that_came(
    dialect: Dialect, event: bytes, ceiling: int | None
) -> None:
    passage = Passage(Relay, dialect, ceiling)
    came = chunk(event)
    passage.answer(HEAD + came)
    for _ in range(3):
        passage.answer(came)
        assert passage.client.writes[-1] is came
    assert passage.told()[0] == event * 4


async def test_short_pieces_of_a_stream_under_a_ceiling_are_hardly_ever_looked_at() -> None:
    passage = Passage(Relay, ceiling=500)
    came = chunk(chat({"content": " word"}, padding="what each event says beside its text is none"))
    passage.answer(HEAD + came, *[came] * 199)
    looked_at = 200 - sum(written is came for written in passage.client.writes)
    assert looked_at <= 10


@pytest.mark.parametrize("reason", ["null", '"stop"'])
async def test_a_ceiling_counts_down_alike_on_both_ways(reason: str) -> None:
    lefts = []
    for relay in (Relay, LongWay):
        passage = Passage(relay, ceiling=10_000)
        passage.answer(HEAD + chunk(told_of_end(" word", "null")), chunk(told_of_end(" a", reason)))
        lefts.append(passage.relay._meter.straight.left)
    assert lefts[0] == lefts[1]


async def test_events_that_end_unlike_each_other_are_plain_as_well() -> None:
    passage = Passage(Relay, ceiling=10_000)
    passage.answer(HEAD + chunk(chat({"content": " word"}, obfuscation="x")))
    for padding in ("", "abc", "de"):
        came = chunk(chat({"content": " word"}, obfuscation=padding))
        passage.answer(came)
        assert passage.client.writes[-1] is came


@pytest.mark.parametrize("length", [8, 15, 16, 17, 254, 255, 256, 257, 4094, 4095, 4096, 4097])
async def test_only_a_chunk_in_the_plainest_framing_is_taken(length: int) -> None:
    content = b"data:" + b"x" * (length - 7) + b"\n\n"
    for told in range(length - 3, length + 4):
        for digits in ("%x", "%X", "0%x", "+%x", " %x", "%x ", "0x%x", "%x;a=b"):
            for end in (b"\r\n", b"\n", b"", b"\n\r", b"\r\n0", b"\r\n\r\n"):
                read = (digits % told).encode() + b"\r\n" + content + end
                plain = 16 <= length <= 4095 and read == chunk(content)
                long: list[bytes] = []
                straight(b"data:", long).take(read)
                assert (not long) is plain, read[:12]


async def test_texts_put_by_are_put_together_at_the_next_sweep() -> None:
    passage = Passage(Relay)
    came = chunk(chat({"content": "text"}))
    passage.answer(HEAD, *[came] * (MOST_PIECES + 9))
    shortcut = passage.relay.shortcut()
    assert shortcut is not None
    assert len(shortcut.pieces) > MOST_PIECES
    passage.relay.check(now=1)
    assert shortcut.pieces == []
    metered = passage.relay.stop().metered
    assert metered is not None
    assert metered.produced == "text" * (MOST_PIECES + 9)


def straight(head: bytes, long: list[bytes]) -> Straight:
    """One that has learned how plain events begin; `long` gets what it does not take."""
    made = Straight([], [], lambda: None, re.compile(rb"[\r\n]"))
    made.otherwise = long.append
    made.outlet = Outlet(MemoryTransport(asyncio.Protocol()), asyncio.get_running_loop(), Limits())
    made.learn(head)
    return made


async def test_texts_of_any_number_are_kept_in_order() -> None:
    passage = Passage(Relay)
    texts = [f"{number}{mark}" for number in range(700) for mark in (" ", '"', "{")]
    passage.answer(HEAD, *[chunk(chat({"content": text})) for text in texts])
    metered = passage.relay.stop().metered
    assert metered is not None
    assert metered.produced == "".join(texts)


async def test_a_text_with_braces_goes_the_straight_way() -> None:
    """Once another of its length has."""
    passage = Passage(Relay)
    passage.answer(HEAD + chunk(chat({"content": "def"})), chunk(chat({"content": "def"})))
    came = chunk(chat({"content": " {}"}))
    passage.answer(came)
    assert passage.client.writes[-1] is came


async def test_nothing_is_taken_where_it_would_not_be_a_chunk_of_its_own() -> None:
    passage = Passage(Relay)
    event = chat({"content": " word"})
    passage.answer(HEAD + chunk(event), chunk(event)[:-1])
    passage.answer(b"\n" + chunk(event)[:-5])
    passage.answer(chunk(event)[-5:])
    assert passage.told()[0] == event * 3
    passage.answer(b"10", b"\r\n" + b": this is a ping"[:16], b"\r\n")
    written = len(passage.client.writes)
    passage.answer(chunk(event))  # within an event
    assert chunk(event) not in passage.client.writes[written:]


async def test_a_client_that_has_left_is_written_nothing() -> None:
    passage = Passage(Relay)
    came = chunk(chat({"content": " word"}))
    passage.answer(HEAD + came, came)
    passage.outlet.leave()
    passage.answer(came)
    assert passage.client.written.count(b" word") == 2
    metered = passage.relay.stop().metered
    assert metered is not None
    assert metered.produced == " word" * 3


async def test_a_client_that_leaves_as_its_answer_ends_does_not_end_what_the_connection_serves_next() -> None:
    passage = Passage(Relay)
    passage.answer(HEAD + chunk(chat({"content": " word"})), chunk(END) + b"0\r\n\r\n")
    assert passage.relay.ending.done()
    other = Heard()
    passage.connection.send(b"POST / HTTP/1.1\r\n\r\n", b"", other)
    assert passage.relay.stop().cancelled
    assert passage.connection.usable
    assert passage.connection.pours_into(other)


async def test_a_client_that_leaves_before_the_framing_has_ended_ends_the_call() -> None:
    passage = Passage(Relay)
    passage.answer(HEAD + chunk(chat({"content": " word"})), chunk(END))
    assert passage.relay.ending.done()
    passage.relay.stop()
    assert not passage.connection.usable


class Client(asyncio.Protocol):
    """One on a real socket: `end` is its own end of it."""

    def __init__(self) -> None:
        ours, self.end = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.end.setblocking(False)
        self.ours = ours
        self.left = asyncio.Event()
        self.outlet: Outlet

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.outlet = Outlet(cast(asyncio.Transport, transport), asyncio.get_running_loop(), Limits())

    def pause_writing(self) -> None:
        self.outlet.pause()

    def resume_writing(self) -> None:
        self.outlet.resume()

    def connection_lost(self, error: Exception | None) -> None:
        self.outlet.leave()
        self.left.set()

    async def takes(self, size: int) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self.end, size)


async def connected() -> Client:
    client = Client()
    await asyncio.get_running_loop().create_connection(lambda: client, sock=client.ours)
    return client


async def test_a_client_that_reads_slowly_gets_every_event_in_order() -> None:
    client = await connected()
    passage = Passage(Relay, outlet=client.outlet)
    events = [chunk(chat({"content": f" {number:03}" + " word" * (number % 7)})) for number in range(300)]
    passage.answer(HEAD + events[0])
    came, past = b"", set()
    for number, event in enumerate(events[1:]):
        passage.answer(event)
        past.add((client.outlet.descriptor >= 0, number >= 150))
        while number % 100 > 60 and client.outlet.paused:
            came += await client.takes(1000)
    while len(came.partition(b"\r\n\r\n")[2]) < len(b"".join(events)):
        came += await client.takes(65_536)
    assert came.partition(b"\r\n\r\n")[2] == b"".join(events)
    assert len(past) == 4, "some were written past the transport and some not, then some past it again"
    client.outlet.abort()
    await client.left.wait()
    client.end.close()


async def test_what_a_client_that_left_was_to_be_sent_goes_to_nobody_else() -> None:
    client = await connected()
    passage = Passage(Relay, outlet=client.outlet)
    came = chunk(chat({"content": " word"}))
    passage.answer(HEAD + came, came)
    number = client.ours.fileno()
    client.end.close()
    await client.left.wait()
    await asyncio.sleep(0)
    others = socket.socketpair()
    assert number in [other.fileno() for other in others], "the number that has become free is another's"
    passage.answer(came)
    for other in others:
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.recv(1)
    for other in others:
        other.close()


@pytest.mark.parametrize("text", [" word", ""])
async def test_what_goes_the_straight_way_keeps_the_provider_from_being_idle(text: str) -> None:
    passage = Passage(Relay)
    passage.answer(HEAD + chunk(chat({"content": " word"})))
    came = chunk(chat({"content": text}))
    passage.answer(came, came)
    for now in (5, 10, 15):
        passage.relay.check(now)
        passage.answer(came)
    passage.relay.check(20)
    passage.relay.check(28)
    assert not passage.relay.ending.done()
    passage.relay.check(30)
    assert passage.relay.ending.result().failure == ("idle_timeout", "nothing received for 9 s")
