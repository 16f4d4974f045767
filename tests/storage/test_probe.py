"""The probe of a database says whether it takes writes, and changes nothing."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from keyvault.errors import Unavailable
from keyvault.storage import epochs, probe
from keyvault.storage.engine import Database


def test_a_healthy_database_is_whole_and_takes_writes(database: Database) -> None:
    with database.read() as tx:
        before = epochs.current(tx)
    assert probe.damage(database) is None
    probe.write(database, 1000)
    with database.read() as tx:
        assert epochs.current(tx) == before


def test_a_lock_that_is_not_given_back_is_found(database: Database) -> None:
    with database.write() as tx:
        tx.execute(sa.text("UPDATE epochs SET keys = keys"))
        with pytest.raises(Unavailable, match=r"the database cannot be written: .*lock"):
            probe.write(database, 50)
    probe.write(database, 50)
