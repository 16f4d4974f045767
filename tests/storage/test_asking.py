"""Statements that stand alone: each sees what was committed before it and is committed itself, on either database."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Final

import pytest
import sqlalchemy as sa

from keyvault.errors import Unavailable
from keyvault.storage.asking import Asking
from keyvault.storage.compiled import Prepared
from keyvault.storage.engine import Database
from keyvault.storage.schema import aliases

NAME: Final = Prepared(sa.select(aliases.c.name).where(aliases.c.id == sa.bindparam("number", type_=sa.BigInteger)))
RENAME: Final = Prepared(
    sa.update(aliases)
    .where(aliases.c.id == sa.bindparam("number", type_=sa.BigInteger))
    .values(name=sa.bindparam("called", type_=sa.Text))
)


@pytest.fixture
def asking(database: Database) -> Asking:
    with database.write() as tx:
        tx.execute(sa.insert(aliases).values(id=1, name="gpt-5"))
    return database.asking


def test_a_question_sees_what_was_committed_before_it(database: Database, asking: Asking) -> None:
    assert asking.first(NAME, {"number": 1}) == ("gpt-5",)
    with database.write() as tx:
        tx.execute(sa.update(aliases).values(name="fast"))
    assert asking.first(NAME, {"number": 1}) == ("fast",)
    assert asking.first(NAME, {"number": 2}) is None


def test_a_change_is_there_for_everybody_when_it_returns(database: Database, asking: Asking) -> None:
    assert asking.touch(RENAME, {"number": 1, "called": "fast"}) == 1
    assert asking.touch(RENAME, {"number": 2, "called": "slow"}) == 0
    with database.read() as tx:
        assert tx.execute(sa.select(aliases.c.name)).scalars().all() == ["fast"]


def test_threads_share_it(asking: Asking) -> None:
    def rename(number: int) -> None:
        asking.touch(RENAME, {"number": 1, "called": f"{asking.first(NAME, {'number': 1})}"[:40]})
        seen.append(number)

    seen: list[int] = []
    threads = [threading.Thread(target=rename, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(8))


def test_what_fails_fails_as_in_a_transaction_and_the_next_question_is_answered(asking: Asking) -> None:
    with pytest.raises((Unavailable, sa.exc.DBAPIError)):
        asking.first(Prepared(sa.text("SELECT nothing FROM nowhere")), {})
    assert asking.first(NAME, {"number": 1}) == ("gpt-5",)


def test_a_database_that_cannot_be_opened_is_unavailable_as_for_a_transaction(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    database = Database(f"sqlite:///{folder / 'gateway.db'}")
    shutil.rmtree(folder)
    for _ in range(2):
        with pytest.raises(Unavailable):
            database.asking.first(NAME, {"number": 1})
    database.close()
