"""The measurements. What one machine does in a second varies by a third from one second to the next, so the contenders
take turns: round after round each is measured, in changing order, and what counts is the median."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import uvloop

from tests.benchmarks import load, procfs
from tests.benchmarks.contenders import Contender
from tests.benchmarks.upstream import EVENTS
from tests.gateway import GWCTL, Gateway

OPEN_STREAMS: Final = 1000
ENOUGH: Final = 200
"""Fewer requests than this say nothing about a difference of a millisecond."""
SMALL, LARGE = 1_000, 400_000


@dataclass(slots=True)
class Figures:
    """What was measured, medians of all rounds; None: not measured, or it failed."""

    name: str
    cpu_per_request_us: float | None = None
    requests_per_second: float | None = None
    cpu_per_event_us: float | None = None
    p50_ms_at_1: float | None = None
    p99_ms_at_1: float | None = None
    p50_ms_at_16: float | None = None
    p99_ms_at_16: float | None = None
    large_prompt_extra_cpu_ms: float | None = None
    idle_mb: float | None = None
    open_streams_mb: float | None = None
    errors: int = 0
    rounds: dict[str, list[float]] = field(default_factory=dict)
    """By the name of a figure, what each round saw."""

    def saw(self, name: str, value: float) -> None:
        seen = self.rounds.setdefault(name, [])
        seen.append(value)
        setattr(self, name, statistics.median(seen))


def measure(contenders: Sequence[Contender], seconds: float, rounds: int, say: Callable[[str], None]) -> list[Figures]:
    """Everything about running contenders; each part of a round runs for about `seconds`."""
    measured = [(contender, Figures(contender.name)) for contender in contenders]
    for contender, figures in measured:
        if contender.pid is not None:
            figures.idle_mb = procfs.resident_mb(contender.pid)
        _load(contender, load.prompt(contender.prefix + "bench-whole", SMALL), 4, 1, figures)  # warm up
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for contender, figures in measured if number % 2 else reversed(measured):
            _round(contender, seconds, figures)
    for contender, figures in measured:
        if contender.pid is not None:
            say(f"memory of {contender.name}")
            figures.open_streams_mb = _open_streams(contender)
    return [figures for _, figures in measured]


def _round(contender: Contender, seconds: float, figures: Figures) -> None:
    whole = load.prompt(contender.prefix + "bench-whole", SMALL)
    for connections in (1, 16):
        ran, _ = _load(contender, whole, connections, seconds, figures)
        figures.saw(f"p50_ms_at_{connections}", ran.p50_ms)
        figures.saw(f"p99_ms_at_{connections}", ran.p99_ms)
    ran, cpu = _load(contender, whole, 32, seconds, figures)
    figures.saw("requests_per_second", ran.requests / ran.seconds)
    if contender.pid is not None:
        figures.saw("cpu_per_request_us", 1e6 * cpu / max(1, ran.requests))
        _streams(contender, seconds, figures)
        _large_prompts(contender, seconds, figures)


def _load(
    contender: Contender, body: str, connections: int, seconds: float, figures: Figures
) -> tuple[load.Load, float]:
    """The load's figures and the contender's CPU seconds."""
    before = procfs.cpu_seconds(contender.pid) if contender.pid else 0.0
    ran = load.run(contender.url, contender.headers, body, connections=connections, seconds=seconds)
    after = procfs.cpu_seconds(contender.pid) if contender.pid else 0.0
    figures.errors += ran.errors
    return ran, after - before


def _streams(contender: Contender, seconds: float, figures: Figures) -> None:
    body = load.prompt(contender.prefix + "bench-stream", SMALL, stream=True)
    ran, cpu = _load(contender, body, 32, max(seconds, 4), figures)
    if ran.errors:
        return
    # Streams cut off by the end of the run were relayed too: half of one per connection on average.
    figures.saw("cpu_per_event_us", 1e6 * cpu / ((ran.requests + 16) * EVENTS))


def _large_prompts(contender: Contender, seconds: float, figures: Figures) -> None:
    costs = []
    for size in (SMALL, LARGE):
        body = load.prompt(contender.prefix + "bench-whole", size)
        ran, cpu = _load(contender, body, 4, seconds, figures)
        if ran.requests < ENOUGH:
            return
        costs.append(cpu / ran.requests)
    figures.saw("large_prompt_extra_cpu_ms", 1000 * (costs[1] - costs[0]))


def _open_streams(contender: Contender) -> float | None:
    """Resident memory with many streams open at once, None where they cannot be opened in two minutes."""
    assert contender.pid is not None
    try:
        return uvloop.run(asyncio.wait_for(_hold_open(contender, contender.pid), timeout=120))
    except (OSError, TimeoutError, EOFError):
        return None


async def _hold_open(contender: Contender, pid: int) -> float:
    body = load.prompt(contender.prefix + "bench-open", SMALL, stream=True).encode()
    headers = {**contender.headers, "host": "localhost", "content-type": "application/json"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    request = f"POST /v1/chat/completions HTTP/1.1\r\n{lines}content-length: {len(body)}\r\n\r\n".encode() + body
    host, _, port = contender.origin.removeprefix("http://").partition(":")
    writers = []

    async def hold() -> None:
        reader, writer = await asyncio.open_connection(host, int(port), limit=4096)
        writers.append(writer)
        writer.write(request)
        await reader.readuntil(b"data: ")

    for _ in range(OPEN_STREAMS // 50):
        await asyncio.gather(*(hold() for _ in range(50)))
    resident = procfs.resident_mb(pid)
    for writer in writers:
        writer.transport.abort()
    return resident


def start_up_ms(directory: Path) -> dict[str, float]:
    """Median milliseconds of commands that people wait for."""
    made = Gateway(directory / "home")
    for number in range(20):
        made.create_key(f"key-{number}")
    commands = {"gwctl --help": ["--help"], "gwctl keys list": ["keys", "list"]}
    return {name: _median_ms([str(GWCTL), *arguments], made.environ) for name, arguments in commands.items()}


def _median_ms(command: list[str], environ: dict[str, str]) -> float:
    taken = []
    for _ in range(9):
        began = time.perf_counter()
        subprocess.run(command, env=environ, check=True, capture_output=True)
        taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken)
