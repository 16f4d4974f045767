"""`python -m tests.benchmarks.rewrap --records 10000`: data keys rotated under a proxy that is being used.

All records are sealed anew while clients ask without a pause, and the proxy is made to open its credentials again
several times a second, under whichever data key they are just then. Exit status 1 if one request fails.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keyvault.domain.vault import Compartment
from keyvault.home import Home
from keyvault.storage import epochs
from tests.benchmarks import contenders, load
from tests.records import seal_many

CONNECTIONS: Final = 8
LOAD_SECONDS: Final = 1.0
RENEWALS_PER_SECOND: Final = 5


@dataclass(frozen=True, slots=True)
class Measured:
    records: int
    seconds: float
    requests: int
    """Answered during the rotation and a moment on either side."""
    failed: int


def measure(directory: Path, records: int) -> Measured:
    """Rotate the data key of the providers' secrets once, under load."""
    with contenders.provider() as upstream, contenders.gateway(directory, upstream) as gateway:
        home = Home({"GWCTL_HOME": str(directory / "home")})
        seal_many(home, "bench", records)
        with _asked(gateway) as loads, _renewed(home):
            began = time.perf_counter()
            done = home.data_keys.rotate(Compartment.UPSTREAM)
            seconds = time.perf_counter() - began
        home.close()
    assert done.destroyed, "the old data key is still there"
    return Measured(done.rewrapped, seconds, sum(one.requests for one in loads), sum(one.errors for one in loads))


@contextmanager
def _asked(gateway: contenders.Contender) -> Iterator[list[load.Load]]:
    """Ask the gateway without a pause while the block runs, and once before and after it."""
    loads: list[load.Load] = []

    def ask() -> None:
        body = load.prompt("bench-whole", 200)
        loads.append(load.run(gateway.url, gateway.headers, body, connections=CONNECTIONS, seconds=LOAD_SECONDS))

    ask()
    with _repeated(ask, every=0):
        yield loads
    ask()


@contextmanager
def _renewed(home: Home) -> Iterator[None]:
    """Have the proxy open its credentials again and again."""

    def bump() -> None:
        with home.database.write() as tx:
            epochs.bump(tx, "upstreams")

    with _repeated(bump, every=1 / RENEWALS_PER_SECOND):
        yield


@contextmanager
def _repeated(action: Callable[[], None], *, every: float) -> Iterator[None]:
    """Do something in a thread of its own until the block ends."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(every):
            action()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.rewrap", description=__doc__)
    parser.add_argument("--records", type=int, default=10_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        found = measure(Path(directory), arguments.records)
    print(f"records sealed anew    {found.records:>10,}")
    print(f"seconds                {found.seconds:>10.2f}")
    print(f"records per second     {found.records / found.seconds:>10,.0f}")
    print(f"requests meanwhile     {found.requests:>10,}")
    print(f"failed                 {found.failed:>10,}")
    return 1 if found.failed else 0


if __name__ == "__main__":
    sys.exit(main())
