"""`gwctl budgets`: what may be spent each hour, day, week or month, or at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from keyvault.domain.budgets import Period, parse_budget
from keyvault.domain.keys import ENVIRONMENTS
from keyvault.domain.scopes import parse_scope
from keyvault.domain.typed import parts
from keyvault.errors import Conflict, UsageError
from keyvault.money import CURRENCY
from opsconsole.cli.completion import names_in
from opsconsole.cli.output import Column, Details, Listing, Row
from opsconsole.cli.scopes import AnyPayingScope, PayingScope
from opsconsole.cli.session import Session
from opsconsole.cli.text import Amount, amount
from opsconsole.cli.verbs import Noun

if TYPE_CHECKING:
    from keyvault.domain.budgets import Budget
    from keyvault.metering.budgets import Standing, Terms

budgets = Noun(
    "budgets",
    "What may be spent each hour, day, week or month, or at all.",
    examples="gwctl budgets set key:ci-bot 10usd/month\ngwctl budgets list",
)
app = budgets

Wanted = Annotated[str, typer.Argument(metavar="USD/PERIOD", help="10usd/month; hour, day, week, month or total.")]
Soft = Annotated[bool | None, typer.Option("--soft/--hard", help="Only warn, or refuse what is not covered.")]
Model = Annotated[
    str | None, typer.Option("--model", metavar="PATTERN", help="Of these models only, such as 'gpt-5*'.")
]
Env = Annotated[
    str | None,
    typer.Option("--env", metavar="live|test", help="Whose charges count.", autocompletion=names_in(ENVIRONMENTS)),
]
Zone = Annotated[str | None, typer.Option("--tz", metavar="ZONE", help="Where days begin, such as Europe/Berlin.")]
Warn = Annotated[str | None, typer.Option("--warn", metavar="PERCENT,…", help="When to raise an alert: 50,80,100.")]
OfPeriod = Annotated[
    str | None,
    typer.Argument(metavar="PERIOD", help="Where it has several.", autocompletion=names_in(tuple(Period))),
]

_COLUMNS = [
    Column("scope"),
    Column("period"),
    Column("model", absent="all"),
    Column("amount", "USD"),
    Column("spent"),
    Column("held"),
    Column("remaining"),
    Column("percent", "%"),
    Column("until", absent="never"),
]


@budgets.verb(
    "set",
    changes=True,
    examples="""
    gwctl budgets set key:ci-bot 10usd/month
    gwctl budgets set customer:acme 200usd/day --model 'gpt-5*' --tz Europe/Berlin --warn 50,80,100
    gwctl budgets set project:acme/web 5usd/hour --soft
    """,
)
def set_(
    session: Session,
    scope: PayingScope,
    wanted: Wanted,
    soft: Soft = None,
    model: Model = None,
    env: Env = None,
    tz: Zone = None,
    warn: Warn = None,
) -> None:
    """Make a budget, or change it; what is not given stays. What was spent before counts."""
    named, terms = parse_scope(scope), terms_of(wanted, soft=soft, model=model, env=env, tz=tz, warn=warn)
    before = {known.budget.id: known.budget for known in session.home.budgets.list(named)}
    standing = session.home.budgets.set(named, terms)
    budget = standing.budget
    gone = standing.spent_pico
    spent = f"{Amount(gone).rounded()} of it spent already" if gone else "nothing of it spent yet"
    session.changed(f"{_named(budget)} is {_of(budget)}{_was(before.get(budget.id), budget)}, {spent}")
    _show(session, standing)


@budgets.verb("list", examples="gwctl budgets list\ngwctl budgets list customer:acme --json")
def list_(session: Session, scope: AnyPayingScope = None) -> None:
    """List budgets, with what is spent, held and left of each."""
    found = session.home.budgets.list(None if scope is None else parse_scope(scope))
    columns = list(_COLUMNS)
    if any(standing.budget.env != "live" for standing in found):
        columns.insert(1, Column("env"))
    if not all(standing.budget.hard for standing in found):
        columns.insert(1, Column("hard"))
    rows = [budget_row(standing) for standing in found]
    session.show(Listing("budgets", rows, columns, key="scope", extra={"currency": CURRENCY}))


@budgets.verb("show", examples="gwctl budgets show key:ci-bot\ngwctl budgets show key:ci-bot day --model 'gpt-5*'")
def show(session: Session, scope: PayingScope, period: OfPeriod = None, model: Model = None, env: Env = None) -> None:
    """Show a budget: what is spent, held and left of it, until when, and when it warns."""
    _show(session, session.home.budgets.show(parse_scope(scope), _period(period), model=model, env=env))


@budgets.verb(
    "delete",
    changes=True,
    examples="gwctl budgets delete key:ci-bot\ngwctl budgets delete customer:acme day --model 'gpt-5*'",
)
def delete(session: Session, scope: PayingScope, period: OfPeriod = None, model: Model = None, env: Env = None) -> None:
    """Take a budget away: nothing caps any more what it capped. One for some models only must be named by --model."""
    named, of_period = parse_scope(scope), _period(period)
    meant = session.home.budgets.show(named, of_period, model=model, env=env).budget
    if meant.model and model is None:
        hint = f"gwctl budgets delete {meant.scope} {meant.period} --model '{meant.model}'"
        raise Conflict(f"the only such budget of {meant.scope} is for {meant.model}", hint=hint)
    budget = session.home.budgets.delete(named, meant.period, model=meant.model, env=meant.env)
    session.changed(f"deleted {_named(budget)}, which was {_of(budget)}")
    session.show(Details({**_terms_row(budget), "deleted": True}, key="scope", absent={"model": "all"}))


def terms_of(
    wanted: str,
    *,
    soft: bool | None = None,
    model: str | None = None,
    env: str | None = None,
    tz: str | None = None,
    warn: str | None = None,
) -> Terms:
    """What the options ask for. Raises `UsageError`."""
    from keyvault.metering.budgets import Terms

    pico, period = parse_budget(wanted)
    hard = None if soft is None else not soft
    return Terms(pico, period, model or "", env, hard, tz, None if warn is None else _percents(warn)).checked()


def _percents(text: str) -> tuple[int, ...]:
    """`50,80,100`; `none` for no alerts."""
    if text == "none":
        return ()
    found = [part.removesuffix("%") for part in parts(text)]
    if not found or not all(part.isdecimal() and len(part) < 5 for part in found):
        raise UsageError(f"--warn: not a list of percents: {text[:40]!a}", hint="--warn 50,80,100, or --warn none")
    return tuple(map(int, found))


def _period(text: str | None) -> Period | None:
    if text is not None and text not in set(Period):
        raise UsageError(f"no such period: {text[:40]!a}", hint=f"one of {', '.join(Period)}")
    return None if text is None else Period(text)


def _named(budget: Budget) -> str:
    for_models = f" for {budget.model}" if budget.model else ""
    return f"the budget of {budget.scope}{for_models}{' (test)' if budget.env == 'test' else ''}"


def _of(budget: Budget) -> str:
    return f"{Amount(budget.amount_pico)} {CURRENCY} {_PER[budget.period]}{'' if budget.hard else ', only to warn'}"


def _was(before: Budget | None, now: Budget) -> str:
    """What a change took away or loosened, so that nobody finds it out later."""
    if before is None:
        return ""
    amount_was = f"{Amount(before.amount_pico)} {CURRENCY}" if before.amount_pico != now.amount_pico else ""
    kind_was = ("hard" if before.hard else "only to warn") if before.hard != now.hard else ""
    was = ", ".join(filter(None, (amount_was, kind_was)))
    return f" (was {was})" if was else ""


_PER = {period: "in total" if period is Period.TOTAL else f"a {period}" for period in Period} | {Period.HOUR: "an hour"}


def _show(session: Session, standing: Standing) -> None:
    session.show(Details(budget_row(standing), key="scope", absent={"model": "all", "until": "never"}))


def budget_row(standing: Standing) -> Row:
    return {
        **_terms_row(standing.budget),
        "spent": Amount(standing.spent_pico),
        "held": amount(standing.held_pico),
        "remaining": Amount(standing.remaining_pico),
        "percent": standing.percent,
        "since": standing.from_at if standing.until_at else standing.budget.created_at,
        "until": standing.until_at,
    }


def _terms_row(budget: Budget) -> Row:
    return {
        "scope": str(budget.scope),
        "period": str(budget.period),
        "model": budget.model or None,
        "env": budget.env,
        "hard": budget.hard,
        "amount": Amount(budget.amount_pico),
        "currency": CURRENCY,
        "zone": budget.zone,
        "warn_at_percent": list(budget.thresholds),
        "created_at": budget.created_at,
    }
