"""When the vault's duties were last done: facts that `gwctl vault status` tells without unlocking.

They are for people who plan the next time. Nothing is decided by them; the audit log says who did it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from keyvault.clock import Clock, from_ms
from keyvault.domain.vault import Compartment
from keyvault.storage import vault as rows
from keyvault.storage.engine import Transaction

ROTATED_PEPPER: Final = "pepper_rotated"
CHANGED_PASSPHRASE: Final = "passphrase_changed"
TESTED_RECOVERY: Final = "recovery_tested"


def rotated_data(compartment: Compartment) -> str:
    return f"{compartment.value}_data_rotated"


DUTIES: Final = (
    *(rotated_data(compartment) for compartment in Compartment),
    ROTATED_PEPPER,
    CHANGED_PASSPHRASE,
    TESTED_RECOVERY,
)


def happened(tx: Transaction, clock: Clock, duty: str) -> None:
    """Remember that a duty was done just now."""
    rows.set_fact(tx, f"last.{duty}", str(clock.now_ms()))


def last_done(tx: Transaction) -> dict[str, datetime | None]:
    """Each duty → when it was last done, None: never."""
    return {duty: _moment(rows.fact(tx, f"last.{duty}")) for duty in DUTIES}


def _moment(written: str | None) -> datetime | None:
    """Whoever can write the database may have put anything there: what is no time counts as never."""
    if written is None or not (written.isascii() and written.isdigit() and len(written) < 15):
        return None
    return from_ms(int(written))
