"""Data keys and peppers rotated under a gateway that serves: no request is refused, and tokens move by being used."""

from __future__ import annotations

import asyncio
from pathlib import Path

from keyvault.domain.vault import Compartment
from keyvault.home import Home
from keyvault.storage import epochs
from keyvault.storage.engine import Database
from tests.proxy.harness import add_upstream, new_home, running
from tests.proxy.scripted import Line, Provider, Seen, completion


async def answer_well(seen: Seen, line: Line) -> None:
    await line.answer(200, completion())


def renew(database: Database) -> None:
    """Have the gateway open its credentials again before its next request."""
    with database.write() as tx:
        epochs.bump(tx, "upstreams")


async def moved(database: Database) -> None:
    """Wait until the gateway has stored every token under the newest pepper."""
    for _ in range(500):
        with database.read() as tx:
            if tx.exec_driver_sql("SELECT min(pepper_version) FROM key_generations").scalar_one() > 1:
                return
        await asyncio.sleep(0.01)
    raise AssertionError("no token moved")


async def test_rotations_of_every_kind_refuse_nobody(tmp_path: Path) -> None:
    async with Provider(answer_well).running() as provider:
        home = new_home(tmp_path / "home")
        add_upstream(home, "openai", provider.url)
        async with running(home) as gw:
            operator = Home(home.environ)
            statuses = [(await gw.chat()).status_code]
            for compartment in (*Compartment, *Compartment):
                await asyncio.to_thread(operator.data_keys.rotate, compartment)
                renew(operator.database)
                statuses.append((await gw.chat()).status_code)
            await asyncio.to_thread(operator.peppers.rotate)
            statuses.append((await gw.chat()).status_code)
            await moved(home.database)
            await asyncio.to_thread(operator.peppers.finish)
            renew(operator.database)
            statuses.append((await gw.chat()).status_code)
            operator.close()
    assert statuses == [200] * 7
