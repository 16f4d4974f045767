"""What a simulated provider can be told to do instead of answering well.

A request chooses a behaviour by its model's last part (`sim-429`, `gpt-sim-hang`) or by a mark in any of its texts
(`[sim:cut]`); without one, the simulator's failure rates may choose. Everything a name can be stands in `BEHAVIOURS`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

BEHAVIOURS: Final = {
    **{str(status): f"an error answer, {status}" for status in (400, 401, 403, 404, 408, 413, 429, 500, 502, 503, 529)},
    "hang": "takes the request and never answers",
    "drop": "closes the connection without an answer",
    "stall": "sends a few tokens, then nothing more",
    "cut": "sends a few tokens, or half of a whole answer, then closes the connection",
    "error": "an error event after a few tokens; an error answer 500 where nothing streams",
    "early-error": "an error event in place of the first token; an error answer 500 where nothing streams",
    "empty": "an answer without any content",
    "garbage": "a 200 whose body is not of the dialect",
    "nousage": "an answer that tells no usage",
    "slow": "ten times slower than usual, and never instant",
    "long": "two thousand tokens, whatever the length drawn",
    "overrun": "five hundred tokens, whatever the cap",
    "cached": "half of the input counted as read from a cache, where the dialect can tell",
    "reasoning": "some reasoning before the answer, counted in the output",
}
"""Behaviour name → what it does."""

FEW_TOKENS: Final = 3
"""How many tokens `stall`, `cut` and `error` let through."""

_MARK = re.compile(r"\[sim:([a-z0-9-]{1,20})\]")


def of_model(model: str, known: Iterable[str]) -> tuple[str, str]:
    """(base model, behaviour or empty) of `gpt-sim-429`; the base is the whole name when it carries no behaviour."""
    for base in known:
        suffix = model.removeprefix(base + "-")
        if suffix != model and suffix in BEHAVIOURS:
            return base, suffix
    return model, ""


def of_texts(texts: Iterable[str]) -> str:
    """The behaviour marked in the texts, or empty."""
    for text in texts:
        if (mark := _MARK.search(text)) and mark[1] in BEHAVIOURS:
            return mark[1]
    return ""
