"""What is vouched for, who can vouch, and what shows when somebody else has written into the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from keyvault import audit
from keyvault.domain.captures import Plan
from keyvault.domain.keys import Policy
from keyvault.domain.prices import Rates, flat
from keyvault.domain.routes import Target
from keyvault.errors import GatewayError, Locked, RolledBack, Tampered, Unavailable
from keyvault.journal import Journal
from keyvault.keys.directory import Directory
from keyvault.keys.lifecycle import Keys
from keyvault.secrets import Secret
from keyvault.storage.engine import Database, Transaction
from keyvault.storage.seals import touch
from keyvault.vault.manifest import SealKeys
from keyvault.vault.peppers import Peppers
from keyvault.vault.seals import Seals
from keyvault.vault.survey import reseal
from tests.conftest import FrozenClock
from tests.sealed import Sealed, Template, sealed_gateway


@pytest.fixture(scope="module")
def templates() -> dict[bool, Template]:
    """The gateway below, by whether it lies on SQLite, once it has been made there."""
    return {}


@pytest.fixture
def gateway(
    database: Database,
    clock: FrozenClock,
    tmp_path: Path,
    templates: dict[bool, Template],
    tmp_path_factory: pytest.TempPathFactory,
) -> Sealed:
    """A gateway with a key, an upstream, a route and a price."""
    if database.is_sqlite not in templates:
        made = sealed_gateway(database, clock, tmp_path)
        made.upstreams.create("openai", "openai", secret=Secret("sk-0123456789abcdef"))
        made.routes.set("smart", [Target("openai", "gpt-5")])
        made.prices.set_own("openai", "gpt-5", Rates(input=flat(1), output=flat(2)))
        made.keys.create("ci-bot")
        templates[database.is_sqlite] = Template(made, clock, tmp_path_factory.mktemp("gateway"))
    return templates[database.is_sqlite].copied(database, clock, tmp_path)


def test_every_change_leaves_everything_sealed(gateway: Sealed) -> None:
    gateway.customers.create("acme", multiplier=Decimal("1.15"))
    gateway.customers.create_project("acme/web")
    gateway.keys.create("web", project="acme/web")
    gateway.keys.rotate("ci-bot", timedelta(hours=1))
    gateway.keys.acknowledge("ci-bot", 2)
    gateway.keys.suspend("web")
    gateway.keys.resume("web")
    gateway.keys.revoke("web")
    gateway.customers.update("acme", suspended=True)
    gateway.upstreams.disable("openai")
    gateway.upstreams.delete("openai")
    gateway.stops.suspend_everybody()
    gateway.stops.resume_everybody()
    found = gateway.survey()
    assert found.wrong == ()
    assert (found.denied, found.entries, found.behind) == (0, 0, 0)
    gateway.again().vault.unlock()


EDITS = {
    "a revoked key made active": "UPDATE keys SET state = 'active' WHERE name = 'old'",
    "a policy widened": "UPDATE keys SET policy = '{\"endpoints\": [\"all\"]}' WHERE name = 'ci-bot'",
    "a key moved to another project": "UPDATE keys SET project_id = 2 WHERE name = 'ci-bot'",
    "an expiry taken away": "UPDATE keys SET expires_ms = 1 WHERE name = 'ci-bot'",
    "a token's MAC exchanged": "UPDATE key_generations SET mac = pepper WHERE key_id = 1",
    "a grace lengthened": "UPDATE key_generations SET valid_until_ms = 1",
    "a multiplier lowered": "UPDATE customers SET multiplier_ppm = 1",
    "a price lowered": "UPDATE prices SET rates = '{}'",
    "a route bent": "UPDATE revisions SET snapshot = '{\"routes\": []}'",
    "a disabled upstream enabled": "UPDATE upstreams SET disabled = 0, catalogue = 'groq'",
    "a credential made current": "UPDATE credentials SET state = 'previous'",
    "the switch turned": "UPDATE gateway SET suspended = 0, version = 9",
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_row_is_named_and_not_changed_again(gateway: Sealed, edit: str) -> None:
    gateway.customers.create_project("default/other")
    gateway.keys.create("old")
    gateway.keys.revoke("old")
    gateway.sql(EDITS[edit].replace("pepper", "X'00'" if gateway.database.is_sqlite else "'\\x00'"))
    assert "changed by something else than gwctl" in gateway.survey().unfit[0]


def test_a_tampered_key_is_not_changed_through_gwctl_but_can_be_stopped(gateway: Sealed) -> None:
    gateway.sql("UPDATE keys SET policy = '{}' WHERE name = 'ci-bot'")
    with pytest.raises(Tampered, match="key ci-bot was changed by something else"):
        gateway.keys.update("ci-bot", policy=Policy(models=("gpt-4",)))
    gateway.keys.revoke("ci-bot")
    assert gateway.keys.get("ci-bot").state == "revoked"
    assert gateway.survey().unfit == ("key ci-bot was changed by something else than gwctl",)


@pytest.mark.parametrize("table", ["keys", "projects", "customers", "upstreams"])
def test_two_rows_do_not_exchange_the_names_they_are_found_by(gateway: Sealed, table: str) -> None:
    gateway.customers.create("evil")
    gateway.customers.create_project("default/evil")
    gateway.upstreams.create("evil", "openai", secret=Secret("sk-0123456789abcdef"))
    gateway.keys.create("evil")
    gateway.keys.suspend("evil")
    theirs, ours = gateway.rows(f"SELECT id, folded FROM {table} WHERE folded = 'evil' OR id = 1 ORDER BY id DESC")
    for row, folded in ((theirs, "aside"), (ours, theirs["folded"]), (theirs, ours["folded"])):
        gateway.sql(f"UPDATE {table} SET folded = :folded WHERE id = :id", folded=folded, id=row["id"])
    assert len(gateway.survey().unfit) == 2
    if table == "keys":
        with pytest.raises(Tampered, match="key evil was changed by something else"):
            gateway.keys.resume("ci-bot")


def test_a_purged_keys_name_is_given_away_with_the_vault_open_alone(gateway: Sealed) -> None:
    with pytest.raises(Locked):
        gateway.again(locked=True).stops.delete("ci-bot", purge=True)
    gateway.again().stops.delete("ci-bot", purge=True)
    gateway.again().keys.create("ci-bot")
    assert gateway.survey().wrong == ()


def test_a_row_put_back_with_its_old_seal_is_noticed_at_the_next_unlock(gateway: Sealed) -> None:
    (old,) = gateway.rows("SELECT * FROM keys WHERE name = 'ci-bot'")
    gateway.keys.revoke("ci-bot")
    gateway.put_back("keys", old)
    assert gateway.survey().unfit == ()  # by itself it is a row that was sealed
    with pytest.raises(Tampered, match="put back or removed"):
        gateway.again().vault.unlock()


@pytest.mark.parametrize("table", ["prices", "revisions"])
def test_a_removed_row_is_noticed(gateway: Sealed, table: str) -> None:
    gateway.sql(f"DELETE FROM {table}")
    with pytest.raises(Tampered, match="put back or removed"):
        gateway.again().vault.unlock()
    with pytest.raises(Tampered):
        gateway.keys.create("another")  # a process that had it open notices at its next change


def test_an_added_row_is_noticed(gateway: Sealed) -> None:
    gateway.sql("INSERT INTO customers (name, folded, created_ms) VALUES ('ghost', 'ghost', 0)")
    with pytest.raises(Tampered):
        gateway.again().vault.unlock()
    assert gateway.survey().unfit == ("customer ghost was added by something else than gwctl",)


DENIALS: dict[str, Callable[[Sealed], object]] = {
    "revoke": lambda g: g.keys.revoke("ci-bot"),
    "suspend": lambda g: g.keys.suspend("ci-bot"),
    "delete": lambda g: g.stops.delete("ci-bot"),
    "customer": lambda g: g.customers.update("default", suspended=True),
    "project": lambda g: g.customers.update_project("default/default", suspended=True),
    "upstream": lambda g: g.upstreams.disable("openai"),
    "everybody": lambda g: g.stops.suspend_everybody(),
}


@pytest.mark.parametrize("denial", DENIALS)
def test_what_takes_access_away_works_while_the_vault_is_locked_and_is_sealed_later(
    gateway: Sealed, denial: str
) -> None:
    DENIALS[denial](gateway.again(locked=True))
    found = gateway.survey()
    assert (found.wrong, found.denied, found.entries) == ((), 1, 1)
    opened = gateway.again()
    opened.vault.unlock()
    assert opened.seals.settle() == 2
    found = gateway.survey()
    assert (found.wrong, found.denied, found.entries) == ((), 0, 0)


GRANTS: dict[str, Callable[[Sealed], object]] = {
    "create": lambda g: g.keys.create("another"),
    "resume": lambda g: g.keys.resume("ci-bot"),
    "policy": lambda g: g.keys.update("ci-bot", policy=Policy(models=("gpt-4",))),
    "multiplier": lambda g: g.customers.update("default", multiplier=Decimal("0.1")),
    "route": lambda g: g.routes.set("smart", [Target("openai", "gpt-5-mini")]),
    "price": lambda g: g.prices.set_own("openai", "gpt-5", Rates(input=flat(0), output=flat(0))),
    "enable": lambda g: g.upstreams.enable("openai"),
    "everybody": lambda g: g.stops.resume_everybody(),
}


@pytest.mark.parametrize("grant", GRANTS)
def test_what_gives_access_or_decides_about_money_needs_the_vault(gateway: Sealed, grant: str) -> None:
    gateway.keys.suspend("ci-bot")
    before = gateway.rows("SELECT * FROM audit")
    with pytest.raises(Locked):
        GRANTS[grant](gateway.again(locked=True))
    assert gateway.rows("SELECT * FROM audit") == before


def test_a_key_revoked_while_locked_and_turned_back_is_noticed(gateway: Sealed) -> None:
    gateway.again(locked=True).keys.revoke("ci-bot")
    gateway.sql("UPDATE keys SET state = 'active' WHERE name = 'ci-bot'")
    assert gateway.survey().unfit == ("key ci-bot had been stopped, and was turned back by something else than gwctl",)


def test_it_is_noticed_even_where_the_list_of_unsealed_rows_was_emptied(gateway: Sealed) -> None:
    gateway.again(locked=True).keys.revoke("ci-bot")
    gateway.sql("UPDATE keys SET state = 'active' WHERE name = 'ci-bot'")
    gateway.sql("DELETE FROM unsealed")
    assert gateway.survey().unfit == ("key ci-bot had been stopped, and was turned back by something else than gwctl",)
    opened = gateway.again()
    with gateway.database.snapshot() as tx:
        assert opened.guard().doubted_keys(tx, [1]) == {1}
    with pytest.raises(Tampered, match="key ci-bot had been stopped"):
        opened.seals.settle()


STOPPED: dict[str, tuple[Callable[[Sealed], object], str, str]] = {
    "customer": (
        lambda at: at.customers.update("default", suspended=True),
        "UPDATE customers SET suspended = 0",
        "customer default",
    ),
    "project": (
        lambda at: at.customers.update_project("default/default", suspended=True),
        "UPDATE projects SET suspended = 0",
        "project default",
    ),
    "upstream": (lambda at: at.upstreams.disable("openai"), "UPDATE upstreams SET disabled = 0", "upstream openai"),
    "everybody": (
        lambda at: at.stops.suspend_everybody(),
        "UPDATE gateway SET suspended = 0",
        "the switch that suspends everybody",
    ),
    "capture": (lambda at: at.captures.stop(1), "UPDATE captures SET ended = 0", "capture 1"),
}


@pytest.mark.parametrize("what", STOPPED)
def test_whatever_was_stopped_while_locked_and_turned_back_is_noticed(gateway: Sealed, what: str) -> None:
    stop, turn_back, named = STOPPED[what]
    gateway.captures.start(None, sample_ppm=1, lasts=timedelta(days=1), plan=Plan(1, 1, 1))
    stop(gateway.again(locked=True))
    gateway.sql(turn_back)
    gateway.sql("DELETE FROM unsealed")
    assert gateway.survey().unfit == (f"{named} had been stopped, and was turned back by something else than gwctl",)
    with pytest.raises(Tampered, match=f"{named} had been stopped"):
        gateway.again().keys.create("another")


def test_an_entry_that_somebody_appended_does_not_excuse_a_key_turned_back(gateway: Sealed) -> None:
    gateway.again(locked=True).keys.revoke("ci-bot")
    (key,) = gateway.rows("SELECT public_id FROM keys WHERE name = 'ci-bot'")
    gateway.database.sealer = None
    with gateway.database.write() as tx:
        audit.record(tx, gateway.clock, "keys.resume", "key:ci-bot", id=key["public_id"])
    gateway.sql("UPDATE keys SET state = 'active' WHERE name = 'ci-bot'")
    gateway.sql("DELETE FROM unsealed")
    assert gateway.survey().unfit == ("key ci-bot had been stopped, and was turned back by something else than gwctl",)


def test_no_record_is_exchanged_in_a_database_that_something_else_changed(gateway: Sealed) -> None:
    opened = gateway.again()
    opened.vault.unlock()
    gateway.sql("DELETE FROM prices")
    with pytest.raises(Tampered):
        Peppers(gateway.database, gateway.clock, opened.vault).rotate()


def test_a_change_that_is_done_does_not_fail_because_the_journal_cannot_be_brought_up(gateway: Sealed) -> None:
    @contextmanager
    def gone() -> Iterator[Transaction]:
        raise Unavailable("database: gone")
        yield

    opened = gateway.again()
    opened.vault.unlock()
    beside = Database(gateway.database.url)
    beside.read = gone  # type: ignore[method-assign]
    seals = Seals(beside, lambda: opened.vault, gateway.journal)
    beside.sealer = lambda: seals
    assert Keys(beside, opened.vault, gateway.clock).create("another").key.name == "another"
    beside.close()


TRIGGERS = {
    "sqlite": [
        "CREATE TRIGGER evil AFTER UPDATE ON customers BEGIN UPDATE customers SET multiplier_ppm = 1; END",
    ],
    "postgresql": [
        "CREATE FUNCTION evil() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.multiplier_ppm = 1; RETURN NEW; END'",
        "CREATE TRIGGER evil BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION evil()",
    ],
}


def test_the_journal_tells_nothing_that_the_database_may_still_lose(gateway: Sealed) -> None:
    journal, order = Journal(gateway.root / "another.jsonl"), list[object]()
    with gateway.database.read() as tx:
        told = journal.catch_up(tx, lambda: order.append(journal.last()))
        assert (told, order) == (len(list(journal.entries())), [None])
        journal.catch_up(tx, lambda: order.append("nothing to keep"))
    assert order == [None]
    gateway.database.sync()


def test_a_generation_that_waits_for_a_new_key_does_not_become_its_own(gateway: Sealed) -> None:
    if not gateway.database.is_sqlite:
        pytest.skip("its foreign keys cannot be switched off")
    somebody = gateway.database.connect(1000)
    somebody.execute("PRAGMA foreign_keys=OFF")
    somebody.execute("UPDATE key_generations SET key_id = 2, number = 9")
    somebody.close()
    with pytest.raises(Tampered, match="below keys 2"):
        gateway.keys.create("another")


def test_a_journal_that_cannot_be_written_is_one_of_our_errors_and_stops_no_change(gateway: Sealed) -> None:
    gateway.journal.path.unlink()
    gateway.journal.path.mkdir()
    gateway.keys.suspend("ci-bot")
    with pytest.raises(Unavailable, match="the journal cannot be written"):
        gateway.seals.settle()


def test_nothing_is_sealed_that_a_trigger_made_of_it(gateway: Sealed) -> None:
    for statement in TRIGGERS["sqlite" if gateway.database.is_sqlite else "postgresql"]:
        gateway.sql(statement)
    with pytest.raises(GatewayError):
        gateway.customers.update("default", suspended=True)
    assert gateway.survey().manifest == (
        "the database has a trigger or rule that is not gwctl's and may change anything: evil"
    )
    with pytest.raises(Tampered, match="evil"):
        gateway.again().vault.unlock()


def test_what_is_about_to_change_cannot_be_changed_by_anybody_else(gateway: Sealed) -> None:
    """Else what a row was would be checked, and what somebody made of it meanwhile sealed."""
    other = "lock_timeout" if not gateway.database.is_sqlite else "busy_timeout"
    with gateway.database.change() as tx:
        touch(tx, "keys", 1)
        with gateway.database.engine.connect() as somebody:
            somebody.exec_driver_sql(f"SET {other} = 100" if other == "lock_timeout" else f"PRAGMA {other} = 100")
            with pytest.raises(OperationalError):
                somebody.exec_driver_sql("UPDATE keys SET policy = '{}' WHERE id = 1")


def test_a_key_suspended_while_locked_and_resumed_through_gwctl_is_no_alarm(gateway: Sealed) -> None:
    gateway.again(locked=True).keys.suspend("ci-bot")
    gateway.again().keys.resume("ci-bot")
    assert gateway.survey().wrong == ()


def test_a_revoked_key_does_not_become_merely_suspended(gateway: Sealed) -> None:
    gateway.keys.revoke("ci-bot")
    gateway.sql("UPDATE keys SET state = 'suspended' WHERE name = 'ci-bot'")
    assert gateway.survey().unfit == ("key ci-bot was changed by something else than gwctl",)


class TestWhatARunningProxyActsBy:
    def directory(self, gateway: Sealed) -> tuple[Directory, bytes]:
        token = gateway.keys.create("caller").secret.reveal().encode()
        guard = gateway.guard()
        peppers = gateway.vault.unlock().peppers
        directory = Directory(gateway.database, peppers, clock=gateway.clock, doubted=guard.doubted_keys)
        directory.load()
        assert directory.authenticate(token, gateway.clock.now_ms()) is not None
        return directory, token

    def bump(self, gateway: Sealed, directory: Directory) -> None:
        gateway.sql('UPDATE keys SET epoch = (SELECT "keys" + 1 FROM epochs)')
        gateway.sql('UPDATE epochs SET "keys" = "keys" + 1')
        directory.refresh(directory.epoch + 1)

    @pytest.mark.parametrize(
        "edit",
        [
            "UPDATE keys SET policy = '{}' WHERE name = 'caller'",
            "UPDATE projects SET name = 'other', folded = 'other'",
            "UPDATE customers SET multiplier_ppm = 1",
        ],
    )
    def test_a_key_is_refused_whose_row_project_or_customer_was_edited(self, gateway: Sealed, edit: str) -> None:
        directory, token = self.directory(gateway)
        gateway.sql(edit)
        self.bump(gateway, directory)
        assert directory.authenticate(token, gateway.clock.now_ms()) is None

    def test_a_key_is_refused_that_was_put_back_as_it_had_been(self, gateway: Sealed) -> None:
        directory, token = self.directory(gateway)
        (old,) = gateway.rows("SELECT * FROM keys WHERE name = 'caller'")
        gateway.keys.update("caller", policy=Policy(models=("gpt-5",)))
        directory.refresh(directory.epoch + 1)
        gateway.put_back("keys", old)
        self.bump(gateway, directory)
        assert directory.authenticate(token, gateway.clock.now_ms()) is None

    def test_a_key_is_refused_that_was_revoked_while_locked_and_turned_back(self, gateway: Sealed) -> None:
        directory, token = self.directory(gateway)
        gateway.again(locked=True).keys.revoke("caller")
        gateway.database.sealer = lambda: gateway.seals
        directory.refresh(directory.epoch + 1)
        gateway.sql("UPDATE keys SET state = 'active' WHERE name = 'caller'")
        gateway.sql("DELETE FROM unsealed")
        self.bump(gateway, directory)
        assert directory.authenticate(token, gateway.clock.now_ms()) is None

    def test_a_key_that_is_resumed_through_gwctl_is_admitted_again(self, gateway: Sealed) -> None:
        directory, token = self.directory(gateway)
        gateway.again(locked=True).keys.suspend("caller")
        directory.refresh(directory.epoch + 1)
        assert directory.authenticate(token, gateway.clock.now_ms()) is None
        gateway.again().keys.resume("caller")
        directory.refresh(directory.epoch + 1)
        assert directory.authenticate(token, gateway.clock.now_ms()) is not None


def test_a_database_from_before_seals_says_how_to_go_on_and_is_sealed_by_it(gateway: Sealed) -> None:
    gateway.sql("DELETE FROM meta WHERE name = 'manifest'")
    gateway.sql("UPDATE keys SET seal = NULL")
    with pytest.raises(Tampered, match="nobody vouches") as raised:
        gateway.again().vault.unlock()
    assert "gwctl vault reseal" in (raised.value.hint or "")
    beside = gateway.again()
    reseal(gateway.database, gateway.clock, SealKeys.of(beside.vault.trust().access), gateway.journal)
    assert gateway.survey().wrong == ()
    gateway.again().keys.create("after")


def test_a_database_older_than_the_journal_is_refused_until_somebody_decides(gateway: Sealed) -> None:
    kept = {name: gateway.rows(f"SELECT * FROM {name}") for name in ("meta", "keys", "audit")}
    gateway.keys.revoke("ci-bot")
    gateway.sql("DELETE FROM audit WHERE seq > :n", n=len(kept["audit"]))
    gateway.put_back("keys", next(row for row in kept["keys"] if row["name"] == "ci-bot"))
    (manifest,) = [row["value"] for row in kept["meta"] if row["name"] == "manifest"]
    gateway.sql("UPDATE meta SET value = :v WHERE name = 'manifest'", v=manifest)
    with pytest.raises(RolledBack, match="1 audit entry behind"):
        gateway.again().vault.unlock()
    beside = gateway.again()
    reseal(gateway.database, gateway.clock, SealKeys.of(beside.vault.trust().access), gateway.journal)
    gateway.again().vault.unlock()


def test_without_a_journal_an_older_database_cannot_be_told_from_a_new_one(gateway: Sealed) -> None:
    gateway.journal.path.unlink()
    gateway.again().vault.unlock()


def test_the_journal_survives_a_line_cut_short(gateway: Sealed) -> None:
    with gateway.journal.path.open("ab") as file:
        file.write(b'{"seq": 99, "at')
    gateway.keys.suspend("ci-bot")
    entries = [entry.seq for entry in gateway.journal.entries()]
    assert entries == list(range(1, len(entries) + 1))
    assert gateway.journal.last() is not None
    gateway.again().vault.unlock()


def test_a_journal_that_cannot_be_written_stops_no_change_and_is_told(gateway: Sealed) -> None:
    gateway.journal.path.unlink()
    gateway.journal.path.mkdir()
    gateway.keys.suspend("ci-bot")
    gateway.journal.path.rmdir()
    assert gateway.survey().behind > 0


def test_errors_of_tampering_are_of_the_one_tree() -> None:
    assert issubclass(Tampered, GatewayError)
    assert issubclass(RolledBack, GatewayError)
    assert RolledBack("x").code == "rolled_back"


def test_routes_that_nobody_vouches_for_go_into_no_new_revision(gateway: Sealed) -> None:
    gateway.routes.set("fast", [Target("openai", "gpt-5-mini")])
    gateway.sql("UPDATE revisions SET snapshot = '{\"routes\": []}' WHERE number = 1")
    with pytest.raises(Tampered, match="was changed by something else"):
        gateway.routes.rollback(1)
    gateway.sql("UPDATE revisions SET snapshot = '{\"routes\": []}' WHERE number = 2")
    with pytest.raises(Tampered, match="was changed by something else"):
        gateway.routes.set("cheap", [Target("openai", "gpt-5-nano")])
