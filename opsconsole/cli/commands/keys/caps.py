"""What caps a key: the budgets and limits that it is made or changed with, in the transaction that does so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from keyvault.domain.limits import parse_change
from keyvault.errors import UsageError
from opsconsole.cli.session import Session

if TYPE_CHECKING:
    from keyvault.keys.lifecycle import KeyRule

Budget = Annotated[
    str | None, typer.Option("--budget", metavar="USD/PERIOD", help="Refuse what goes beyond, such as 10usd/month.")
]
SoftBudget = Annotated[
    str | None, typer.Option("--soft-budget", metavar="USD/PERIOD", help="Raise alerts instead of refusing.")
]
NoBudget = Annotated[str | None, typer.Option("--budget", "--soft-budget", hidden=True)]
"""For `keys update`, which knows it only to say where a key's budgets are changed."""


def budgets_of(session: Session, hard: str | None, soft: str | None) -> Sequence[KeyRule]:
    """What makes the budgets that were asked for, with the key."""
    if hard is soft is None:
        return ()
    from opsconsole.cli.commands.budgets import terms_of

    wanted = [terms_of(text, soft=is_soft) for text, is_soft in ((hard, False), (soft, True)) if text is not None]
    if len({terms.period for terms in wanted}) < len(wanted):
        raise UsageError("--budget and --soft-budget are for the same period", hint="give each a period of its own")
    return [session.home.budgets.of_new_key(terms) for terms in wanted]


def limits_of(session: Session, rpm: str | None, tpm: str | None, parallel: str | None) -> Sequence[KeyRule]:
    """What sets the limits that were asked for, with the key."""
    change = parse_change(rpm, tpm, parallel)
    return [session.home.limits.of_key(change)] if change else ()


def no_budget(key: str, asked: str | None) -> None:
    """Raises `UsageError` where a budget was asked for in the wrong place."""
    if asked is not None:
        verb = f"delete key:{key}" if asked == "none" else f"set key:{key} 10usd/month"
        raise UsageError("a key's budgets are changed by gwctl budgets", hint=f"gwctl budgets {verb}")
