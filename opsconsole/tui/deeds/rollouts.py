"""Deeds of rollouts: what gives a new target more is agreed to, what takes it out is quick."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from keyvault.domain.names import exact_duration, parse_duration
from keyvault.domain.rollouts import (
    USUAL_EVERY_S,
    USUAL_GUARDS,
    Plan,
    Rollout,
    guards_of,
    parse_by,
    parse_steps,
)
from keyvault.domain.rollouts import (
    checked as sensible,
)
from keyvault.domain.routes import parse_target
from keyvault.domain.typed import parts
from keyvault.errors import GatewayError, UsageError
from opsconsole.tui.deeds.deed import Deed, Done, Field, Severity, Typed, Values, checked
from opsconsole.tui.deeds.forms import ON_OFF, says
from opsconsole.view.staging.snapshot import Names
from opsconsole.view.text import Line, Span, line

if TYPE_CHECKING:
    from keyvault.home import Home

_GUARDS_FIELD: Final = ", ".join(USUAL_GUARDS)
_BY_HAND: Final = "by hand"


def plan_of(values: Values) -> Plan:
    """What was typed, as a plan. Raises `UsageError`."""
    unit, header = parse_by(values["by"])
    every = _every(values["every"])
    return sensible(
        Plan(
            steps=parse_steps(values["steps"]),
            every_s=USUAL_EVERY_S if every is None else every,
            automatic=every is not None,
            by=unit,
            header=header,
            guards=guards_of(parts(values["guards"])),
        )
    )


def start(names: Names, alias: str = "") -> Deed:
    """A new target for an alias; its result is what the guards could find with the traffic there is."""

    def tells(values: Values) -> Sequence[Line]:
        try:
            plan = plan_of(values)
        except GatewayError as error:
            return (says(error.message),) if values["steps"] and values["guards"] else ()
        first, *others = (f"{step / 10_000:g} %" for step in plan.steps)
        then = f", then {', '.join(others)}" if others else ""
        pace = f", one each {exact_duration(timedelta(seconds=plan.every_s))}" if plan.automatic and others else ""
        return (
            line(Span(f"{first} of {values['alias'] or 'its requests'} go to {values['to'] or 'it'}{then}{pace}.")),
            says("A guard that is breached takes it out by itself; nothing else of the routes changes."),
        )

    def run(home: Home, typed: Typed) -> Done:
        target = parse_target(typed["to"], as_named=True)
        started = home.rollouts.start(typed["alias"], target, plan_of(typed.values))
        rollout = started.rollout
        return Done(f"{rollout.target} takes {rollout.share_ppm / 10_000:g} % of {rollout.alias}", started)

    return Deed(
        f"New target for {alias}" if alias else "New target for an alias",
        "Start",
        run,
        fields=(
            Field("alias", "alias", alias, choices=names.aliases, required=True),
            Field("to", "new target", "", checked(_target), names.targets, open_ended=True, required=True,
                  example="groq/llama-3.3-70b"),
            Field("steps", "per cent, step by step", "5", checked(parse_steps), required=True, example="5,25,50,100"),
            Field("every", "next step", _BY_HAND, checked(_every), required=True, example="by hand, or such as 1h"),
            Field("by", "drawn by", "request", checked(parse_by), required=True,
                  example="request, key, customer, header:NAME"),
            Field("guards", "guards", _GUARDS_FIELD, checked(_guards), required=True, example=_GUARDS_FIELD),
        ),
        tells=tells,
    )  # fmt: skip


def advance(rollout: Rollout) -> Deed:
    steps = rollout.plan.steps
    following = steps[min(rollout.step + 1, len(steps) - 1)]

    def run(home: Home, _typed: Typed) -> Done:
        done = home.rollouts.advance(str(rollout.id))
        return Done(f"{done.target} takes {done.share_ppm / 10_000:g} % of {done.alias}")

    return Deed(
        f"Next step of {rollout.alias}",
        "Advance",
        run,
        severity=Severity.MODERATE,
        tells=lambda _values: (
            line(Span(f"{rollout.target} takes {following / 10_000:g} % instead of {_share(rollout)}.")),
            says("Whatever its guards have seen so far."),
        ),
    )


def pause(rollout: Rollout) -> Deed:
    def run(home: Home, _typed: Typed) -> Done:
        done = home.rollouts.pause(str(rollout.id))
        return Done(f"{done.target} takes nothing new of {done.alias}")

    told = says(f"{rollout.target} gets no new request; conversations whose state it keeps go on there.")
    return Deed(f"Pause the rollout of {rollout.alias}", "Pause", run, tells=lambda _values: (told,))


def resume(rollout: Rollout) -> Deed:
    def run(home: Home, _typed: Typed) -> Done:
        done = home.rollouts.resume(str(rollout.id))
        return Done(f"{done.target} takes {done.share_ppm / 10_000:g} % of {done.alias}")

    share = f"{rollout.plan.steps[rollout.step] / 10_000:g} %"
    told = says(f"{rollout.target} takes {share} again, with the step from its beginning.")
    return Deed(f"Go on with the rollout of {rollout.alias}", "Go on", run, tells=lambda _values: (told,))


def roll_back(rollout: Rollout) -> Deed:
    """It goes back, so nothing is asked but why."""

    def run(home: Home, typed: Typed) -> Done:
        done = home.rollouts.rollback(str(rollout.id), typed["reason"])
        return Done(f"{done.target} is out of {done.alias}, which is served as its route says")

    return Deed(
        f"Roll back {rollout.alias}",
        "Roll back",
        run,
        fields=(Field("reason", "why, for the record", example="too terse"),),
        tells=lambda _values: (
            line(Span(f"{rollout.target} is out with the next request; the routes stay as they are.")),
            says("It works while the vault is locked."),
        ),
    )


def finish(rollout: Rollout) -> Deed:
    """The target takes the place of the route's old ones, by a revision."""

    def run(home: Home, typed: Typed) -> Done:
        service = home.rollouts
        done, revision = service.finish(str(rollout.id), now=typed.get("now") == "on", keep=typed["keep"] == "on")
        return Done(f"{done.target} serves {done.alias} since revision {revision.number}")

    early = () if rollout.last_step else (
        Field("now", "before its last step", ON_OFF[False], choices=ON_OFF, required=True),
    )  # fmt: skip
    return Deed(
        f"Finish the rollout of {rollout.alias}",
        "Finish",
        run,
        fields=(*early, Field("keep", "old targets as fallbacks", ON_OFF[False], choices=ON_OFF, required=True)),
        severity=Severity.MODERATE,
        tells=lambda _values: (
            line(Span(f"All of {rollout.alias} is served by {rollout.target}, in the place of what serves it now.")),
            says("It is a new revision of the routes, which can be rolled back."),
        ),
    )


def _share(rollout: Rollout) -> str:
    return f"{rollout.plan.steps[rollout.step] / 10_000:g} %"


def _target(text: str) -> object:
    return parse_target(text, as_named=True)


def _guards(text: str) -> object:
    return guards_of(parts(text))


def _every(text: str) -> int | None:
    """None: the next step is begun by hand."""
    if text.strip().lower() == _BY_HAND:
        return None
    seconds = int(parse_duration(text).total_seconds())
    if seconds < 1:
        raise UsageError("a step takes from 10 seconds to 30 days", hint="1h")
    return seconds
