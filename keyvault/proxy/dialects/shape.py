"""What a request's body asks for, in what is paid: how many tokens go in at most, how many come out, and what of it has
no bound.

Text is bounded by its bytes. An image that lies in the body is billed by its pixels and never by its bytes, so it
counts for the most that any image may come to with the target's model. What the provider fetches, keeps or does by
itself (an image by URL, a stored file or response, a search, a run of code) is in no body and has no bound.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from keyvault.domain.endpoints import Dialect
from keyvault.proxy.dialects.bodies import Body
from keyvault.proxy.dialects.fields import CAP_FIELDS, JsonBody
from keyvault.proxy.dialects.marks import Marks
from keyvault.proxy.dialects.media import NO_MEDIA, media_in
from keyvault.proxy.dialects.multipart import FormBody, weighed
from keyvault.proxy.dialects.references import every_value

MOST_IMAGE_TOKENS: Final = (
    (re.compile(r"gpt-4o-mini"), 50_000),  # 2,833 and 5,667 for each of at most 8 tiles
    (re.compile(r"claude"), 5_000),  # patches of 28 pixels, 2,576 pixels on the long edge: at most 4,784
)
OTHER_IMAGE_TOKENS: Final = 20_000
"""Tiles of OpenAI's other models come to 1,445, its patches to 10,000 with a factor, Qwen's to 16,384."""

IMAGE_OUTPUT: Final = 8_192
"""Tokens of one image made, in the best quality and the largest size: 6,240 at gpt-image-1."""

TOOL_PROMPT: Final = 1_000
"""What Anthropic adds for tools, once and for each of its own client tools: 159 to 735 tokens."""

SMALLEST_RESPONSE: Final = 16
"""The responses API takes no smaller `max_output_tokens`."""

_ANYWHERE: Final[Mapping[str, frozenset[bytes]]] = {
    "service_tier": frozenset({b'"auto"', b'"default"', b'"flex"', b'"standard"', b'"standard_only"'}),
    "speed": frozenset({b'"standard"'}),
    "inference_geo": frozenset({b'"global"'}),
    "background": frozenset({b"false"}),
    "enable_search": frozenset({b"false"}),
    "web_search": frozenset({b"false"}),
    "plugins": frozenset({b"[]"}),
    "provider": frozenset({b"{}"}),
    **dict.fromkeys(
        ("cached_content", "preset", "search_options", "search_parameters", "search_settings", "web_search_options"),
        frozenset(),
    ),
    **dict.fromkeys(("max_new_tokens", "n_cmpl", "n_predict", "num_predict"), frozenset()),
}
"""Fields whose other values make a call dearer than its price, end it later than its answer, have the provider search,
or say with servers of their own kind what `max_tokens` and `n` say: at OpenAI, xAI, Qwen, Groq, Perplexity, OpenRouter
(who may serve), llama.cpp and others that people run themselves."""
_IN: Final[Mapping[Dialect, tuple[str, ...]]] = {
    Dialect.CHAT: ("prediction",),
    Dialect.RESPONSES: ("previous_response_id", "conversation", "prompt", "context_management"),
    Dialect.MESSAGES: ("container", "mcp_servers"),
    Dialect.AUDIO: ("file", "file_id", "file_url", "url", "audio", "audio_url", "input_audio"),
}
"""Fields that bring in what the body does not hold, by dialect."""
_WATCHED: Final = frozenset(
    {*_ANYWHERE, *sum(_IN.values(), ()), "context_management", "extra_body", "modalities", "tools"}
)
"""All fields whose presence, or value, counts for anything but their bytes."""
_HARMLESS: Final = frozenset({"safety_settings", "thinking_config", "thought_tag_marker"})
"""Of Gemini's `extra_body`: what brings nothing in."""
_NO_OUTPUT: Final = frozenset({Dialect.EMBEDDINGS, Dialect.MODERATIONS})
_OWN_TOOLS: Final = ("function", "custom")
_CLIENT_TOOLS: Final = ("bash_", "text_editor_", "memory_")
"""Tools that Anthropic describes and the client carries out."""


class _OwnTool(msgspec.Struct, gc=False):
    """A tool that the client carries out. The decoder checks each value of a field that stands twice."""

    type: Literal["function", "custom"] = "function"


_CHAT: Final = Dialect.CHAT
_IMAGES: Final = Dialect.IMAGES
_OTHER: Final = Dialect.OTHER
"""Members by name: looking one up in its enum takes 0.1 µs."""
_own_tools = msgspec.json.Decoder(list[_OwnTool])
_ESCAPE: Final = b"\\u00"
_LARGE: Final = 4096
_MANY_COLONS: Final = 1000
_FILE_ID: Final = re.compile(
    b"".join(rb"(?:%b|\\u00%02x)" % (bytes([letter]), letter) for letter in b"fileid:"), re.IGNORECASE
)
"""The same as it may be written in JSON, some letters as escapes."""
CACHE_MARKS: Final = Marks(begins=(b"cache_control",))
_object = msgspec.json.Decoder(dict[str, Any])


class Shape(msgspec.Struct, frozen=True):
    """What a body asks for."""

    tokens: int
    """The most input tokens, but for images."""
    images: int
    """Images that lie in the body."""
    choices: int
    cap: int | None
    """The most output tokens of each choice; None: nothing says."""
    given: tuple[str, ...] = ()
    """The fields of the cap that the caller set."""
    settable: bool = False
    """A cap can be set, or lowered."""
    least: int = 1
    """No lower cap is taken."""
    unbounded: str | None = None
    """The field that makes the cost unbounded."""
    marked: bool = True
    """Parts of it may be marked for the provider's cache."""

    def input_tokens(self, model: str) -> int:
        """The most that a model may read out of the body."""
        return self.tokens + self.images * image_tokens(model) if self.images else self.tokens


def image_tokens(model: str) -> int:
    """The most tokens that one image comes to, whatever its size."""
    name = model.lower()
    return next((most for pattern, most in MOST_IMAGE_TOKENS if pattern.search(name)), OTHER_IMAGE_TOKENS)


def shape_of(dialect: Dialect, body: Body, raw: bytes) -> Shape:
    """The shape of a body. `raw`: its bytes. Raises `Refusal` 400."""
    if dialect is _OTHER:
        return Shape(len(raw), 0, 1, None, unbounded="path")
    if not isinstance(body, JsonBody):
        return _shape_of_other(dialect, body, raw)
    media, marked = NO_MEDIA, False
    if body.looked_through or dialect is _IMAGES:
        media = media_in(dialect, body)
        marked = any(CACHE_MARKS.stand_in(bytes(body.fields[name])) for name in body.looked_through)
    unbounded, prompt, tools = media.unbounded, 0, None
    if not body.everyday and not _WATCHED.isdisjoint(body.fields):
        unbounded = unbounded or _named(dialect, body)
        prompt, tools = _tool_prompt(dialect, body)
    if dialect is _CHAT and unbounded is None and _names_file(raw):
        unbounded = "messages"
    tokens = len(raw) - media.size + prompt
    cap, given, settable, least = _output(dialect, body)
    return Shape(tokens, media.images, body.choices, cap, given, settable, least, unbounded or tools, marked)


def _shape_of_other(dialect: Dialect, body: Body, raw: bytes) -> Shape:
    """The shape of a body that is no JSON."""
    if not isinstance(body, FormBody):
        return Shape(len(raw), 0, 1, None, unbounded="body")
    text, files = weighed(body)
    if dialect is not Dialect.IMAGES:
        return Shape(text, 0, 1, None, unbounded="file")  # nobody knows how long a recording is
    return Shape(text, files, body.choices, IMAGE_OUTPUT)


def _names_file(raw: bytes) -> bool:
    """Whether a text says `fileid://…`, in whose place Qwen puts a whole file."""
    named = raw.find(b"fileid:") >= 0 if len(raw) <= _LARGE else _stands_in_large(raw)
    return named or (raw.find(b"\\") >= 0 and _ESCAPE in raw and _FILE_ID.search(raw) is not None)


def _stands_in_large(raw: bytes) -> bool:
    """Whether `fileid:` stands there: a single letter is found at memory speed, a word of common letters is not."""
    at = 0
    for _ in range(_MANY_COLONS):
        at = raw.find(b":", at + 1)
        if at < 0 or raw.startswith(b"fileid", max(0, at - 6)):
            break
    return at >= 0 and raw.find(b"fileid:", max(0, at - 6)) >= 0


def _output(dialect: Dialect, body: JsonBody) -> tuple[int | None, tuple[str, ...], bool, int]:
    """Cap, the fields that set it, whether it can be set, the least that is taken."""
    if dialect in _NO_OUTPUT:
        return 0, (), False, 0
    if dialect is _IMAGES:
        return IMAGE_OUTPUT, (), False, 0
    if dialect not in CAP_FIELDS:
        return None, (), False, 0
    return body.output_cap, body.caps, True, 1 if dialect is _CHAT else _least(dialect, body)


def _least(dialect: Dialect, body: JsonBody) -> int:
    if dialect is not Dialect.MESSAGES:
        return SMALLEST_RESPONSE if dialect is Dialect.RESPONSES else 1
    thinking = bytes(body.fields.get("thinking", b""))
    if not thinking.startswith(b"{"):
        return 1
    budget = _object.decode(thinking).get("budget_tokens")
    return budget + 1 if isinstance(budget, int) and budget > 0 else 1


def _named(dialect: Dialect, body: JsonBody) -> str | None:
    """The field whose very presence, or value, leaves the cost without a bound."""
    for name in _IN.get(dialect, ()):
        if name in body.fields and bytes(body.fields[name]) not in (b"null", b"[]"):
            return name
    for name in _ANYWHERE.keys() & body.fields.keys():
        if bytes(body.fields[name]) not in _ANYWHERE[name] | {b"null"}:
            return name
    if "extra_body" in body.fields and not _harmless(bytes(body.fields["extra_body"])):
        return "extra_body"
    if "modalities" in body.fields and b'"image"' in bytes(body.fields["modalities"]):
        return "modalities"
    if dialect is Dialect.MESSAGES and b"compact" in bytes(body.fields.get("context_management", b"")):
        return "context_management"
    return None


def _harmless(extra: bytes) -> bool:
    """Whether nothing in Gemini's `extra_body` is known to cost."""
    try:
        inner = json.loads(extra, object_pairs_hook=every_value)
    except RecursionError:
        return False
    google = inner.get("google", {}) if isinstance(inner, dict) and inner.keys() <= {"google"} else None
    return inner is None or (isinstance(google, dict) and google.keys() <= _HARMLESS)


def _kinds(tools: bytes) -> list[Any]:
    """What kinds of tools there are; of one that says it twice both."""
    try:
        return [tool.type for tool in _own_tools.decode(tools)]
    except msgspec.ValidationError:
        said = [tool.get("type", "function") for tool in json.loads(tools, object_pairs_hook=every_value)]
        return [kind for kinds in said for kind in (kinds if isinstance(kinds, list) else [kinds])]


def _tool_prompt(dialect: Dialect, body: JsonBody) -> tuple[int, str | None]:
    """Tokens that the provider adds for tools; and `tools` where one of them is carried out by the provider."""
    raw = bytes(body.fields["tools"]) if "tools" in body.fields else b""
    if not raw.startswith(b"["):
        return 0, None
    try:
        kinds = _kinds(raw)
    except (AttributeError, RecursionError):  # not a list of objects
        return 0, "tools"
    described = [kind for kind in kinds if kind not in _OWN_TOOLS]
    if any(not isinstance(kind, str) or not kind.startswith(_CLIENT_TOOLS) for kind in described):
        return 0, "tools"
    if dialect is not Dialect.MESSAGES:
        return 0, "tools" if described else None
    return (TOOL_PROMPT * (1 + len(described)) if kinds else 0), None
