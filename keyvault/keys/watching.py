"""All keys as they are now, for somebody who looks again every second.

Read anew is only what changed: the keys that an epoch says something of, and the generations used since the last look.
A key that is as it was is the same object as before, so that whoever looks can tell at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final

from keyvault.clock import EPOCH, to_ms
from keyvault.domain.keys import Key
from keyvault.storage import epochs, switch
from keyvault.storage import keys as rows
from keyvault.storage.engine import Database, Transaction
from keyvault.storage.keys import LastUse

_LATE: Final = timedelta(seconds=30)
"""How long after a use its worker may have written it down."""


class KeyWatch:
    """Belongs to one thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keys: dict[int, Key] = {}
        self._epoch = -1
        self._everybody = False
        self._used = EPOCH

    def read(self) -> Mapping[int, Key]:
        """Every key by its id, deleted ones too as long as their names are not free. Another mapping than before only
        where a key is another."""
        with self._database.read() as tx:
            epoch, everybody = epochs.current(tx)[epochs.AGGREGATES.index("keys")], switch.suspended(tx)
            known = self._keys
            if everybody != self._everybody or epoch < self._epoch:
                self._epoch, known = -1, {}
            if epoch != self._epoch:
                known = _changed(tx, known, self._epoch)
            uses = rows.used_since(tx, to_ms(max(EPOCH, self._used - _LATE)))
        self._keys = _used(known, uses)
        self._epoch, self._everybody = epoch, everybody
        self._used = max((use.at for use in uses), default=self._used)
        return self._keys


def _changed(tx: Transaction, known: Mapping[int, Key], epoch: int) -> dict[int, Key]:
    gone = frozenset(rows.freed_since(tx, epoch))
    kept = {key_id: key for key_id, key in known.items() if key_id not in gone}
    return kept | {key.id: key for key in rows.changed_since(tx, epoch)}


def _used(known: dict[int, Key], uses: Iterable[LastUse]) -> dict[int, Key]:
    later: dict[int, Key] = {}
    for use in uses:
        key = later.get(use.key_id) or known.get(use.key_id)
        generation = key.generation(use.generation) if key else None
        if key is None or generation is None or generation.last_used_at == use.at:
            continue
        told = replace(generation, last_used_at=use.at, last_client=use.client, last_address=use.address)
        others = tuple(told if each is generation else each for each in key.generations)
        later[key.id] = replace(key, generations=others)
    return {**known, **later} if later else known
