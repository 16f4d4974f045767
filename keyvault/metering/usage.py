"""Counts tokens where the provider did not: of an answer that broke off, of a request whose usage never came.

With the extra `tokens` the model's own vocabulary counts, offline, and the basis is `tokenizer`. Without it, or for
models whose vocabulary is not public, characters are weighed by script, and the basis is `estimate`: within about a
fifth on prose, less good on dense notation. Both take a bounded time: very long texts are always estimated.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any, Final

import msgspec

from keyvault.domain.ledger import Basis

MAX_TOKENIZED: Final = 200_000
"""Characters; a tokenizer takes about 4 ms for so many."""
TOKENS_PER_MESSAGE: Final = 4
"""What chat templates add around each message."""

_VOCABULARIES: Final = tuple(
    (re.compile(pattern), vocabulary)
    for pattern, vocabulary in (
        (r"gpt-oss|gpt-4o|gpt-4\.[15]|gpt-5|chatgpt-4o|\bo[134](-|$)|codex-mini", "o200k_base"),
        (r"gpt-4|gpt-3\.5|text-embedding-(3|ada)", "cl100k_base"),
        (r"llama-?3", "llama3"),
        (r"deepseek-?(v3|v4|r1|chat|reasoner)", "deepseek_v3"),
        (r"qwen-?[23]", "qwen3"),
        (r"mistral-(large|medium|small|nemo)|pixtral|ministral", "mistral_v3"),
        (r"glm-4", "glm4"),
        (r"kimi-k2", "kimi_k2"),
        (r"gemma-?3", "gemma3"),
        (r"phi-?4", "phi4"),
    )
)

_SCRIPTS: Final = (
    (0x0000, 50), (0x0020, 3), (0x0021, 75), (0x0030, 50), (0x003A, 75), (0x0041, 26), (0x005B, 75),
    (0x0061, 20), (0x007B, 75), (0x007F, 50), (0x00C0, 45), (0x0370, 40), (0x0400, 30), (0x0530, 60),
    (0x0590, 42), (0x0900, 32), (0x0E00, 47), (0x0F00, 80), (0x10A0, 60), (0x1E00, 50), (0x2000, 75),
    (0x3040, 85), (0x3400, 85), (0xA000, 90), (0xAC00, 72), (0xD7B0, 100), (0xFF00, 90), (0x10000, 110),
)  # fmt: skip
"""First code point of each range, hundredths of a token for a character in it: measured on o200k_base with the
Universal Declaration of Human Rights, source code and JSON."""
_STARTS: Final = [start for start, _ in _SCRIPTS]


def _weight(code_point: int) -> int:
    return _SCRIPTS[bisect_right(_STARTS, code_point) - 1][1]


_ASCII: Final = tuple(
    (weight, bytes(code for code in range(128) if _weight(code) == weight))
    for weight in dict.fromkeys(map(_weight, b"a B1.\n"))
)
"""The ASCII characters by their weight, the most frequent first."""

_NOT_TEXT: Final = frozenset({"model", "type", "role", "id", "tool_call_id", "detail", "url", "data", "user"})
"""Fields of a request body whose strings the model does not read as text."""


def count_text(text: str, model: str) -> tuple[int, Basis]:
    """The tokens of a text as a model would count them, and how well that is known."""
    vocabulary = _vocabulary(model) if len(text) <= MAX_TOKENIZED else None
    tokenizer = _tokenizer(vocabulary) if vocabulary else None
    if tokenizer is None:
        return estimate_text(text), Basis.ESTIMATE
    whole = text.encode("utf-8", "replace").decode()  # half a surrogate pair is one character, and no vocabulary's
    return len(tokenizer.encode_ordinary(whole)), Basis.TOKENIZER


def estimate_text(text: str) -> int:
    """Tokens by script, rounded up; 0 for no text."""
    if not text.isascii():
        return -(-sum(_weight(ord(char)) * count for char, count in Counter(text).items()) // 100)
    hundredths, left = 0, text.encode()
    for weight, characters in _ASCII:  # takes a tenth of the time of counting each
        others = left.translate(None, characters)
        hundredths += weight * (len(left) - len(others))
        left = others
    return -(-hundredths // 100)


def estimate_input(body: bytes) -> int:
    """About how many input tokens a request body is: its texts if it is JSON, else all of it. Never less than 1."""
    try:
        texts = list(_texts(msgspec.json.decode(body)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        texts = [body.decode("utf-8", "replace")]
    return max(1, sum(map(estimate_text, texts)) + TOKENS_PER_MESSAGE * (len(texts) > 0))


def _texts(value: Any, name: str = "") -> Iterator[str]:
    """The strings of a body that a model reads, depth first."""
    if isinstance(value, str):
        if name not in _NOT_TEXT and not value.startswith("data:"):
            yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, name)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, key)


@lru_cache(maxsize=256)
def _vocabulary(model: str) -> str | None:
    name = model.lower()
    return next((vocabulary for pattern, vocabulary in _VOCABULARIES if pattern.search(name)), None)


@cache
def _tokenizer(vocabulary: str) -> Any:
    """The tokenizer of a vocabulary, loaded once (about 60 ms); None where the extra is not installed or lacks it."""
    try:
        import splintr
    except ImportError:
        return None
    try:
        return splintr.Tokenizer.from_pretrained(vocabulary)
    except ValueError:
        return None
