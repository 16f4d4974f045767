"""The noun `routes`, its arguments, and how routes, revisions and their changes read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from keyvault.domain.differences import Change
from keyvault.domain.names import counted
from keyvault.domain.routes import Choice, Revision, Route
from keyvault.routing import described
from opsconsole.cli.completion import names_of
from opsconsole.cli.output import Column, Details, Format, Listing, Row
from opsconsole.cli.plans import plan_row
from opsconsole.cli.session import Session
from opsconsole.cli.text import cell, harmless
from opsconsole.cli.verbs import Noun

routes = Noun(
    "routes",
    "Which targets serve which model name. Without routes, one upstream serves every model as it is.",
    examples="""
    gwctl routes set fast openai/gpt-5-mini groq/llama-3.3-70b
    gwctl routes init routes.toml
    gwctl routes plan -f routes.toml
    gwctl routes apply -f routes.toml
    gwctl routes rollback
    """,
    modules={
        "files": ("init", "plan", "apply"),
        "looking": ("list", "show", "history", "diff"),
        "setting": ("set", "delete", "rollback"),
        "trying": ("health", "test"),
    },
)

Alias = Annotated[
    str, typer.Argument(metavar="ALIAS", help="The model name clients ask for.", autocompletion=names_of("aliases"))
]


def row(route: Route) -> Row:
    """A route for programs; `targets` are all of them, in order; a timeout that is not there is as the settings say."""
    return {
        "alias": route.alias,
        "targets": [str(target) for target in route.targets],
        "primary": [str(choice.target) for choice in route.primary],
        "fallbacks": [str(choice.target) for choice in route.fallbacks],
        "timeouts": described.describe(route).get("timeouts", {}),
        "retries": {**asdict(route.retries), "on": sorted(route.retries.on)},
        "affinity": route.affinity,
    }


def details(route: Route, revision: Revision) -> Details:
    """One route, with what is special about each of its targets below."""
    choices = [
        *(_choice(choice, "primary", route.primary) for choice in route.primary),
        *(_choice(choice, "fallback", ()) for choice in route.fallbacks),
    ]
    columns = [Column(name, absent="") for name in ("target", "rank", "weight", "share", "parameters")]
    told = {**row(route), "revision": revision.number}
    return Details(
        told, key="alias", omit=frozenset({"targets", "primary", "fallbacks"}),
        inner=[Listing("choices", choices, columns, key="target")],
    )  # fmt: skip


def show_changes(session: Session, changes: Sequence[Change], **extra: Any) -> None:
    """A paragraph for each route that differs, for people; a document for programs."""
    if session.options.format is Format.TABLE:
        session.io.data("".join(map(_paragraph, changes)) or "no changes\n")
        return
    columns = [Column("change"), Column("scope"), Column("differences")]
    session.show(Listing("changes", list(map(plan_row, changes)), columns, key="scope", extra=extra))


def summary(changes: Sequence[Change]) -> str:
    """`1 new route, 2 changed, 1 removed`."""
    signs = [change.sign for change in changes]
    parts = [
        f"{counted(signs.count('+'), 'new route')}" if "+" in signs else "",
        f"{signs.count('~')} changed" if "~" in signs else "",
        f"{signs.count('-')} removed" if "-" in signs else "",
    ]
    return ", ".join(filter(None, parts)) or "no changes"


def added(changes: Sequence[Change]) -> list[str]:
    """The aliases that become new routes."""
    return [change.scope.removeprefix("route:") for change in changes if change.sign == "+"]


def note_unrouted(session: Session, served: str | None, added: Sequence[str], *, in_file: bool = False) -> None:
    """Warn whoever makes the first routes, where an upstream has `served` what they are not about. `in_file`: what a
    command sets would end with the next `apply`."""
    if served is None or not added or any(set(alias) == {"*"} for alias in added):
        return
    how = f'[routes."*"] targets = ["{served}/*"]' if in_file else f"gwctl routes set '*' '{served}/*'"
    session.io.note("warning: with these first routes, model names that none of them is about are not served")
    session.io.note(f"hint: to have them served as they are: {how}")


def _choice(choice: Choice, rank: str, beside: Sequence[Choice]) -> Row:
    """A target of a route. `share`: of the traffic, while all are well."""
    total = sum(other.weight for other in beside)
    told = described.describe(Route("", (choice,)))["targets"][0]
    parameters = {} if isinstance(told, str) else {k: v for k, v in told.items() if k not in ("target", "weight")}
    return {
        "target": str(choice.target),
        "rank": rank,
        "weight": choice.weight if beside else None,
        "share": round(choice.weight / total, 4) if total else None,
        "parameters": parameters,
    }


def _paragraph(change: Change) -> str:
    """`~ route:fast`, and below it each field with what it was and what it becomes."""
    lines = [f"{change.sign} {harmless(change.scope)}"]
    for name, old, new in change.differences:
        if change.sign == "~":
            lines.append(f"    {name}: {_value(old)}")
            lines.append(f"    {'→':>{len(name) + 1}} {_value(new)}")
        else:
            lines.append(f"    {name}: {_value(new)}")
    return "".join(f"{line}\n" for line in lines)


def _value(value: Any) -> str:
    if value is None:
        return "as usual"
    if isinstance(value, list):
        return ", ".join(map(_item, value)) or "none"
    return cell(value)


def _item(item: Any) -> str:
    if not isinstance(item, dict):
        return cell(item)
    special = ", ".join(f"{name} {cell(value)}" for name, value in item.items() if name != "target")
    return f"{cell(item['target'])} ({special})"
