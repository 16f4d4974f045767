"""What a month's statements say, read from the ledger and the balances in one transaction.

Charges come from the exact totals of the month in its time zone, live keys only; which of them nobody knows, from the
attempts themselves. A balance's opening and closing follow from its entries and from what was taken since.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from keyvault.domain.balances import Balance, EntryKind
from keyvault.domain.reports import LIVE, Totals
from keyvault.domain.scopes import ScopeKind
from keyvault.domain.statements import Adjustment, BalanceMoves, Line, Month, Statement, drawn_up
from keyvault.metering.groups import of_payer, of_target
from keyvault.metering.summing import Stretch, usage_by
from keyvault.storage import balances as balance_rows
from keyvault.storage import closing as rows
from keyvault.storage import reports
from keyvault.storage.closing import Waiting
from keyvault.storage.engine import Transaction
from keyvault.storage.reports import Names

_BY = ("customer", "project", "model")


@dataclass(frozen=True, slots=True)
class MonthRead:
    """All customers' month, by the customers' names."""

    month: Month
    lines: Mapping[str, list[Line]]
    doubt_pico: Mapping[str, int]
    balances: Mapping[str, list[BalanceMoves]]
    still_open: Mapping[str, int]
    pending: Mapping[str, int]

    @classmethod
    def of(cls, tx: Transaction, month: Month) -> MonthRead:
        names = reports.names(tx)
        still_open = _of_customers(rows.still_open(tx, month.last_ms), names)  # first: what is settled then, is summed
        stretch = Stretch.of(month.first_ms, month.last_ms, month.last_ms, month.last_ms, month.zone)
        lines: dict[str, list[Line]] = {}
        doubt: Counter[str] = Counter()
        unknown = _unknown(tx, month, names)
        for row in sorted(usage_by(tx, names, stretch, _BY, {"env": LIVE}).rows, key=lambda row: row.group):
            customer, project, model = row.group
            lines.setdefault(customer, []).append(_line(project, model, row.totals, unknown[project, model]))
            doubt[customer] += row.totals.doubt_pico
        return cls(
            month,
            lines,
            doubt,
            _moves(tx, month),
            still_open,
            _of_customers(rows.pending_work(tx, month.last_ms), names),
        )

    def concerns(self, customer: str) -> bool:
        """Whether there is anything to say of a customer."""
        return customer in self.lines or customer in self.balances or customer in self.still_open

    def statement(self, customer: str, waiting: Iterable[Waiting], issued_ms: int) -> Statement:
        """Without its number."""
        return drawn_up(
            self.month,
            customer,
            issued_ms,
            self.lines.get(customer, []),
            [Adjustment(each.project, each.model, each.reason, each.amount_pico) for each in waiting],
            self.balances.get(customer, []),
            doubt_pico=self.doubt_pico.get(customer, 0),
            pending=self.pending.get(customer, 0),
        )


def _line(project: str, model: str, totals: Totals, unknown: int) -> Line:
    return Line(
        project=project,
        model=model,
        requests=totals.requests,
        input_tokens=totals.input_tokens,
        cached_input_tokens=totals.cached_input_tokens,
        output_tokens=totals.output_tokens,
        unknown_charges=unknown,
        charge_pico=totals.charge_pico,
    )


def _unknown(tx: Transaction, month: Month, names: Names) -> Counter[tuple[str, str]]:
    """Project and model → attempts of which nobody knows the charge."""
    found: Counter[tuple[str, str]] = Counter()
    for (key_id, project_id, target_id), count in rows.unknown_charges(tx, month.first_ms, month.last_ms).items():
        if _live(key_id, names):
            [project], [model] = of_payer(key_id, project_id, names)["project"], of_target(target_id, names)["model"]
            found[project, model] += count
    return found


def _of_customers(ids: Iterable[tuple[int, int]], names: Names) -> Counter[str]:
    """How many of some key and project ids are each customer's."""
    payers = (of_payer(*each, names)["customer"][0] for each in ids if _live(each[0], names))
    return Counter(payers)


def _live(key_id: int, names: Names) -> bool:
    key = names.keys.get(key_id)
    return key is None or key.env == LIVE


def _moves(tx: Transaction, month: Month) -> Mapping[str, list[BalanceMoves]]:
    """What the live balances of each customer, and of its projects, did in the month. One that was made later did
    nothing."""
    balances = [each for each in balance_rows.every(tx) if each.env == LIVE]
    if not balances:
        return {}
    inside, before = rows.taken(tx, month.first_ms, month.last_ms), rows.taken_before(tx, month.last_ms)
    found: dict[str, list[BalanceMoves]] = {}
    for balance in balances:
        entries = rows.entries_before(tx, balance.id, month.last_ms)
        taken = inside.get(balance.id, (0, 0))
        if entries or taken != (0, 0):
            moves = _moves_of(balance, month, entries, taken, sum(before.get(balance.id, ())))
            found.setdefault(_customer_of(balance), []).append(moves)
    return found


def _customer_of(balance: Balance) -> str:
    name = balance.scope.name
    return name.partition("/")[0] if balance.scope.kind is ScopeKind.PROJECT else name


def _moves_of(
    balance: Balance,
    month: Month,
    entries: Iterable[tuple[int, str, int]],
    inside: tuple[int, int],
    before_pico: int,
) -> BalanceMoves:
    """`entries`: time, kind and amount of those from before the month's end. `inside`: charge and doubt of the month;
    `before_pico`: of all that began before its end."""
    entered: Counter[str] = Counter()
    funded = 0
    for at_ms, kind, amount in entries:
        funded += amount
        if at_ms >= month.first_ms:
            entered[kind] += amount
    closing = funded - before_pico
    return BalanceMoves(
        scope=str(balance.scope),
        opening_pico=closing - sum(entered.values()) + sum(inside),
        top_ups_pico=entered[EntryKind.TOP_UP],
        adjustments_pico=entered[EntryKind.ADJUST],
        released_pico=entered[EntryKind.RELEASE],
        charged_pico=inside[0],
        doubt_pico=inside[1],
        closing_pico=closing,
    )
