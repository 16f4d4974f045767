"""The pane of the Routes view: the route under the cursor in full; and how changes of routes read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from keyvault.domain.differences import Change
from opsconsole.view import numbers
from opsconsole.view.routes.rows import condition_span
from opsconsole.view.routes.snapshot import Leg, RoutesSnapshot, Step
from opsconsole.view.staging.rows import rollout_state
from opsconsole.view.text import UNICODE, Glyphs, Line, Span, Tone, line, printable

LABEL_WIDTH: Final = 10
_SIGNS: Final = {"+": Tone.MONEY, "~": Tone.ACCENT, "-": Tone.WARNING}


def beside(snapshot: RoutesSnapshot, leg: Leg | None, glyphs: Glyphs = UNICODE) -> tuple[Line, ...]:
    """Lines for the pane; they are cut at its right edge."""
    if leg is None:
        return ()
    route = leg.route
    lines: list[Line] = [
        line(Span(printable(route.alias), Tone.STRONG), Span("  a pattern" if "*" in route.alias else "", Tone.FAINT)),
        (),
    ]
    for each in (other for other in snapshot.legs if other.route.alias == route.alias):
        lines += _leg(each, each.key == leg.key, snapshot, glyphs)
    if (rollout := snapshot.rollout(route.alias)) is not None:
        lines += [(), _fact("on trial", printable(str(rollout.target))), _fact("", rollout_state(rollout, glyphs).text)]
    retries, timeouts = route.retries, route.timeouts
    spans = {
        "connect": timeouts.connect,
        "first": timeouts.first_content,
        "idle": timeouts.idle,
        "total": timeouts.total,
    }
    told = "  ".join(f"{name} {value:g} s" for name, value in spans.items() if value is not None)
    lines += [
        (),
        _fact("timeouts", told or "as the settings say"),
        _fact("goes on", f"after {', '.join(sorted(retries.on))}" if retries.on else "never"),
    ]
    if retries.same_target:
        lines.append(_fact("tries", f"{retries.same_target + 1} times on one target, from {retries.backoff:g} s apart"))
    lines.append(_fact("affinity", "conversations stay on a target" if route.affinity else "none"))
    if snapshot.revision is not None:
        age = numbers.duration(snapshot.taken_at - snapshot.revision.created_at)
        lines += [(), _fact("revision", f"{snapshot.revision.number}, {age} old")]
    return tuple(lines)


def _leg(leg: Leg, here: bool, snapshot: RoutesSnapshot, glyphs: Glyphs) -> list[Line]:
    gets = f"fallback {leg.order}" if leg.order else f"{(leg.share or 0) * 100:.0f} %"
    state = condition_span(leg, snapshot.taken_at, glyphs)
    target = Span(printable(str(leg.choice.target)), Tone.STRONG if here else Tone.PLAIN)
    lines = [line(target), line(Span(f"  {gets:<12}", Tone.FAINT), state)]
    if leg.condition.why:
        lines.append(line(Span(f"  {printable(leg.condition.why)}", Tone.FAINT)))
    for name, values in (("sets", leg.choice.overrides), ("by default", leg.choice.defaults)):
        lines += [line(Span(f"  {name} {key} = {_short(value)}", Tone.FAINT)) for key, value in values.items()]
    return lines


def changes(step: Step) -> tuple[Line, ...]:
    """What a revision changed, field by field."""
    revision = step.revision
    head = line(Span(f"revision {revision.number}", Tone.STRONG), Span(f"  by {printable(revision.actor)}", Tone.FAINT))
    return (head, (), *told(step.changes))


def told(found: Sequence[Change]) -> tuple[Line, ...]:
    """Changes as they read to a person: a sign and the route, then what becomes what."""
    lines: list[Line] = []
    for change in found:
        lines.append(line(Span(f"{change.sign} {printable(change.scope.partition(':')[2])}", _SIGNS[change.sign])))
        for name, old, new in change.differences:
            if change.sign == "~":
                lines.append(line(Span(f"    {name}: ", Tone.FAINT), Span(_short(old)), Span(" becomes ", Tone.FAINT)))
                lines.append(line(Span(f"      {_short(new)}")))
            else:
                lines.append(line(Span(f"    {name}: ", Tone.FAINT), Span(_short(new))))
    return tuple(lines) or (line(Span("no changes", Tone.FAINT)),)


def _short(value: Any) -> str:
    if value is None:
        return "as usual"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_short, value)) or "none"
    if isinstance(value, dict):
        rest = ", ".join(f"{name} {_short(each)}" for name, each in value.items() if name != "target")
        return f"{value['target']} ({rest})" if "target" in value and rest else str(value.get("target", rest))
    return printable(str(value))


def _fact(name: str, value: str) -> Line:
    return (Span(f"{name:<{LABEL_WIDTH}} ", Tone.FAINT), Span(value))
