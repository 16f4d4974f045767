"""The end of a stream that the gateway ends itself, in the dialect's own words for an answer that reached its cap.

What these events must repeat (ids, the model's name, which block is open) is taken from the stream's first and last
events. Clients read them as any answer that was cut at its length: `finish_reason: "length"`, `response.incomplete`,
`stop_reason: "max_tokens"`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from keyvault.domain.endpoints import Dialect
from keyvault.proxy.dialects.base import decode_object
from keyvault.proxy.dialects.sse import read_event
from keyvault.proxy.dialects.usage import fields_of

_encode = msgspec.json.Encoder().encode


def end_of(
    dialect: Dialect, first: bytes, last: bytes, text: str, output: int, *, choices: int, entered: int | None
) -> bytes:
    """The last events. `first`, `last`: events of the stream; `text`, `output`: what was produced, and its tokens as
    the gateway counts them; `entered`: those of the input, where a chat client asked for the usage event."""
    opening = decode_object(read_event(first)[1]) or {}
    latest = decode_object(read_event(last)[1]) or {}
    match dialect:
        case Dialect.RESPONSES:
            return _responses(opening, latest, text, output)
        case Dialect.MESSAGES:
            return _messages(latest, output)
        case _:
            return _chat(dialect, latest or opening, entered, output, choices)


def _chat(dialect: Dialect, like: Mapping[str, Any], entered: int | None, output: int, choices: int) -> bytes:
    kept = {name: like[name] for name in ("id", "object", "created", "model", "system_fingerprint") if name in like}
    part: dict[str, Any] = {"text": ""} if dialect is Dialect.COMPLETIONS else {"delta": {}}
    ended = [{"index": index, **part, "logprobs": None, "finish_reason": "length"} for index in range(choices)]
    events = [{**kept, "choices": [choice]} for choice in ended]
    if entered is not None:
        usage = {"prompt_tokens": entered, "completion_tokens": output, "total_tokens": entered + output}
        events.append({**kept, "choices": [], "usage": usage})
    return b"".join(b"data: %b\n\n" % _encode(event) for event in events) + b"data: [DONE]\n\n"


def _messages(latest: Mapping[str, Any], output: int) -> bytes:
    ends: list[dict[str, Any]] = []
    if isinstance(latest.get("index"), int) and latest.get("type") != "content_block_stop":
        ends.append({"type": "content_block_stop", "index": latest["index"]})
    ends.append(
        {
            "type": "message_delta",
            "delta": {"stop_reason": "max_tokens", "stop_sequence": None},
            "usage": {"output_tokens": output},
        }
    )
    ends.append({"type": "message_stop"})
    return b"".join(map(_typed, ends))


def _responses(opening: Mapping[str, Any], latest: Mapping[str, Any], text: str, output: int) -> bytes:
    """The item that was under way is closed, then the response."""
    number = latest.get("sequence_number") if isinstance(latest.get("sequence_number"), int) else 0
    ends: list[dict[str, Any]] = []
    items: list[dict[str, Any]] = []
    if latest.get("type") == "response.output_text.delta":
        place = {name: latest.get(name) for name in ("item_id", "output_index", "content_index")}
        part = {"type": "output_text", "text": text, "annotations": []}
        item = {"id": latest.get("item_id"), "type": "message", "role": "assistant", "status": "incomplete"}
        item["content"] = [part]
        items.append(item)
        ends.append({"type": "response.output_text.done", **place, "text": text, "logprobs": []})
        ends.append({"type": "response.content_part.done", **place, "part": part})
        ends.append({"type": "response.output_item.done", "output_index": latest.get("output_index"), "item": item})
    response = {
        **fields_of(opening.get("response")),
        "status": "incomplete",
        "incomplete_details": {"reason": "max_output_tokens"},
        "output": items,
    }
    ends.append({"type": "response.incomplete", "response": response})
    numbered = ({**end, "sequence_number": (number or 0) + at} for at, end in enumerate(ends, 1))
    return b"".join(map(_typed, numbered))


def _typed(event: Mapping[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), _encode(event))
