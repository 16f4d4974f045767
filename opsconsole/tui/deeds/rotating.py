"""A new secret for a key, and what to do with a rotation that is under way."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from keyvault.domain.keys import Generation, GenerationState
from keyvault.domain.names import exact_duration, parse_duration
from keyvault.keys.rotation import check_grace
from opsconsole.tui.deeds.deed import Deed, Done, Field, Typed, Values, checked
from opsconsole.tui.deeds.effect import taken
from opsconsole.tui.deeds.forms import says, warns
from opsconsole.tui.deeds.keys import Fresh
from opsconsole.view.keys import words
from opsconsole.view.keys.snapshot import Awaited, KeyRow
from opsconsole.view.text import Line, Tone, printable

if TYPE_CHECKING:
    from keyvault.home import Home

FINISH: Final = "finish"
ABORT: Final = "abort"
END: Final = "end"
EXTEND: Final = "extend"
ANEW: Final = "anew"


def rotate(row: KeyRow, grace: timedelta, now: datetime) -> Deed:
    """Make a new secret; where a rotation is under way, choose what becomes of it first."""
    pending = row.key.generation_in(GenerationState.PENDING, now)
    old = row.key.generation_in(GenerationState.GRACE, now)
    if pending is not None:
        return _pending(row, pending, grace)
    if old is not None:
        return _in_grace(row, old, grace, now)

    def run(home: Home, typed: Typed) -> Done:
        return _begin(home, row.name, parse_duration(typed["grace"]))

    def tells(values: Values) -> Sequence[Line]:
        return [says(f"Both secrets work until the new one is used; the old one then has {values['grace']} left.")]

    return Deed(f"Rotate key {row.name}", "Rotate", run, (_grace(grace),), tells)


def _grace(grace: timedelta, label: str = "the old secret has left") -> Field:
    check = checked(lambda text: check_grace(parse_duration(text)))
    return Field("grace", label, exact_duration(grace), check, required=True, example="24h, 0s for none")


def _begin(home: Home, name: str, grace: timedelta, *, end_grace: bool = False) -> Done:
    from keyvault.keys.rotating import Terms

    rotation = home.rotations.begin(name, Terms(grace, end_grace=end_grace))
    key = rotation.key
    assert rotation.secret is not None
    fresh = Fresh(
        f"New secret of key “{key.name}”, generation {rotation.generation}",
        f"The old one works beside it, and for another {exact_duration(grace)} once this one is used.",
        Awaited(key.name, rotation.generation),
        rotation.secret,
    )
    return Done(f"made a new secret for key {key.name}", fresh)


def _pending(row: KeyRow, pending: Generation, grace: timedelta) -> Deed:
    """One secret was made and not used yet."""
    told = {
        FINISH: f"Generation {pending.number} reached its place: it counts now, and the old secret's grace begins.",
        ABORT: f"Generation {pending.number} is dropped; the old secret works on as before.",
        ANEW: f"Generation {pending.number} is dropped and another secret made.",
    }

    def run(home: Home, typed: Typed) -> Done:
        match typed["do"]:
            case "finish":
                key = home.keys.acknowledge(row.name, pending.number)
                return Done(f"generation {pending.number} of key {key.name} counts now{taken(home)}")
            case "abort":
                key = home.keys.abandon(row.name, pending.number)
                return Done(f"dropped generation {pending.number} of key {key.name}{taken(home)}")
        return _begin(home, row.name, parse_duration(typed["grace"]), end_grace=True)

    fields = (Field("do", "do what", FINISH, choices=tuple(told), required=True), _grace(grace, "grace, if made anew"))
    return Deed(
        f"A rotation of key {row.name} is under way", "Do it", run, fields,
        lambda values: [says(f"Generation {pending.number} waits for its first use."),
                        says(told.get(values["do"], ""), tone=Tone.PLAIN)],
    )  # fmt: skip


def _in_grace(row: KeyRow, old: Generation, grace: timedelta, now: datetime) -> Deed:
    """The new secret counts, the old one works on for a while."""
    told = {
        END: "The old secret is refused from now on.",
        EXTEND: "The old secret works for so much longer.",
        ANEW: "The old secret is refused from now on, and another one made to follow the current one.",
    }

    def run(home: Home, typed: Typed) -> Done:
        span = parse_duration(typed["grace"])
        match typed["do"]:
            case "end":
                key = home.rotations.end_grace(row.name)
                return Done(f"the old secret of key {key.name} is refused from now on{taken(home)}")
            case "extend":
                key = home.rotations.extend_grace(row.name, span)
                return Done(f"the old secret of key {key.name} works for {exact_duration(span)} longer{taken(home)}")
        return _begin(home, row.name, span, end_grace=True)

    fields = (
        Field("do", "do what", END, choices=tuple(told), required=True),
        _grace(grace, "longer by, or new grace"),
    )
    used = warns(f"still used {_when(old, now)} by {printable(old.last_client or 'an unnamed client')}") if (
        old.last_used_at is not None
    ) else says("It was never used.")  # fmt: skip
    return Deed(
        f"The old secret of key {row.name} still works", "Do it", run, fields,
        lambda values: [used, says(told.get(values["do"], ""), tone=Tone.PLAIN)],
    )  # fmt: skip


def _when(generation: Generation, now: datetime) -> str:
    told = words.ago(generation.last_used_at, now)
    return "just now" if told == "now" else f"{told} ago"
