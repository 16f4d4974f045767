"""Tokens on their way to the newest pepper: noted when one is used, stored off the hot path.

Only whoever presents a token can move it, since nothing else knows what it is made of. Both forms are found until the
move is stored, so no request is refused meanwhile.
"""

from __future__ import annotations

import contextlib
from typing import Final

from keyvault.errors import SealError
from keyvault.storage import epochs, peppers
from keyvault.storage import keys as key_rows
from keyvault.storage.callers import UsableToken
from keyvault.storage.engine import Database
from keyvault.storage.peppers import Move

AT_ONCE: Final = 200
"""Tokens stored by one transaction, so that others need not wait long for theirs."""


class Moves:
    """What one proxy process has seen and not stored yet."""

    def __init__(self) -> None:
        self._noted: dict[bytes, Move] = {}

    def note(self, token: UsableToken, mac: bytes, pepper_version: int) -> None:
        """`mac`: the token's under the newest pepper."""
        self._noted[token.mac] = Move(token.caller.key_id, token.mac, mac, pepper_version)

    def store(self, database: Database) -> None:
        """Store some of the noted tokens; what cannot be stored now is kept for the next time."""
        batch = [self._noted.popitem()[1] for _ in range(min(AT_ONCE, len(self._noted)))]
        if not batch:
            return
        try:
            _store(database, batch)
        except SealError:
            for move in batch:
                with contextlib.suppress(SealError):  # a key changed by something else stays as it is, and is refused
                    _store(database, [move])
        except BaseException:
            for move in batch:
                self._noted.setdefault(move.old_mac, move)
            raise


def _store(database: Database, moves: list[Move]) -> None:
    with database.change() as tx:
        if moved := peppers.move(tx, moves):
            epoch = epochs.bump(tx, "keys")
            for key_id in moved:
                key_rows.stamp(tx, key_id, epoch)
