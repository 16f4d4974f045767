"""The rules about money and rates that a worker judges requests by: budgets, balances and limits, in its memory.

A change is read in a thread and taken over on the event loop in one go; requests that come meanwhile wait for it, so
that it counts for the very next one. Only rows that are others than those held are looked at. What something else than
gwctl has written is not believed: whoever it was about is refused. What something else has removed goes on as it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from keyvault.domain.budgets import Budget
from keyvault.domain.limits import Limit
from keyvault.errors import Tampered
from keyvault.home import Home
from keyvault.metering.account import Account
from keyvault.metering.accounts import Accounts, Changes, Counted
from keyvault.metering.examining import Examiner
from keyvault.metering.renewing import counted
from keyvault.proxy.limiting import Limiter
from keyvault.storage import balances, budgets, limits, scopes
from keyvault.storage.engine import Row, Transaction
from keyvault.vault.guard import Guard
from keyvault.vault.manifest import RESEAL

NAMES: Final = ("budgets", "limits", "balances")

_Rows = Mapping[int, Row]
_Held = Mapping[int, Row | None]
"""Rows as they were taken over; None for one that nobody vouched for, so that it is looked at again."""


@dataclass(frozen=True, slots=True)
class _Table:
    """What one table says, beside what it said."""

    now: _Rows
    unlike: Sequence[int]
    """Ids of rows that are new, or others than those held."""
    doubted: Collection[int]
    """Of these, the ones that nobody vouches for."""
    gone: Collection[int]
    removed: Collection[int]
    """Of those that are gone, the ones that something else than gwctl has removed; they stay held."""

    @property
    def changed(self) -> list[Row]:
        return [self.now[row_id] for row_id in self.unlike]

    @property
    def deleted(self) -> set[int]:
        return {*self.gone} - {*self.removed}

    def held(self, before: _Held) -> _Held:
        return {**self.now, **dict.fromkeys(self.doubted), **{row_id: before[row_id] for row_id in self.removed}}


@dataclass(frozen=True, slots=True)
class _Reading:
    """What was read in a thread."""

    held: Mapping[str, _Held]
    changes: Changes
    counted: Counted
    limits: Mapping[int, Limit]
    """Those that are others than they were."""
    no_limits: Collection[int]
    """Ids of those that were deleted."""
    doubted_limits: Collection[int]
    at_ms: int


class Rules:
    """For the event loop's thread."""

    def __init__(self, home: Home, guard: Guard, as_of: int) -> None:
        """Raises `Tampered` where a rule is gone or was edited: nobody can tell whom it was about, who would spend
        without any bound. A process that was there before goes by what it knew."""
        self._home = home
        self._guard = guard
        self._held: Mapping[str, _Held] = {name: {} for name in NAMES}
        self._limits: dict[int, Limit] = {}
        self.accounts = Accounts()
        self.limiter = Limiter(home.clock)
        self.examiner = Examiner(home.spending, home.remembered.read())
        self.as_of = as_of
        """The change epoch that the rules are as of."""
        self.renewing: asyncio.Task[None] | None = None
        """Changes that are being read; see `renewed`."""
        self._asked: int | None = None
        self._again = False
        self.count_again()
        self._refuse_unvouched()

    def count_again(self) -> None:
        """Read what was spent anew, at once: before anything is served."""
        self._take_over(self._read(self.accounts.known(), again=True))

    def renew(self, as_of: int, *, again: bool = False) -> asyncio.Task[None]:
        """Begin to read what has changed; done when requests are judged by it. `again`: others have spent meanwhile, so
        what was spent is read for all. The task raises `Unavailable` where the database cannot be read."""
        self._asked, self._again = as_of, self._again or again
        if self.renewing is None:
            self.renewing = asyncio.get_running_loop().create_task(self._follow())
        return self.renewing

    async def renewed(self) -> None:
        """Wait until requests are judged by every change that was seen. Raises `Unavailable`."""
        if self.renewing is not None:
            await asyncio.shield(self.renewing)

    def close(self) -> None:
        if self.renewing is not None:
            self.renewing.cancel()

    async def _follow(self) -> None:
        try:
            while self._asked is not None:
                asked, again = self._asked, self._again
                self._asked, self._again = None, False
                self._take_over(await asyncio.to_thread(self._read, self.accounts.known(), again=again))
                self.as_of = asked
        finally:
            self.renewing = None

    def _read(self, before: Sequence[Account], *, again: bool) -> _Reading:
        """In any thread. `before`: the accounts of budgets that there are."""
        known, now_ms = self.examiner.known(), self._home.clock.now_ms()
        with self._home.database.snapshot() as tx:
            now = _stored(tx)
            unsound = {"balances": self.examiner.look_at(tx, now["balances"], known).keys()}
            tables = {name: self._table(tx, name, rows, unsound.get(name, ())) for name, rows in now.items()}
            changes = _changes(tx, tables["budgets"], tables["balances"])
            if again:
                changes = replace(changes, budgets=_every(changes.budgets, before))
            return _Reading(
                {name: table.held(self._held[name]) for name, table in tables.items()},
                changes,
                counted(tx, changes, before, now_ms, again=again),
                {limit.id: limit for limit in limits.read(tx, tables["limits"].changed)},
                tables["limits"].deleted,
                tables["limits"].doubted,
                now_ms,
            )

    def _table(self, tx: Transaction, name: str, now: _Rows, unsound: Collection[int]) -> _Table:
        """`unsound`: ids of what does not hold, whatever its own row says."""
        held, own = self._held[name], _OWN.get(name, _all)
        unlike = [row_id for row_id, row in now.items() if held.get(row_id) != row or row_id in unsound]
        known = ((row_id, held.get(row_id)) for row_id in unlike)
        asked = [row_id for row_id, row in known if row is None or own(row) != own(now[row_id])]
        gone = held.keys() - now.keys()
        doubted = self._guard.doubted(tx, name, [*asked, *gone]) if asked or gone else ()
        return _Table(now, unlike, {*doubted, *unsound}, gone, self._guard.removed_by_others(tx, name, gone))

    def _take_over(self, reading: _Reading) -> None:
        """On the event loop, in one go."""
        self._held = reading.held
        self.accounts.renew(reading.changes, reading.counted, reading.at_ms)
        if reading.limits or reading.no_limits:
            self._limits |= reading.limits
            for gone in reading.no_limits:
                self._limits.pop(gone, None)
            self.limiter.renew(self._limits.values(), reading.doubted_limits, reading.limits.keys())

    def _refuse_unvouched(self) -> None:
        if gone := sorted(self.examiner.missing):
            what = f"the balance of {gone[0]} was there before, and something else than gwctl has removed it"
            raise Tampered(what, hint=f"gwctl balances reseal {gone[0].partition(' ')[0]} --reason TEXT")
        doubts = self._guard.doubts
        if bad := sorted((NAMES.index(name), row_id, name) for name, row_id in doubts if name in NAMES):
            _, row_id, name = bad[0]
            raise Tampered(f"{doubts[name, row_id]}; nothing is served by it", hint=RESEAL)


def _stored(tx: Transaction) -> Mapping[str, _Rows]:
    return {"budgets": budgets.stored(tx), "limits": limits.stored(tx), "balances": balances.stored(tx)}


def _all(row: Row) -> Row:
    return row


_OWN: Final[Mapping[str, Callable[[Row], Any]]] = {"balances": balances.own}
"""What of a row its seal is over; the ledger changes what was taken from a balance with every settlement."""


def _changes(tx: Transaction, of_budgets: _Table, of_balances: _Table) -> Changes:
    told = balances.read(tx, of_balances.changed)
    return Changes(
        budgets=budgets.read(tx, of_budgets.changed),
        balances=told,
        removed=of_budgets.deleted,
        missing={*of_balances.gone, *of_balances.unlike} - {balance.id for balance in told},
        doubted_budgets=of_budgets.doubted,
        doubted_balances=of_balances.doubted,
        deleted=scopes.deleted(tx),
    )


def _every(changed: Iterable[Budget], before: Iterable[Account]) -> list[Budget]:
    """The budgets that there are, changed ones as they are now."""
    known = {account.of.id: account.of for account in before if isinstance(account.of, Budget)}
    return list((known | {budget.id: budget for budget in changed}).values())
