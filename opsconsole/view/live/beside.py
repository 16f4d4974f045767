"""What stands beside or below the Live table: the targets' health and what needs a person."""

from __future__ import annotations

from collections.abc import Sequence

from opsconsole.view import health, text
from opsconsole.view.alerts import Alert
from opsconsole.view.board import GUTTER, padded
from opsconsole.view.snapshot import TargetTraffic
from opsconsole.view.text import UNICODE, Glyphs, Line, Span, Tone


def foot(
    targets: Sequence[TargetTraffic], alerts: Sequence[Alert], width: int, height: int, glyphs: Glyphs = UNICODE
) -> tuple[Line, ...]:
    """Targets and alerts: on a line each, or as two lists side by side; on a single line alerts, if there are any."""
    if height > 2:
        half = width // 2
        left = _padded_lines(_target_list(targets, half - 2 * GUTTER, height, glyphs), half, height)
        right = _padded_lines(_alert_list(alerts, width - half, height, glyphs), width - half, height)
        return tuple((*first, *second) for first, second in zip(left, right, strict=True))
    named = (Span("targets  ", Tone.FAINT), *health.one_line(targets, width - 9, glyphs))
    warned = (Span("alerts   ", Tone.FAINT), *_alert_line(alerts, width - 9, glyphs))
    if height == 1:
        return (warned if alerts else named,)
    return named, warned


def side(
    targets: Sequence[TargetTraffic], alerts: Sequence[Alert], width: int, height: int, glyphs: Glyphs = UNICODE
) -> tuple[Line, ...]:
    """Alerts and targets below each other, for a wide terminal."""
    above = _alert_list(alerts, width, height // 2, glyphs)
    return (*above, (), *_target_list(targets, width, height - len(above) - 1, glyphs))


def _alert_line(alerts: Sequence[Alert], room: int, glyphs: Glyphs) -> Line:
    if not alerts:
        return (Span("none", Tone.FAINT),)
    shown: list[Span] = []
    used = 0
    for at, alert in enumerate(alerts):
        span = alert.span(glyphs)
        rest = len(alerts) - at
        if shown and used + len(span.text) + (11 if rest > 1 else 0) > room:
            shown.append(Span(f"+{rest} more", Tone.FAINT))
            break
        shown += [span, Span("   ")]
        used += len(span.text) + 3
    return tuple(shown)


def _alert_list(alerts: Sequence[Alert], width: int, height: int, glyphs: Glyphs) -> list[Line]:
    told = [part for alert in alerts for part in text.wrapped((alert.span(glyphs),), width)]
    return _list("alerts", told, "none", height)


def _target_list(targets: Sequence[TargetTraffic], width: int, height: int, glyphs: Glyphs) -> list[Line]:
    told = [health.spread(target, width, glyphs) for target in health.worst_first(targets)]
    return _list("targets, last minutes", told, "none has served", height)


def _list(title: str, told: Sequence[Line], nothing: str, height: int) -> list[Line]:
    """A title and as many lines as fit below it, the last one saying how many do not."""
    room = height - 1
    shown = list(told) or [(Span(nothing, Tone.FAINT),)]
    if len(shown) > room:
        shown = [*shown[: room - 1], (Span(f"+{len(shown) - room + 1} more", Tone.FAINT),)]
    return [(Span(title, Tone.FAINT),), *shown]


def _padded_lines(lines: Sequence[Line], width: int, height: int) -> list[Line]:
    return [padded(line, width) for line in (*lines, *[()] * (height - len(lines)))]
