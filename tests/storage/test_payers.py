"""Who can be named as a payer: the directory in memory against the database it reads, on both databases."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal

import pytest

from keyvault.errors import Refusal
from keyvault.keys.customers import Customers
from keyvault.keys.payers import Payers
from keyvault.storage.engine import Database, Transaction
from tests.conftest import FrozenClock


class House:
    """Customers on one side, a proxy's payers on the other; `asked` is which rows were checked at each reading."""

    def __init__(self, database: Database, clock: FrozenClock) -> None:
        self.customers = Customers(database, clock)
        self.bad: set[tuple[str, int]] = set()
        self.asked: list[tuple[str, set[int]]] = []
        self.payers = Payers(database, self._doubted)

    def _doubted(self, tx: Transaction, name: str, ids: Collection[int]) -> set[int]:
        self.asked.append((name, set(ids)))
        return {number for number in ids if (name, number) in self.bad}

    def make(self, *paths: str) -> None:
        for path in paths:
            customer = path.partition("/")[0]
            if customer not in {each.name for each in self.customers.list()}:
                self.customers.create(customer)
            self.customers.create_project(path)

    def pays(self, customer: str, project: str | None = None, like: str = "app") -> str:
        """The path of who pays, or the code of the refusal."""
        try:
            return self.payers.find(customer, project, like).path
        except Refusal as refusal:
            return refusal.error_code


@pytest.fixture
def house(database: Database, clock: FrozenClock) -> House:
    return House(database, clock)


def test_the_project_of_the_same_name_pays_else_default_else_the_only_one(house: House) -> None:
    house.make("a/app", "a/default", "b/default", "b/x", "c/only", "d/x", "d/y")
    house.customers.create("empty")
    assert [house.pays(name) for name in ("a", "B", "c", "d", "empty", "nobody")] == [
        "a/app", "b/default", "c/only", "ambiguous_payer", "unknown_payer", "unknown_payer",
    ]  # fmt: skip
    assert house.pays("A", "DEFAULT") == "a/default"
    assert house.pays("a", "x") == "unknown_payer"


def test_nothing_is_read_before_somebody_asks_nor_again_before_something_changes(house: House) -> None:
    house.make("a/app")
    assert house.asked == []
    assert house.pays("a") == "a/app"
    house.make("b/app")
    assert house.pays("b") == "unknown_payer"
    house.payers.outdated()
    assert house.pays("b") == "b/app"


def test_a_changed_price_and_a_suspension_count_when_it_is_read_again(house: House) -> None:
    house.make("a/app", "a/web")
    assert house.payers.find("a", None, "app").multiplier_ppm == 1_000_000
    house.customers.update("a", multiplier=Decimal("1.15"))
    house.customers.update_project("a/web", suspended=True)
    house.payers.outdated()
    assert house.payers.find("a", None, "app").multiplier_ppm == 1_150_000
    assert house.pays("a", "web") == "payer_suspended"
    house.customers.update("a", suspended=True)
    house.payers.outdated()
    assert house.pays("a") == "payer_suspended"


def test_only_rows_that_are_new_or_others_than_before_are_asked_about_and_those_in_doubt_again(house: House) -> None:
    house.make("a/app", "b/app")
    house.bad.add(("customers", 1))
    assert [house.pays("a"), house.pays("b")] == ["payer_suspended", "b/app"]
    assert house.asked == [("projects", {1, 2}), ("customers", {1, 2})]
    house.asked.clear()
    house.make("c/app")
    house.bad.clear()
    house.payers.outdated()
    assert [house.pays("a"), house.pays("c")] == ["a/app", "c/app"]
    assert house.asked == [("projects", {1, 3}), ("customers", {1, 3})]
    house.asked.clear()
    house.bad.add(("projects", 2))
    house.payers.outdated(distrusted=True)
    assert [house.pays("a"), house.pays("b")] == ["a/app", "payer_suspended"]
    assert house.asked[0] == ("projects", {1, 2, 3})


def test_who_was_deleted_cannot_be_named_and_stands_in_nobodys_way(house: House) -> None:
    house.make("acme/web", "acme/old", "beta/app")
    assert (house.pays("acme"), house.pays("beta")) == ("ambiguous_payer", "beta/app")
    house.customers.delete_project("acme/old")
    house.customers.delete("beta")
    house.payers.outdated()
    assert (house.pays("acme"), house.pays("acme", "old"), house.pays("beta")) == ("acme/web", *["unknown_payer"] * 2)
    house.make("beta/app")
    house.payers.outdated()
    assert house.pays("beta") == "beta/app"
