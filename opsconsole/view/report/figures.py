"""The figures of a report's lines: what each is called, and how it reads in a document and in a file for programs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from keyvault.domain.ledger import Basis
from keyvault.domain.reports import Totals
from keyvault.money import PICO_PER_USD, divide_half_even, format_usd
from opsconsole.view.report.groups import basis_shares, margin_pico, tokens

UNKNOWN: Final = "–"


@dataclass(frozen=True, slots=True)
class Figure:
    """One column of a document."""

    id: str
    title: str
    value: Callable[[Totals], int | None]
    money: bool = False
    unknown: Callable[[Totals], int] | None = None
    """How many attempts are not in a sum of money."""

    def text(self, totals: Totals, decimals: int) -> str:
        """Digits grouped; money with this many decimals; what is known only in part says so."""
        value = self.value(totals)
        if value is None:
            return UNKNOWN
        if not self.money:
            return f"{value:,}"
        partly = self.unknown is not None and self.unknown(totals) > 0
        return rounded(value, decimals, at_least=partly)


FIGURES: Final = (
    Figure("requests", "requests", lambda t: t.requests),
    Figure("errors", "errors", lambda t: t.errors),
    Figure("input_tokens", "input", lambda t: tokens(t, t.input_tokens)),
    Figure("cached_input_tokens", "of it cached", lambda t: tokens(t, t.cached_input_tokens)),
    Figure("cache_write_tokens", "cache writes", lambda t: tokens(t, t.cache_write_tokens)),
    Figure("output_tokens", "output", lambda t: tokens(t, t.output_tokens)),
    Figure("reasoning_tokens", "of it reasoning", lambda t: tokens(t, t.reasoning_tokens)),
    Figure("cost", "cost $", lambda t: t.cost_pico, money=True, unknown=lambda t: t.unknown_cost_attempts),
    Figure("charge", "charge $", lambda t: t.told_charge_pico, money=True, unknown=lambda t: t.unknown_charges),
    Figure("margin", "margin $", margin_pico, money=True),
)


def rounded(pico: int, decimals: int, *, at_least: bool = False) -> str:
    """`-1,204.50`; half-even, once. What is too small to be seen reads `<0.01`, never as nothing."""
    unit = 10**decimals
    value = divide_half_even(abs(pico) * unit, PICO_PER_USD)
    sign = "≥ " if at_least else ""
    if not value and pico and not at_least:
        sign, value = "<" if pico > 0 else ">-", 1
    elif pico < 0 and value:
        sign += "-"
    whole, part = divmod(value, unit)
    return f"{sign}{whole:,}.{part:0{decimals}d}"


def decimals_for(pico: int) -> int:
    """How many decimals a document shows whose largest amount is this: cents, and more where cents would say little."""
    return 2 if pico >= 100 * PICO_PER_USD else 4 if pico >= PICO_PER_USD else 6


def row(totals: Totals) -> dict[str, Any]:
    """A line for programs: exact, money as decimal text."""
    cost, charge, margin = totals.cost_pico, totals.told_charge_pico, margin_pico(totals)
    return {
        "requests": totals.requests,
        "attempts": totals.attempts,
        "errors": totals.errors,
        "input_tokens": tokens(totals, totals.input_tokens),
        "cached_input_tokens": tokens(totals, totals.cached_input_tokens),
        "cache_write_tokens": tokens(totals, totals.cache_write_tokens),
        "output_tokens": tokens(totals, totals.output_tokens),
        "reasoning_tokens": tokens(totals, totals.reasoning_tokens),
        "cost": None if cost is None else format_usd(cost),
        "charge": None if charge is None else format_usd(charge),
        "margin": None if margin is None else format_usd(margin),
        "in_doubt": format_usd(totals.doubt_pico),
        "unknown_cost_attempts": totals.unknown_cost_attempts,
        "basis": dict(totals.basis),
        "basis_shares": {name: round(share, 6) for name, share in basis_shares(totals).items()},
    }


def flat_row(totals: Totals) -> dict[str, Any]:
    """A line of a table for spreadsheets: the same, without anything nested."""
    told = row(totals)
    basis = told.pop("basis")
    del told["basis_shares"]
    return told | {f"basis_{kind.label}": basis.get(kind.label, 0) for kind in Basis}
