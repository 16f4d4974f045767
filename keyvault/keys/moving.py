"""Tokens on their way to the newest pepper: noted when one is used, stored off the hot path.

Only whoever presents a token can move it, since nothing else knows what it is made of. Both forms are found until the
move is stored, so no request is refused meanwhile.
"""

from __future__ import annotations

import contextlib
import math
from typing import Final

from keyvault.clock import Clock
from keyvault.errors import SealError, TamperedRow
from keyvault.storage import epochs, peppers
from keyvault.storage import keys as key_rows
from keyvault.storage.callers import UsableToken
from keyvault.storage.engine import Database
from keyvault.storage.peppers import Move

AT_ONCE: Final = 200
"""Tokens stored by one transaction, so that others need not wait long for theirs."""
AGAIN_SECONDS: Final = 60.0
"""Each try looks at the whole database, which somebody has to put right first."""


class Moves:
    """What one proxy process has seen and not stored yet."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._not_before = -math.inf
        """When to try again, by the monotonic clock, after the whole database was found changed."""
        self._noted: dict[bytes, Move] = {}

    def note(self, token: UsableToken, mac: bytes, pepper_version: int) -> None:
        """`mac`: the token's under the newest pepper."""
        self._noted[token.mac] = Move(token.caller.key_id, token.mac, mac, pepper_version)

    def store(self, database: Database) -> None:
        """Store some of the noted tokens; what cannot be stored now is kept for the next time."""
        if not self._noted or self._clock.monotonic() < self._not_before:
            return
        batch = [self._noted.popitem()[1] for _ in range(min(AT_ONCE, len(self._noted)))]
        try:
            _store_but_changed(database, batch)
        except SealError:
            self._keep(batch)  # the proxy's watch over the rows tells of it
            self._not_before = self._clock.monotonic() + AGAIN_SECONDS
        except BaseException:
            self._keep(batch)
            raise

    def _keep(self, batch: list[Move]) -> None:
        for move in batch:
            self._noted.setdefault(move.old_mac, move)


def _store_but_changed(database: Database, batch: list[Move]) -> None:
    """Store all, but for keys changed by something else: they stay as they are, and are refused."""
    try:
        _store(database, batch)
    except TamperedRow:
        for move in batch:
            with contextlib.suppress(TamperedRow):
                _store(database, [move])


def _store(database: Database, moves: list[Move]) -> None:
    with database.change() as tx:
        if moved := peppers.move(tx, moves):
            epoch = epochs.bump(tx, "keys")
            for key_id in moved:
                key_rows.stamp(tx, key_id, epoch)
