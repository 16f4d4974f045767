"""Whether a request comes too fast: the rate limits of one worker in memory.

Every limit of the key, of the paying project and of its customer that is about the model must have room, else nothing
is taken of any. Each limit counts live and test keys apart. All of it is for the event loop's thread; memory grows with
the limits, not with what clients name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from fnmatch import translate
from typing import TYPE_CHECKING, Final

from keyvault.clock import Clock
from keyvault.domain.limits import Limit
from keyvault.domain.scopes import ScopeKind
from keyvault.errors import Refusal
from keyvault.proxy.permit import UNLIMITED, Count, Counts, Kind, Permit, now_in_us, span
from keyvault.proxy.reckoning import reckoned

if TYPE_CHECKING:
    from keyvault.proxy.admission import Call

_WORDS: Final[dict[Kind, str]] = {
    "requests": "requests per minute (RPM)",
    "tokens": "tokens per minute (TPM)",
    "parallel": "requests at once",
}
_SCOPES: Final = {ScopeKind.KEY: "this key", ScopeKind.PROJECT: "the project", ScopeKind.CUSTOMER: "the customer"}
_REMEMBERED: Final = 10_000
"""What applies to whom is kept for so many; clients name models freely, so the memory is bounded."""


class Rule:
    """One limit as requests are judged by it."""

    __slots__ = ("_matches", "counts", "doubted", "limit")

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.doubted = False
        """Something else than gwctl has written it: nobody can tell what it was."""
        self.counts: dict[str, Count] = {}
        """By environment."""
        self._matches = re.compile(translate(limit.model)).match if limit.model else None

    def covers(self, model: str) -> bool:
        return self._matches is None or self._matches(model) is not None

    def count(self, env: str, now_us: int) -> Count:
        found = self.counts.get(env)
        if found is None:
            found = self.counts[env] = Count(self.limit, now_us)
        return found

    def follow(self, limit: Limit, now_us: int) -> None:
        """The limit's numbers are others now; what was counted stays."""
        self.limit = limit
        for count in self.counts.values():
            count.follow(limit, now_us)


class Limiter:
    """Every limit of a worker."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rules: dict[int, Rule] = {}
        self._of: dict[ScopeKind, dict[int, list[Rule]]] = {}
        self._counts: dict[tuple[int, int, int, str, str], Counts] = {}
        self.refused: Counter[Kind] = Counter()
        """Requests refused since the start, by what there was no room for."""

    def __bool__(self) -> bool:
        """Whether there is any limit."""
        return bool(self._rules)

    @property
    def rules(self) -> Collection[Rule]:
        return self._rules.values()

    def renew(
        self, limits: Iterable[Limit], doubted: Collection[int] = (), looked: Collection[int] | None = None
    ) -> None:
        """Judge by these from now on; a limit that was there before goes on counting. `doubted`: of those that were
        `looked` at (None: all), the ids that nobody vouches for; whoever such a limit was about before, or is if it was
        not there, is refused, whatever the model."""
        now_us = now_in_us(self._clock)
        before, self._rules = self._rules, {}
        self._counts.clear()
        self._of = {kind: {} for kind in ScopeKind}
        for said in limits:
            rule = before.get(said.id)
            doubtful = said.id in doubted and (looked is None or said.id in looked)
            limit = rule.limit if doubtful and rule is not None else said
            if rule is None or _about(rule.limit) != _about(limit):
                rule = Rule(limit)
            rule.follow(limit, now_us)
            if looked is None or limit.id in looked:
                rule.doubted = doubtful
            self._rules[limit.id] = rule
            self._of[limit.scope.kind].setdefault(limit.scope.id, []).append(rule)

    def admit(self, call: Call) -> Permit:
        """Count a request in, or refuse it: 429 with how long to wait. A refused call has its permit, too, which says
        in the answer's headers how much is left."""
        if not self._rules:
            return UNLIMITED
        clock, caller, payer = self._clock, call.caller, call.payer
        now_us = now_in_us(clock)
        who = (caller.key_id, payer.project_id, payer.customer_id, caller.env, call.model or "")
        counts = self._counts.get(who)
        if counts is None:
            counts = self._remember(who, now_us)
        if not counts.every:
            return UNLIMITED
        tokens = reckoned(call) if counts.tokens else 0
        permit = call.permit = Permit(counts, tokens, self._clock)
        if not permit.take(now_us):
            obstacle = permit.obstacle(now_us)
            assert obstacle is not None
            self.refused[obstacle[1]] += 1
            raise _refusal(*obstacle)
        return permit

    def about(self, call: Call) -> list[Limit]:
        """The limits that some request like a call could meet, whatever its model."""
        payer = call.payer
        return [rule.limit for rule in self._applying(call.caller.key_id, payer.project_id, payer.customer_id)]

    def _remember(self, who: tuple[int, int, int, str, str], now_us: int) -> Counts:
        """What applies to a caller and a model, until the limits change. Raises `Refusal` where one is in doubt."""
        *scopes, env, model = who
        rules = self._applying(*scopes)
        if any(rule.doubted for rule in rules):
            raise _not_vouched_for()
        if len(self._counts) >= _REMEMBERED:
            self._counts.clear()
        found = self._counts[who] = Counts([rule.count(env, now_us) for rule in rules if rule.covers(model)])
        return found

    def _applying(self, key_id: int, project_id: int, customer_id: int) -> Sequence[Rule]:
        of = self._of
        if not of:
            return ()
        found = of[ScopeKind.KEY].get(key_id, _NO_RULES)
        if project_id in of[ScopeKind.PROJECT]:
            found = [*found, *of[ScopeKind.PROJECT][project_id]]
        if customer_id in of[ScopeKind.CUSTOMER]:
            found = [*found, *of[ScopeKind.CUSTOMER][customer_id]]
        return found


_NO_RULES: Final[list[Rule]] = []


def _about(limit: Limit) -> tuple[ScopeKind, int, str]:
    return limit.scope.kind, limit.scope.id, limit.model


def _refusal(count: Count, kind: Kind, wait_us: int) -> Refusal:
    limit = count.limit
    amount = {"requests": limit.rpm, "tokens": limit.tpm, "parallel": limit.parallel}[kind]
    about = f" of {limit.model}" if limit.model else ""
    text = f"rate limit reached for {_SCOPES[limit.scope.kind]} on {_WORDS[kind]}{about}: limit {amount}"
    wait_ms = -(-wait_us // 1000)
    return Refusal(
        429,
        "rate_limit_exceeded",
        f"{text}; try again in {span(wait_us)}",
        type="tokens" if kind == "tokens" else "requests",
        retry_after_ms=wait_ms,
    )


def _not_vouched_for() -> Refusal:
    text = "a rate limit of this key was changed by something else than gwctl; nothing is served by it"
    return Refusal(503, "limit_not_vouched_for", text, type="api_error")
