"""`python -m tests.tui.measure`: what a refresh of the console costs, in milliseconds of CPU. Prints, never gates."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from opsconsole.readers.home import HomeReader
from opsconsole.tui.widgets.view_table import ViewTable
from opsconsole.view.feed import Feed
from opsconsole.view.live import rows
from opsconsole.view.live.snapshot import LiveQuestion, LiveSnapshot
from screenshots.demo import make_home
from tests.tui import examples
from tests.tui.driving import running

ROUNDS = 60


def measured(what: str, action: Callable[[int], object]) -> None:
    costs = []
    for at in range(ROUNDS):
        begun = time.process_time()
        action(at)
        costs.append((time.process_time() - begun) * 1000)
    costs.sort()
    print(f"{what:<58} {costs[0]:7.2f} best {statistics.median(costs):7.2f} median")


def changed(seed: int) -> LiveSnapshot:
    """200 rows, every one of them another than before."""
    snapshot = examples.many(200)
    fresh = tuple(
        replace(row, sums=replace(row.sums, requests=row.sums.requests + seed, cost_pico=hash((seed, at)) % 10**12))
        for at, row in enumerate(snapshot.rows)
    )
    return replace(snapshot, rows=fresh)


async def measure_screen(size: tuple[int, int]) -> None:
    snapshots = [changed(at) for at in range(ROUNDS)]
    async with running(examples.many_of_200, size=size) as (console, _):
        table = console.screen.query_one(ViewTable)

        def refresh(at: int) -> None:
            table.show(rows.table(snapshots[at]))
            for line in range(table.size.height):
                table.render_line(line)

        measured(f"table of 200 rows × 13 columns, all changed, at {size[0]}×{size[1]}", refresh)
        measured("  whole view handed over", lambda at: console.view.show(Feed(snapshots[-at], console.feed.read_at)))
        measured("  whole screen composed by Textual", lambda _: console.screen._compositor.render_strips())


def main() -> None:
    for size in ((80, 24), (160, 48), (200, 60)):
        asyncio.run(measure_screen(size))
    with tempfile.TemporaryDirectory() as root:
        home = make_home(Path(root))
        reader = HomeReader(home, "UTC")
        measured("reading a home (SQLite, poller's thread)", lambda _: reader.read(LiveQuestion()))
        home.close()


if __name__ == "__main__":
    main()
