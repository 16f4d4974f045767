"""Puts entries of the ledger into transactions, everything that waits into one, totals included.

What could not be written is owed: settlements are written, once, with the first transaction that goes through again;
attempts that were refused then are taken back, should the database have kept them after all. A settlement counts in the
totals only if it made its attempt's row: of a commit whose outcome was not known, what it had written stays.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from keyvault.domain.ledger import OpenAttempt, Outcome, Settlement
from keyvault.domain.routes import Target
from keyvault.errors import GatewayError, Unavailable
from keyvault.metering import recovery
from keyvault.metering.entries import Sums, open_row, settled_row
from keyvault.metering.spending import Spending
from keyvault.storage.affinities import Made
from keyvault.storage.balances import Taken
from keyvault.storage.engine import Database
from keyvault.storage.ledger import BadEntry, LedgerStore, NotNow, Transaction

log = logging.getLogger(__name__)

AttemptKey = tuple[str, int]
"""Request id and number."""
Beside = tuple[str | Target, int] | Made
"""A new name with its number, or who made some conversation state."""


class Entry(Struct, frozen=True):
    """What waits for the writer: an attempt to open, to settle, or (neither) a place in the queue to reach."""

    future: asyncio.Future[None] | None
    attempt: OpenAttempt | None = None
    settlement: Settlement | None = None
    follows: AttemptKey | None = None
    """The attempt of the same request that this one comes after."""
    concludes: bool = False
    """The attempt is settled, and it turned out that none comes after it."""


class _Known(Exception):
    """Some attempt of a batch is settled already."""


class NotTheSpender(Unavailable):
    """Another worker has the purse: this one must not open what draws on a hard budget or a balance."""


Answer = Callable[[Sequence[Entry], GatewayError | None], None]
"""Tells those who wait for some entries that these are durable, or why not."""


class _Rows:
    """What entries come to in the database."""

    def __init__(self, worker: str, gone: list[AttemptKey]) -> None:
        """`gone`: what else is not open any more."""
        self._worker = worker
        self.gone = gone
        self.opened: list[Any] = []
        self.drawn: list[Any] = []
        self.settled: list[Any] = []
        self.concluded: list[OpenAttempt] = []
        self.sums = Sums()
        self.hard = False

    def add(self, entry: Entry, attempt: OpenAttempt) -> None:
        settlement = entry.settlement
        if settlement is not None:
            self.settled.append(settled_row(attempt, settlement))
            self.sums.add(attempt, settlement)
            if settlement.final:
                self.gone.append((attempt.request_id, attempt.number))
                if attempt.number > 1:  # the one before it, too, should it not have been followed after all
                    self.gone += [(attempt.request_id, number) for number in range(1, attempt.number)]
        elif entry.concludes:
            self.concluded.append(attempt)
            self.gone.append((attempt.request_id, attempt.number))
        else:
            self.opened.append(open_row(attempt, self._worker))
            self.hard = self.hard or attempt.hard
            self.drawn += attempt.drawn
            if entry.follows is not None:
                self.gone.append(entry.follows)


class Commits:
    """For one thread at a time; only `beside` is for others meanwhile."""

    def __init__(self, database: Database, worker: str, store: LedgerStore, spending: Spending) -> None:
        self._database = database
        self._worker = worker
        self._store = store
        self._spending = spending
        self._beside: deque[Beside] = deque()
        self.beside = self._beside.append
        """Have something stored with the next transaction."""
        self._owed: list[Entry] = []
        self._withdrawn: list[AttemptKey] = []
        self._unwritten: list[Beside] = []
        self.written = 0
        """Transactions committed so far."""
        self.healthy = True
        """Whether the last transaction was committed."""

    @property
    def owed(self) -> int:
        """Entries that wait since a failure."""
        return len(self._owed)

    @property
    def pending(self) -> bool:
        """Whether there is something to write though no entry is new."""
        return bool(self._owed or self._withdrawn or not self.healthy)

    def commit(self, batch: list[Entry], answer: Answer) -> None:
        """Write a batch, however long it takes, and answer it. Never raises what concerns only the entries."""
        try:
            self._write(self._owed + batch)
        except (BadEntry, NotTheSpender, _Known):
            entries, self._owed = self._owed + batch, []
            self._commit_each(entries, answer)
        except Unavailable as error:
            self._fail(batch, answer, error)
        else:
            self._settled_down()
            answer(batch, None)

    def commit_at_once(self, batch: list[Entry], answer: Answer) -> bool:
        """Write a batch in one transaction that waits for nobody, and answer it; False where that cannot be: nothing is
        done then. Only while nothing is owed."""
        try:
            self._write(batch, wait=False)
        except (NotNow, BadEntry, NotTheSpender, _Known):
            return False
        except Unavailable as error:
            self._fail(batch, answer, error)
        else:
            self._settled_down()
            answer(batch, None)
        return True

    def _commit_each(self, entries: list[Entry], answer: Answer) -> None:
        """The slow way, where one of the entries is wrong or settled already: a transaction for each."""
        for at, entry in enumerate(entries):
            try:
                self._write([entry])
            except (BadEntry, NotTheSpender) as error:
                log.error("an entry was refused: %s", error.message)
                answer([entry], error)
            except Unavailable as error:
                self._fail(entries[at:], answer, error)
                return
            else:
                self._settled_down()
                answer([entry], None)

    def _write(self, entries: Sequence[Entry], *, wait: bool = True) -> None:
        """One transaction. Raises `_Known` where one of several attempts is settled already, `NotTheSpender` where one
        draws on what another worker spends from."""
        rows = _Rows(self._worker, [*self._withdrawn])
        for entry in entries:
            if entry.attempt is not None:
                rows.add(entry, entry.attempt)
        while self._beside:
            self._unwritten.append(self._beside.popleft())
        settled, sums = rows.settled, rows.sums
        taken: Sequence[Taken] = ()
        with self._store.transaction(wait=wait) as tx:
            _write_beside(tx, self._unwritten)
            if rows.hard and not self._database.is_sqlite and not tx.has_purse(self._worker):
                raise NotTheSpender("another worker spends from hard budgets and balances now")
            tx.open(rows.opened)
            tx.draw(rows.drawn)
            fresh = tx.settle(settled) == len(settled)
            if not fresh and len(entries) > 1:
                raise _Known
            tx.forget(rows.gone)
            for attempt in rows.concluded:
                recovery.conclude(tx, sums, attempt)
            if (fresh and settled) or rows.concluded:
                tx.add_totals(*sums.rows())
                taken = self._spending.take(tx, sums.taken)
            tx.mark(self._worker)
        self._spending.written(taken)

    def _settled_down(self) -> None:
        """A transaction went through: nothing is owed any more."""
        self.healthy = True
        self.written += 1
        self._owed, self._withdrawn, self._unwritten = [], [], []

    def _fail(self, batch: list[Entry], answer: Answer, error: GatewayError) -> None:
        """Keep what has happened to be written later, take back what has not, and tell those who wait."""
        if self.healthy:
            log.error("%s", error.message)
        self.healthy = False
        self._owed += [replace(e, settlement=_undelivered(e.settlement)) for e in batch if e.settlement is not None]
        self._owed += [e for e in batch if e.concludes]
        opening = [e.attempt for e in batch if e.attempt and not e.settlement and not e.concludes]
        self._withdrawn += [(attempt.request_id, attempt.number) for attempt in opening]
        answer(batch, error)


def _undelivered(settlement: Settlement) -> Settlement:
    """What is owed of a settlement that failed: an answer that waited for it was cut, so it is not to be paid for."""
    if settlement.outcome is not Outcome.SERVED or not settlement.final:
        return settlement
    doubt = (settlement.charge_pico or 0) + (settlement.doubt_pico or 0)
    return replace(settlement, outcome=Outcome.FAILED, charge_pico=0, doubt_pico=doubt, error_code="not_delivered")


def _write_beside(tx: Transaction, beside: Sequence[tuple[str | Target, int] | Made]) -> None:
    """What does not wait for an answer: new names, and who made which conversation state. In order, so that no two
    workers wait for each other's rows."""
    if not beside:
        return
    names = [each for each in beside if not isinstance(each, Made)]
    aliases = [(number, name) for name, number in names if isinstance(name, str)]
    targets = [(name.upstream, name.model, number) for name, number in names if isinstance(name, Target)]
    tx.add_names(sorted(aliases, key=lambda row: row[1]), [(number, *pair) for *pair, number in sorted(targets)])
    made = {each.digest: each for each in beside if isinstance(each, Made)}
    tx.note_makers([made[digest] for digest in sorted(made)])
