"""How each target does, judged by its attempts of the last minutes, and how that reads."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final

from opsconsole.view import numbers
from opsconsole.view.snapshot import TargetTraffic
from opsconsole.view.text import UNICODE, Glyphs, Line, Span, Tone, cut

SHAKY_SHARE: Final = 0.05
FAILING_SHARE: Final = 0.5
ENOUGH_FAILURES: Final = 2
"""A single failure is an accident, whatever the share."""
ENOUGH_ATTEMPTS: Final = 4
"""Fewer attempts do not make a target failing, only shaky."""


class Health(IntEnum):
    """Worst first, so that sorting puts trouble where it is seen."""

    FAILING = 0
    SHAKY = 1
    WELL = 2
    IDLE = 3
    DISABLED = 4


def health(target: TargetTraffic) -> Health:
    if target.disabled:
        return Health.DISABLED
    if not target.attempts:
        return Health.IDLE
    share = target.failures / target.attempts
    if share >= FAILING_SHARE and target.attempts >= ENOUGH_ATTEMPTS:
        return Health.FAILING
    return Health.SHAKY if share >= SHAKY_SHARE and target.failures >= ENOUGH_FAILURES else Health.WELL


def worst_first(targets: Sequence[TargetTraffic]) -> list[TargetTraffic]:
    return sorted(targets, key=lambda target: (health(target), -target.attempts, target.target))


def describe(target: TargetTraffic, glyphs: Glyphs = UNICODE) -> Line:
    """`● openai/gpt-5 38 /s 280 ms`, `✖ groq/llama failing 80 %`."""
    state = health(target)
    symbol, words = _words(target, state, glyphs)
    tone = {Health.FAILING: Tone.ALARM, Health.SHAKY: Tone.WARNING}.get(state, Tone.FAINT)
    return (Span(f"{symbol} ", tone), Span(target.target), Span(f" {words}", tone))


def spread(target: TargetTraffic, width: int, glyphs: Glyphs = UNICODE) -> Line:
    """The same with the words at the right end of `width` characters."""
    symbol, name, words = describe(target, glyphs)
    room = width - len(symbol.text) - len(words.text)
    return (symbol, Span(cut(name.text, room, glyphs.ellipsis).ljust(room)), words)


def _words(target: TargetTraffic, state: Health, glyphs: Glyphs) -> tuple[str, str]:
    share = numbers.percent(target.failures / target.attempts, glyphs) if target.attempts else ""
    match state:
        case Health.FAILING:
            return glyphs.alarm, f"failing {share}"
        case Health.SHAKY:
            return glyphs.warning, f"errors {share}"
        case Health.WELL:
            speed = f"{numbers.short(target.per_second, glyphs)} /s"
            return glyphs.dot, f"{speed} {numbers.latency(target.first_p50_ms, glyphs)}"
        case Health.IDLE:
            return glyphs.hollow, "no traffic"
        case Health.DISABLED:
            return glyphs.paused, "disabled"


def one_line(targets: Sequence[TargetTraffic], room: int, glyphs: Glyphs = UNICODE) -> Line:
    """As many targets as fit in `room` characters, worst first, and how many more there are."""
    if not targets:
        return (Span("none has served in the last minutes", Tone.FAINT),)
    gap = Span("   ")
    shown: list[Span] = []
    used = 0
    ordered = worst_first(targets)
    for at, target in enumerate(ordered):
        words = describe(target, glyphs)
        size = sum(len(span.text) for span in words) + len(gap.text)
        rest = len(ordered) - at
        if used + size + (8 if rest > 1 else 0) > room and shown:
            shown.append(Span(f"+{rest} more", Tone.FAINT))
            break
        shown.extend((*words, gap))
        used += size
    return tuple(shown)
