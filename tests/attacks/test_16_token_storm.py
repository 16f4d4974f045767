"""16. A thousand bad tokens a second from one address → slowed, nobody else locked out, no database write per try."""

from __future__ import annotations

import asyncio
from pathlib import Path

from keyvault.proxy.door import BURST
from keyvault.storage.engine import sqlite_module
from tests.attacks.door import ask, guarded

WRONG = b"authorization: Bearer sk-gw_live_nope"


async def test_a_storm_of_wrong_keys_is_slowed_and_hurts_nobody(tmp_path: Path) -> None:
    async with guarded(tmp_path) as (gw, _provider):
        key = b"authorization: Bearer " + gw.key.encode()
        written = writes(tmp_path)
        tries = [asyncio.create_task(ask(gw, WRONG)) for _ in range(BURST + 60)]
        await asyncio.wait(tries, return_when=asyncio.FIRST_COMPLETED)
        held = [task for task in tries if not task.done()]
        good = await ask(gw, key)  # from the same address, while answers are held back

        still_held = [task for task in held if not task.done()]
        answers = await asyncio.gather(*tries)
        after = writes(tmp_path)
    assert good.status == 200
    assert still_held, "nothing was slowed"
    assert len(set(answers)) == 1
    assert answers[0].status == 401
    assert after.keys() == written.keys()
    # One good request, the worker's heartbeat; eighty tries left no row anywhere.
    assert {name: after[name] - written[name] for name in after if after[name] != written[name]}.keys() <= {
        "attempts", "totals_minute", "totals_quarter", "totals_day", "aliases", "targets", "ledger_changes",
        "meta", "alerts",
    }  # fmt: skip
    assert sum(after.values()) - sum(written.values()) < 10


def writes(tmp_path: Path) -> dict[str, int]:
    """Rows of each table."""
    connection = sqlite_module().connect(str(tmp_path / "home" / "data" / "gateway.db"))
    try:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names}
    finally:
        connection.close()
