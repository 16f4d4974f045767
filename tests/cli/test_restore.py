"""`gwctl restore`: what a backup brings back, what it refuses, and that it never gives access that was taken away."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from keyvault.errors import Exit
from keyvault.home import Home
from keyvault.settings import Paths, Settings
from keyvault.storage.exclusive import serving_lock
from tests.attacks.conftest import read
from tests.cli.conftest import Gwctl, Ran
from tests.cli.test_backup import used_home

__all__ = ["used_home"]


@pytest.fixture(scope="module")
def backed_up(used_home: Gwctl, tmp_path_factory: pytest.TempPathFactory) -> Gwctl:
    """A home with an upstream and two keys; its backup lies beside it."""
    place = tmp_path_factory.mktemp("backed-up")
    gwctl = used_home.copied(place)
    gwctl("customers", "create", "acme")
    assert gwctl("keys", "create", "mobile", "--project", "acme/app", "--create", "--json").code == 0
    assert gwctl("backup", str(place / "b.tar")).code == 0
    return gwctl


@pytest.fixture
def used(backed_up: Gwctl, tmp_path: Path) -> Gwctl:
    return backed_up.copied(tmp_path)


@pytest.fixture
def backup(backed_up: Gwctl, tmp_path: Path) -> str:
    """The backup of the home that is `used`."""
    return str(shutil.copy(backed_up.home.with_name("b.tar"), tmp_path / "b.tar"))


def restored(gwctl: Gwctl, backup: str, *words: str) -> Ran:
    return gwctl("restore", backup, "--confirm", Path(backup).name, "--json", *words)


def state(gwctl: Gwctl, key: str) -> str:
    return str(gwctl("keys", "show", key, "--json").json["state"])


def entries(gwctl: Gwctl) -> list[tuple[int, str]]:
    """The audit log of the home, as its journal tells it."""
    lines = (gwctl.home / "state" / "journal.jsonl").read_text().splitlines()
    return [(json.loads(line)["seq"], json.loads(line)["action"]) for line in lines]


def test_the_newest_backup_comes_back_and_the_present_database_is_kept(used: Gwctl, backup: str) -> None:
    before = (used.home / "data" / "gateway.db").stat().st_ino
    ran = restored(used, backup)
    assert ran.json["replayed"] == 0
    assert Path(ran.json["aside"]).stat().st_ino == before
    assert state(used, "ci-bot") == "active"
    assert entries(used)[-1][1] == "backup.restore"


def test_without_confirmation_nothing_happens(used: Gwctl, backup: str) -> None:
    for words in ((), ("--confirm", "other.tar")):
        assert used("restore", backup, *words).code == Exit.USAGE
    assert "backup.restore" not in {action for _, action in entries(used)}


def test_an_older_backup_is_refused_and_says_how_much_it_lacks(used: Gwctl, backup: str) -> None:
    used("keys", "revoke", "ci-bot", "--yes")
    used("keys", "suspend", "mobile")
    ran = restored(used, backup)
    assert ran.code == Exit.CONFLICT
    assert "lacks 2 audit entries, from 2026-10-01T12:00:00Z to 2026-10-01T12:00:00Z" in ran.err
    assert "--accept-rollback" in ran.err
    assert state(used, "ci-bot") == "revoked"


def test_a_dry_run_tells_everything_and_changes_nothing(used: Gwctl, backup: str) -> None:
    used("keys", "revoke", "ci-bot", "--yes")
    before = (used.home / "data" / "gateway.db").read_bytes(), entries(used)
    ran = restored(used, backup, "--accept-rollback", "--dry-run")
    assert ran.json["changes"] == [
        {"scope": "key:ci-bot", "action": "keys.revoke", "result": "repeated", "why": "revoked after the backup"}
    ]
    assert ((used.home / "data" / "gateway.db").read_bytes(), entries(used)) == before


def test_the_audit_log_goes_on_unbroken_after_a_rollback(used: Gwctl, backup: str) -> None:
    used("keys", "revoke", "ci-bot", "--yes")
    used("keys", "suspend", "mobile")
    before = entries(used)
    assert restored(used, backup, "--accept-rollback").json["replayed"] == 2
    assert entries(used) == [*before, (len(before) + 1, "backup.restore")]
    home = Home(used.environ)
    from keyvault import audit

    with home.database.read() as tx:
        assert audit.verify(tx) is None
    home.close()
    assert restored(used, backup).code == Exit.CONFLICT  # it is older still


DENIALS: list[tuple[tuple[str, ...], str, str]] = [
    (("keys", "revoke", "ci-bot", "--yes"), "keys show ci-bot", "state=revoked"),
    (("keys", "suspend", "ci-bot"), "keys show ci-bot", "state=suspended"),
    (("customers", "update", "default", "--suspend"), "customers show default", "suspended=True"),
    (("projects", "update", "acme/app", "--suspend"), "projects show acme/app", "suspended=True"),
    (("keys", "delete", "ci-bot", "--confirm", "ci-bot"), "keys show ci-bot", "state=deleted"),
    (("suspend", "all", "--yes"), "", ""),
    (("upstreams", "disable", "openai"), "upstreams show openai", "state=disabled"),
    (("upstreams", "delete", "openai", "--confirm", "openai"), "upstreams show openai", "state=disabled"),
]


@pytest.mark.parametrize(("denial", "shown", "expected"), DENIALS, ids=lambda value: " ".join(value[:2]))
def test_what_was_denied_after_the_backup_stays_denied(
    used: Gwctl, backup: str, denial: tuple[str, ...], shown: str, expected: str
) -> None:
    ran = used(*denial)
    assert ran.code == 0, ran.err
    done = restored(used, backup, "--accept-rollback")
    assert [change["result"] for change in done.json["changes"]] == ["repeated"]
    if not shown:
        return  # tests/real asks the gateway
    name, _, value = expected.partition("=")
    assert str(used(*shown.split(), "--json").json[name]) == value


CHANGES: list[tuple[str, ...]] = [
    ("keys", "rotate", "ci-bot", "--json"),
    ("keys", "update", "ci-bot", "--models", "gpt-5*"),
    ("keys", "update", "ci-bot", "--expires", "1d"),
]


@pytest.mark.parametrize("change", CHANGES, ids=" ".join)
def test_a_key_that_changed_otherwise_is_suspended_and_listed(
    used: Gwctl, backup: str, change: tuple[str, ...]
) -> None:
    assert used(*change).code == 0
    done = restored(used, backup, "--accept-rollback")
    assert {change["result"] for change in done.json["changes"]} == {"suspended"}
    assert state(used, "ci-bot") == "suspended"
    assert state(used, "mobile") == "active"
    assert used("keys", "resume", "ci-bot").code == 0
    assert state(used, "ci-bot") == "active"


def test_a_grace_that_was_ended_stays_ended_and_a_longer_one_is_not_believed(used: Gwctl, tmp_path: Path) -> None:
    for name in ("ended", "longer"):
        used("keys", "create", name, "--json")
        assert used("keys", "rotate", name, "--grace", "24h", "--json").code == 0
    used("backup", str(tmp_path / "b.tar"))
    assert used("keys", "end-grace", "ended", "--yes").code == 0
    assert used("keys", "extend-grace", "longer", "--by", "24h").code == 0
    assert restored(used, str(tmp_path / "b.tar"), "--accept-rollback").code == 0
    states = [g["state"] for g in used("keys", "show", "ended", "--json").json["generations"]]
    assert states == ["active", "expired"]
    query = "SELECT g.state FROM key_generations g JOIN keys k ON k.id = g.key_id WHERE k.name = 'ended'"
    assert sorted(read(used.home, query)) == [("active",), ("expired",)], "not a grace that is over"
    assert (state(used, "ended"), state(used, "longer")) == ("active", "suspended")


def test_a_slot_that_was_deleted_does_not_open_the_vault_again(used: Gwctl, tmp_path: Path) -> None:
    second = tmp_path / "second.key"
    assert used("vault", "slots", "create", "file", "--key-file", str(second)).code == 0
    stolen = second.read_text()
    used("backup", str(tmp_path / "b.tar"))
    assert used("vault", "slots", "delete", "file-2", "--confirm", "file-2").code == 0
    ran = restored(used, str(tmp_path / "b.tar"), "--accept-rollback")
    assert {change["result"] for change in ran.json["changes"]} == {"repeated"}
    (tmp_path / "stolen.key").touch(mode=0o600)
    (tmp_path / "stolen.key").write_text(stolen)
    again = used("keys", "create", "x", "--json", environ={"GWCTL_KEY_FILE": str(tmp_path / "stolen.key")})
    assert again.code == Exit.LOCKED
    assert used("keys", "create", "x", "--json").code == 0


def test_resuming_after_the_backup_is_not_believed(used: Gwctl, backup: str) -> None:
    used("keys", "suspend", "ci-bot")
    used("keys", "resume", "ci-bot")
    restored(used, backup, "--accept-rollback")
    assert state(used, "ci-bot") == "suspended"


SWITCHED: list[tuple[str, str, str]] = [
    ("suspend customer:acme", "resume customer:acme", "customer:acme"),
    ("suspend project:acme/app", "resume project:acme/app", "project:acme/app"),
    ("suspend key:ci-bot", "resume key:ci-bot", "key:ci-bot"),
    ("suspend all --yes", "resume all", "all"),
    ("suspend upstream:openai", "resume upstream:openai", "upstream:openai"),
    ("keys delete ci-bot --confirm ci-bot", "keys restore ci-bot", "key:ci-bot"),
]


@pytest.mark.parametrize(("off", "on", "scope"), SWITCHED)
@pytest.mark.parametrize("off_before_the_backup", [False, True])
def test_what_was_let_in_again_later_is_left_out_and_said_to_be(
    used: Gwctl, backup: str, tmp_path: Path, off: str, on: str, scope: str, off_before_the_backup: bool
) -> None:
    assert used(*off.split()).code == 0
    if off_before_the_backup:
        backup = str(tmp_path / "later.tar")
        assert used("backup", backup).code == 0
    assert used(*on.split()).code == 0
    done = restored(used, backup, "--accept-rollback")
    results = [] if off_before_the_backup else ["repeated"]
    assert [change["result"] for change in done.json["changes"]] == [*results, "suspended"]
    assert done.json["changes"][-1]["why"] in {
        "resumed later; left suspended",
        "enabled later; left disabled",
        "restored later; left deleted",
    }
    assert done.json["denied"] == [scope]
    assert f"denied after the restore: {scope}\n" in done.err


def test_everything_that_is_denied_afterwards_is_listed_and_what_is_not_is_not(used: Gwctl, tmp_path: Path) -> None:
    used("customers", "create", "acme")
    used("keys", "create", "mobile", "--project", "acme/app", "--create", "--json")
    assert used("keys", "rotate", "mobile", "--grace", "24h", "--json").code == 0
    used("backup", str(tmp_path / "b.tar"))
    assert used("keys", "end-grace", "mobile", "--yes").code == 0
    assert used("keys", "revoke", "ci-bot", "--yes").code == 0
    assert used("suspend", "customer:acme").code == 0
    assert used("keys", "create", "new", "--json").code == 0
    done = restored(used, str(tmp_path / "b.tar"), "--accept-rollback")
    assert done.json["denied"] == ["customer:acme", "key:ci-bot"]
    assert state(used, "mobile") == "active"


def test_a_thing_is_listed_once_for_each_result_with_its_last_reason(used: Gwctl, backup: str) -> None:
    for models in ("gpt-5*", "gpt-4*"):
        assert used("keys", "update", "ci-bot", "--models", models).code == 0
    assert used("keys", "update", "mobile", "--models", "gpt-5*").code == 0
    assert used("keys", "rotate", "ci-bot", "--json").code == 0
    done = restored(used, backup, "--accept-rollback")
    assert [(c["scope"], c["result"], c["action"]) for c in done.json["changes"]] == [
        ("key:mobile", "suspended", "keys.update"),
        ("key:ci-bot", "suspended", "keys.activate"),
    ]
    assert done.json["replayed"] == 5


def test_a_customer_whose_price_changed_is_suspended(used: Gwctl, backup: str) -> None:
    used("customers", "update", "acme", "--multiplier", "2")
    done = restored(used, backup, "--accept-rollback")
    assert done.json["changes"][0]["result"] == "suspended"
    assert used("customers", "show", "acme", "--json").json["suspended"] is True


def test_a_rate_limit_set_after_the_backup_holds_again_by_its_lower_numbers(used: Gwctl, tmp_path: Path) -> None:
    used("limits", "set", "key:ci-bot", "--rpm", "60", "--tpm", "5k")
    used("limits", "set", "customer:default", "--rpm", "100")
    backup = str(tmp_path / "b.tar")
    assert used("backup", backup).code == 0
    used("limits", "set", "key:ci-bot", "--rpm", "10", "--tpm", "9k", "--parallel", "2")
    used("limits", "set", "project:default/default", "--rpm", "7", "--model", "o3*")
    used("limits", "delete", "customer:default")
    done = restored(used, backup, "--accept-rollback")
    results = {(change["scope"], change["result"]) for change in done.json["changes"]}
    assert results == {
        ("key:ci-bot", "repeated"),
        ("project:default/default", "repeated"),
        ("customer:default", "lost"),
    }
    rows = used("limits", "list", "--json").json["limits"]
    assert [(row["scope"], row["model"], row["rpm"], row["tpm"], row["parallel"]) for row in rows] == [
        ("key:ci-bot", None, 10, 5_000, 2),
        ("customer:default", None, 100, None, None),
        ("project:default/default", "o3*", 7, None, None),
    ]


def test_what_the_backup_does_not_have_is_listed_as_lost(used: Gwctl, backup: str) -> None:
    used("keys", "create", "new", "--json")
    used("customers", "create", "newer")
    done = restored(used, backup, "--accept-rollback")
    assert {(c["scope"], c["result"]) for c in done.json["changes"]} == {
        ("key:new", "lost"),
        ("customer:newer", "lost"),
    }
    assert used("keys", "show", "new").code == Exit.NOT_FOUND


def test_a_rollback_needs_the_vault_and_otherwise_changes_nothing(used: Gwctl, backup: str, tmp_path: Path) -> None:
    used("keys", "revoke", "ci-bot", "--yes")
    (used.home / "config" / "unlock.key").rename(tmp_path / "away.key")
    ran = restored(used, backup, "--accept-rollback")
    assert ran.code == Exit.LOCKED
    assert state(used, "ci-bot") == "revoked"


def test_an_edited_journal_is_not_followed(used: Gwctl, backup: str) -> None:
    used("keys", "revoke", "ci-bot", "--yes")
    journal = used.home / "state" / "journal.jsonl"
    journal.write_text(journal.read_text().replace("keys.revoke", "keys.nothing"))
    ran = restored(used, backup, "--accept-rollback")
    assert ran.code == Exit.FAILURE
    assert "journal was changed" in ran.err
    assert state(used, "ci-bot") == "revoked"


def test_a_rollout_that_was_taken_out_after_the_backup_takes_no_requests_again(used: Gwctl, tmp_path: Path) -> None:
    used("upstreams", "create", "other", "--provider", "groq", "--secret-stdin", stdin="sk-canary-8d07")
    used("routes", "set", "slim", "other/small")
    used("rollouts", "start", "slim", "--to", "other/large")
    saved = str(tmp_path / "with-a-rollout.tar")
    assert used("backup", saved).code == 0
    used("rollouts", "rollback", "slim")
    assert restored(used, saved, "--accept-rollback").json["replayed"] == 1
    assert used("rollouts", "list", "--json").json["rollouts"][0]["state"] == "rolled_back"


def test_a_deleted_customer_is_there_again_and_a_drill_is_nothing_to_tell(used: Gwctl, tmp_path: Path) -> None:
    used("customers", "create", "beta")
    used("backup", str(tmp_path / "later.tar"))
    assert used("customers", "delete", "beta", "--confirm", "beta").code == 0
    used("drill", "start", "--key", "ci-bot", "--target", "openai/gpt-5", "--fault", "hang", "--yes")
    used("drill", "stop", "1", "--yes")
    listed = restored(used, str(tmp_path / "later.tar"), "--accept-rollback").json["changes"]
    assert [(each["scope"], each["result"], each["why"]) for each in listed] == [
        ("customer:beta", "lost", "deleted after the backup; it is there again")
    ]
    assert used("customers", "show", "beta").code == 0


def test_into_an_empty_home_it_says_that_a_rollback_cannot_be_noticed(used: Gwctl, backup: str, tmp_path: Path) -> None:
    used("keys", "revoke", "ci-bot", "--yes")
    fresh = Gwctl(tmp_path / "fresh")
    (tmp_path / "fresh" / "config").mkdir(parents=True, mode=0o700)
    shutil.copy(used.home / "config" / "unlock.key", tmp_path / "fresh" / "config" / "unlock.key")
    ran = fresh("restore", backup)
    assert ran.code == 0, ran.err
    assert "cannot be noticed" in ran.err
    assert state(fresh, "ci-bot") == "active"
    assert fresh("doctor", "--offline", environ={"GWCTL_SERVE_LISTEN": "127.0.0.1:0"}).code in (0, Exit.CHECK_FAILED)
    assert {p.stat().st_mode & 0o077 for p in (tmp_path / "fresh").rglob("*")} == {0}
    assert fresh("keys", "create", "after", "--json").code == 0


def test_an_empty_home_is_left_empty_by_a_dry_run(used: Gwctl, backup: str, tmp_path: Path) -> None:
    fresh = Gwctl(tmp_path / "fresh")
    assert fresh("restore", backup, "--dry-run").code == 0
    assert not (tmp_path / "fresh").exists()


def test_a_database_that_is_lost_or_broken_comes_back(used: Gwctl, backup: str) -> None:
    database = used.home / "data" / "gateway.db"
    for spoil in (lambda: database.unlink(), lambda: database.write_bytes(b"no database " * 1000)):
        spoil()
        ran = restored(used, backup, "--accept-rollback")
        assert ran.code == 0, ran.err
        assert state(used, "ci-bot") == "active"


def test_another_gateway_s_backup_is_refused(used: Gwctl, backup: str, tmp_path: Path) -> None:
    other = Gwctl(tmp_path / "other")
    other.clock.advance(days=1)
    other("init", "--yes", "--unlock", "file")
    ran = restored(other, backup)
    assert ran.code == Exit.CONFLICT
    assert "GWCTL_HOME=DIR" in ran.err


def test_while_a_gateway_serves_it_is_refused(used: Gwctl, backup: str) -> None:
    paths = Paths.find(used.environ)
    with serving_lock(Settings.load(paths, used.environ), paths):
        ran = restored(used, backup)
    assert ran.code == Exit.CONFLICT
    assert "serving" in ran.err


def test_a_config_of_its_own_is_kept(used: Gwctl, backup: str) -> None:
    config = used.home / "config" / "config.toml"
    config.write_text('[log]\nlevel = "error"\n')
    ran = restored(used, backup)
    assert ran.code == 0
    assert "config.toml.restored" in ran.err
    assert config.read_text() == '[log]\nlevel = "error"\n'
    assert (used.home / "config" / "config.toml.restored").stat().st_mode & 0o777 == 0o600
