"""`python -m tests.benchmarks.directory`: what it costs to know who is calling, over 10,000 keys.

Budget: 6 µs to authenticate. The whole of it: form, checksum, MAC, look-up, comparison, expiry.
"""

from __future__ import annotations

import itertools
import tempfile
import timeit
from collections.abc import Callable
from pathlib import Path

from keyvault.clock import Clock
from keyvault.domain.keys import GenerationState, Policy
from keyvault.keys import token
from keyvault.keys.customers import Customers
from keyvault.keys.directory import Directory
from keyvault.keys.lifecycle import Keys
from keyvault.storage import epochs, migrations
from keyvault.storage import keys as rows
from keyvault.storage.engine import Database
from tests.pepper import PEPPER, FixedPepper

KEYS = 10_000


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        database = Database(f"sqlite:///{Path(home) / 'gateway.db'}")
        migrations.upgrade(database)
        clock = Clock()
        Customers(database, clock).ensure_default()
        tokens = _fill(database, clock)
        directory = Directory(database, FixedPepper().peppers, clock=clock)
        print(f"load {KEYS:,} keys            {_ms(directory.load):8.1f} ms")
        _authenticate(directory, tokens, clock.now_ms())
        _follow(database, directory, clock)
        database.close()


def _authenticate(directory: Directory, tokens: list[bytes], now_ms: int) -> None:
    known = itertools.cycle(tokens).__next__
    stranger = token.mint("live", "0" * 12, bytes(32)).encode()
    caller = directory.authenticate(tokens[0], now_ms)
    assert caller is not None
    assert directory.authenticate(stranger, now_ms) is None
    print(f"authenticate, known          {_us(lambda: directory.authenticate(known(), now_ms)):8.2f} µs")
    print(f"authenticate, unknown        {_us(lambda: directory.authenticate(stranger, now_ms)):8.2f} µs")
    print(f"authenticate, malformed      {_us(lambda: directory.authenticate(b'sk-123', now_ms)):8.2f} µs")
    print(f"note a use                   {_us(lambda: directory.used(caller, now_ms, 'a', 'b')):8.2f} µs")


def _follow(database: Database, directory: Directory, clock: Clock) -> None:
    def follow() -> None:
        with database.read() as tx:
            directory.refresh(epochs.current(tx)[0])

    Keys(database, FixedPepper(), clock).update("key-7", tags={"changed": "yes"})
    print(f"follow one changed key       {_ms(follow):8.2f} ms")
    Customers(database, clock).update("default", suspended=True)
    print(f"follow {KEYS:,} changed keys  {_ms(follow):8.2f} ms")


def _fill(database: Database, clock: Clock) -> list[bytes]:
    project = Customers(database, clock).get_project("default/default")
    tokens = []
    with database.write() as tx:
        epoch = epochs.bump(tx, "keys")
        for n in range(KEYS):
            public_id = token.public_id(clock.random_bytes(token.PUBLIC_ID_BYTES))
            text = token.mint("live", public_id, clock.random_bytes(token.SECRET_BYTES))
            key_id = rows.insert(
                tx,
                public_id=public_id,
                name=f"key-{n}",
                project_id=project.id,
                env="live",
                policy=Policy(),
                tags={},
                created_ms=clock.now_ms(),
                expires_ms=None,
                epoch=epoch,
            )
            mac = token.mac(PEPPER, text.encode())
            new = rows.NewGeneration(1, mac, 1, token.mask(text), GenerationState.ACTIVE, clock.now_ms())
            rows.insert_generation(tx, key_id, new)
            tokens.append(text.encode())
    return tokens


def _us(call: Callable[[], object], rounds: int = 50_000) -> float:
    return min(timeit.repeat(call, number=rounds, repeat=5)) / rounds * 1e6


def _ms(call: Callable[[], object]) -> float:
    return timeit.timeit(call, number=1) * 1e3


if __name__ == "__main__":
    main()
