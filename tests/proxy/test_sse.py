"""Streams are cut into whole events, whatever their line ends and however the bytes arrive."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyvault.proxy.dialects.sse import OversizedEvent, SseFramer, read_event

LF = b'data: {"a":1}\n\ndata: [DONE]\n\n'
STREAMS = [
    LF,
    LF.replace(b"\n", b"\r\n"),
    LF.replace(b"\n", b"\r"),
    b"data: 1\n\r\ndata: 2\r\n\ndata: 3\r\rdata: 4\n\r",
    b"\xef\xbb\xbfdata: 1\n\n: ping\n\nevent: ping\ndata: {}\n\n",
    b"data: 1\n\n\n\n\ndata: 2\n\n\r\n\r\ndata: 3\r\r\r",
    b"data: 1\r\n\r\n\r\ndata: 2\r\n\r\ndata: 3\n\r\n\r\n",
    b"id: 7\nretry: 10\ndata: a\ndata: b\ndata\ndata:c\n\n",
]


def reference(stream: bytes) -> list[tuple[bytes, bytes]]:
    """The events of a stream by the HTML standard, line by line."""
    lines = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")[:-1]
    events: list[tuple[bytes, bytes]] = []
    name, data = b"", []
    for line in lines:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not line:
            if data:
                events.append((name, b"\n".join(data)))
            name, data = b"", []
        elif field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return events


def cut(stream: bytes, *places: int) -> list[bytes]:
    """What the framer returns for `stream` arriving in pieces cut at `places`."""
    framer = SseFramer()
    bounds = [0, *sorted(places), len(stream)]
    return [event for a, b in pairwise(bounds) for event in framer.feed(stream[a:b])]


def meaning(events: list[bytes]) -> list[tuple[bytes, bytes]]:
    return [read for read in map(read_event, events) if read[1]]


@pytest.mark.parametrize("stream", STREAMS)
def test_a_stream_cut_at_every_pair_of_bytes_gives_the_same_events(stream: bytes) -> None:
    expected = [event for event in reference(stream) if event[1]]
    for first in range(len(stream) + 1):
        for second in range(first, len(stream) + 1):
            events = cut(stream, first, second)
            assert meaning(events) == expected
            assert stream.startswith(b"".join(events))


@given(st.lists(st.sampled_from([b"data: x", b"event: e", b":c", b"a", b"\n", b"\r", b"\r\n", b"\n\n"])), st.data())
def test_any_stream_in_any_pieces_reads_as_the_standard_says(pieces: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(pieces)
    places = data.draw(st.lists(st.integers(0, len(stream))))
    events = cut(stream, *places)
    assert stream.startswith(b"".join(events))
    assert meaning(events) == [event for event in reference(stream) if event[1]]
    assert all(len(reference(event)) <= 1 for event in events)


def test_one_event_that_comes_whole_is_passed_as_it_is() -> None:
    event = b'data: {"choices":[]}\n\n'
    assert SseFramer().feed(event)[0] is event


def test_an_event_is_returned_as_soon_as_its_blank_line_is_there() -> None:
    framer = SseFramer()
    assert framer.feed(b"data: 1\r\n") == []
    assert framer.feed(b"\r") == [b"data: 1\r\n\r"]
    assert framer.feed(b"\ndata: 2\r\n\r\n") == [b"\ndata: 2\r\n\r\n"]


def test_an_event_without_end_is_refused_beyond_the_bound() -> None:
    framer = SseFramer(max_event_bytes=100)
    framer.feed(b"data: " + b"x" * 90)
    with pytest.raises(OversizedEvent, match="more than 100 bytes"):
        framer.feed(b"x" * 10)


def test_large_events_in_small_pieces_are_not_searched_again_and_again() -> None:
    framer = SseFramer()
    for _ in range(2_000):
        assert framer.feed(b"x" * 4_096) == []
    assert len(framer.feed(b"\n\n")[0]) == 2_000 * 4_096 + 2


@pytest.mark.parametrize(
    ("rest", "completed"),
    [
        (b"data: [DONE]", b"data: [DONE]\n\n"),
        (b"data: [DONE]\n", b"data: [DONE]\n\n"),
        (b'data: {"a":1}', b'data: {"a":1}\n\n'),
        (b'data: {"a":1}\r\n', b'data: {"a":1}\r\n\n'),
        (b'data: {"choices":[{"del', b""),
        (b"\n", b""),
        (b"", b""),
    ],
)
def test_what_is_left_at_the_end_is_completed_or_dropped_where_it_was_cut_short(rest: bytes, completed: bytes) -> None:
    framer = SseFramer()
    assert framer.feed(b"data: 0\n\n") == [b"data: 0\n\n"]
    assert framer.feed(rest) == []
    flushed = framer.flush()
    assert flushed == completed
    assert framer.feed(flushed) == ([flushed] if flushed else [])
