"""A random story of requests, failures, crashes, changed rules and payments: after each event memory, totals and
the ledger's own books say of every budget and balance what a list of attempts says, and nothing hard is overspent."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from keyvault.domain.balances import Balance
from keyvault.domain.budgets import Budget, Period
from keyvault.domain.keys import Key
from keyvault.domain.ledger import OpenAttempt, Outcome
from keyvault.domain.scopes import Payer, ScopeKind, ScopeRef, parse_scope
from keyvault.errors import Conflict, NotFound
from keyvault.keys.customers import Customers
from keyvault.keys.lifecycle import Keys
from keyvault.metering.account import Account, Hold, Shortage, within
from keyvault.metering.accounts import Accounts
from keyvault.metering.balances import Balances
from keyvault.metering.budgets import Budgets, Terms
from keyvault.metering.ledger import Ledger
from keyvault.metering.remembered import Remembered
from keyvault.metering.spending import Spending
from keyvault.metering.spent import spent_of_all
from keyvault.storage.engine import Database
from tests.accounts import renew
from tests.conftest import FrozenClock
from tests.ledgers import attempt, settlement
from tests.pepper import FixedPepper

KEY = b"k" * 32
USD = 10**12
ACME, WEB = parse_scope("customer:acme"), parse_scope("project:acme/web")
BUDGETED = [ACME, WEB, parse_scope("project:acme/app"), parse_scope("key:one"), parse_scope("key:two")]
ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe")
MODELS = ("gpt-5", "gpt-5-mini", "claude")
EVENTS = ("ask",) * 12 + ("end",) * 10 + ("retry", "retry", "crash", "wait", "wait", "budget", "budget")
RARE = ("delete budget", "top up", "adjust", "release")


@dataclass
class Booked:
    """An attempt that has ended, as the model knows it."""

    at_ms: int
    key: Key
    project: int
    model: str
    balance: int | None
    charge: int
    doubt: int


@dataclass
class UnderWay:
    key: Key
    payer: Payer
    model: str
    hold: Hold
    row: OpenAttempt


class Story:
    """One worker after the other on one database, and the list of all that was booked."""

    def __init__(self, database: Database, clock: FrozenClock, spending: Remembered, seed: int) -> None:
        self.database, self.clock, self.chance = database, clock, random.Random(seed)
        self.budgets = Budgets(database, clock)
        self.balances = Balances(database, clock, lambda: Spending(KEY), spending)
        customers, keys = Customers(database, clock), Keys(database, FixedPepper(), clock)
        customers.create("acme")
        self.projects = [customers.create_project(f"acme/{name}") for name in ("web", "app")]
        self.keys = [keys.create(name, project=f"acme/{of}").key for name, of in (("one", "web"), ("two", "app"))]
        self.booked: list[Booked] = []
        self.open: list[UnderWay] = []
        self.more: list[Account] = []
        """Those that know of more than was spent: their zone changed, and what they held for goes on."""
        self.lives = self.asked = 0
        self.set_budget()
        self.balances.top_up(ACME, 60 * USD, "paid")
        self.live()

    def live(self) -> None:
        self.lives += 1
        self.ledger = Ledger(self.database, self.clock, f"w{self.lives}", spending=Spending(KEY))
        assert self.ledger.recover() == len(self.open)
        self.ledger.start(asyncio.get_running_loop())
        self.accounts = Accounts()
        self.follow()

    def follow(self) -> None:
        """What a worker does when the rules have changed."""
        renew(self.accounts, self.database, self.clock.ms)

    async def happen(self) -> None:
        match self.chance.choice(EVENTS * 3 + RARE):
            case "ask":
                await self.ask()
            case "end" if self.open:
                await self.end(self.open.pop(self.chance.randrange(len(self.open))))
            case "retry" if self.open:
                await self.retry(self.chance.choice(self.open))
            case "crash":
                self.crash()
            case "wait":
                self.clock.advance(
                    seconds=self.chance.choice([1, 60, 3600, 86_400, 40 * 86_400]) * self.chance.random()
                )
            case "budget":
                self.set_budget()
                self.follow()
            case "delete budget":
                with contextlib.suppress(NotFound, Conflict):
                    self.budgets.delete(self.chance.choice(BUDGETED), self.chance.choice(list(Period)))
                self.follow()
            case "top up":
                self.balances.top_up(self.chance.choice([ACME, WEB]), self.chance.randrange(1, 30 * USD), "paid")
                self.follow()
            case "adjust":
                self.balances.adjust(ACME, -self.chance.randrange(1, 5 * USD), "corrected")
                self.follow()
            case "release":
                with contextlib.suppress(Conflict):
                    self.balances.release(ACME, "looked")
                self.follow()

    def set_budget(self) -> None:
        terms = Terms(
            self.chance.randrange(USD, 40 * USD),
            self.chance.choice(list(Period)),
            model=self.chance.choice(["", "gpt-5*"]),
            hard=self.chance.random() < 0.7,
            zone=self.chance.choice(ZONES),
        )
        self.budgets.set(self.chance.choice(BUDGETED), terms)

    async def ask(self) -> None:
        """A request holds, and its attempt is on record; or it is refused."""
        key, project, model = (
            self.chance.choice(self.keys),
            self.chance.choice(self.projects),
            self.chance.choice(MODELS),
        )
        payer = Payer(project.customer_id, "acme", project.id, project.name, 1_000_000)
        found = self.accounts.applying(payer, key.id, "live", model, self.clock.ms)
        hold, pico = Hold(found.accounts), self.chance.randrange(5 * USD)
        try:
            hold.grow_to(pico)
        except Shortage:
            assert any(self.spent(each.of) + self.held(each) + pico > each.limit_pico for each in found.accounts)
            return
        self.asked += 1
        row = attempt(
            self.clock.ms,
            entropy=self.asked,
            key_id=key.id,
            alias_id=self.ledger.alias_id(model),
            project_id=0 if project.id == key.project_id else project.id,
            balance_id=found.balance_id,
            bound_pico=pico,
            hold_pico=pico if found.hard else None,
        )
        self.open.append(UnderWay(key, payer, model, hold, row))
        await self.ledger.open(row)
        for account in found.accounts:
            if account.hard:
                assert self.spent(account.of) + self.held(account) <= account.limit_pico

    async def end(self, one: UnderWay) -> None:
        charge = self.chance.choice([0, one.hold.pico, self.chance.randrange(one.hold.pico + 1)])
        await self.settle(one, charge, self.chance.choice([0, one.hold.pico - charge]), final=True)
        one.hold.release()

    async def retry(self, one: UnderWay) -> None:
        """An attempt failed; the request goes on where the money is there for another."""
        await self.settle(one, 0, self.chance.choice([0, one.hold.pico]), final=False)
        pico = self.chance.randrange(5 * USD)
        try:
            one.hold.grow_to(pico)
        except Shortage:
            self.ledger.conclude(one.row)
            one.hold.release()
            self.open.remove(one)
            return
        before = one.row
        one.row = attempt(before.started_ms, before.number + 1, bound_pico=one.hold.pico)
        for name in ("request_id", "key_id", "alias_id", "project_id", "balance_id"):
            setattr(one.row, name, getattr(before, name))
        one.row.started_ms = self.clock.ms
        await self.ledger.open(one.row)

    async def settle(self, one: UnderWay, charge: int, doubt: int, *, final: bool) -> None:
        self.more += [each for each in one.hold.accounts if not within(each, one.row.started_ms)]
        doubt = one.hold.doubt(charge, doubt)
        one.hold.spend(charge + doubt, doubt)
        self.book(one, charge, doubt)
        outcome = Outcome.SERVED if charge else Outcome.FAILED
        told: dict[str, Any] = {
            "outcome": outcome,
            "cost_pico": charge + doubt,
            "charge_pico": charge,
            "doubt_pico": doubt,
        }
        await self.ledger.settle(settlement(one.row, final=final, **told))

    def book(self, one: UnderWay, charge: int, doubt: int) -> None:
        of = one.row
        self.booked.append(
            Booked(of.started_ms, one.key, one.payer.project_id, one.model, of.balance_id, charge, doubt)
        )

    def crash(self) -> None:
        self.ledger.stop()
        for one in self.open:
            self.book(one, 0, one.row.bound_charge_pico or 0)
        self.live()
        self.open.clear()

    # What the model says

    def spent(self, of: Budget | Balance) -> int:
        return sum(one.charge + one.doubt for one in self.counted(of))

    def counted(self, of: Budget | Balance) -> Sequence[Booked]:
        if isinstance(of, Balance):
            return [one for one in self.booked if one.balance == of.id]
        start, end = of.period.window(self.clock.ms, of.zone)
        in_time = [one for one in self.booked if start <= one.at_ms and (end is None or one.at_ms < end)]
        return [one for one in in_time if of.covers(one.model) and self.belongs(one, of.scope)]

    def belongs(self, one: Booked, scope: ScopeRef) -> bool:
        own = {
            ScopeKind.KEY: one.key.id,
            ScopeKind.PROJECT: one.project,
            ScopeKind.CUSTOMER: self.projects[0].customer_id,
        }
        return own[scope.kind] == scope.id

    def held(self, account: Account) -> int:
        return sum(one.hold.pico for one in self.open if account in one.hold.accounts)

    def check(self) -> None:
        with self.database.snapshot() as tx:
            read = spent_of_all(tx, self.clock.ms)
        for key in self.keys:
            for project in self.projects:
                payer = Payer(project.customer_id, "acme", project.id, project.name, 1_000_000)
                self.accounts.about(payer, key.id, "live", self.clock.ms)  # has each be in its present period
        self.accounts.catch_up(read, self.clock.ms)
        for account in self.accounts.every:
            spent = self.spent(account.of)
            assert account.held_pico == self.held(account)
            assert account.spent_pico == spent or (account in self.more and account.spent_pico > spent)
            if isinstance(account.of, Budget):
                assert read[account.of.id].pico == spent
        for standing in self.balances.list():
            of = standing.balance
            counted = self.counted(of)
            assert of.charged_pico == sum(one.charge for one in counted)
            assert of.doubt_pico == sum(one.doubt for one in counted)
            assert of.funded_pico - of.charged_pico - of.doubt_pico == of.available_pico


@pytest.mark.parametrize("seed", [1, 2])
async def test_everybody_says_of_money_what_a_list_of_attempts_says(
    database: Database, clock: FrozenClock, tmp_path: Path, seed: int
) -> None:
    story = Story(database, clock, Remembered(tmp_path / "spending.json"), seed)
    for _ in range(25):
        await story.happen()
        story.check()
    story.ledger.stop()
