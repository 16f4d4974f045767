"""Every provider's usage in one convention: input includes what was cached, output includes reasoning.

What is not a plain count (null, negative, a float, a text, beyond any sense) is unknown, never zero. The differences
that are known and brought together here:

- Anthropic's `input_tokens` leaves out what was read from and written to the cache.
- xAI and Gemini (in its OpenAI shape) leave reasoning out of `completion_tokens`; only `total_tokens` has it.
- Cached tokens: `*_tokens_details.cached_tokens` (OpenAI and most), `prompt_cache_hit_tokens` (DeepSeek),
  `cached_tokens` (Moonshot, Together), `timings.cache_n` (llama.cpp).
- Groq's streams carry usage in `x_groq` as well; llama.cpp may have `timings` alone.
- Images without token counts (DALL·E) are counted as the images returned.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from keyvault.domain.endpoints import Dialect
from keyvault.domain.ledger import Basis, Usage

MAX_COUNT: Final = 1_000_000_000

Fields = Mapping[str, Any]
_NONE: Final[Fields] = {}
_MESSAGES: Final = Dialect.MESSAGES
_PROVIDER: Final = Basis.PROVIDER
"""Members by name: looking one up in its enum takes 0.1 µs."""


def count(value: object) -> int | None:
    """A plausible count, else None."""
    if type(value) is int and 0 <= value <= MAX_COUNT:
        return value
    return None


def first_count(fields: Fields, *names: str) -> int | None:
    for name in names:
        found = fields.get(name)
        if type(found) is int and 0 <= found <= MAX_COUNT:
            return found
    return None


def fields_of(value: object) -> Fields:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else _NONE


def read_usage(dialect: Dialect, answer: Fields) -> Usage | None:
    """The usage an answer or a stream's event tells, None where it has none."""
    if dialect is _MESSAGES:
        return messages_usage(answer.get("usage"))
    raw = answer.get("usage") or fields_of(answer.get("x_groq")).get("usage")
    timings = fields_of(answer.get("timings"))
    if isinstance(raw, dict):
        usage = messages_usage(raw) if _leaves_cache_out(raw) else _openai_usage(raw, timings)
    else:
        usage = _timings_usage(timings)
    if usage is not None and usage.output is None and dialect is Dialect.EMBEDDINGS:
        return replace(usage, output=0)
    return usage


def basis_of(usage: Usage | None) -> Basis:
    """Provider where both sides are told, or the images were counted; else unknown."""
    if usage is None:
        return Basis.UNKNOWN
    told = (usage.input is not None and usage.output is not None) or usage.images is not None
    return _PROVIDER if told else Basis.UNKNOWN


def messages_usage(raw: object) -> Usage | None:
    """Anthropic's usage. https://docs.claude.com/en/docs/build-with-claude/prompt-caching#tracking-cache-performance"""
    if not isinstance(raw, dict):
        return None
    lifetimes = fields_of(raw.get("cache_creation"))
    for_hour = count(lifetimes.get("ephemeral_1h_input_tokens"))
    for_minutes = count(lifetimes.get("ephemeral_5m_input_tokens"))
    written = count(raw.get("cache_creation_input_tokens"))
    if written is None and lifetimes:
        written = (for_hour or 0) + (for_minutes or 0)
    read = count(raw.get("cache_read_input_tokens"))
    fresh = count(raw.get("input_tokens"))
    if for_hour is not None and written is not None and for_hour > written:
        for_hour = None
    return Usage(
        input=None if fresh is None else fresh + (read or 0) + (written or 0),
        cached_input=read,
        cache_write=None if written is None else written - (for_hour or 0),
        cache_write_1h=for_hour,
        output=count(raw.get("output_tokens")),
        reasoning=count(fields_of(raw.get("output_tokens_details")).get("thinking_tokens")),
    )


def _leaves_cache_out(raw: Fields) -> bool:
    return "prompt_tokens" not in raw and ("cache_read_input_tokens" in raw or "cache_creation_input_tokens" in raw)


def _openai_usage(raw: Fields, timings: Fields) -> Usage:
    entered = first_count(raw, "prompt_tokens", "input_tokens")
    left = first_count(raw, "completion_tokens", "output_tokens")
    before = _details(raw, "prompt_tokens_details", "input_tokens_details", "input_token_details")
    after = _details(raw, "completion_tokens_details", "output_tokens_details", "output_token_details")
    cached = first_count(before, "cached_tokens") if before else None
    if cached is None:
        cached = first_count(raw, "prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens")
    if cached is None and timings:
        cached = count(timings.get("cache_n"))
    reasoning = first_count(after, "reasoning_tokens") if after else None
    left, reasoning = _with_hidden_reasoning(entered, left, reasoning, count(raw.get("total_tokens")))
    return Usage(
        input=entered,
        cached_input=None if cached is None else _within(cached, entered),
        cache_write=_within(first_count(before, "cache_write_tokens"), entered) if before else None,
        output=left,
        reasoning=None if reasoning is None else _within(reasoning, left),
        audio_input=_within(first_count(before, "audio_tokens"), entered) if before else None,
        audio_output=_within(first_count(after, "audio_tokens"), left) if after else None,
    )


def _details(raw: Fields, *names: str) -> Fields:
    for name in names:
        found = raw.get(name)
        if found and isinstance(found, dict):
            return found
    return _NONE


def _with_hidden_reasoning(
    entered: int | None, left: int | None, reasoning: int | None, total: int | None
) -> tuple[int | None, int | None]:
    """Output and reasoning, with the reasoning added that a provider tells in its total alone."""
    if entered is None or left is None or total is None:
        return left, reasoning
    hidden = total - entered - left
    if hidden > 0 and (not reasoning or hidden == reasoning):
        return left + hidden, hidden
    return left, reasoning


def _within(part: int | None, whole: int | None) -> int | None:
    """A part of a count; unknown where it is larger than the whole."""
    return part if part is not None and whole is not None and part <= whole else None


def _timings_usage(timings: Fields) -> Usage | None:
    """llama.cpp's own counts where it tells no usage: tokens evaluated, taken from its cache, predicted."""
    evaluated, predicted = count(timings.get("prompt_n")), count(timings.get("predicted_n"))
    if evaluated is None or predicted is None:
        return None
    cached = count(timings.get("cache_n"))
    return Usage(input=evaluated + (cached or 0), cached_input=cached, output=predicted)
