"""The life of an upstream's credentials, on both databases, with every row vouched for."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from keyvault import audit
from keyvault.domain.vault import CredentialState, SlotKind
from keyvault.errors import Conflict, Locked, NotFound, Tampered, UsageError
from keyvault.secrets import Secret
from keyvault.settings import Paths
from keyvault.storage import epochs
from keyvault.storage.engine import Database
from keyvault.storage.schema import credentials as table
from keyvault.storage.schema import sealed_records
from keyvault.vault.asides import Asides
from keyvault.vault.credentials import record_identity
from keyvault.vault.lifecycle import Credentials
from keyvault.vault.upstreams import Upstreams
from keyvault.vault.vault import Vault
from tests.conftest import FrozenClock

OLD, NEW, THIRD = Secret("sk-canary-old-11"), Secret("sk-canary-new-22"), Secret("sk-canary-third-33")
STAGED, TESTED, CURRENT, PREVIOUS, RETIRED = CredentialState


@pytest.fixture
def vault(database: Database, clock: FrozenClock, tmp_path: Path) -> Vault:
    made = Vault(database, clock, Paths.find({"GWCTL_HOME": str(tmp_path / "home")}), {})
    made.initialise(SlotKind.FILE)
    return made


@pytest.fixture
def upstreams(database: Database, vault: Vault, clock: FrozenClock) -> Upstreams:
    made = Upstreams(database, vault, clock)
    made.create("openai", "openai", secret=OLD)
    return made


@pytest.fixture
def credentials(upstreams: Upstreams, database: Database, vault: Vault, clock: FrozenClock) -> Credentials:
    return Credentials(database, vault, clock)


@pytest.fixture
def asides(database: Database, clock: FrozenClock) -> Asides:
    return Asides(database, clock)


def states(credentials: Credentials) -> list[CredentialState]:
    return [each.state for each in credentials.of("openai")]


def rotated(credentials: Credentials, secret: Secret = NEW) -> None:
    credentials.stage("openai", secret)
    credentials.promote("openai")


def records(database: Database) -> int:
    with database.read() as tx:
        query = sa.select(sa.func.count()).where(sealed_records.c.purpose == "upstream-secret")
        return int(tx.execute(query).scalar_one())


def test_a_staged_secret_serves_nobody_until_it_is_promoted(credentials: Credentials, upstreams: Upstreams) -> None:
    staged = credentials.stage("openai", NEW)
    assert upstreams.open("openai").secret == OLD
    [found] = upstreams.open_all()
    assert [each.secret for each in found.credentials] == [OLD]
    assert credentials.open("openai", staged).secret == NEW
    assert credentials.tested("openai", staged, "chat with m", ok=True).state is TESTED
    current, previous = credentials.promote("openai")
    assert previous is not None
    assert (current.id, current.state, previous.state) == (staged.id, CURRENT, PREVIOUS)
    assert upstreams.open("openai").secret == NEW
    [found] = upstreams.open_all()
    assert [each.secret for each in found.credentials] == [OLD, NEW]


def test_a_failed_test_is_noted_and_leaves_it_staged(credentials: Credentials, clock: FrozenClock) -> None:
    staged = credentials.stage("openai", NEW)
    tested = credentials.tested("openai", staged, "bad key sk-canary-new-22-and-more", ok=False)
    assert (tested.state, tested.tested_at) == (STAGED, clock.now())
    assert "canary" not in tested.test_note


def test_staging_again_destroys_what_was_staged_before(credentials: Credentials, database: Database) -> None:
    credentials.stage("openai", THIRD)
    credentials.stage("openai", NEW)
    assert states(credentials) == [CURRENT, STAGED]
    assert records(database) == 2
    assert credentials.open("openai", credentials.staged("openai")).secret == NEW


def test_of_two_rotations_at_once_only_the_secret_that_was_tested_is_promoted(credentials: Credentials) -> None:
    first = credentials.stage("openai", THIRD)
    credentials.stage("openai", NEW)
    with pytest.raises(Conflict, match="staged in the meantime"):
        credentials.tested("openai", first, "chat with m", ok=True)
    with pytest.raises(Conflict, match="staged in the meantime"):
        credentials.promote("openai", only=first)
    assert states(credentials) == [CURRENT, STAGED]


def test_undoing_exchanges_the_two_and_keeps_the_end_of_the_overlap(
    credentials: Credentials, upstreams: Upstreams, clock: FrozenClock
) -> None:
    rotated(credentials)
    end = credentials.of("openai")[0].until
    clock.advance(seconds=60)
    current, previous = credentials.undo("openai")
    assert previous is not None
    assert (upstreams.open("openai").secret, previous.until, current.until) == (OLD, end, None)
    credentials.undo("openai")
    assert upstreams.open("openai").secret == NEW


def test_retiring_destroys_the_secret_and_nothing_can_be_undone_any_more(
    credentials: Credentials, database: Database
) -> None:
    rotated(credentials)
    assert records(database) == 2
    [retired] = credentials.retire("openai")
    assert (retired.state, records(database)) == (RETIRED, 1)
    assert credentials.retire("openai") == []
    with pytest.raises(Conflict, match="no previous credential"):
        credentials.undo("openai")
    with pytest.raises(Tampered):
        credentials.open("openai", retired)


def test_without_an_overlap_the_old_secret_is_destroyed_at_once(credentials: Credentials, database: Database) -> None:
    credentials.stage("openai", NEW)
    _, previous = credentials.promote("openai", overlap=timedelta(0))
    assert (previous, states(credentials), records(database)) == (None, [RETIRED, CURRENT], 1)


def test_what_is_over_serves_nobody_even_before_it_is_destroyed(
    credentials: Credentials, upstreams: Upstreams, clock: FrozenClock, database: Database
) -> None:
    rotated(credentials)
    clock.advance(days=1)
    [found] = upstreams.open_all()
    assert [each.secret for each in found.credentials] == [NEW]
    assert records(database) == 2
    assert credentials.retire_over() == 1
    assert credentials.retire_over() == 0
    assert records(database) == 1


def test_one_rotation_at_a_time(credentials: Credentials, clock: FrozenClock) -> None:
    rotated(credentials)
    with pytest.raises(Conflict, match="in its overlap until 2026-10-02") as caught:
        credentials.stage("openai", THIRD)
    assert caught.value.hint == "gwctl upstreams retire openai"
    clock.advance(days=1)
    rotated(credentials, THIRD)
    assert states(credentials) == [RETIRED, PREVIOUS, CURRENT]


def test_nothing_staged_cannot_be_promoted(credentials: Credentials) -> None:
    with pytest.raises(Conflict, match="no staged credential"):
        credentials.promote("openai")


def test_an_upstream_without_a_credential_cannot_get_one(credentials: Credentials, upstreams: Upstreams) -> None:
    upstreams.create("local", "ollama", secret=None, allow_private=True)
    with pytest.raises(UsageError, match="takes no credential"):
        credentials.stage("local", NEW)


def test_labels_are_unique_without_regard_to_case_and_must_be_named_when_there_are_several(
    credentials: Credentials,
) -> None:
    credentials.create("openai", "second", NEW, weight=2)
    credentials.promote("openai", "SECOND")
    with pytest.raises(Conflict, match="already"):
        credentials.create("openai", "Second", THIRD)
    with pytest.raises(UsageError, match="main, second"):
        credentials.stage("openai", THIRD)
    with pytest.raises(NotFound) as caught:
        credentials.stage("openai", THIRD, "secnd")
    assert caught.value.hint == "did you mean second?"
    assert [each.weight for each in credentials.of("openai")] == [1, 2]


def test_the_last_account_that_serves_cannot_be_deleted(credentials: Credentials, database: Database) -> None:
    credentials.create("openai", "second", NEW)
    with pytest.raises(Conflict, match="main is the last credential"):
        credentials.delete("openai", "main")
    credentials.promote("openai", "second")
    credentials.delete("openai", "main")
    assert [each.label for each in credentials.of("openai")] == ["second"]
    assert records(database) == 1


def test_who_stands_aside_is_told_once_and_the_alert_ends_with_it(
    credentials: Credentials, asides: Asides, database: Database
) -> None:
    [main] = credentials.of("openai")
    assert asides.step_aside(main, "openai", "http status 401")
    assert not asides.step_aside(main, "openai", "http status 401")
    with database.read() as tx:
        assert tx.exec_driver_sql("SELECT scope FROM alerts WHERE resolved_ms IS NULL").all() == [("upstream:openai",)]
    assert asides.come_back(main, "openai")
    assert not asides.come_back(main, "openai")
    with database.read() as tx:
        assert tx.exec_driver_sql("SELECT scope FROM alerts WHERE resolved_ms IS NULL").all() == []


def test_promoting_another_secret_ends_the_alert(credentials: Credentials, asides: Asides, database: Database) -> None:
    asides.step_aside(credentials.of("openai")[0], "openai", "http status 401")
    rotated(credentials)
    with database.read() as tx:
        assert tx.exec_driver_sql("SELECT scope FROM alerts WHERE resolved_ms IS NULL").all() == []


def test_traffic_is_told_of_every_change_that_matters_to_it_and_the_audit_log_of_all(
    credentials: Credentials, database: Database
) -> None:
    with database.read() as tx:
        before = epochs.current(tx)[1]
    credentials.stage("openai", NEW)
    with database.read() as tx:
        assert epochs.current(tx)[1] == before
    credentials.promote("openai")
    credentials.undo("openai")
    credentials.retire("openai")
    with database.read() as tx:
        assert epochs.current(tx)[1] == before + 3
        entries = audit.rows.oldest_first(tx)
    verbs = [entry["action"] for entry in entries if entry["action"].startswith("credentials.")]
    assert verbs == [f"credentials.{verb}" for verb in ("stage", "promote", "undo", "retire")]
    assert "canary" not in str(entries)


def test_everything_but_looking_needs_the_vault(
    credentials: Credentials, database: Database, clock: FrozenClock, tmp_path: Path
) -> None:
    paths = Paths.find({"GWCTL_HOME": str(tmp_path / "home")})
    paths.key_file.unlink()
    locked = Credentials(database, Vault(database, clock, paths, {}), clock)
    assert len(locked.of("openai")) == 1
    with pytest.raises(Locked):
        locked.stage("openai", NEW)


def test_the_identity_of_a_sealed_record_can_be_told_from_what_is_stored(
    credentials: Credentials, database: Database
) -> None:
    """Whoever seals records anew need not know what they are."""
    credentials.stage("openai", NEW)
    with database.read() as tx:
        ids = [row.record_id for row in tx.execute(sa.select(table.c.record_id))]
        assert {record_identity(tx, each) for each in ids} == {("openai", "https://api.openai.com/v1")}
        with pytest.raises(Tampered, match="belongs to no credential"):
            record_identity(tx, "pepper-1")
