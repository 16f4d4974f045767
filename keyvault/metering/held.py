"""What is held for requests under way, as the running workers told last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from keyvault.storage import workers
from keyvault.storage.engine import Transaction

LIVE_MS: Final = 5_000
"""A worker not heard from for longer is taken for gone, and what it held with it."""


def held_on(tx: Transaction, what: Literal["budgets", "balances"], now_ms: int) -> Mapping[int, int] | None:
    """Pico-dollars by id, those of which something is held; None where no worker runs."""
    told = [worker.state.get("held", {}).get(what, {}) for worker in workers.list_workers(tx, now_ms - LIVE_MS)]
    held: dict[int, int] = {}
    for of_worker in told:
        for number, pico in of_worker.items():
            held[int(number)] = held.get(int(number), 0) + pico
    return held if told else None
