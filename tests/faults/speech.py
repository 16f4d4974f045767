"""What providers say, in each dialect: a whole answer, and a stream as its beginning, a word, and its end."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.proxy.scripted import chunk, completion, usage_chunk

USED: Final = (7, 3)
"""Tokens of input and output that an answer tells."""


@dataclass(frozen=True, slots=True)
class Speech:
    """How one dialect says a text."""

    whole: Callable[[str], dict[str, Any]]
    beginning: bytes
    """The events of a stream before its first content."""
    word: Callable[[str], bytes]
    """The event that adds a text."""
    ending: bytes
    """The events after the last content."""


def _chat(event: object) -> bytes:
    return f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n".encode()


def _typed(event: Mapping[str, Any]) -> bytes:
    return f"event: {event['type']}\n".encode() + _chat(event)


_MESSAGE: Final = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_sequence": None}
_MESSAGE_USAGE: Final = {"input_tokens": USED[0], "output_tokens": USED[1]}
_RESPONSE: Final = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": "m",
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
}
_RESPONSE_USAGE: Final = {
    **_MESSAGE_USAGE,
    "total_tokens": sum(USED),
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 0},
}


def _message(text: str) -> dict[str, Any]:
    content = [{"type": "text", "text": text}]
    return {**_MESSAGE, "content": content, "stop_reason": "end_turn", "usage": _MESSAGE_USAGE}


def _response(text: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}
    return {**_RESPONSE, "status": "completed", "output": [item], "usage": _RESPONSE_USAGE}


def _response_word(text: str) -> bytes:
    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "sequence_number": 1, "logprobs": []}
    return _typed({"type": "response.output_text.delta", "delta": text, **at})


def _message_word(text: str) -> bytes:
    return _typed({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})


SPEECH: Final[Mapping[str, Speech]] = {
    "chat/completions": Speech(
        whole=lambda text: completion(text, "m", *USED),
        beginning=_chat(chunk({"role": "assistant", "content": ""})),
        word=lambda text: _chat(chunk({"content": text})),
        ending=_chat(chunk({}, finish="stop")) + _chat(usage_chunk(*USED)) + _chat("[DONE]"),
    ),
    "messages": Speech(
        whole=_message,
        beginning=_typed(
            {
                "type": "message_start",
                "message": {
                    **_MESSAGE,
                    "content": [],
                    "stop_reason": None,
                    "usage": {**_MESSAGE_USAGE, "output_tokens": 1},
                },
            }
        )
        + _typed({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        word=_message_word,
        ending=_typed({"type": "content_block_stop", "index": 0})
        + _typed(
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": {"output_tokens": USED[1]},
            }
        )
        + _typed({"type": "message_stop"}),
    ),
    "responses": Speech(
        whole=_response,
        beginning=_typed(
            {
                "type": "response.created",
                "sequence_number": 0,
                "response": {**_RESPONSE, "status": "in_progress", "output": []},
            }
        ),
        word=_response_word,
        ending=_typed({"type": "response.completed", "sequence_number": 2, "response": _response("")}),
    ),
}
"""By the path below `/v1/`."""
