"""Routes and their revisions, on both databases."""

from __future__ import annotations

import pytest

from keyvault import audit
from keyvault.domain.endpoints import Dialect
from keyvault.domain.routes import Route, Target
from keyvault.domain.vault import Upstream
from keyvault.errors import NotFound, UsageError
from keyvault.routing.routes import Routes
from keyvault.storage import audit as audit_rows
from keyvault.storage import epochs, upstreams
from keyvault.storage.engine import Database
from tests.conftest import FrozenClock

GPT, LLAMA = Target("openai", "gpt-5"), Target("groq", "meta/llama-4")


@pytest.fixture
def routes(database: Database, clock: FrozenClock) -> Routes:
    with database.write() as tx:
        for name in ("openai", "groq"):
            upstream = Upstream(
                id=0,
                name=name,
                provider="custom",
                base_url="https://api.example.com/v1",
                dialects=frozenset({Dialect.CHAT}),
                auth_header="",
                auth_scheme="",
                stream_usage=True,
                catalogue=None,
                created_at=clock.now(),
            )
            upstreams.insert(tx, upstream)
    return Routes(database, clock)


def test_before_the_first_change_there_is_revision_0_without_routes(routes: Routes) -> None:
    assert (routes.current().number, routes.current().routes) == (0, ())
    assert routes.history() == []


def test_each_change_is_a_new_revision_and_the_old_ones_stay(routes: Routes, clock: FrozenClock) -> None:
    first = routes.set("smart", [GPT, LLAMA])
    clock.advance(seconds=60)
    second = routes.set("fast", [LLAMA])
    third = routes.delete("smart")
    assert [r.number for r in (first, second, third)] == [1, 2, 3]
    assert routes.current() == third
    assert routes.history() == [third, second, first]
    assert routes.history(limit=1) == [third]
    assert first.routes == (Route.of("smart", (GPT, LLAMA)),)
    assert second.routes == (Route.of("fast", (LLAMA,)), Route.of("smart", (GPT, LLAMA))), "sorted by alias"
    assert second.created_at == clock.now()
    assert second.actor == audit.actor()


def test_setting_an_alias_again_replaces_its_targets(routes: Routes) -> None:
    routes.set("smart", [GPT])
    assert routes.set("smart", [LLAMA]).routes == (Route.of("smart", (LLAMA,)),)


def test_setting_what_holds_already_makes_no_revision(routes: Routes) -> None:
    first = routes.set("smart", [GPT])
    assert routes.set("smart", [GPT]) == first
    assert len(routes.history()) == 1


def test_aliases_differ_by_case(routes: Routes) -> None:
    routes.set("smart", [GPT])
    assert len(routes.set("Smart", [GPT]).routes) == 2


def test_upstreams_are_spelled_as_they_were_created(routes: Routes) -> None:
    assert routes.set("smart", [Target("OpenAI", "gpt-5")]).routes[0].targets == (GPT,)


def test_nonsense_makes_no_revision(routes: Routes) -> None:
    with pytest.raises(NotFound) as caught:
        routes.set("smart", [Target("opnai", "gpt-5")])
    assert caught.value.hint == "did you mean openai?"
    with pytest.raises(UsageError, match="needs a target"):
        routes.set("smart", [])
    with pytest.raises(UsageError, match="each target once"):
        routes.set("smart", [GPT, Target("OPENAI", "gpt-5")])
    with pytest.raises(UsageError, match="not a name that clients could ask for"):
        routes.set("sm art", [GPT])
    with pytest.raises(UsageError, match="not a valid model name"):
        routes.set("smart", [Target("openai", "gpt\n5")])
    assert routes.current().number == 0


def test_an_unknown_alias_cannot_be_deleted(routes: Routes) -> None:
    routes.set("smart", [GPT])
    with pytest.raises(NotFound) as caught:
        routes.delete("smrat")
    assert caught.value.hint == "did you mean smart?"


def test_a_change_is_audited_and_moves_the_epoch_of_routes(routes: Routes, database: Database) -> None:
    routes.set("smart", [GPT])
    routes.delete("smart")
    with database.read() as tx:
        assert epochs.current(tx)[2] == 2
        entries = [(row["action"], row["scope"]) for row in audit_rows.oldest_first(tx)]
    assert entries == [("routes.set", "route:smart"), ("routes.delete", "route:smart")]
