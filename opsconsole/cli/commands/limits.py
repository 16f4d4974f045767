"""`gwctl limits`: how many requests and tokens a minute, and how many requests at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from keyvault.domain.limits import KINDS, parse_change
from keyvault.domain.scopes import parse_scope
from keyvault.errors import Conflict
from opsconsole.cli.arguments import something
from opsconsole.cli.output import Column, Details, Listing, Row
from opsconsole.cli.scopes import AnyPayingScope, PayingScope
from opsconsole.cli.session import Session
from opsconsole.cli.verbs import Noun

if TYPE_CHECKING:
    from keyvault.domain.limits import Limit

limits = Noun(
    "limits",
    "How many requests and tokens a minute, and how many requests at once.",
    examples="gwctl limits set key:ci-bot --rpm 60 --tpm 100k --parallel 4\ngwctl limits list",
)
app = limits

Rpm = Annotated[str | None, typer.Option("--rpm", metavar="COUNT", help="Requests a minute, such as 60, or none.")]
Tpm = Annotated[str | None, typer.Option("--tpm", metavar="COUNT", help="Tokens a minute, such as 100k, or none.")]
Parallel = Annotated[str | None, typer.Option("--parallel", metavar="COUNT", help="Requests at once, or none.")]
Model = Annotated[
    str | None, typer.Option("--model", metavar="PATTERN", help="Of these models only, such as 'gpt-5*'.")
]

_ABSENT = {"model": "all", **dict.fromkeys(KINDS, "none")}
_COLUMNS = [Column(field, absent=_ABSENT.get(field, "")) for field in ("scope", "model", *KINDS)]


@limits.verb(
    "set",
    changes=True,
    examples="""
    gwctl limits set key:ci-bot --rpm 60 --tpm 100k --parallel 4
    gwctl limits set customer:acme --tpm 2m --model 'gpt-5*'
    gwctl limits set key:ci-bot --parallel none
    """,
)
def set_(
    session: Session,
    scope: PayingScope,
    rpm: Rpm = None,
    tpm: Tpm = None,
    parallel: Parallel = None,
    model: Model = None,
) -> None:
    """Make a limit, or change it; what is not given stays. All limits that apply to a request hold at once."""
    named, change = parse_scope(scope), parse_change(rpm, tpm, parallel)
    something(rpm, tpm, parallel)
    limit = session.home.limits.set(named, change, model=model or "")
    session.changed(f"{_named(limit)} is {_told(limit)}")
    session.show(Details(_row(limit), key="scope", absent=_ABSENT))


@limits.verb("list", examples="gwctl limits list\ngwctl limits list customer:acme --json")
def list_(session: Session, scope: AnyPayingScope = None) -> None:
    """List limits."""
    found = session.home.limits.list(None if scope is None else parse_scope(scope))
    session.show(Listing("limits", [_row(limit) for limit in found], _COLUMNS, key="scope"))


@limits.verb("show", examples="gwctl limits show key:ci-bot\ngwctl limits show customer:acme --model 'gpt-5*'")
def show(session: Session, scope: PayingScope, model: Model = None) -> None:
    """Show a limit."""
    limit = session.home.limits.show(parse_scope(scope), model=model)
    session.show(Details(_row(limit), key="scope", absent=_ABSENT))


@limits.verb(
    "delete",
    changes=True,
    examples="gwctl limits delete key:ci-bot\ngwctl limits delete customer:acme --model 'gpt-5*'",
)
def delete(session: Session, scope: PayingScope, model: Model = None) -> None:
    """Take a limit away. One for some models only must be named by --model."""
    named = parse_scope(scope)
    meant = session.home.limits.show(named, model=model)
    if meant.model and model is None:
        hint = f"gwctl limits delete {meant.scope} --model '{meant.model}'"
        raise Conflict(f"the only limit of {meant.scope} is for {meant.model}", hint=hint)
    limit = session.home.limits.delete(named, model=meant.model)
    session.changed(f"{_named(limit)} is no longer {_told(limit)}")
    session.show(Details({**_row(limit), "deleted": True}, key="scope", absent=_ABSENT))


def _named(limit: Limit) -> str:
    return f"{limit.scope} for {limit.model}" if limit.model else str(limit.scope)


def _told(limit: Limit) -> str:
    """`limited to 60 rpm, 4 parallel`."""
    numbers = ", ".join(f"{value:,} {kind}" for kind in KINDS if (value := getattr(limit, kind)) is not None)
    return f"limited to {numbers}" if numbers else "not limited"


def _row(limit: Limit) -> Row:
    numbers = {kind: getattr(limit, kind) for kind in KINDS}
    return {"scope": str(limit.scope), "model": limit.model or None, **numbers}
