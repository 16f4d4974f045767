"""LiteLLM's logs: the standard logging payload of its callbacks, and rows of its spend logs with stored prompts.

Payload: https://docs.litellm.ai/docs/proxy/logging_spec. A row of the spend logs holds `request_id`, `call_type`,
`startTime`, `endTime`, `spend`, and, where `store_prompts_in_spend_logs` is on, `messages`, `response` and
`proxy_server_request` with the client's own body. Where only messages and parameters were kept, the request is put
together from them, so it may lack what LiteLLM had left out.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from opsconsole.staging.exchanges.exchange import Exchange, Recorded
from opsconsole.staging.exchanges.shapes import (
    Fields,
    Unfit,
    between_ms,
    body_of,
    dollars,
    guessed_path,
    identifier,
    json_answer,
    moment,
    objects,
    path_of,
    text,
    usage,
    value,
)

_PATHS: Final = {
    "completion": "/chat/completions",
    "text_completion": "/completions",
    "embedding": "/embeddings",
    "responses": "/responses",
    "anthropic_messages": "/messages",
}
"""Call type, without the `a` of an asynchronous one → path."""
_OWN_FIELDS: Final = frozenset(
    {
        *("metadata", "litellm_metadata", "litellm_params", "litellm_call_id", "litellm_logging_obj"),
        *("proxy_server_request", "secret_fields", "api_key", "user_api_key", "api_base", "base_url"),
        *("headers", "extra_headers"),
    }
)
"""What LiteLLM adds to a body, or takes out of one, for itself; credentials are among it."""


def from_litellm(fields: Fields, line: int) -> Exchange | None:
    """A call that LiteLLM made; None for a line of another shape."""
    call = text(fields, "call_type")
    if call is None or "startTime" not in fields:
        return None
    path = _PATHS.get(call) or _PATHS.get(call.removeprefix("a"))
    if path is None:
        raise Unfit(f"a call that cannot be made again: {call[:40]}")
    path, body = _asked(fields, path)
    failed = text(fields, "status") == "failure"
    response = objects(fields, "response")
    return Exchange(
        identifier(value(fields, "request_id", "id", "litellm_call_id"), line),
        path,
        body,
        Recorded(
            status=None if failed else 200,
            answer=None if failed else json_answer(200, response),
            first_content_ms=_first_content_ms(fields),
            total_ms=between_ms(moment(value(fields, "startTime")), moment(value(fields, "endTime"))),
            usage=usage(value(fields, "prompt_tokens"), value(fields, "completion_tokens")),
            cost_pico=dollars(value(fields, "response_cost", "spend")),
            target=_target(fields),
        ),
        line=line,
    )


def _asked(fields: Fields, path: str) -> tuple[str, bytes]:
    """Path and body of the request: the client's own, else put together from what was kept."""
    own = objects(fields, "proxy_server_request") or {}
    body = own.get("body")
    if isinstance(body, str):
        body = msgspec.json.decode(body_of(body))
    if isinstance(body, dict) and guessed_path(body):
        if isinstance(own.get("url"), str):
            path = path_of(own["url"]) or path
        return path, msgspec.json.encode(_asked_of_a_model(body))
    if guessed_path(own):  # newer versions keep the body itself there
        return path, msgspec.json.encode(_asked_of_a_model(own))
    asked = _json(value(fields, "messages"))
    if not asked or _is_redacted(asked):
        raise Unfit("its messages were not stored")
    named = {"model": value(fields, "model_group", "model"), **(objects(fields, "model_parameters") or {})}
    if value(fields, "stream") is True:
        named["stream"] = True
    return path, msgspec.json.encode({**_asked_of_a_model(named), _field_of(path): asked})


def _asked_of_a_model(body: dict[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in body.items() if name not in _OWN_FIELDS}


def _field_of(path: str) -> str:
    return {"/embeddings": "input", "/responses": "input", "/completions": "prompt"}.get(path, "messages")


def _json(found: Any) -> Any:
    """A value, or what a text holds if it is JSON."""
    if isinstance(found, str) and found[:1] in ("[", "{"):
        try:
            return msgspec.json.decode(found)
        except (msgspec.DecodeError, RecursionError):
            return found
    return found


def _is_redacted(asked: Any) -> bool:
    """LiteLLM can be told not to keep what was said; it then says so in its place."""
    return "redacted-by-litellm" in str(asked)[:500]


def _first_content_ms(fields: Fields) -> float | None:
    """Until the first token of a stream; a log gives the end of the call for any other."""
    first, ended = value(fields, "completionStartTime"), value(fields, "endTime")
    return None if first == ended else between_ms(moment(value(fields, "startTime")), moment(first))


def _target(fields: Fields) -> str | None:
    provider, model = text(fields, "custom_llm_provider"), text(fields, "model")
    return f"{provider}/{model}" if provider and model and not model.startswith(f"{provider}/") else model
