"""What the proxy looks things up in: callers, plans, prices and open credentials.

All of it is held in memory and renewed when its epoch in the database changes, so that a revoked key, a new route or a
changed price counts for the very next request. What something else than gwctl has changed is not taken over: the key is
refused, the upstream is out of service, the routes and prices that held before go on. The rules about money are read
beside serving (`rules`): who asks for them waits until they are as of what `refresh` has seen.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Set
from dataclasses import replace
from functools import partial
from typing import Final

import structlog

from keyvault.domain.rollouts import Rollout
from keyvault.domain.routes import Revision
from keyvault.domain.vault import Compartment, Upstream
from keyvault.errors import Tampered
from keyvault.home import Home
from keyvault.keys.directory import Directory
from keyvault.keys.payers import Payers
from keyvault.metering.prices import PriceBook
from keyvault.proxy import timekeeper
from keyvault.proxy.capturing.capturing import Capturing
from keyvault.proxy.choosing import Chooser, ServingUpstream
from keyvault.proxy.drilling import Drilling
from keyvault.proxy.noticed import Noticed
from keyvault.proxy.rules import NAMES, Rules
from keyvault.proxy.timekeeper import Timekeeper
from keyvault.routing.health import Health
from keyvault.routing.planner import Planner
from keyvault.storage import credentials, drills, epochs, objects, rollouts, routes, switch
from keyvault.storage.epochs import Epochs
from keyvault.vault.manifest import RESEAL

__all__ = ["ServingUpstream", "Tables"]

log = structlog.get_logger()

_CALLERS: Final = frozenset(["keys", "projects", "customers", "gateway"])
_UPSTREAMS: Final = frozenset(["upstreams", "credentials"])
_CAPTURES: Final = frozenset(["captures", "uncaptured"])
_RULES: Final = frozenset(NAMES)
_UNREAD: Final = -1
"""In the place of an epoch whose change could not be read."""


class Tables:
    """The proxy's memory. `refresh` is called before each request, from the event loop's thread only."""

    def __init__(self, home: Home, *, accept_clock: bool = False) -> None:
        """`accept_clock`: somebody has looked at the clock; see `Timekeeper`."""
        self._home = home
        self._loop = asyncio.get_running_loop()
        self._looked = False
        self.looked_at = self._loop.time()
        """What had changed by then is taken over; by the event loop's clock."""
        self._distrusted: set[str] = set()
        self._reader = epochs.reader(home.database)
        vault = home.vault.unlock(Compartment.UPSTREAM)
        self.guard = home.seals.guard()
        self.directory = Directory(
            home.database,
            vault.peppers,
            clock=home.clock,
            environments=home.settings.environments,
            doubted=self.guard.doubted_keys,
        )
        self.payers = Payers(home.database, self.guard.doubted)
        self.upstreams: Mapping[str, Chooser] = {}
        self.refused: dict[int, ServingUpstream] = {}
        """Credentials that a provider has refused and nobody has looked into yet, by id."""
        self.health = Health(self._loop.time)
        self._seen = self._reader.read()
        self.directory.load()
        self._renew_switch()
        self.time = Timekeeper(home.clock, timekeeper.seen(home), self.directory.endings, accept=accept_clock)
        self._renew_upstreams()
        self._revision = self._read_routes()
        self._rollouts = self._read_rollouts()
        self.drills = self._read_drills()
        self._renew_planner()
        self.prices = self._read_prices()
        self.noticed = Noticed()
        self.purse: int | None = 0
        """Which time this worker has taken the purse; None: another has it. Set in the thread that looks after it."""
        self._counted = 0
        """The taking since which what was spent has been read anew."""
        self.captures = Capturing(home, self.guard, self.time.now_ms)
        self.captures.read()
        self.rules = Rules(home, self.guard, self._seen[4])
        self.accounts, self.limiter = self.rules.accounts, self.rules.limiter

    def refresh(self) -> None:
        """Look, for requests that have just been received: those that arrive together are judged by one look. A task
        must not call it, but `look`: what is received later in its turn of the event loop would be judged by that."""
        if not self._looked:
            self.look()
            self._looked = True
            self._loop.call_soon(self._look_again)

    def look(self) -> None:
        """Renew what has changed. Raises `Unavailable` where the database cannot be read."""
        now = self._loop.time()
        found = self._reader.read()
        if found != self._seen or self._distrusted:
            self._renew(found)
        self.looked_at = now

    def distrust(self, names: Iterable[str]) -> None:
        """Have tables of the database read again, whatever their epochs say. Called from another thread."""
        self._distrusted.update(names)

    @property
    def may_spend(self) -> bool:
        """Whether this worker may draw on hard budgets and balances: it has the purse, and knows what was spent."""
        return self.purse == self._counted

    @property
    def seen(self) -> Epochs:
        """The change epochs that the tables are as of."""
        return (*self._seen[:4], self.rules.as_of)

    def _look_again(self) -> None:
        self._looked = False

    def _renew(self, found: Epochs) -> None:
        again = {self._distrusted.pop() for _ in range(len(self._distrusted))}
        try:
            self._read_again(found, again)
        except BaseException:
            self._distrusted.update(again)
            raise
        self._seen = found

    def _read_again(self, found: Epochs, again: Set[str]) -> None:
        """Read what its epoch, or a distrust of one of its tables, says is not what it was."""
        keys, upstreams, revisions, prices, money = found
        if again & _CALLERS:
            self.directory.load()
        if keys != self._seen[0] or again & _CALLERS:
            self.directory.refresh(keys)
            self.payers.outdated(distrusted=bool(again & _CALLERS))
            self._renew_switch()
        if upstreams != self._seen[1] or again & _UPSTREAMS:
            self._renew_upstreams()
        with contextlib.suppress(Tampered):  # what held before goes on, and an alert says so
            if revisions != self._seen[2] or "revisions" in again:
                self._revision = self._read_routes(self._revision.number)
        if revisions != self._seen[2] or "rollouts" in again:
            self._rollouts = self._read_rollouts()
        if revisions != self._seen[2]:
            self.drills = self._read_drills()
        if (upstreams, revisions) != self._seen[1:3] or again & {*_UPSTREAMS, "revisions", "rollouts"}:
            self._renew_planner()
        if revisions != self._seen[2] or again & _CAPTURES:
            self.captures.read()
        with contextlib.suppress(Tampered):
            if prices != self._seen[3] or "prices" in again:
                self.prices = self._read_prices()
        if money != self._seen[4] or again & {*_RULES, "purse"}:
            taken = self.purse if "purse" in again else None
            renewal = self.rules.renew(money, again="purse" in again)
            renewal.add_done_callback(partial(self._rules_renewed, again & {*_RULES, "purse"}, taken))

    def _rules_renewed(self, again: Set[str], taken: int | None, renewal: asyncio.Task[None]) -> None:
        if renewal.cancelled():
            return
        if renewal.exception() is not None:
            self._distrusted.update(again)
            self._seen = (*self._seen[:4], _UNREAD)
        elif taken is not None:
            self._counted = taken

    def serving(self) -> list[Upstream]:
        """The upstreams that can serve now."""
        return [upstream for upstream in self._known if not upstream.disabled]

    def multiplier_ppm(self, key_id: int) -> int | None:
        """What a key's customer pays of a cost, in millionths; None where nobody vouches for the key, its project or
        its customer. For the event loop, as the guard is."""
        with self._home.database.snapshot() as tx:
            return None if self.guard.doubted_keys(tx, [key_id]) else objects.multiplier_ppm(tx, key_id)

    def close(self) -> None:
        self.rules.close()
        self._reader.close()

    def _renew_upstreams(self) -> None:
        serving: dict[str, Chooser] = {}
        known: list[Upstream] = []
        doubted = self._doubted_upstreams()
        for opened in self._home.upstreams.open_all():
            name = opened.upstream.name
            for problem in opened.problems:
                log.error("credential out of service", upstream=name, reason=problem.code, detail=problem.message)
            if opened.credentials and opened.upstream.id not in doubted:
                serving[name] = Chooser(opened)
                known.append(opened.upstream)
            else:
                known.append(replace(opened.upstream, disabled=True))
        self.upstreams, self._known = serving, known

    def _doubted_upstreams(self) -> set[int]:
        """The ids of upstreams that are not vouched for, by themselves or by one of their credentials."""
        with self._home.database.snapshot() as tx:
            bad = self.guard.doubted(tx, "credentials")
            owners = {owner for owner, found in credentials.by_upstream(tx).items() if {c.id for c in found} & bad}
            return self.guard.doubted(tx, "upstreams") | owners

    def _renew_switch(self) -> None:
        with self._home.database.snapshot() as tx:
            self.suspended = switch.suspended(tx) or bool(self.guard.doubted(tx, "gateway"))
            """Whether the operator stopped everybody."""

    def _renew_planner(self) -> None:
        self.planner = Planner(
            self._revision.routes,
            self._known,
            self._home.settings.default_upstream,
            rollouts=self._rollouts,
            health=self.health,
        )

    def _read_routes(self, at_least: int = 0) -> Revision:
        """The newest revision. Raises `Tampered` where nobody vouches for it, or where newer ones are gone."""
        with self._home.database.snapshot() as tx:
            number = routes.newest_number(tx)
            if self.guard.doubted(tx, "revisions", [number]) or number < at_least:  # before it is made sense of
                raise _unvouched(f"revision {number} of the routes")
            return routes.current(tx)

    def _read_rollouts(self) -> list[Rollout]:
        """Those that live, but for what nobody vouches for: without one all goes as the routes say."""
        with self._home.database.snapshot() as tx:
            return rollouts.live(tx, but=self.guard.doubted(tx, "rollouts"))

    def _read_drills(self) -> Drilling | None:
        """Those that run, None where none does."""
        with self._home.database.snapshot() as tx:
            return Drilling(drills.running(tx, self._home.clock.now())) or None

    def _read_prices(self) -> PriceBook:
        """All prices. Raises `Tampered` where nobody vouches for one of them."""
        with self._home.database.snapshot() as tx:
            if bad := self.guard.doubted(tx, "prices"):
                raise _unvouched(self.guard.doubts["prices", min(bad)].partition(" was ")[0])
            return PriceBook.load(tx)


def _unvouched(what: str) -> Tampered:
    return Tampered(f"{what} was changed by something else than gwctl; nothing is served by it", hint=RESEAL)
