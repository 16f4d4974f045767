"""All probes."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from opsconsole.staging.checking import requests, shapes
from opsconsole.staging.checking.aspects import Aspect, Facts
from opsconsole.staging.checking.probes import Models, Probe

_STREAM: Final[dict[str, Any]] = {"stream": True}
_USAGE: Final[dict[str, Any]] = {"stream": True, "stream_options": {"include_usage": True}}
_NO_SUCH_MODEL: Final = "no-such-model"
_WRONG_KEY: Final = "sk-this-key-is-wrong"
_ONE: Final = ("weather",)
_TWO: Final = ("weather", "time")


def _one_call(facts: Facts) -> str | None:
    return None if facts.get(Aspect("tool calls")) else "the model called no tool"


def _two_calls(facts: Facts) -> str | None:
    return None if facts.get(Aspect("tool calls"), "").count(": ") > 1 else "the model did not call two tools at once"


def _schema(facts: Facts) -> str | None:
    return None if facts.get(Aspect("answer as JSON")) == "object(city)" else "the answer is not of the schema"


def _json(facts: Facts) -> str | None:
    return None if facts.get(Aspect("answer as JSON"), "").startswith("object") else "the answer is no JSON object"


def _embedding(models: Models) -> str | None:
    return models.embedding


def _messages(models: Models) -> str | None:
    return models.messages


_chat = partial(Probe, path="/chat/completions", shape=shapes.CHAT, sdk="openai.chat.completions.create")
_chat_stream = partial(_chat, shape=shapes.CHAT_STREAM)
_chat_tools = partial(_chat, shape=shapes.CHAT_TOOLS, optional=True)
_chat_stream_tools = partial(
    _chat, shape=shapes.CHAT_STREAM_TOOLS, sdk="openai.chat.completions.stream", by_sdk=("stream",), optional=True
)
_completion = partial(Probe, path="/completions", sdk="openai.completions.create", optional=True)
_embeddings = partial(Probe, path="/embeddings", model=_embedding, sdk="openai.embeddings.create", optional=True)
_response = partial(Probe, path="/responses", sdk="openai.responses.create", optional=True)
_message = partial(
    Probe, path="/messages", shape=shapes.MESSAGE, model=_messages, sdk="anthropic.messages.create", optional=True
)
_message_stream = partial(_message, sdk="anthropic.messages.stream", by_sdk=("stream",))
_refused = partial(Probe, path="/chat/completions", optional=True, fails=True)
_message_refused = partial(Probe, path="/messages", model=_messages, optional=True, fails=True)

_MODELS: Final = (
    Probe("models", "the list of models", "/models", shapes.MODELS, method="GET", sdk="openai.models.list"),
    Probe(
        "model", "one model", "/models/{model}", shapes.MODEL, method="GET", sdk="openai.models.retrieve", optional=True
    ),
)
_CHAT: Final = (
    _chat("chat", "an answer", body=requests.chat),
    _chat("chat-choices", "two choices", body=partial(requests.chat, n=2), optional=True),
    _chat("chat-long", "a prompt of 12 kB", body=partial(requests.chat, text=requests.LONG), optional=True),
    _chat("chat-image", "an image in a data URL", body=requests.chat_image, optional=True),
    _chat("chat-schema", "an answer of a JSON schema", body=requests.chat_schema, optional=True, wants_json=True,
          lacks=_schema),
    _chat("chat-json", "an answer in JSON mode", body=requests.chat_json, optional=True, wants_json=True, lacks=_json),
    _chat_tools("chat-tool", "a tool call", body=partial(requests.chat_tools, names=_ONE), lacks=_one_call),
    _chat_tools("chat-tools", "two tool calls at once", body=partial(requests.chat_tools, names=_TWO),
                lacks=_two_calls),
    _chat("chat-tool-result", "an answer to a tool's result", body=requests.chat_answered_tool, optional=True),
    _chat_stream("chat-stream", "a stream", body=partial(requests.chat, **_STREAM)),
    _chat_stream("chat-stream-usage", "a stream that tells its usage", shape=shapes.CHAT_STREAM_USAGE,
                 body=partial(requests.chat, **_USAGE)),
    _chat_stream_tools("chat-stream-tool", "a streamed tool call",
                       body=partial(requests.chat_tools, names=_ONE, **_STREAM), lacks=_one_call),
    _chat_stream_tools("chat-stream-tools", "two streamed tool calls at once",
                       body=partial(requests.chat_tools, names=_TWO, **_STREAM), lacks=_two_calls),
)  # fmt: skip
_OTHERS: Final = (
    _completion("completion", "a completion", shape=shapes.COMPLETION, body=requests.completion),
    _completion("completion-stream", "a streamed completion", shape=shapes.COMPLETION_STREAM,
                body=partial(requests.completion, **_STREAM)),
    _embeddings("embeddings", "embeddings as numbers", shape=shapes.EMBEDDING,
                body=partial(requests.embeddings, encoding_format="float")),
    _embeddings("embeddings-base64", "embeddings in base64", shape=shapes.EMBEDDING_BASE64,
                body=partial(requests.embeddings, encoding_format="base64"), by_sdk=("encoding_format",)),
    _response("response", "a response", shape=shapes.RESPONSE, body=requests.response),
    _response("response-schema", "a response of a JSON schema", shape=shapes.RESPONSE, body=requests.response_schema,
              wants_json=True, lacks=_schema),
    _response("response-tool", "a tool call in a response", shape=shapes.RESPONSE_TOOLS,
              body=requests.response_tools, lacks=_one_call),
    _response("response-stream", "a streamed response", shape=shapes.RESPONSE_STREAM,
              body=partial(requests.response, **_STREAM)),
    _response("response-stream-tool", "a streamed tool call in a response", shape=shapes.RESPONSE_STREAM_TOOLS,
              body=partial(requests.response_tools, **_STREAM), lacks=_one_call),
)  # fmt: skip
_MESSAGES: Final = (
    _message("message", "a message", body=requests.message),
    _message("message-image", "a message with an image", body=requests.message_image),
    _message("message-tool", "a tool call in a message", shape=shapes.MESSAGE_TOOLS, body=requests.message_tools,
             lacks=_one_call),
    _message_stream("message-stream", "a streamed message", shape=shapes.MESSAGE_STREAM,
                    body=partial(requests.message, **_STREAM)),
    _message_stream("message-stream-tool", "a streamed tool call in a message", shape=shapes.MESSAGE_STREAM_TOOLS,
                    body=partial(requests.message_tools, **_STREAM), lacks=_one_call),
    _message("message-tokens", "counting tokens", path="/messages/count_tokens", shape=shapes.TOKEN_COUNT,
             body=requests.token_count, sdk="anthropic.messages.count_tokens"),
)  # fmt: skip
_ERRORS: Final = (
    _refused("error-model", "a model there is not", shape=shapes.openai_error("40[034]"),
             body=partial(requests.chat, model=_NO_SUCH_MODEL), sdk="openai.chat.completions.create", own_answer=True),
    _refused("error-model-stream", "a stream of a model there is not", shape=shapes.openai_error("40[034]"),
             body=partial(requests.chat, model=_NO_SUCH_MODEL, **_STREAM), sdk="openai.chat.completions.create",
             own_answer=True),
    _refused("error-field", "a chat without its messages", shape=shapes.openai_error("400|422"),
             body=lambda models: requests.without(requests.chat(models), "messages")),
    _refused("error-type", "messages that are a number", shape=shapes.openai_error("400|422"),
             body=partial(requests.chat, messages=5)),
    _refused("error-cap", "a cap larger than any model's", shape=shapes.openai_error("400|422"),
             body=requests.far_too_many, sdk="openai.chat.completions.create"),
    _refused("error-json", "a body that is no JSON", shape=shapes.openai_error("4(00|15|22)"),
             body=lambda models: b'{"model": "' + models.chat.encode() + b'", "messages": [', own_answer=True),
    _refused("error-key", "a wrong key", shape=shapes.openai_error("40[13]"), body=requests.chat,
             sdk="openai.chat.completions.create", key=_WRONG_KEY, own_answer=True, optional=False),
    _refused("error-path", "a path there is not", path="/no-such-path", shape=shapes.openai_error("40[345]"),
             body=lambda models: {"model": models.chat}, own_answer=True),
    _refused("error-method", "GET in place of POST", shape=shapes.openai_error("40[345]"), method="GET",
             own_answer=True),
    _message_refused("error-message-model", "a message of a model there is not",
                     shape=shapes.anthropic_error("40[034]"), body=partial(requests.message, model=_NO_SUCH_MODEL),
                     sdk="anthropic.messages.create", own_answer=True),
    _message_refused("error-message-field", "a message without its cap", shape=shapes.anthropic_error("400|422"),
                     body=lambda models: requests.without(requests.message(models), "max_tokens")),
    _message_refused("error-message-key", "a message with a wrong key", shape=shapes.anthropic_error("40[13]"),
                     body=requests.message, sdk="anthropic.messages.create", key=_WRONG_KEY, own_answer=True),
)  # fmt: skip

PROBES: Final = (*_MODELS, *_CHAT, *_OTHERS, *_MESSAGES, *_ERRORS)
