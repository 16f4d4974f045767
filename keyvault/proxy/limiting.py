"""Whether a request comes too fast: the rate limits of one worker in memory, and what one request has taken of them.

Every limit of the key, of the paying project and of its customer that is about the model must have room, else nothing
is taken of any. A request is counted when it is admitted. Its tokens are reckoned then and settled with the provider's
own count when it has ended; what was under way is given back however it ended. Each limit counts live and test keys
apart. All of it is for the event loop's thread; memory grows with the limits, not with what clients name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from fnmatch import translate
from typing import TYPE_CHECKING, Final, Literal

from keyvault.clock import Clock, from_ms, rfc3339
from keyvault.domain.endpoints import Family
from keyvault.domain.ledger import Settlement
from keyvault.domain.limits import Limit
from keyvault.domain.scopes import ScopeKind
from keyvault.errors import Refusal
from keyvault.metering.gcra import Gcra
from keyvault.proxy.reckoning import reckoned

if TYPE_CHECKING:
    from keyvault.proxy.admission import Call
    from keyvault.proxy.headers import Headers

Kind = Literal["requests", "tokens", "parallel"]

PARALLEL_WAIT_US: Final = 1_000_000
"""Nobody knows when a request under way will end; this is when to ask again."""
_WORDS: Final[dict[Kind, str]] = {
    "requests": "requests per minute (RPM)",
    "tokens": "tokens per minute (TPM)",
    "parallel": "requests at once",
}
_SCOPES: Final = {ScopeKind.KEY: "this key", ScopeKind.PROJECT: "the project", ScopeKind.CUSTOMER: "the customer"}


class Count:
    """What one limit counts in one environment."""

    __slots__ = ("limit", "requests", "tokens", "under_way")

    def __init__(self, limit: Limit, now_us: int) -> None:
        self.limit = limit
        self.requests = _bucket(None, limit.rpm, now_us)
        self.tokens = _bucket(None, limit.tpm, now_us)
        self.under_way = 0

    def follow(self, limit: Limit, now_us: int) -> None:
        """The limit's numbers are others now; what was counted stays."""
        self.limit = limit
        self.requests = _bucket(self.requests, limit.rpm, now_us)
        self.tokens = _bucket(self.tokens, limit.tpm, now_us)


def _bucket(was: Gcra | None, rate: int | None, now_us: int) -> Gcra | None:
    if rate is None:
        return None
    if was is None:
        return Gcra(rate, now_us)
    was.change(rate, now_us)
    return was


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

    def count(self, env: str, model: str, now_us: int) -> Count | None:
        """Where a request counts; None where it is about another model."""
        if self._matches is not None and self._matches(model) is None:
            return None
        found = self.counts.get(env)
        if found is None:
            found = self.counts[env] = Count(self.limit, now_us)
        return found

    def follow(self, limit: Limit, now_us: int) -> None:
        self.limit = limit
        for count in self.counts.values():
            count.follow(limit, now_us)


class Permit:
    """What one request has taken of the limits that apply to it. `close` it when the request has ended."""

    __slots__ = ("_attempted", "_clock", "_counts", "_held", "_reached", "_tokens", "_unknown", "_used")

    def __init__(self, counts: Sequence[Count], tokens: int, clock: Clock) -> None:
        """`tokens`: how many it is reckoned to take."""
        self._counts = counts
        self._clock = clock
        self._tokens = tokens
        self._held: list[tuple[Count, int, Gcra | None, int, int]] = []
        self._used = 0
        self._unknown = False
        self._attempted = self._reached = False

    def obstacle(self, now_us: int) -> tuple[Count, Kind, int] | None:
        """The limit without room for it that has the longest wait, and that wait in microseconds."""
        worst: tuple[Count, Kind, int] | None = None
        longest = 0
        for count in self._counts:
            limit = count.limit
            if limit.parallel is not None and count.under_way >= limit.parallel and longest < PARALLEL_WAIT_US:
                worst, longest = (count, "parallel", PARALLEL_WAIT_US), PARALLEL_WAIT_US
            if count.requests is not None and (wait := count.requests.wait_us(1, now_us)) > longest:
                worst, longest = (count, "requests", wait), wait
            if count.tokens is not None and (wait := count.tokens.wait_us(self._tokens, now_us)) > longest:
                worst, longest = (count, "tokens", wait), wait
        return worst

    def take(self, now_us: int) -> None:
        for count in self._counts:
            count.under_way += 1
            taken = 0 if count.requests is None else count.requests.take(1, now_us)
            bucket, tokens, marked = count.tokens, 0, 0
            if bucket is not None:
                tokens = min(self._tokens, bucket.rate)  # the rest is charged when it is known
                marked = bucket.take(tokens, now_us)
            self._held.append((count, taken, bucket, marked, tokens))

    def settled(self, booked: Settlement) -> None:
        """An attempt has ended: its tokens count, whoever it served."""
        usage = booked.usage
        self._used += (usage.input or 0) + (usage.output or 0)
        if usage.input is None or usage.output is None:
            self._unknown = True
        self._attempted = True
        self._reached = self._reached or self._unknown or booked.status is not None

    def close(self) -> None:
        """The request has ended: nothing of it is under way any more. Where what it took is not known, at least what
        was reckoned counts. One that no provider could be reached for is not counted as a request."""
        if not self._held:
            return
        now_us = _now_us(self._clock)
        never_left = self._attempted and not self._reached
        for count, taken, bucket, marked, tokens in self._held:
            count.under_way -= 1
            if bucket is not None:
                bucket.settle(marked, tokens, max(self._used, tokens) if self._unknown else self._used, now_us)
            if count.requests is not None and never_left:
                count.requests.settle(taken, 1, 0, now_us)
        self._held.clear()

    def headers(self, family: Family) -> Headers:
        """How much of the nearest limit on requests, and of that on tokens, is left, as the API of `family` says it."""
        if not self._counts:
            return []
        now_us = _now_us(self._clock)
        found: Headers = []
        for name, buckets in (
            (b"requests", [c.requests for c in self._counts if c.requests is not None]),
            (b"tokens", [c.tokens for c in self._counts if c.tokens is not None]),
        ):
            if buckets:
                remaining, _, nearest = min((b.remaining(now_us), -b.empty_in_us(now_us), b) for b in buckets)
                found += self._told(family, name, nearest.rate, remaining, nearest.empty_in_us(now_us))
        return found

    def _told(self, family: Family, name: bytes, rate: int, remaining: int, empty_in_us: int) -> Headers:
        if family is Family.ANTHROPIC:
            until = rfc3339(from_ms(self._clock.now_ms() + -(-empty_in_us // 1000))) or ""
            prefix = b"anthropic-ratelimit-" + name
            return [
                (prefix + b"-limit", b"%d" % rate),
                (prefix + b"-remaining", b"%d" % remaining),
                (prefix + b"-reset", until.encode()),
            ]
        return [
            (b"x-ratelimit-limit-" + name, b"%d" % rate),
            (b"x-ratelimit-remaining-" + name, b"%d" % remaining),
            (b"x-ratelimit-reset-" + name, span(empty_in_us).encode()),
        ]


UNLIMITED: Final = Permit((), 0, Clock())
"""For a request that no limit applies to."""


class Limiter:
    """Every limit of a worker."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rules: dict[int, Rule] = {}
        self._of: dict[ScopeKind, dict[int, list[Rule]]] = {}
        self.refused: Counter[Kind] = Counter()
        """Requests refused since the start, by what there was no room for."""

    def __bool__(self) -> bool:
        """Whether there is any limit."""
        return bool(self._rules)

    def renew(self, limits: Iterable[Limit], doubted: Collection[int] = ()) -> None:
        """Judge by these from now on; a limit that was there before goes on counting. `doubted`: ids of rows that
        nobody vouches for; whoever such a limit is about is refused."""
        now_us = _now_us(self._clock)
        before, self._rules, self._of = self._rules, {}, {}
        for limit in limits:
            rule = before.get(limit.id)
            if rule is None or _about(rule.limit) != _about(limit):
                rule = Rule(limit)
            rule.follow(limit, now_us)
            rule.doubted = limit.id in doubted
            self._rules[limit.id] = rule
            self._of.setdefault(limit.scope.kind, {}).setdefault(limit.scope.id, []).append(rule)

    @property
    def rules(self) -> Collection[Rule]:
        return self._rules.values()

    def admit(self, call: Call) -> Permit:
        """Count a request in, or refuse it: 429 with how long to wait. A refused call has its permit, too, which says
        in the answer's headers how much is left."""
        if not self._rules:
            return UNLIMITED
        rules = self._applying(call)
        if not rules:
            return UNLIMITED
        now_us = _now_us(self._clock)
        caller, model = call.caller, call.model or ""
        found = [count for rule in rules if (count := rule.count(caller.env, model, now_us)) is not None]
        if any(rule.doubted for rule in rules):
            raise _not_vouched_for()
        permit = call.permit = Permit(found, reckoned(call) if any(c.tokens for c in found) else 0, self._clock)
        if (obstacle := permit.obstacle(now_us)) is not None:
            self.refused[obstacle[1]] += 1
            raise _refusal(*obstacle)
        permit.take(now_us)
        return permit

    def about(self, call: Call) -> list[Limit]:
        """The limits that some request like a call could meet, whatever its model."""
        return [rule.limit for rule in self._applying(call)]

    def _applying(self, call: Call) -> list[Rule]:
        payer = call.payer
        found: list[Rule] = []
        for kind, row_id in (
            (ScopeKind.KEY, call.caller.key_id),
            (ScopeKind.PROJECT, payer.project_id),
            (ScopeKind.CUSTOMER, payer.customer_id),
        ):
            of = self._of.get(kind)
            if of is not None and row_id in of:
                found += of[row_id]
        return found


def _about(limit: Limit) -> tuple[ScopeKind, int, str]:
    return limit.scope.kind, limit.scope.id, limit.model


def _now_us(clock: Clock) -> int:
    return int(clock.monotonic() * 1_000_000)


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


def span(us: int) -> str:
    """A time as OpenAI's headers have it, rounded up to the millisecond: `120ms`, `1s`, `8.64s`, `6m0s`, `1h0m3s`."""
    ms = -(-us // 1000)
    if ms < 1000:
        return f"{ms}ms"
    minutes, ms = divmod(ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{ms / 1000:.3f}".rstrip("0").rstrip(".")
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{seconds}s"
