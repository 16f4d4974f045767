"""A home with a morning's traffic in its ledger, the same at every run: what the pictures show.

Everything goes through the services the gateway itself uses: keys, upstreams, price book, ledger, workers. Only the
clock stands still and the requests are drawn from a seeded generator.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

from keyvault.clock import Clock, to_ms, ulid_at
from keyvault.domain.budgets import Period
from keyvault.domain.keys import Key
from keyvault.domain.ledger import NO_USAGE, Basis, OpenAttempt, Outcome, Settlement, Usage
from keyvault.domain.limits import LimitChange
from keyvault.domain.prices import charge, cost
from keyvault.domain.routes import Target
from keyvault.domain.scopes import parse_scope
from keyvault.domain.vault import SlotKind
from keyvault.home import Home
from keyvault.metering.budgets import Terms
from keyvault.metering.ledger import Ledger
from keyvault.metering.prices import PriceBook
from keyvault.money import PICO_PER_USD
from keyvault.secrets import Secret

NOW: Final = datetime(2026, 11, 22, 14, 3, 11, tzinfo=UTC)
BUSY: Final = timedelta(minutes=20)
"""The last part of the morning is in full, what was before only in a few large requests."""


class StandingClock(Clock):
    """Always at NOW, or where it was put."""

    moment = NOW

    def now_ms(self) -> int:
        return to_ms(self.moment)

    def monotonic(self) -> float:
        return self.moment.timestamp()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls what: requests per minute, tokens of a typical request, latency, and how often it fails."""

    key: str
    project: str
    target: Target
    dialect: str
    per_minute: float
    tokens: tuple[int, int]
    cached: float
    first_ms: int
    total_ms: int
    fails: float = 0.002
    phase: float = 0.0


SONNET: Final = Target("anthropic", "claude-sonnet-4-5")
HAIKU: Final = Target("anthropic", "claude-haiku-4-5")
GPT: Final = Target("openai", "gpt-5")
MINI: Final = Target("openai", "gpt-5-mini")
EMBEDDING: Final = Target("openai", "text-embedding-3-small")
LLAMA: Final = Target("groq", "llama-3.3-70b-versatile")
MISTRAL: Final = Target("mistral", "mistral-large-latest")
QWEN: Final = Target("local", "qwen3-32b")

CALLERS: Final = (
    Caller("support-bot", "acme/helpdesk", SONNET, "messages", 64, (1900, 240), 0.61, 410, 2100),
    Caller("support-bot", "acme/helpdesk", MINI, "chat", 22, (640, 90), 0.3, 250, 1100, phase=2),
    Caller("search-indexer", "acme/search", EMBEDDING, "embeddings", 310, (240, 0), 0, 90, 95, phase=4),
    Caller("billing-assistant", "acme/billing", GPT, "responses", 9, (2600, 510), 0.48, 640, 3400, phase=1),
    Caller("ci-nightly", "internal/ci", MINI, "chat", 14, (410, 180), 0.12, 380, 1600, 0.035, 3),
    Caller("mobile-app", "globex/app", MINI, "chat", 47, (380, 120), 0.2, 260, 1200, phase=5),
    Caller("mobile-app", "globex/app", HAIKU, "messages", 31, (700, 160), 0.35, 300, 1000, phase=6),
    Caller("doc-writer", "globex/docs", SONNET, "messages", 6, (5200, 1400), 0.72, 520, 4900, phase=2),
    Caller("research", "initech/lab", QWEN, "chat", 18, (900, 620), 0, 140, 4200, phase=1),
    Caller("old-prototype", "internal/lab", LLAMA, "chat", 3, (310, 60), 0, 200, 800, 0.72),
    Caller("partner-x", "partner/api", GPT, "chat", 5, (1200, 260), 0.05, 700, 2900, phase=4),
    Caller("night-batch", "acme/search", MISTRAL, "chat", 2, (3100, 300), 0, 430, 2600, phase=3),
)
ROUTES: Final = """
[routes.fast]
targets = [{ target = "openai/gpt-5-mini", weight = 9 }, { target = "groq/llama-3.3-70b-versatile", weight = 1 }]
fallbacks = ["anthropic/claude-haiku-4-5"]

[routes.smart]
targets = ["anthropic/claude-sonnet-4-5"]
fallbacks = ["openai/gpt-5"]
timeouts = { first_content = 20, total = 180 }

[routes."embed-*"]
targets = ["openai/text-embedding-3-small"]
"""
BUDGETS: Final = (
    ("key:support-bot", 60, Period.DAY),
    ("key:mobile-app", 4, Period.DAY),
    ("key:billing-assistant", 25, Period.MONTH),
    ("customer:acme", 900, Period.MONTH),
    ("project:initech/lab", 5, Period.DAY),
)
BROKEN: Final = {
    "target": "groq/llama-3.3-70b-versatile",
    "state": "open",
    "since_ms": to_ms(NOW - timedelta(seconds=48)),
    "until_ms": to_ms(NOW + timedelta(seconds=12)),
    "why": "503 upstream_unavailable, 5 in a row",
    "in_a_row": 5,
    "requests": 8,
    "failures": 6,
}
_SECRETLESS: Final = Secret("sk-demo-of-a-picture")


def make_home(root: Path) -> Home:
    """A home below `root`, with everything in it."""
    clock = StandingClock()
    home = Home({"GWCTL_HOME": str(root)}, clock)
    clock.moment = NOW - timedelta(days=2)
    home.initialise(SlotKind.FILE)
    for name in ("openai", "anthropic", "groq", "mistral"):
        home.upstreams.create(name, name, secret=_SECRETLESS)
    home.upstreams.create("local", "vllm", base_url="http://127.0.0.1:8000/v1", secret=None, allow_private=True)
    keys = {
        name: home.keys.create(name, project=project, create_missing=True, expires_at=_expiry(name)).key
        for name, project in {caller.key: caller.project for caller in CALLERS}.items()
    }
    _arrange(home)
    clock.moment = NOW
    asyncio.run(_record(home, keys))
    worker = home.workers.register("127.0.0.1:8900", "127.0.0.1:8901", "0.1.0")
    home.workers.beat(worker, {"open_streams": 37, "in_flight": 41, "targets": [BROKEN]})
    return home


def _arrange(home: Home) -> None:
    """What an operator has set up since: routes, money, a rotation under way, a key that is stopped."""
    home.routes.apply(ROUTES, "routes.toml")
    for scope, amount, period in BUDGETS:
        home.budgets.set(parse_scope(scope), Terms(round(amount * PICO_PER_USD), period))
    home.customers.update("globex", multiplier=Decimal("1.15"))
    home.balances.top_up(parse_scope("customer:globex"), 250 * PICO_PER_USD, "invoice 2026-118")
    home.limits.set(parse_scope("key:support-bot"), LimitChange(rpm=600, tpm=2_000_000))
    home.keys.acknowledge("ci-nightly", home.rotations.begin("ci-nightly").key.generations[-1].number)
    home.keys.suspend("old-prototype")


def _expiry(key: str) -> datetime | None:
    return NOW + timedelta(days=3, hours=2) if key == "ci-nightly" else None


async def _record(home: Home, keys: dict[str, Key]) -> None:
    ledger = Ledger(home.database, home.clock, "pictures")
    ledger.start(asyncio.get_running_loop())
    try:
        with home.database.read() as tx:
            book = PriceBook.load(tx)
        catalogues = {upstream.name: upstream.catalogue for upstream in home.upstreams.list()}
        pending = []
        for number, (caller, at, draw) in enumerate(_requests()):
            opened = _opened(ledger, keys[caller.key], caller, at, number)
            target = caller.target
            price = book.find(target.upstream, catalogues[target.upstream], target.model, to_ms(at))
            settled = _settled(opened, caller, draw)
            if price is not None and settled.outcome is Outcome.SERVED:
                settled.price_id = price.id
                settled.cost_pico = cost(price.rates, settled.usage)
                settled.charge_pico = charge(settled.cost_pico or 0, opened.multiplier_ppm)
            pending += [ledger.open(opened), ledger.settle(settled)]
        await asyncio.gather(*pending)
    finally:
        await asyncio.to_thread(ledger.stop)


def _requests() -> Iterator[tuple[Caller, datetime, random.Random]]:
    """Every request of the morning, oldest first."""
    draw = random.Random(7)  # noqa: S311 - the same picture every time is the point
    for minute in range(int(BUSY.total_seconds() // 60), -1, -1):
        start = NOW.replace(second=0) - timedelta(minutes=minute)
        for caller in CALLERS:
            tide = 1 + 0.4 * math.sin(minute / 2.6)
            level = tide * (1 + 0.5 * math.sin(caller.phase + minute / 2.3) + 0.15 * draw.random())
            share = NOW.second / 60 if minute == 0 else 1.0
            for _ in range(round(caller.per_minute * level * share)):
                yield caller, start + timedelta(seconds=draw.uniform(0, 60 * share)), draw


def _opened(ledger: Ledger, key: Key, caller: Caller, at: datetime, number: int) -> OpenAttempt:
    return OpenAttempt(
        request_id=ulid_at(to_ms(at), number),
        number=1,
        started_ms=to_ms(at),
        key_id=key.id,
        generation=1,
        alias_id=ledger.alias_id(caller.target.model),
        target_id=ledger.target_id(caller.target),
        dialect=caller.dialect,
        stream=caller.dialect != "embeddings",
        bound_pico=None,
    )


def _settled(opened: OpenAttempt, caller: Caller, draw: random.Random) -> Settlement:
    spread = draw.lognormvariate(0, 0.35)
    if draw.random() < caller.fails:
        return Settlement(
            opened.request_id, 1, Outcome.FAILED, True, 503, NO_USAGE, Basis.UNKNOWN, round(90 * spread),
            error_code="upstream_unavailable", cost_pico=0, charge_pico=0,
        )  # fmt: skip
    given, made = caller.tokens
    sent = round(given * spread)
    usage = Usage(
        input=sent, cached_input=round(sent * caller.cached * draw.uniform(0.8, 1.1)), output=round(made * spread)
    )
    return Settlement(
        opened.request_id, 1, Outcome.SERVED, True, 200, usage, Basis.PROVIDER, round(caller.total_ms * spread),
        first_content_ms=round(caller.first_ms * spread),
    )  # fmt: skip
