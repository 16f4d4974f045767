"""The price book: own prices before the catalogue's, effective dates, and filling that repeats without effect."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from keyvault.clock import EPOCH, Clock, to_ms
from keyvault.domain.prices import Price, Rates, flat
from keyvault.errors import NotFound, UsageError
from keyvault.metering.catalogue import Catalogue
from keyvault.metering.prices import Filled, PriceBook, Prices
from keyvault.storage import epochs
from keyvault.storage.engine import Database
from keyvault.storage.prices import Listed
from keyvault.storage.schema import audit, prices, upstreams
from tests.conftest import FrozenClock


def rates(dollars: int) -> Rates:
    return Rates(input=flat(dollars * 10**12), output=flat(0))


@pytest.fixture
def book(database: Database, clock: FrozenClock) -> Prices:
    """With an upstream `OpenAI` of the catalogue openai, and `local` of none."""
    row = {"provider": "p", "base_url": "", "dialects": "", "auth_header": "", "auth_scheme": "", "stream_usage": 0}
    with database.write() as tx:
        for name, catalogue in (("OpenAI", "openai"), ("local", None)):
            values = {**row, "name": name, "folded": name.lower(), "catalogue": catalogue, "created_ms": 0}
            tx.execute(sa.insert(upstreams).values(values))
    return Prices(database, clock)


def listed(model: str, dollars: int, clock: Clock, since: datetime = EPOCH, **fields: object) -> Listed:
    price = Price(0, None, "openai", model, rates(dollars), since, "list 1", clock.now())
    return Listed(replace(price, **fields), {"starts_with": model})  # type: ignore[arg-type]


def catalogue(*found: Listed) -> Catalogue:
    models: dict[tuple[str, str], tuple[Listed, ...]] = {}
    for item in found:
        key = (item.price.catalogue or "", item.price.model)
        models[key] = (*models.get(key, ()), item)
    return Catalogue("list 1", models, {"azure": ("openai",)})


def dollars(database: Database, model: str, at: datetime, place: str | None = "openai") -> int | None:
    with database.read() as tx:
        price = PriceBook.load(tx).find("OpenAI", place, model, to_ms(at))
    assert price is None or price.rates.input
    return price and price.rates.input and price.rates.input[0][1] // 10**12


def test_filling_twice_changes_nothing(book: Prices, database: Database, clock: FrozenClock) -> None:
    found = catalogue(listed("gpt-5", 1, clock), listed("gpt-4", 2, clock))
    assert book.fill(found) == Filled(2, 0, "list 1")
    clock.advance(days=1)
    assert book.fill(catalogue(listed("gpt-5", 1, clock), listed("gpt-4", 2, clock))) == Filled(0, 2, "list 1")
    with database.read() as tx:
        assert tx.execute(sa.select(sa.func.count()).select_from(prices)).scalar_one() == 2
        assert epochs.current(tx) == (0, 0, 0, 1, 0)
        assert tx.execute(sa.select(audit.c.action)).scalars().all() == ["prices.update"]


def test_a_changed_list_price_is_a_new_version_and_the_old_one_stays_on_record(
    book: Prices, database: Database, clock: FrozenClock
) -> None:
    book.fill(catalogue(listed("gpt-5", 1, clock), listed("gpt-4", 2, clock)))
    old = book.show("openai", "gpt-5")
    assert book.fill(catalogue(listed("gpt-5", 3, clock), listed("gpt-4", 2, clock))) == Filled(1, 1, "list 1")
    assert dollars(database, "gpt-5", clock.now()) == 3
    assert book.get(old.id) == old


def test_dated_list_prices_begin_when_they_say(book: Prices, database: Database, clock: FrozenClock) -> None:
    start = clock.now() + timedelta(days=3)
    book.fill(catalogue(listed("gpt-5", 4, clock), listed("gpt-5", 2, clock, start)))
    assert dollars(database, "gpt-5", start - timedelta(milliseconds=1)) == 4
    assert dollars(database, "gpt-5", start) == 2


@pytest.mark.parametrize(
    ("daily", "within", "without"),
    [((60, 240), ("01:00", "03:59"), ("00:59", "04:00")), ((990, 30), ("16:30", "00:29"), ("16:29", "00:30"))],
)
def test_off_peak_prices_apply_by_the_utc_clock(
    book: Prices,
    database: Database,
    clock: FrozenClock,
    daily: tuple[int, int],
    within: tuple[str, ...],
    without: tuple[str, ...],
) -> None:
    book.fill(catalogue(listed("gpt-5", 4, clock), listed("gpt-5", 1, clock, daily=daily)))

    def at(time: str) -> int | None:
        return dollars(database, "gpt-5", datetime.fromisoformat(f"2026-10-07T{time}+00:00"))

    assert [at(time) for time in within] == [1, 1]
    assert [at(time) for time in without] == [4, 4]


def test_an_own_price_comes_before_the_list_from_its_date_on(
    book: Prices, database: Database, clock: FrozenClock
) -> None:
    book.fill(catalogue(listed("gpt-5", 4, clock)))
    start = clock.now() + timedelta(days=1)
    price = book.set_own("openai", "gpt-5", rates(1), start)
    assert (price.upstream, price.source) == ("OpenAI", "own")
    assert dollars(database, "gpt-5", start - timedelta(seconds=1)) == 4
    assert dollars(database, "gpt-5", start) == 1
    assert dollars(database, "gpt-5-mini", start) == 4
    book.set_own("OPENAI", "gpt-5", rates(2), start)
    assert dollars(database, "gpt-5", start) == 2
    with database.read() as tx:
        assert epochs.current(tx)[3] == 3


def test_a_resold_model_takes_the_price_of_its_maker(book: Prices, database: Database, clock: FrozenClock) -> None:
    book.fill(catalogue(listed("gpt-5", 4, clock)))
    assert dollars(database, "gpt-5", clock.now(), "azure") == 4
    assert dollars(database, "gpt-5", clock.now(), "groq") is None
    assert dollars(database, "gpt-5", clock.now(), None) is None


def test_a_model_without_a_price_is_not_free(book: Prices) -> None:
    with pytest.raises(NotFound) as caught:
        book.show("local", "my-model")
    assert caught.value.hint == "gwctl prices set local/my-model --input USD --output USD"


def test_a_price_for_an_upstream_that_does_not_exist_is_refused(book: Prices) -> None:
    with pytest.raises(NotFound) as caught:
        book.set_own("opena", "gpt-5", rates(1))
    assert caught.value.hint == "did you mean OpenAI?"
    with pytest.raises(UsageError):
        book.set_own("openai", "not a model", rates(1))


def test_the_list_shows_what_is_in_force(book: Prices, clock: FrozenClock) -> None:
    later = clock.now() + timedelta(days=1)
    book.fill(catalogue(listed("gpt-5", 4, clock), listed("gpt-5", 3, clock, later), listed("o3", 2, clock)))
    book.set_own("local", "my-model", rates(1))
    shown = [(p.upstream or p.catalogue, p.model, p.rates) for p in book.list()]
    assert shown == [("local", "my-model", rates(1)), ("openai", "gpt-5", rates(4)), ("openai", "o3", rates(2))]
    assert [p.model for p in book.list(own=True)] == ["my-model"]
    assert [p.model for p in book.list(model="GPT-*")] == ["gpt-5"]
    assert [p.model for p in book.list("local")] == ["my-model"]
    assert [p.model for p in book.list("openai")] == ["gpt-5", "o3"]
    assert len(book.versions("openai", "gpt-5")) == 2


def test_the_installed_catalogue_fills_a_book(book: Prices, database: Database, clock: FrozenClock) -> None:
    filled = book.fill_from_catalogue()
    assert filled.added > 2000
    assert filled.source.startswith("genai-prices ")
    assert book.fill_from_catalogue() == Filled(0, filled.added, filled.source)
    assert book.show("openai", "gpt-5").rates.output == flat(10 * 10**12)
