"""Streams as no single provider sends them: read the straight way or the long one, the client and the ledger get the
same.

A few seeds in the suite; more by command:

    ODD_STREAMS=2000 python -m pytest tests/proxy/test_odd_streams.py --timeout 0
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import Callable
from typing import Any

import pytest

from keyvault.domain.endpoints import Dialect
from keyvault.proxy.ending import Ending
from keyvault.proxy.relay import Relay
from tests.proxy.test_straight import HEAD, LongWay, Passage, chunk

SEEDS = range(int(os.environ.get("ODD_STREAMS", "4")))
STREAMS_A_SEED = 40
TEXTS = [
    " word", "語", "🙂", " a{b}", ' "quoted"', "back\\slash", "\\", '"', "}", "\n", "\r\n\r\n", "\0", "",
    "x" * 300, "y" * 4000, "[DONE]", "data: [DONE]\n\n", '"error"', '"usage":{"prompt_tokens":1}', 'x"}',
    '"content":"', "\\u0041",
]  # fmt: skip
USAGE = [None, {}, {"prompt_tokens": 3, "completion_tokens": 4}, {"input_tokens": 3, "output_tokens": 4}]
ENDS = [b"\n\n"] * 40 + [b"\r\n\r\n", b"\r\r", b"\n", b"\n\n\n", b"\n\r\n", b"\r\n\r", b"\ndata: \n\n", b"\n\ndata: x"]
ODD = [
    b": ping", b"", b"retry: 1", b"data:", b"data: not json", b"data: []", b"data: {", b"\xef\xbb\xbfdata: {}",
    b'data: {"error":{"message":"busy"}}', b'event: error\ndata: {"error":{"message":"x"}}', b"data: [DONE]",
]  # fmt: skip

Fields = dict[str, Any]


class Provider:
    """Sends whatever comes to its mind."""

    def __init__(self, seed: int) -> None:
        self._any = random.Random(seed)
        self._spaced = self._chance(0.5)
        self._ascii = self._chance(0.5)

    def _chance(self, share: float) -> bool:
        return self._any.random() < share

    def _text(self) -> str:
        return self._any.choice(TEXTS)

    def _json(self, fields: Fields) -> bytes:
        separators = (", ", ": ") if self._spaced else (",", ":")
        return json.dumps(fields, separators=separators, ensure_ascii=self._ascii).encode()

    def chat(self) -> bytes:
        """An event of a chat completion."""
        field = self._any.choice(["content"] * 9 + ["reasoning_content", "refusal"])
        deltas: list[Fields] = [{field: self._text()}] * 12 + [
            {},
            {"role": "assistant", field: self._text()},
            {field: self._text(), "role": "assistant"},
            {"tool_calls": [{"index": 0, "function": {"arguments": self._text()}}]},
        ]
        choice = {"index": self._any.choice([0] * 9 + [1]), "delta": self._any.choice(deltas)}
        if self._chance(0.5):
            choice |= {"logprobs": None, "finish_reason": self._any.choice([None] * 20 + ["stop"])}
        fields: Fields = {
            "id": self._any.choice(["c1"] * 30 + ["c2"]),
            "choices": [choice] if self._chance(0.97) else [],
        }
        if self._chance(0.05):
            fields["choices"].append({"index": 1, "delta": {"content": self._text()}})
        if self._chance(0.05):
            fields["usage"] = self._any.choice(USAGE)
        if self._chance(0.02):
            fields["error"] = self._any.choice([None, {"message": "m"}])
        return b"data: " + self._json(fields)

    def message(self) -> bytes:
        """An event of a message."""
        deltas: list[Fields] = [{"type": "text_delta", "text": self._text()}] * 6 + [
            {"type": "thinking_delta", "thinking": self._text()},
            {"type": "signature_delta", "signature": "sig"},
            {"type": "input_json_delta", "partial_json": self._text()},
        ]
        others: list[tuple[str, Fields]] = [
            ("message_start", {"message": {"id": "m1", "usage": {"input_tokens": 3}}}),
            ("content_block_start", {"content_block": {"type": "redacted_thinking", "data": "zz"}}),
            ("content_block_stop", {"index": 0}),
            ("message_delta", {"delta": {"stop_reason": "end_turn"}, "usage": self._any.choice(USAGE)}),
            ("message_stop", {}),
            ("ping", {}),
        ]
        delta = ("content_block_delta", {"index": self._any.choice([0, 0, 1]), "delta": self._any.choice(deltas)})
        return self._named(*(delta if self._chance(0.7) else self._any.choice(others)))

    def response(self) -> bytes:
        """An event of a response."""
        kind = self._any.choice(["output_text"] * 6 + ["reasoning_text", "function_call_arguments"])
        delta: Fields = {"sequence_number": self._any.randrange(99), "delta": self._text(), "logprobs": []}
        others: list[tuple[str, Fields]] = [
            ("response.created", {"response": {"id": "r1"}}),
            ("response.output_item.done", {"item": {"encrypted_content": "e"}}),
            ("response.output_text.done", {"text": "all"}),
            ("response.completed", {"response": {"id": "r1", "usage": self._any.choice(USAGE)}}),
            ("response.failed", {"response": {"error": {"code": "c", "message": "m"}}}),
        ]
        return self._named(*((f"response.{kind}.delta", delta) if self._chance(0.8) else self._any.choice(others)))

    def _named(self, kind: str, fields: Fields) -> bytes:
        data = self._json({"type": kind, **fields})
        return b"event: %b\ndata: %b" % (kind.encode(), data) if self._chance(0.95) else b"data: " + data

    def reads(self, event: Callable[[Provider], bytes]) -> list[bytes]:
        """A stream as it comes in: nearly always a chunk in a read; many pieces, or all at once, now and then."""
        one = event(self)
        chunks = []
        for _ in range(self._any.choice([3, 12, 40])):
            if self._chance(0.7):
                one = event(self)
            content = (self._any.choice(ODD) if self._chance(0.04) else one) + self._any.choice(ENDS)
            at = self._any.randrange(len(content))
            wrong = self._any.choice([b'"', b"\\", b"{", b"\r"]) if self._chance(0.04) else b""
            chunks += self._chunks(content[:at] + wrong + content[at:])
        chunks.append(self._any.choice([b"0\r\n\r\n", b"0;a=b\r\nX: 1\r\n\r\n", b"zz\r\n", b"0\r\n\r\nsurplus", b""]))
        return self._pieces(chunks)

    def _chunks(self, content: bytes) -> list[bytes]:
        cut = self._any.randrange(len(content)) if self._chance(0.04) else 0
        form = {"digits": self._any.choice(["%x"] * 30 + ["%X", "%04x"])}
        if self._chance(0.03):
            form["extension"] = ";a=b"
        return [chunk(piece, **form) for piece in (content[:cut], content[cut:]) if piece]

    def _pieces(self, chunks: list[bytes]) -> list[bytes]:
        if self._chance(0.5):
            return chunks
        if self._chance(0.3):
            chunks = [b"".join(chunks)]
        pieces, before = [], b""
        for read in chunks:
            whole = before + read
            cut = self._any.choice([0, 1, len(whole) - 1, self._any.randrange(1 + len(whole))] + [len(whole)] * 20)
            before = whole[cut:]
            pieces.append(whole[:cut])
        return [*pieces, before]


def told(relay: type[Relay], dialect: Dialect, reads: list[bytes], seed: int) -> tuple[bytes, Ending, bool]:
    """What the client was sent, how the answer ended, and whether the provider's connection was closed. In between
    either side may stop, stall, or leave."""
    chances = random.Random(seed)
    passage = Passage(relay, dialect)
    passage.answer(HEAD)
    for number, read in enumerate(reads):
        match chances.randrange(200):
            case 0:
                return *sent(passage), passage.provider.closing
            case 1:
                passage.provider.lose(chances.choice([None, ConnectionResetError()]))
                break
            case 2:
                passage.outlet.leave()
            case 3:
                passage.relay.pause_reading()
            case 4:
                passage.relay.resume_reading()
            case 5 | 6 | 7 | 8:
                passage.relay.check(number / 100)
        passage.answer(read)
    return *sent(passage), passage.provider.closing


def sent(passage: Passage) -> tuple[bytes, Ending]:
    body, ending = passage.told()
    return body, ending or passage.relay.stop()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("dialect", "event"),
    [(Dialect.CHAT, Provider.chat), (Dialect.MESSAGES, Provider.message), (Dialect.RESPONSES, Provider.response)],
    ids=["chat", "messages", "responses"],
)
def test_no_stream_tells_the_straight_way_from_the_long_one(
    dialect: Dialect, event: Callable[[Provider], bytes], seed: int
) -> None:
    async def compare(seed: int) -> None:
        reads = Provider(seed).reads(event)
        straight, long = (told(relay, dialect, reads, seed) for relay in (Relay, LongWay))
        straight[1].first_content_at = long[1].first_content_at = None
        assert straight == long, reads

    async def compare_all() -> None:
        for number in range(STREAMS_A_SEED):
            await compare(seed * STREAMS_A_SEED + number)

    asyncio.run(compare_all())
