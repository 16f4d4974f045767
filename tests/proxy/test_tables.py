"""What a worker has in memory is as of every change that was made before a request came."""

from __future__ import annotations

import asyncio
from pathlib import Path

from keyvault.proxy.tables import Tables
from tests.proxy.harness import new_home


async def test_a_look_of_a_task_hides_no_change_from_a_request_received_later_in_the_same_turn(tmp_path: Path) -> None:
    home = new_home(tmp_path / "home")
    tables = Tables(home)
    tables.look()
    secret = home.keys.create("late").secret.reveal().encode()
    tables.refresh()
    assert tables.directory.find(secret) is not None
    tables.close()
    home.close()


async def test_requests_that_are_received_together_are_judged_by_one_look(tmp_path: Path) -> None:
    home = new_home(tmp_path / "home")
    tables = Tables(home)
    tables.refresh()
    secret = home.keys.create("late").secret.reveal().encode()
    tables.refresh()
    assert tables.directory.find(secret) is None
    await asyncio.sleep(0)
    tables.refresh()
    assert tables.directory.find(secret) is not None
    tables.close()
    home.close()
