"""Scopes as people type them: `customer:acme`, `project:acme/web`, `key:ci-bot`, `upstream:openai`, or `all`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

import typer

from keyvault.errors import UsageError
from opsconsole.cli.completion import Kind, names_of

KINDS: Final[dict[str, Kind]] = {
    "customer": "customers",
    "project": "projects",
    "key": "keys",
    "upstream": "upstreams",
}
ALL: Final = "all"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a command applies to."""

    kind: str
    """One of `KINDS`, or `all`."""
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind

    @classmethod
    def parse(cls, text: str) -> Scope:
        """Raises `UsageError`."""
        if text == ALL:
            return cls(ALL)
        kind, colon, name = text.partition(":")
        if kind not in KINDS or not colon or not name:
            hint = "customer:NAME, project:CUSTOMER/PROJECT, key:NAME, upstream:NAME or all"
            raise UsageError(f"not a scope: {text[:70]!a}", hint=hint)
        return cls(kind, name)


def _paying(ctx: typer.Context, incomplete: str) -> list[str]:
    return [found for found in _scopes(ctx, incomplete) if found != ALL and not found.startswith("upstream:")]


def _customers(ctx: typer.Context, incomplete: str) -> list[str]:
    return [found for found in _scopes(ctx, incomplete) if found.startswith("customer:")]


def _scopes(ctx: typer.Context, incomplete: str) -> list[str]:
    kind, colon, name = incomplete.partition(":")
    if colon and kind in KINDS:
        return [f"{kind}:{found}" for found in names_of(KINDS[kind])(ctx, name)]
    return [word for word in (*(f"{kind}:" for kind in KINDS), ALL) if word.startswith(incomplete)]


ScopeText = Annotated[
    str,
    typer.Argument(
        metavar="SCOPE",
        help="customer:NAME, project:CUSTOMER/PROJECT, key:NAME, upstream:NAME, or all.",
        autocompletion=_scopes,
    ),
]

_WHO_PAYS = {"metavar": "SCOPE", "help": "customer:NAME, project:CUSTOMER/PROJECT or key:NAME."}

PayingScope = Annotated[str, typer.Argument(**_WHO_PAYS, autocompletion=_paying)]
"""Whom a budget or a limit is for; to be read by `parse_scope`."""

AnyPayingScope = Annotated[str | None, typer.Argument(**_WHO_PAYS, autocompletion=_paying)]

_CUSTOMER = {"metavar": "customer:NAME", "help": "Whose statement."}

CustomerScope = Annotated[str, typer.Argument(**_CUSTOMER, autocompletion=_customers)]
AnyCustomerScope = Annotated[str | None, typer.Argument(**_CUSTOMER, autocompletion=_customers)]
