"""`python -m tests.benchmarks.closing`: how long others wait while a month of many customers is closed.

`create_all` freezes a month of 300 customers in one process; another one writes meanwhile, one transaction after the
other, as a command or a worker does. What its slowest transaction took is what somebody waited at most. Aim: 250 ms.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from keyvault.home import Home
from keyvault.money import PICO_PER_USD
from keyvault.storage import customers, epochs
from keyvault.storage.closing import NewAdjustment, add_waiting
from tests.proxy.harness import new_home

CLOSE: Final = """
import os, sys, time
from keyvault.home import Home
home = Home(os.environ)
home.seals.open()
print("ready", flush=True)
sys.stdin.readline()
began = time.perf_counter()
made = home.statements.create_all(sys.argv[1])
print(f"{len(made)} statements in {time.perf_counter() - began:.2f} s", flush=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        home = new_home(Path(root) / "home")
        month = fill(home, options.customers)
        measure(home, month)
        home.close()


def fill(home: Home, count: int) -> str:
    """Customers of whom there is something to say; last month's name."""
    now = home.clock.now()
    last = now.replace(day=1) - timedelta(days=1)
    began = datetime(last.year, last.month, 1, tzinfo=UTC)
    began_ms = int(began.timestamp() * 1000)
    with home.database.change() as tx:
        ids = [
            customers.insert_customer(tx, f"c{n}", multiplier_ppm=1_000_000, tags={}, created_ms=began_ms)
            for n in range(count)
        ]
        told = [NewAdjustment(i, "", "", PICO_PER_USD, f"seat {n}") for i in ids for n in range(5)]
        add_waiting(tx, told, began_ms)
        epochs.bump(tx, "keys")
    return f"{began:%Y-%m}"


def measure(home: Home, month: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CLOSE, month],
        env=dict(home.environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as closing:
        assert closing.stdin
        assert closing.stdout
        closing.stdout.readline()
        alone = [written(home) for _ in range(50)]
        closing.stdin.write("\n")
        closing.stdin.flush()
        waits = []
        while closing.poll() is None:
            waits.append(written(home))
        print(closing.stdout.readline().strip())
    waits.sort()
    print(f"{len(waits)} transactions of another process meanwhile")
    print(f"middle {waits[len(waits) // 2]:.1f} ms, slowest {waits[-1]:.1f} ms (alone {max(alone):.1f} ms)")


def written(home: Home) -> float:
    """Milliseconds that a transaction took which changes next to nothing."""
    began = time.perf_counter()
    with home.database.write() as tx:
        tx.execute(sa.text("UPDATE epochs SET money = money"))
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
