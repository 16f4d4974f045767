"""Budgets, limits and balances of a key, a project or a customer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from keyvault.domain.budgets import Budget, Period, parse_budget
from keyvault.domain.limits import Limit
from keyvault.domain.scopes import ScopeKind, check_pattern, parse_scope
from keyvault.errors import GatewayError, UsageError
from keyvault.metering.booking import check_payment, check_reason
from keyvault.money import format_usd, parse_signed_usd, parse_usd
from opsconsole.tui.deeds import forms
from opsconsole.tui.deeds.deed import Deed, Done, Field, Severity, Typed, Values, checked
from opsconsole.tui.deeds.forms import says, warns
from opsconsole.view import numbers
from opsconsole.view.keys import words
from opsconsole.view.keys.snapshot import Cap, KeyRow, Money, Row
from opsconsole.view.text import Line, Tone

if TYPE_CHECKING:
    from keyvault.home import Home
    from keyvault.metering.balances import Booked

REFUSE: Final = "refuse"
WARN: Final = "warn"
_ENVIRONMENTS: Final = ("live", "test")


def _env(row: Row) -> str:
    return row.key.env if isinstance(row, KeyRow) else "live"


def _models_field() -> Field:
    return Field("model", "of which models", "", checked(check_pattern), example="all; such as gpt-5*")


# Budgets


def budget(row: Row) -> Deed:
    """Make a budget or change it, with what of it is spent already."""
    first = next(iter(row.own_caps), None)
    env = None if first is None else first.budget.env
    initial = "" if first is None else f"{format_usd(first.budget.amount_pico)}usd/{first.budget.period}"
    fields = (
        forms.budget_field(initial, required=True),
        Field("when", "when it is spent", WARN if first and not first.budget.hard else REFUSE, choices=(REFUSE, WARN),
              required=True),
        _models_field() if first is None else Field(
            "model", "of which models", first.budget.model, checked(check_pattern), example="all; such as gpt-5*"),
    )  # fmt: skip

    def run(home: Home, typed: Typed) -> Done:
        from keyvault.metering.budgets import Terms

        pico, period = parse_budget(typed["budget"])
        terms = Terms(pico, period, typed["model"], env, hard=typed["when"] == REFUSE)
        standing = home.budgets.set(row.scope, terms)
        gone = f"$ {numbers.dollars(standing.spent_pico)}" if standing.spent_pico else "nothing"
        return Done(f"{row.scope} may spend {words.budget_words(standing.budget)}; {gone} of it is spent")

    return Deed(f"Budget of {row.scope}", "Set", run, fields, lambda values: _preview(row, env, values))


def _preview(row: Row, env: str | None, values: Values) -> Sequence[Line]:
    """What such a budget would change, and how much of it is gone already."""
    try:
        pico, period = parse_budget(values["budget"])
        model = check_pattern(values["model"])
    except GatewayError:
        return []
    meant = (period, model, env)
    known = next((c for c in row.own_caps if (c.budget.period, c.budget.model, c.budget.env) == meant), None)
    told = _beside(row) if known is None else [says(f"now {words.budget_words(known.budget)}")]
    spent = _spent(row, period, model, known)
    if spent is None:
        return [*told, says("what was spent in this period so far counts")]
    share = spent / pico if pico else 1.0
    told.append(says(f"{words.bar(share)} $ {numbers.dollars(spent)} of it is spent already", tone=Tone.MONEY))
    if share >= 1 and values["when"] == REFUSE:
        told.append(warns("every request is refused until the period ends"))
    return told


def _beside(row: Row) -> list[Line]:
    """That another period or other models make another budget, and end none."""
    standing = [words.budget_words(cap.budget) for cap in row.own_caps]
    if not standing:
        return []
    return [warns(f"one more budget, beside {'; '.join(standing)}, which B removes")]


def _spent(row: Row, period: Period, model: str, known: Cap | None) -> int | None:
    if known is not None:
        return known.spent_pico
    if model:
        return None
    return {Period.MONTH: row.used.month_pico, Period.DAY: row.used.today_pico}.get(period)


def unbudget(row: Row) -> Deed | None:
    """Take a budget away; None where the row has none of its own."""
    caps = {_named(cap.budget): cap.budget for cap in row.own_caps}
    if not caps:
        return None

    def run(home: Home, typed: Typed) -> Done:
        of = caps[typed["which"]]
        gone = home.budgets.delete(row.scope, of.period, model=of.model, env=of.env)
        return Done(f"{row.scope} no longer has the budget of {words.budget_words(gone)}")

    def tells(values: Values) -> Sequence[Line]:
        meant = caps.get(values["which"])
        return (
            [says(f"Nothing caps any more what {words.budget_words(meant)} capped.", tone=Tone.PLAIN)] if meant else []
        )

    which = Field("which", "which", next(iter(caps)), choices=tuple(caps), required=True)
    return Deed(f"Remove a budget of {row.scope}", "Remove", run, (which,), tells, Severity.MODERATE)


def _named(budget: Budget) -> str:
    """`month`, `day gpt-5*`, `month test`"""
    return " ".join(filter(None, (str(budget.period), budget.model, "test" if budget.env == "test" else "")))


# Limits


def limits(row: Row) -> Deed:
    """How many requests and tokens a minute, and how many requests at once."""
    own = next((limit for limit in row.own_limits if not limit.model), None)
    fields = (*forms.limit_fields(_now(own)), _models_field())

    def run(home: Home, typed: Typed) -> Done:
        change = forms.limit_change(typed, fields)
        if not change:
            raise UsageError("nothing is changed", hint="type a number, or nothing for no limit")
        limit = home.limits.set(row.scope, change, model=typed["model"])
        return Done(f"{row.scope}: {words.limit_words(limit) if limit.limits else 'not limited'}")

    return Deed(f"Limits of {row.scope}", "Set", run, fields, lambda values: forms.changes(values, fields[:-1]))


def _now(limit: Limit | None) -> dict[str, str]:
    if limit is None:
        return {}
    told = {"rpm": limit.rpm, "tpm": limit.tpm, "parallel": limit.parallel}
    return {kind: str(value) for kind, value in told.items() if value is not None}


# Balances


def top_up(row: Row) -> Deed:
    """Put prepaid money in."""
    fields = (*_whose(row), _amount("amount, USD", "10.50"), _reason("invoice 2026-11"), _payment())

    def run(home: Home, typed: Typed) -> Done:
        booked = home.balances.top_up(
            parse_scope(typed["of"]),
            parse_usd(typed["amount"]),
            typed["reason"],
            env=typed["env"],
            payment=typed.get("payment"),
        )
        return _booked(booked, "put in")

    def tells(values: Values) -> Sequence[Line]:
        money = _money(row, values)
        if money is None:
            whose = f"{values['of']}, {values['env']}, has no balance yet"
            return [warns(f"{whose}: from now on, requests that it does not cover are refused")]
        return _sum(money, values["amount"], 1)

    return Deed("Top up a balance", "Top up", run, fields, tells)


def adjust(row: Row) -> Deed | None:
    """Correct a balance, up or down; None where there is none."""
    if not row.balances:
        return None
    amount = Field("amount", "± USD", check=checked(_correction), required=True, example="-2.00")
    fields = (*_whose(row, existing=True), amount, _reason("booked twice"), _payment())

    def run(home: Home, typed: Typed) -> Done:
        booked = home.balances.adjust(
            parse_scope(typed["of"]),
            parse_signed_usd(typed["amount"]),
            typed["reason"],
            env=typed["env"],
            payment=typed.get("payment"),
        )
        return _booked(booked, "adjusted by")

    def tells(values: Values) -> Sequence[Line]:
        money = _money(row, values)
        entry = says("Entries are never changed; a wrong one is corrected by another.")
        return [entry] if money is None else [entry, *_sum(money, values["amount"], 1)]

    return Deed("Adjust a balance", "Adjust", run, fields, tells, Severity.MODERATE)


def release(row: Row) -> Deed | None:
    """Give back what is in doubt; None where nothing is."""
    if not any(money.balance.in_doubt_pico for money in row.balances):
        return None
    amount = Field("amount", "amount, USD", check=checked(parse_usd), example="all that is in doubt")
    fields = (*_whose(row, existing=True), amount, _reason("the provider billed nothing"))

    def run(home: Home, typed: Typed) -> Done:
        amount = typed.get("amount")
        pico = None if amount is None else parse_usd(amount)
        return _booked(
            home.balances.release(parse_scope(typed["of"]), typed["reason"], pico, env=typed["env"]), "released"
        )

    def tells(values: Values) -> Sequence[Line]:
        money = _money(row, values)
        doubt = 0 if money is None else money.balance.in_doubt_pico
        text = f"$ {numbers.dollars(doubt)} is in doubt: what failed or lost attempts may have cost, charged to nobody."
        return [says(text, tone=Tone.PLAIN)]

    return Deed("Release what is in doubt", "Release", run, fields, tells, Severity.MODERATE)


def _whose(row: Row, *, existing: bool = False) -> tuple[Field, Field]:
    """Which balance: there are those of the project and of the customer."""
    if isinstance(row, KeyRow):
        scopes = [f"project:{row.project}", f"customer:{row.key.customer}"]
    elif row.kind is ScopeKind.PROJECT:
        scopes = [str(row.scope), f"customer:{row.name.partition('/')[0]}"]
    else:
        scopes = [str(row.scope)]
    having = [str(money.balance.scope) for money in row.balances]
    choices = tuple(scope for scope in scopes if scope in having or not existing)
    usual = having[0] if having else scopes[-1] if isinstance(row, KeyRow) else scopes[0]
    env = row.balances[0].balance.env if row.balances else _env(row)
    return (
        Field("of", "balance of", usual, choices=choices, required=True),
        Field("env", "environment", env, choices=_ENVIRONMENTS, required=True),
    )


def _put_in(text: str) -> None:
    if parse_usd(text) == 0:
        raise UsageError("a top-up is more than nothing", hint="C adjusts a balance down")


def _correction(text: str) -> None:
    if parse_signed_usd(text) == 0:
        raise UsageError("an adjustment by nothing changes nothing")


def _amount(label: str, example: str) -> Field:
    return Field("amount", label, check=checked(_put_in), required=True, example=example)


def _reason(example: str) -> Field:
    return Field("reason", "reason, stays on record", check=checked(check_reason), required=True, example=example)


def _payment() -> Field:
    return Field(
        "payment", "payment's own id", check=checked(check_payment), example="none; the same one is booked once"
    )


def _money(row: Row, values: Values) -> Money | None:
    """The balance that is meant."""
    return next(
        (m for m in row.balances if (str(m.balance.scope), m.balance.env) == (values["of"], values["env"])), None
    )


def _sum(money: Money, text: str, sign: int) -> Sequence[Line]:
    told = says(f"balance of {money.balance.scope}, {money.balance.env}", tone=Tone.PLAIN)
    before = f"available: $ {_signed(money.available_pico)}"
    if checked(parse_signed_usd)(text) is not None:
        return [told, says(before)]
    after = money.available_pico + sign * parse_signed_usd(text)
    return [told, says(f"{before} → $ {_signed(after)}", tone=Tone.MONEY)]


def _signed(pico: int) -> str:
    return f"{'-' if pico < 0 else ''}{numbers.dollars(abs(pico))}"


def _booked(booked: Booked, done: str) -> Done:
    standing, entry = booked.standing, booked.entry
    said = f"{done} $ {_signed(entry.amount_pico)}" if booked.fresh else f"payment {entry.payment} was booked before"
    return Done(f"{said}; available on the balance of {standing.balance.scope}: $ {_signed(standing.available_pico)}")
