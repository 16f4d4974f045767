"""Deeds of routes: each makes a new numbered revision, and can be undone by rolling back."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from keyvault.domain.differences import Change
from keyvault.domain.names import check_model
from keyvault.domain.routes import Choice, Revision, Route, Target, parse_target
from keyvault.errors import GatewayError, UsageError
from opsconsole.tui.deeds.deed import Deed, Done, Field, Severity, Typed, Values, checked
from opsconsole.view.routes.beside import told
from opsconsole.view.routes.rows import summary
from opsconsole.view.text import Line, Span, Tone, line

if TYPE_CHECKING:
    from keyvault.home import Home

MOST_BYTES: Final = 1 << 20
MOST_WEIGHT: Final = 1_000_000


def parse_weighted(text: str) -> tuple[tuple[Target, int], ...]:
    """`openai/gpt-5=9 groq/llama-3.3-70b` → targets with their weights, 1 where none is given. Raises `UsageError`."""
    found = []
    for word in text.replace(",", " ").split():
        name, equals, weight = word.rpartition("=")
        if not equals:
            name, weight = word, "1"
        if not weight.isdigit() or int(weight) > MOST_WEIGHT:
            raise UsageError(f"not a weight: {weight[:20]!a}", hint="openai/gpt-5=9 groq/llama-3.3-70b=1")
        found.append((parse_target(name, as_named=True), int(weight)))
    if len({target for target, _ in found}) < len(found):
        raise UsageError("a target is there twice")
    return tuple(found)


def weighted(choices: Sequence[Choice]) -> str:
    """The other way round."""
    plain = all(choice.weight == 1 for choice in choices)
    return " ".join(f"{choice.target}" if plain else f"{choice.target}={choice.weight}" for choice in choices)


def set_route(route: Route | None) -> Deed:
    """A new route, or other targets for one; what else it says stays."""
    known = {choice.target: choice for choice in route.choices} if route else {}

    def made(values: Values) -> Route:
        def choices(text: str) -> tuple[Choice, ...]:
            return tuple(
                replace(known.get(target, Choice(target)), weight=weight) for target, weight in parse_weighted(text)
            )

        plain = route or Route(values["alias"], ())
        return replace(plain, primary=choices(values["primary"]), fallbacks=choices(values["fallbacks"]))

    def tells(values: Values) -> Sequence[Line]:
        try:
            wanted = made(values)
        except GatewayError:
            return ()
        total = sum(choice.weight for choice in wanted.primary)
        shares = (f"{choice.weight / total * 100:.0f} % {choice.target}" for choice in wanted.primary if total)
        then = itertools.chain(shares, (f"then {choice.target}" for choice in wanted.fallbacks))
        return (line(Span(", ".join(then))), line(Span("The next request follows it.", Tone.FAINT)))

    def run(home: Home, typed: Typed) -> Done:
        revision = home.routes.put(made(typed.values))
        return Done(f"revision {revision.number} serves {typed.values.get('alias') or (route and route.alias)}")

    targets = checked(parse_weighted)
    alias = () if route else (Field("alias", "alias", check=checked(_alias), required=True, example="fast"),)
    return Deed(
        f"Route {route.alias}" if route else "New route",
        "Change" if route else "Create",
        run,
        fields=(
            *alias,
            Field(
                "primary",
                "targets",
                weighted(route.primary) if route else "",
                targets,
                required=True,
                example="openai/gpt-5=9 groq/llama-3.3-70b=1",
            ),
            Field(
                "fallbacks", "fallbacks, in order", weighted(route.fallbacks) if route else "", targets, example="none"
            ),
        ),
        tells=tells,
    )


def _alias(text: str) -> None:
    check_model(text)


def delete(route: Route) -> Deed:
    def run(home: Home, _typed: Typed) -> Done:
        revision = home.routes.delete(route.alias)
        return Done(f"deleted route {route.alias} in revision {revision.number}")

    return Deed(
        f"Delete route {route.alias}",
        "Delete",
        run,
        severity=Severity.MODERATE,
        tells=lambda _values: (
            line(Span(f"Who asks for {route.alias} gets what the default route serves, or model_not_found.")),
            line(Span("Rolling back brings it back.", Tone.FAINT)),
        ),
    )


def difference(one: Revision, other: Revision) -> tuple[Change, ...]:
    """What makes one revision of another."""
    from keyvault.routing import described

    return described.changes(one.routes, other.routes)


def roll_back(number: int | None, changes: Sequence[Change], to: str) -> Deed:
    """`changes`: what rolling back changes of what runs now; `to`: what it goes back to, in words."""

    def run(home: Home, _typed: Typed) -> Done:
        outcome = home.routes.rollback(number)
        return Done(f"revision {outcome.revision.number} serves: {summary(outcome.changes)}")

    return Deed(
        f"Roll back to {to}",
        "Roll back",
        run,
        severity=Severity.MODERATE,
        tells=lambda _values: (*told(changes), (), line(Span("The next request follows it.", Tone.FAINT))),
    )


def look_at_file() -> Deed:
    """Read a routes file; its result is what `apply_plan` shows and applies: text, file, changes."""

    def run(home: Home, typed: Typed) -> Done:
        text, file = _read(typed["file"]), typed["file"]
        outcome = home.routes.plan(text, file)
        return Done(f"{file}: {summary(outcome.changes)}", (text, file, outcome.changes))

    return Deed(
        "Apply a routes file",
        "Look at it",
        run,
        fields=(Field("file", "file", required=True, example="routes.toml"),),
        tells=lambda _values: (line(Span("It shows what would change before anything does.", Tone.FAINT)),),
    )


def apply_plan(text: str, file: str, changes: Sequence[Change]) -> Deed:
    """Make the routes what the file says."""

    def run(home: Home, _typed: Typed) -> Done:
        outcome = home.routes.apply(text, file)
        return Done(f"revision {outcome.revision.number} serves: {summary(outcome.changes)}")

    return Deed(f"Apply {file}", "Apply", run, severity=Severity.MODERATE, tells=lambda _values: (*told(changes),))


def _read(file: str) -> str:
    try:
        content = Path(file).expanduser().read_bytes()
        if len(content) > MOST_BYTES:
            raise UsageError(f"{file[:100]} is larger than 1 MiB")
        return content.decode()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "not UTF-8"
        raise UsageError(f"{file[:100]}: {why.lower()}") from None
