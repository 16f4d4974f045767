"""Routes and their revisions, on both databases."""

from __future__ import annotations

import json

import pytest

from keyvault import audit
from keyvault.domain.endpoints import Dialect
from keyvault.domain.routes import Route, Target
from keyvault.domain.vault import Upstream
from keyvault.errors import ConfigurationError, Conflict, NotFound, UsageError
from keyvault.routing import described
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


FAST = '[routes.fast]\ntargets = ["groq/meta/llama-4"]\n'
SMART = '[routes.smart]\ntargets = ["openai/gpt-5"]\nfallbacks = ["groq/meta/llama-4"]\n'


def test_a_file_is_planned_and_applied_as_one_revision(routes: Routes) -> None:
    routes.set("smart", [GPT])
    planned = routes.plan(FAST + SMART, "routes.toml")
    assert [(c.sign, c.scope) for c in planned.changes] == [("+", "route:fast"), ("~", "route:smart")]
    assert routes.current().number == 1, "a plan changes nothing"
    applied = routes.apply(FAST + SMART, "routes.toml")
    assert (applied.revision.number, applied.changes) == (2, planned.changes)
    assert routes.current() == applied.revision
    assert [route.alias for route in applied.revision.routes] == ["fast", "smart"]


def test_a_route_that_a_file_does_not_name_ends(routes: Routes) -> None:
    routes.apply(FAST + SMART, "routes.toml")
    assert [(c.sign, c.scope) for c in routes.apply(SMART, "routes.toml").changes] == [("-", "route:fast")]
    assert routes.apply("[routes]\n", "routes.toml").revision.routes == ()


def test_applying_what_holds_makes_no_revision(routes: Routes, database: Database) -> None:
    routes.apply(FAST, "routes.toml")
    with database.read() as tx:
        before = epochs.current(tx), len(audit_rows.newest(tx, 10))
    again = routes.apply("# another comment\n" + FAST, "routes.toml")
    assert (again.revision.number, again.changes) == (1, ())
    with database.read() as tx:
        assert (epochs.current(tx), len(audit_rows.newest(tx, 10))) == before


def test_a_file_with_an_error_changes_nothing(routes: Routes) -> None:
    routes.apply(FAST, "routes.toml")
    with pytest.raises(
        ConfigurationError, match=r"routes\.toml:5: routes\.smart\.targets\[0\]: no such upstream: 'opnai'"
    ):
        routes.apply(FAST + "\n" + SMART.replace("openai", "opnai"), "routes.toml")
    assert [r.number for r in routes.history()] == [1]


def test_rolling_back_makes_a_new_revision_of_an_older_one(routes: Routes) -> None:
    first = routes.apply(FAST, "routes.toml").revision
    routes.apply(SMART, "routes.toml")
    back = routes.rollback()
    assert (back.revision.number, back.revision.routes) == (3, first.routes)
    assert [(c.sign, c.scope) for c in back.changes] == [("+", "route:fast"), ("-", "route:smart")]
    assert routes.rollback(1).changes == (), "it says the same"
    with pytest.raises(Conflict, match="revision 3 holds, not 2"):
        routes.rollback(1, only_from=2)
    assert routes.rollback(0).revision.routes == (), "before the first change there were none"
    assert [r.number for r in routes.history()] == [4, 3, 2, 1]


def test_what_cannot_be_rolled_back_to_is_told(routes: Routes, database: Database) -> None:
    with pytest.raises(NotFound, match="the routes were never changed"):
        routes.rollback()
    routes.apply(FAST, "routes.toml")
    routes.apply(SMART.replace(', "groq/meta/llama-4"', "").replace("groq", "openai"), "routes.toml")
    with pytest.raises(NotFound, match="no such revision: 9"):
        routes.rollback(9)
    with database.write() as tx:
        tx.exec_driver_sql("DELETE FROM upstreams WHERE name = 'groq'")
    with pytest.raises(UsageError, match="revision 1 needs the upstream groq, which is gone"):
        routes.rollback(1)


def test_two_revisions_are_compared(routes: Routes) -> None:
    routes.apply(FAST, "routes.toml")
    routes.apply(SMART, "routes.toml")
    assert [(c.sign, c.scope) for c in routes.diff(1, 2)] == [("-", "route:fast"), ("+", "route:smart")]
    assert [(c.sign, c.scope) for c in routes.diff(0, 1)] == [("+", "route:fast")]
    with pytest.raises(NotFound, match="no such revision: 3"):
        routes.diff(1, 3)


def test_all_that_a_route_can_say_is_kept(routes: Routes) -> None:
    text = """[routes."gpt-*"]
targets = [{ target = "openai/*", weight = 3, defaults = { temperature = 0.1, stop = ["x"] }, remove = ["user"] }]
fallbacks = [{ target = "groq/llama", overrides = { reasoning = { effort = "low" } } }]
timeouts = { connect = 1.5, total = "1m" }
retries = { on = ["server"], same_target = 1, backoff = 0, longest_wait = 1 }
affinity = false
"""
    applied = routes.apply(text, "routes.toml").revision
    assert routes.current() == applied
    assert routes.apply(described.write(applied.routes), "written.toml").changes == ()


def test_setting_targets_leaves_the_rest_of_a_route(routes: Routes) -> None:
    routes.apply(FAST + "timeouts = { total = 9 }\naffinity = false\n", "routes.toml")
    (route,) = routes.set("fast", [GPT, LLAMA]).routes
    assert (route.targets, route.timeouts.total, route.affinity) == ((GPT, LLAMA), 9, False)


def test_a_pattern_that_is_as_specific_as_another_is_refused(routes: Routes) -> None:
    routes.set("gpt-*", [Target("openai", "*")])
    with pytest.raises(UsageError, match="as specific as"):
        routes.set("*-5-m", [GPT])
    routes.set("*", [LLAMA])


def test_the_audit_log_says_which_routes_a_file_changed(routes: Routes, database: Database) -> None:
    routes.apply(FAST, "routes.toml")
    routes.apply(SMART, "routes.toml")
    routes.rollback()
    with database.read() as tx:
        entries = [(e["action"], e["scope"], json.loads(e["detail"])) for e in audit_rows.newest(tx, 10)]
    assert entries == [
        ("routes.rollback", "routes", {"changes": "+fast -smart", "revision": 3, "to": 1}),
        ("routes.apply", "routes", {"changes": "-fast +smart", "revision": 2}),
        ("routes.apply", "routes", {"changes": "+fast", "revision": 1}),
    ]


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
