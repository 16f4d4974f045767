"""A statement or credit note as a page without a form: a title, figures, tables, and what has to be said beside them.

Charged amounts are in cents and add up; a balance's are exact, as it is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from keyvault.clock import from_ms
from keyvault.domain.names import counted
from keyvault.domain.statements import CreditNote, Document, Statement
from keyvault.money import CURRENCY, format_usd
from opsconsole.view.paper import Paper, Table
from opsconsole.view.text import printable


def dollars(cents: int) -> str:
    """Cents with digits grouped: `1,204.50`."""
    whole, part = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}{whole:,}.{part:02d}"


def paper(document: Document, credit_notes: Sequence[CreditNote] = (), vouched: str = "") -> Paper:
    """`vouched`: how far it is known that this is what was issued."""
    if isinstance(document, CreditNote):
        return _credit_note(document, vouched)
    return _statement(document, credit_notes, vouched)


def _statement(statement: Statement, credit_notes: Sequence[CreditNote], vouched: str) -> Paper:
    number = statement.number or "(draft)"
    credited = sum(note.amount_cents for note in credit_notes)
    due_now = due_after(statement, credit_notes)
    tables = (_charges(statement), _adjustments(statement), _balances(statement), _credited(credit_notes))
    facts = (
        ("customer", statement.customer),
        ("period", f"{_day(statement.first_ms, statement)} to {_day(statement.last_ms, statement)}, {statement.zone}"),
        ("issued", _issued(statement)),
        ("charged", f"{dollars(statement.total_cents)} {CURRENCY}"),
        ("paid from balances", f"{dollars(statement.prepaid_cents)} {CURRENCY}"),
        ("due", f"{dollars(statement.due_cents)} {CURRENCY}"),
        *((("credited since", f"{dollars(credited)} {CURRENCY}"),) if credited else ()),
        *((("due now", f"{dollars(due_now)} {CURRENCY}"),) if credited else ()),
        *((("vouched for", vouched),) if vouched else ()),
    )
    shown = tuple((name, printable(text)) for name, text in facts)
    title = f"Statement {number}: {statement.customer}, {statement.month}"
    return Paper(printable(title), shown, tuple(t for t in tables if t.rows), tuple(_remarks(statement)))


def due_after(statement: Statement, credit_notes: Sequence[CreditNote]) -> int:
    """What is due of a statement after credit notes, in cents; below zero it is to be paid back. What was put on a
    balance is given back already."""
    return statement.due_cents - sum(note.amount_cents for note in credit_notes if note.balance is None)


def _credit_note(note: CreditNote, vouched: str) -> Paper:
    facts = (
        ("customer", note.customer),
        ("for statement", note.credits),
        ("issued", _issued(note)),
        ("credited", f"{dollars(note.amount_cents)} {CURRENCY}"),
        ("reason", note.reason),
        ("put on the balance of", note.balance or "none: it is off what is due"),
        *((("vouched for", vouched),) if vouched else ()),
    )
    shown = tuple((name, printable(text)) for name, text in facts)
    return Paper(f"Credit note {note.number or '(draft)'}: {note.customer}", shown, (), ())


def _charges(statement: Statement) -> Table:
    rows = tuple(
        (
            printable(line.project),
            printable(line.model),
            f"{line.requests:,}",
            f"{line.input_tokens:,}",
            f"{line.cached_input_tokens:,}",
            f"{line.output_tokens:,}",
            f"{line.unknown_charges:,}" if line.unknown_charges else "",
            dollars(line.cents),
        )
        for line in statement.lines
    )
    headings = ("project", "model", "requests", "input", "of it cached", "output", "unknown", f"{CURRENCY}")
    total = ("total", *[""] * 6, dollars(sum(line.cents for line in statement.lines)))
    return Table("Charges", headings, rows, 2, total)


def _adjustments(statement: Statement) -> Table:
    rows = tuple(
        (printable(each.project), printable(each.model), printable(each.reason), dollars(each.cents))
        for each in statement.adjustments
    )
    total = ("total", "", "", dollars(sum(each.cents for each in statement.adjustments)))
    return Table("Adjustments", ("project", "model", "reason", CURRENCY), rows, 3, total)


def _balances(statement: Statement) -> Table:
    rows = tuple(
        (
            printable(moves.scope),
            *map(
                format_usd,
                (
                    moves.opening_pico,
                    moves.top_ups_pico,
                    moves.adjustments_pico,
                    moves.released_pico,
                    -moves.charged_pico,
                    -moves.doubt_pico,
                    moves.closing_pico,
                ),
            ),
        )
        for moves in statement.balances
    )
    headings = ("balance", "opening", "top-ups", "adjustments", "released", "charged", "in doubt", "closing")
    return Table(f"Prepaid balances, exact, in {CURRENCY}", headings, rows, 1)


def _credited(notes: Sequence[CreditNote]) -> Table:
    rows = tuple((note.number or "", printable(note.reason), dollars(note.amount_cents)) for note in notes)
    return Table("Credit notes issued since", ("number", "reason", CURRENCY), rows, 2)


def _remarks(statement: Statement) -> Iterator[str]:
    if statement.unknown_charges:
        yield (
            f"{counted(statement.unknown_charges, 'attempt')} cost what nobody knows: not charged, and not nothing;"
            " once a price is set, gwctl usage reprice says what they cost"
        )
    if statement.doubt_pico:
        yield (
            f"in doubt: {format_usd(statement.doubt_pico)} {CURRENCY}, which failed or lost attempts may have cost; no"
            " part of what is charged"
        )
    if statement.pending:
        yield f"{counted(statement.pending, 'piece')} of work not done yet: charged in the month in which it is done"
    if statement.lines or statement.adjustments:
        yield (
            f"exactly {format_usd(statement.total_pico)} {CURRENCY}, rounded half-even to cents; lines are rounded by"
            " the largest remainder, so that they add up"
        )


def _issued(document: Document) -> str:
    return f"{_day(document.issued_ms, document)}, {document.zone}" if document.number else "not issued"


def _day(ms: int, document: Document) -> str:
    local: datetime = from_ms(ms).astimezone(ZoneInfo(document.zone))
    return f"{local:%Y-%m-%d %H:%M}"
