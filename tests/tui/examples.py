"""Snapshots for the console's tests: a busy gateway, a quiet one, a new one; and a reader that plays them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from opsconsole.view.live.snapshot import LiveQuestion, LiveSnapshot, Rates, Row, Spending
from opsconsole.view.snapshot import ExpiringKey, Setup, TargetTraffic
from opsconsole.view.sums import Bucket, Sums

NOW = datetime(2026, 10, 1, 12, 0, tzinfo=UTC)
SETUP = Setup("/home/ops/.local/share/gwctl", upstreams=("openai", "anthropic"), keys=6, listen="127.0.0.1:8900")
DOLLAR = 10**12


def sums(requests: int, tokens: tuple[int, int], cost: float, errors: int = 0, p95: float = 900, **more: int) -> Sums:
    """Sums with latencies that follow from the p95."""
    known = {"cached_tokens": tokens[0] // 3} | more
    return Sums(
        requests=requests,
        attempts=requests + errors,
        errors=errors,
        input_tokens=tokens[0],
        output_tokens=tokens[1],
        cost_pico=round(cost * DOLLAR),
        first_p50_ms=p95 / 6,
        first_p95_ms=p95 / 3,
        total_p50_ms=p95 / 2,
        total_p95_ms=p95,
        **known,
    )


def wave(steps: int, phase: float, height: float) -> tuple[float, ...]:
    return tuple(round(height * (1.2 + math.sin(phase + at / 2))) for at in range(steps))


ROWS = (
    Row("support-bot", "claude-sonnet-5", sums(1_204, (812_400, 96_100), 4.1182, 2, 2_100), wave(15, 0, 40)),
    Row(
        "search-indexer",
        "text-embedding-3-small",
        sums(9_310, (2_204_000, 0), 0.0441, 0, 300, cached_tokens=0),
        wave(15, 1, 300),
    ),
    Row("ci-nightly", "gpt-5-mini", sums(310, (44_800, 20_300), 0.053, 12, 4_800), (0, 0, 0, 0, 9, 30, 32, 0, 0, 2)),
    Row("billing-assistant", "gpt-5", sums(88, (61_000, 11_900), 0.184, 0, 3_300), wave(15, 3, 3)),
    Row("mobile-app", "local-llama", sums(412, (120_900, 80_210), 0, 0, 700, unpriced=412), wave(15, 4, 14)),
    Row("old-prototype", "llama-4-70b", sums(24, (3_100, 0), 0.0001, 19, 9_100), wave(15, 2, 1)),
)
TARGETS = (
    TargetTraffic("openai/gpt-5", 90, 0, 0.31, 280),
    TargetTraffic("openai/text-embedding-3-small", 9_310, 0, 10.3, 110),
    TargetTraffic("anthropic/claude-sonnet-5", 1_204, 2, 1.3, 410),
    TargetTraffic("openai/gpt-5-mini", 310, 22, 0.3, 620),
    TargetTraffic("groq/llama-4-70b", 24, 19, 0.03, None),
    TargetTraffic("local/llama", 0, 0, 0.0, None),
)


def buckets(steps: int = 15, seconds: int = 60) -> tuple[Bucket, ...]:
    """A working morning, the newest step half gone."""
    start = NOW - timedelta(seconds=seconds * (steps - 1) + seconds // 2)
    return tuple(_bucket(start + timedelta(seconds=seconds * at), at, seconds, at == steps - 1) for at in range(steps))


def _bucket(start: datetime, at: int, seconds: int, newest: bool) -> Bucket:
    lasted = seconds / 2 if newest else seconds
    rate = 12 + 9 * math.sin(at / 2) + (8 if at == 5 else 0)
    requests = round(rate * lasted)
    return Bucket(
        start=start,
        seconds=lasted,
        requests=requests,
        errors=requests // 180 + (40 if at == 9 else 0),
        input_tokens=requests * 240,
        output_tokens=requests * 18,
        cost_pico=requests * DOLLAR // 2500,
        first_p95_ms=240 + 30 * (at % 4) + (900 if at == 9 else 0),
    )


def busy(question: LiveQuestion | None = None) -> LiveSnapshot:
    """A gateway in full work, with everything that can need a person."""
    question = question or LiveQuestion()
    rows = ROWS if question.by.splits_by_model else tuple(replace(row, group=row.model, model="") for row in ROWS)
    return LiveSnapshot(
        question=question,
        taken_at=NOW,
        setup=SETUP,
        totals=sums(11_348, (3_246_200, 208_510), 4.3994, 33, 1_200),
        buckets=buckets(),
        rows=rows,
        targets=TARGETS,
        now=Rates(12.6, 3_610.0, 231.0),
        spending=Spending(today_pico=round(184.22 * DOLLAR), today_unpriced=412, hourly_pico=round(7.91 * DOLLAR)),
        workers=1,
        open_streams=37,
        expiring_keys=(ExpiringKey("ci-nightly", NOW + timedelta(days=3)),),
        unpriced_models=("local-llama",),
    )


def quiet() -> LiveSnapshot:
    """Set up and used before, but nothing in the window."""
    return LiveSnapshot(
        question=LiveQuestion(),
        taken_at=NOW,
        setup=SETUP,
        buckets=tuple(
            replace(bucket, requests=0, errors=0, input_tokens=0, output_tokens=0, cost_pico=0, first_p95_ms=None)
            for bucket in buckets()
        ),
        workers=1,
        open_streams=0,
        last_request_at=NOW - timedelta(hours=3),
        spending=Spending(hourly_pico=0),
        now=Rates(0, 0, 0),
    )


def new() -> LiveSnapshot:
    """Set up as far as an upstream; never used."""
    setup = replace(SETUP, upstreams=("openai",), keys=0, listen=None, ever_used=False)
    return LiveSnapshot(question=LiveQuestion(), taken_at=NOW, setup=setup)


def many(count: int = 200, question: LiveQuestion | None = None) -> LiveSnapshot:
    """A table of many rows, all different."""
    rows = tuple(
        Row(
            f"key-{at:03}",
            f"model-{at % 7}",
            sums(at * 13 % 997 + 1, (at * 977 % 90_000, at * 91 % 9_000), (at * 37 % 500) / 100, at % 11, 300 + at),
            wave(15, at, 20),
        )
        for at in range(count)
    )
    return replace(busy(question), rows=rows)


class FakeReader:
    """Plays what it is told to: a function from question to snapshot, or one that raises."""

    def __init__(self, answer: Callable[[LiveQuestion], LiveSnapshot] = busy) -> None:
        self.answer = answer
        self.asked: list[LiveQuestion] = []

    def read(self, question: LiveQuestion) -> LiveSnapshot:
        self.asked.append(question)
        return self.answer(question)


def many_of_200(question: LiveQuestion) -> LiveSnapshot:
    return many(200, question)
