"""Styled text without a terminal: spans of text with a tone, and the symbols they are written with.

A tone says what a piece of text means; the console decides its colour. No tone is the only bearer of a meaning: a
symbol or a word always stands with it.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple


class Tone(StrEnum):
    """What a text means."""

    PLAIN = "plain"
    STRONG = "strong"
    FAINT = "faint"
    MONEY = "money"
    TOKENS = "tokens"
    ACCENT = "accent"
    WARNING = "warning"
    ALARM = "alarm"


class Span(NamedTuple):
    text: str
    tone: Tone = Tone.PLAIN


Line = tuple[Span, ...]


def line(*parts: Span | str) -> Line:
    """A line of spans; plain strings get the plain tone."""
    return tuple(part if isinstance(part, Span) else Span(part) for part in parts)


def plain(spans: Line) -> str:
    return "".join(span.text for span in spans)


def width(spans: Line) -> int:
    return sum(len(span.text) for span in spans)


def printable(name: str) -> str:
    """A name without anything that could act on a terminal: control and format characters read as `?`."""
    return name if name.isprintable() else "".join(char if char.isprintable() else "?" for char in name)


def cut(text: str, size: int, ellipsis: str = "…") -> str:
    """`text` in at most `size` characters, the cut marked."""
    return text if len(text) <= size else text[: max(0, size - len(ellipsis))] + ellipsis[:size]


def cut_line(spans: Line, size: int, ellipsis: str = "…") -> Line:
    """`spans` in at most `size` characters, the cut marked."""
    if width(spans) <= size:
        return spans
    kept: list[Span] = []
    room = size
    for span in spans:
        if len(span.text) >= room:
            kept.append(Span(cut(span.text + " ", room, ellipsis), span.tone))
            break
        kept.append(span)
        room -= len(span.text)
    return tuple(kept)


def wrapped(spans: Line, size: int) -> list[Line]:
    """The words of `spans` on as many lines of `size` characters as they need, in the first span's tone."""
    return [(Span(part, spans[0].tone),) for part in textwrap.wrap(plain(spans), max(1, size))]


def folded(spans: Line, size: int, indent: int = 0) -> list[Line]:
    """The words of `spans`, each in its tone, on as many lines as they need; all but the first one indented."""
    lines: list[list[Span]] = [[]]
    room = size
    for span in spans:
        for word in re.findall(r"\s*\S+|\s+", span.text):
            if len(word) > room and len(word.strip()) <= size - indent:
                lines.append([Span(" " * indent)])
                room, word = size - indent, word.lstrip()
            lines[-1].append(Span(word, span.tone))
            room -= len(word)
    return [tuple(each) for each in lines]


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The symbols of the console, so that a terminal without braille or dots loses nothing but looks."""

    unknown: str
    dot: str
    hollow: str
    warning: str
    alarm: str
    paused: str
    cursor: str
    descending: str
    ascending: str
    check: str
    rule: str
    ellipsis: str
    at_least: str
    arrow: str
    separator: str
    branch: str
    last_branch: str
    into: str
    """Between the names of a way down."""
    blocks: str
    """Eight heights, lowest first."""
    braille: bool
    half: str
    cross: str
    bar: str
    """What is full of a bar, and what is empty."""
    enter: str
    """The key that opens, as the key bar says it."""


UNICODE: Final = Glyphs(
    unknown="–",
    dot="●",
    hollow="○",
    warning="▲",
    alarm="✖",
    paused="‖",
    cursor="▸",
    descending="▼",
    ascending="▲",
    check="✓",
    rule="─",
    ellipsis="…",
    at_least="≥",
    arrow="→",
    separator="·",
    branch="├─",
    last_branch="└─",
    into="›",
    blocks="▁▂▃▄▅▆▇█",
    braille=True,
    half="◐",
    cross="×",
    bar="▰▱",
    enter="⏎",
)
ASCII: Final = Glyphs(
    unknown="-",
    dot="*",
    hollow="o",
    warning="!",
    alarm="X",
    paused="=",
    cursor=">",
    descending="v",
    ascending="^",
    check="+",
    rule="-",
    ellipsis="~",
    at_least=">",
    arrow="->",
    separator="-",
    branch="|-",
    last_branch="`-",
    into="/",
    blocks="_.,-=+*#",
    braille=False,
    half="%",
    cross="x",
    bar="#.",
    enter="enter",
)


ASCII_FOR: Final[Mapping[str, str]] = {
    **dict(zip("–●○▲✖‖▸◂▼✓─…≥→·├└›◐×▰▱↑↓←⏎•“”‘’±█▌▐│", "-*o!X=><v+-~>>-|`/%x#.^v<=*\"\"''+#|||", strict=True)),
    **dict(zip(UNICODE.blocks, ASCII.blocks, strict=True)),
}
"""One character for one, where a symbol comes from somewhere that knows no `Glyphs`."""


def glyphs_for(encoding: str | None, term: str) -> Glyphs:
    """Symbols a terminal can draw: its character encoding, and `TERM` (the Linux text console has no braille)."""
    drawable = (encoding or "").lower().replace("-", "") == "utf8" and term not in ("linux", "dumb", "vt100")
    return UNICODE if drawable else ASCII
