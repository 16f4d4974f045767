"""The forms of a statement for programs and spreadsheets; for people it is a paper."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from keyvault.clock import from_ms, rfc3339
from keyvault.domain.statements import CreditNote, Document, Statement, decimal
from keyvault.money import CURRENCY, format_usd
from opsconsole.view import sheet
from opsconsole.view.statement.paper import due_after
from opsconsole.view.text import printable

_CELLS: Final = (
    "number",
    "customer",
    "month",
    "kind",
    "project",
    "model",
    "reason",
    "requests",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "unknown_charges",
    "exact",
    "amount",
    "currency",
)
"""The columns of a CSV file."""


def document(shown: Document, credit_notes: Sequence[CreditNote] = (), vouched: str = "") -> dict[str, Any]:
    """For programs: amounts are exact decimal text; `amount` is what is charged, in cents."""
    told = _statement(shown, credit_notes) if isinstance(shown, Statement) else _credit_note(shown)
    return {"number": shown.number, "kind": shown.kind, **told, "vouched": vouched or None, "currency": CURRENCY}


def as_json(told: dict[str, Any]) -> str:
    return json.dumps(told, indent=2) + "\n"


def as_csv(shown: Document) -> str:
    """One row for each line and adjustment; their amounts add up to the total."""
    rows = [_for_credit(shown)] if isinstance(shown, CreditNote) else [*_for_lines(shown), *_for_adjustments(shown)]
    return sheet.lines([_CELLS, *([row.get(name) for name in _CELLS] for row in rows)])


def _for_lines(shown: Statement) -> Iterator[dict[str, Any]]:
    for line in shown.lines:
        yield {
            **_own(shown, "charge", line.cents),
            "month": shown.month,
            "project": line.project,
            "model": printable(line.model),
            "requests": line.requests,
            "input_tokens": line.input_tokens,
            "cached_input_tokens": line.cached_input_tokens,
            "output_tokens": line.output_tokens,
            "unknown_charges": line.unknown_charges,
            "exact": format_usd(line.charge_pico),
        }


def _for_adjustments(shown: Statement) -> Iterator[dict[str, Any]]:
    for each in shown.adjustments:
        yield {
            **_own(shown, "adjustment", each.cents),
            "month": shown.month,
            "project": each.project,
            "model": printable(each.model),
            "reason": printable(each.reason),
            "exact": format_usd(each.amount_pico),
        }


def _for_credit(note: CreditNote) -> dict[str, Any]:
    return {**_own(note, "credit", -note.amount_cents), "reason": printable(note.reason)}


def _own(shown: Document, kind: str, cents: int) -> dict[str, Any]:
    told = {"number": shown.number, "customer": shown.customer, "kind": kind}
    return {**told, "amount": decimal(cents), "currency": CURRENCY}


def _statement(shown: Statement, credit_notes: Sequence[CreditNote]) -> dict[str, Any]:
    return {
        "customer": shown.customer,
        "month": shown.month,
        "tz": shown.zone,
        "since": rfc3339(from_ms(shown.first_ms)),
        "until": rfc3339(from_ms(shown.last_ms)),
        "issued_at": rfc3339(from_ms(shown.issued_ms)) if shown.number else None,
        "lines": [
            {
                "project": line.project,
                "model": line.model,
                "requests": line.requests,
                "input_tokens": line.input_tokens,
                "cached_input_tokens": line.cached_input_tokens,
                "output_tokens": line.output_tokens,
                "unknown_charges": line.unknown_charges,
                "exact": format_usd(line.charge_pico),
                "amount": decimal(line.cents),
            }
            for line in shown.lines
        ],
        "adjustments": [
            {
                "project": each.project,
                "model": each.model,
                "reason": each.reason,
                "exact": format_usd(each.amount_pico),
                "amount": decimal(each.cents),
            }
            for each in shown.adjustments
        ],
        "balances": [
            {
                "scope": moves.scope,
                "opening": format_usd(moves.opening_pico),
                "top_ups": format_usd(moves.top_ups_pico),
                "adjustments": format_usd(moves.adjustments_pico),
                "released": format_usd(moves.released_pico),
                "charged": format_usd(moves.charged_pico),
                "in_doubt": format_usd(moves.doubt_pico),
                "closing": format_usd(moves.closing_pico),
            }
            for moves in shown.balances
        ],
        "exact_total": format_usd(shown.total_pico),
        "total": decimal(shown.total_cents),
        "paid_from_balances": decimal(shown.prepaid_cents),
        "due": decimal(shown.due_cents),
        "in_doubt": format_usd(shown.doubt_pico),
        "unknown_charges": shown.unknown_charges,
        "pending": shown.pending,
        "credit_notes": [_credit_note(note) | {"number": note.number} for note in credit_notes],
        "due_now": decimal(due_after(shown, credit_notes)),
        "credited": decimal(sum(note.amount_cents for note in credit_notes)),
    }


def _credit_note(note: CreditNote) -> dict[str, Any]:
    return {
        "customer": note.customer,
        "credits": note.credits,
        "tz": note.zone,
        "issued_at": rfc3339(from_ms(note.issued_ms)),
        "amount": decimal(note.amount_cents),
        "reason": note.reason,
        "balance": note.balance,
    }
