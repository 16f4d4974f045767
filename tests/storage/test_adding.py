"""Adding to totals: a narrow update comes to the same as adding every column, on either database."""

from __future__ import annotations

import random
from collections import Counter

import sqlalchemy as sa

from keyvault.storage.adding import MOST, Adding
from keyvault.storage.compiled import positional_dialect
from keyvault.storage.engine import Database
from keyvault.storage.ledger import LedgerStore
from keyvault.storage.ledger_statements import ADDED
from keyvault.storage.schema import SUMS, totals_day, totals_minute, totals_quarter

TABLES = (totals_minute, totals_quarter, totals_day)


class Texts:
    """A cursor that notes what it is told, and says that it has met a row."""

    rowcount = 1

    def __init__(self) -> None:
        self.told: list[tuple[str, tuple[int, ...]]] = []

    def execute(self, text: str, values: tuple[int, ...]) -> None:
        self.told.append((text, values))


def some_amounts(chance: random.Random) -> list[int]:
    """Mostly zeros, with their last other value anywhere."""
    last = chance.randrange(len(ADDED) + 1)
    return [chance.choice((0, 0, 1, 10**12)) if at < last else 0 for at in range(len(ADDED))]


def test_whatever_is_added_is_there_once(database: Database) -> None:
    chance = random.Random(7)
    expected: dict[str, dict[tuple[int, ...], Counter[str]]] = {table.name: {} for table in TABLES}
    store = LedgerStore(database)
    for _ in range(60):
        told = []
        for table in TABLES:
            keys = chance.sample([(bucket, 1, 2, 3, payer) for bucket in (5, 6) for payer in (0, 9)], 2)
            rows = [(key, some_amounts(chance)) for key in keys]
            told.append(rows)
            for key, amounts in rows:
                expected[table.name].setdefault(key, Counter()).update(dict(zip(ADDED, amounts, strict=True)))
        with store.transaction() as tx:
            tx.add_totals(*told)
    store.close()
    for table in TABLES:
        with database.read() as tx:
            found = {tuple(row[:5]): dict(zip(SUMS, row[5:], strict=True)) for row in tx.execute(sa.select(table))}
        assert found == {key: dict(amounts) for key, amounts in expected[table.name].items()}


def test_a_sum_of_money_beyond_what_the_database_can_say_stays_a_whole_number(database: Database) -> None:
    store, key = LedgerStore(database), (5, 1, 2, 3, 0)
    for pico in (MOST - 10, 3, MOST, 0, 1):
        rows = [(key, [pico if name.endswith("_pico") else 1 for name in ADDED])]
        with store.transaction() as tx:
            tx.add_totals(rows, rows, rows)
    store.close()
    with database.read() as tx:
        [found] = tx.execute(sa.select(totals_day)).mappings()
    money = [found[name] for name in ("cost_pico", "charge_pico", "doubt_pico")]
    assert money == [MOST] * 3
    assert {type(pico) for pico in money} == {int}
    assert found["requests"] == 5


def test_everything_that_is_summed_is_added_in_some_order() -> None:
    assert sorted(ADDED) == sorted(SUMS)


def test_an_update_carries_no_more_than_it_has_to() -> None:
    adding = Adding(totals_day, ADDED, positional_dialect(is_sqlite=True), widths=(3, 6))
    cursor = Texts()
    for at in (0, 2, 3, 5, 6, 49):
        adding.run(cursor, [((1, 2, 3, 4, 5), [int(each == at) for each in range(len(ADDED))])])
    assert [len(values) - 5 for _, values in cursor.told] == [3, 3, 6, 6, 50, 50]
    assert len({text for text, _ in cursor.told}) == 3
