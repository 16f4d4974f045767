"""What the console costs on a big ledger: `python -m tests.benchmarks.console --rows 1000000`.

How long a reading of each view takes in the poller's thread (the first one, then the middle one of those that follow),
how long with a thousand new requests in each second, and how much of a core the console takes while nothing happens.
Prints, never gates.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import sqlalchemy as sa

from keyvault.clock import Clock, ulid_at
from keyvault.domain.narrowing import EVERY_REQUEST, Narrowing
from keyvault.domain.pivot import PivotAsked, Stretch
from keyvault.home import Home
from keyvault.settings import Paths
from keyvault.storage.schema import attempts, ledger_changes
from opsconsole.readers.home import HomeReader
from opsconsole.tui.app import Console
from opsconsole.view.live.snapshot import LiveQuestion
from opsconsole.view.requests.rows import table as requests_table
from opsconsole.view.requests.snapshot import RequestsQuestion
from opsconsole.view.snapshot import Question
from opsconsole.view.usage.rows import table as usage_table
from opsconsole.view.usage.snapshot import UsageQuestion
from tests.benchmarks import big_ledger

ROUNDS: Final = 12
IDLE_SECONDS: Final = 10.0
PER_SECOND: Final = 1_000
QUESTIONS: Final[dict[str, Question]] = {
    "live, 15 m": LiveQuestion(),
    "requests": RequestsQuestion(),
    "requests, failed": RequestsQuestion(Narrowing(failed=True)),
    "requests of a busy key": RequestsQuestion(Narrowing(key="key-1")),
    "requests of a rare key": RequestsQuestion(Narrowing(key="key-59")),
    "requests of a customer": RequestsQuestion(Narrowing(customer="customer-2")),
    **{f"usage by key, {each.value}": UsageQuestion(PivotAsked("key", each)) for each in Stretch},
    "usage by model of a customer, 30 d": UsageQuestion(
        PivotAsked("model", Stretch.DAYS, only=(("customer", "customer-2"),))
    ),
}


@contextmanager
def big_home(rows: int, days: int = 30) -> Iterator[Home]:
    """A home whose ledger is big."""
    with tempfile.TemporaryDirectory() as root:
        environ = {"GWCTL_HOME": root}
        paths = Paths.find(environ)
        paths.make()
        paths.config_file.write_text("")
        big_ledger.make(paths.database_file, rows, days, Clock().now_ms()).close()
        home = Home(environ)
        yield home
        home.close()


def told(what: str, took: Iterable[float]) -> None:
    first, *rest = took
    print(
        f"{what:44} {first:9.1f} ms first {statistics.median(rest):8.1f} ms then {max(rest):8.1f} ms at most",
        flush=True,
    )


def read(home: Home, question: Question, zone: str) -> list[float]:
    """A second of the ledger passes between two readings, so that none is spared."""
    reader = HomeReader(home, zone)
    took = []
    for at in range(ROUNDS):
        add(home, 1, at)
        began = time.perf_counter()
        reader.read(question)
        took.append((time.perf_counter() - began) * 1000)
    return took


def add(home: Home, count: int, seed: int) -> None:
    """New requests that end now."""
    now = home.clock.now_ms()
    with home.database.write() as tx:
        like = tx.execute(sa.select(attempts).order_by(attempts.c.request_id.desc()).limit(1)).one()._asdict()
        fresh = [
            {
                **like,
                "request_id": ulid_at(now - 900 + at * 900 // count, (seed << 40) + at),
                "started_ms": now - 900,
                "total_ms": 800,
            }
            for at in range(count)
        ]
        tx.execute(sa.insert(attempts), fresh)
        tx.execute(sa.delete(ledger_changes).where(ledger_changes.c.worker == "measured"))
        tx.execute(sa.insert(ledger_changes).values(worker="measured", changes=now))


def busy(home: Home) -> list[float]:
    """Readings of the newest requests while a thousand end in each second."""
    recent = home.reports.recent()
    took = []
    for second in range(ROUNDS):
        began = time.monotonic()
        add(home, PER_SECOND, 1_000 + second)
        started = time.perf_counter()
        page = recent.read(EVERY_REQUEST, 200)
        took.append((time.perf_counter() - started) * 1000)
        assert len(page.lines) >= 200
        time.sleep(max(0.0, 1 - (time.monotonic() - began)))
    return took


def written(home: Home) -> None:
    """What the tables of a full snapshot cost to write."""
    requests = HomeReader(home).read(RequestsQuestion())
    usage = HomeReader(home).read(UsageQuestion(PivotAsked("key", Stretch.DAYS)))
    for what, write, snapshot in (("requests", requests_table, requests), ("usage", usage_table, usage)):
        took = []
        for _ in range(ROUNDS):
            began = time.process_time()
            rows = len(write(snapshot).rows)  # type: ignore[operator]
            took.append((time.process_time() - began) * 1000)
        told(f"writing {rows} rows of {what}", took)


async def idle(home: Home, view: str) -> float:
    """Share of a core that the whole console takes, reading every second, while nothing happens."""
    console = Console(HomeReader(home))
    async with console.run_test(size=(160, 48)) as pilot:
        console.action_view(view)
        await pilot.pause(3)
        cpu, wall = time.process_time(), time.monotonic()
        await asyncio.sleep(IDLE_SECONDS)
        return (time.process_time() - cpu) / (time.monotonic() - wall)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.console", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--tz", default="Europe/Berlin")
    asked = parser.parse_args()
    with big_home(asked.rows) as home:
        print(f"{asked.rows:,} rows, days of {asked.tz}", flush=True)
        for what, question in QUESTIONS.items():
            told(what, read(home, question, asked.tz))
        written(home)
        for view in ("live", "usage", "requests"):
            print(f"idle, {view:38} {asyncio.run(idle(home, view)):9.1%} of a core", flush=True)
        told(f"requests, {PER_SECOND:,} a second", busy(home))


if __name__ == "__main__":
    main()
