"""Upstreams on both databases: what they are made of, and that an edited row never gets a credential sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from keyvault import audit
from keyvault.clock import Clock
from keyvault.domain.endpoints import Dialect
from keyvault.domain.vault import SlotKind
from keyvault.errors import Conflict, NotFound, Tampered, UsageError
from keyvault.secrets import Secret
from keyvault.settings import Paths
from keyvault.storage import epochs
from keyvault.storage.engine import Database
from keyvault.storage.schema import credentials, sealed_records
from keyvault.storage.schema import upstreams as table
from keyvault.vault.upstreams import Upstreams
from keyvault.vault.vault import Vault

SECRET = "sk-canary-4417"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths.find({"GWCTL_HOME": str(tmp_path / "home")})


@pytest.fixture
def upstreams(database: Database, clock: Clock, paths: Paths) -> Upstreams:
    vault = Vault(database, clock, paths, {})
    vault.initialise(SlotKind.FILE)
    return Upstreams(database, vault, clock)


@pytest.fixture
def openai(upstreams: Upstreams) -> Upstreams:
    upstreams.create("openai", "openai", secret=Secret(SECRET))
    return upstreams


def test_a_preset_fills_in_everything_but_the_secret(openai: Upstreams) -> None:
    made = openai.get("OpenAI")
    assert (made.name, made.provider, made.base_url) == ("openai", "openai", "https://api.openai.com/v1")
    assert (made.auth_header, made.auth_scheme, made.catalogue) == ("authorization", "Bearer", "openai")
    assert Dialect.RESPONSES in made.dialects
    assert made.has_secret
    assert made.verified_at is None
    opened = openai.open("openai")
    assert opened.base_url == "https://api.openai.com/v1"
    assert opened.auth_headers() == [(b"authorization", b"Bearer sk-canary-4417")]


def test_a_header_without_a_scheme_carries_the_secret_alone(upstreams: Upstreams) -> None:
    upstreams.create("claude", "anthropic", secret=Secret(SECRET))
    opened = upstreams.open("claude")
    assert opened.auth_headers() == [(b"x-api-key", SECRET.encode())]
    assert opened.upstream.extra_headers == {"anthropic-version": "2023-06-01"}


def test_a_local_upstream_may_do_without_a_secret(upstreams: Upstreams) -> None:
    made = upstreams.create("local", "ollama", secret=None, allow_private=True)
    assert not made.has_secret
    assert upstreams.open("local").auth_headers() == []
    assert upstreams.open("local").secret is None


def test_what_is_given_stands_in_for_the_preset(upstreams: Upstreams, tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.touch()
    made = upstreams.create(
        "own",
        "custom",
        base_url="https://llm.example.com/api/v1/",
        secret=Secret(SECRET),
        ca_file=str(ca_file),
        dialects=[Dialect.CHAT],
        auth_header="X-Token",
        auth_scheme="",
        stream_usage=False,
        extra_headers={"x-team": "ops"},
    )
    assert made.base_url == "https://llm.example.com/api/v1"
    assert made.dialects == {Dialect.CHAT}
    assert (made.stream_usage, made.catalogue, made.ca_file) == (False, None, str(ca_file))
    assert upstreams.open("own").auth_headers() == [(b"x-token", SECRET.encode())]


@pytest.mark.parametrize(
    "secret",
    ["", "sk-canary\n", "sk-\r\nx-evil: 1", "sk canary", "sk-\u00e9", "sk-\u200b1", "\x00", "\x7f", "s" * 9000],
    ids=["empty", "newline", "header", "space", "accent", "zero width", "nul", "delete", "long"],
)
def test_what_can_be_no_credential_is_refused_without_showing_it(upstreams: Upstreams, secret: str) -> None:
    with pytest.raises(UsageError, match="the credential") as caught:
        upstreams.create("openai", "openai", secret=Secret(secret))
    assert "canary" not in f"{caught.value.message} {caught.value.hint}"
    assert upstreams.list() == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "a b"}, "not a valid upstream name"),
        ({"secret": None}, "needs a credential"),
        ({"provider": "azure"}, "needs a base URL"),
        ({"base_url": "http://api.openai.com/v1"}, "plain http"),
        ({"base_url": "https://10.0.0.1/v1"}, "private address"),
        ({"ca_file": "/no/such/file.pem"}, "no such certificate file"),
        ({"auth_header": "x y"}, "not a valid name"),
        ({"auth_header": "Host"}, "sets this header itself"),
        ({"auth_scheme": "Bearer\r\nx: y"}, "not a valid authentication scheme"),
        ({"extra_headers": {"x-a": "1\r\nx-b: 2"}}, "not a valid header"),
        ({"extra_headers": {"content-length": "1"}}, "sets this header itself"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(
    upstreams: Upstreams, changes: dict[str, Any], reason: str
) -> None:
    arguments: dict[str, Any] = {"name": "openai", "provider": "openai", "secret": Secret(SECRET), **changes}
    with pytest.raises(UsageError, match=reason):
        upstreams.create(**arguments)
    assert upstreams.list() == []


def test_names_are_unique_without_regard_to_case(openai: Upstreams) -> None:
    with pytest.raises(Conflict, match="exists already"):
        openai.create("OPENAI", "openai", secret=Secret(SECRET))


def test_a_typo_is_answered_with_the_nearest_name(openai: Upstreams) -> None:
    with pytest.raises(NotFound) as caught:
        openai.get("OPNAI")
    assert caught.value.hint == "did you mean openai?"
    with pytest.raises(NotFound, match="no such provider") as caught:
        openai.create("second", "opnai", secret=Secret(SECRET))
    assert caught.value.hint == "did you mean openai?"


def test_a_credential_typed_in_a_name_s_place_is_not_shown(openai: Upstreams) -> None:
    with pytest.raises(NotFound) as caught:
        openai.get(SECRET)
    assert SECRET not in caught.value.message


def test_disabling_and_recording_a_test_need_no_unlocking(
    openai: Upstreams, database: Database, clock: Clock, paths: Paths
) -> None:
    paths.key_file.unlink()
    locked = Upstreams(database, Vault(database, clock, paths, {}), clock)
    assert locked.disable("openai").disabled
    tested = locked.record_test("openai", "chat with gpt-5-nano")
    assert (tested.verified_at, tested.verified_note) == (clock.now(), "chat with gpt-5-nano")


def test_deleting_an_upstream_takes_all_its_sealed_records_with_it(openai: Upstreams, database: Database) -> None:
    openai.delete("openai")
    assert openai.list() == []
    with database.read() as tx:
        kinds = list(tx.execute(sa.select(sealed_records.c.purpose)).scalars())
    assert kinds == ["pepper"]


def test_every_change_grows_the_epoch_and_stands_in_the_audit_log_without_the_secret(
    openai: Upstreams, database: Database
) -> None:
    openai.disable("openai")
    openai.disable("openai")
    openai.enable("openai")
    openai.delete("openai")
    with database.read() as tx:
        entries = audit.rows.oldest_first(tx)
        assert epochs.current(tx)[1] == 4
    assert [entry["action"] for entry in entries[1:]] == [
        "upstreams.create", "upstreams.disable", "upstreams.enable", "upstreams.delete"
    ]  # fmt: skip
    assert SECRET not in str(entries)


def test_the_secret_stands_nowhere_in_the_clear(openai: Upstreams, database: Database, tmp_path: Path) -> None:
    with database.read() as tx:
        stored = str(tx.execute(sa.select(table)).all()) + str(tx.execute(sa.select(sealed_records)).all())
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert SECRET not in stored
    assert SECRET.encode() not in files
    assert SECRET not in repr(openai.open("openai"))


def test_records_of_short_and_long_secrets_are_padded_alike(upstreams: Upstreams, database: Database) -> None:
    upstreams.create("a", "openai", secret=Secret("sk-1"))
    upstreams.create("b", "openai", secret=Secret("sk-12345"))
    with database.read() as tx:
        blobs = tx.execute(sa.select(sealed_records.c.blob).where(sealed_records.c.purpose == "upstream-secret"))
        lengths = {len(blob) for (blob,) in blobs}
    assert len(lengths) == 1
    assert (lengths.pop() - 89) % 64 == 0


# An attacker who can write the database.


@pytest.mark.parametrize(
    "changes",
    [
        {"base_url": "https://evil.example.com/v1"},
        {"provider": "custom"},
        {"auth_header": "x-forwarded-for"},
        {"auth_header": ""},
        {"auth_scheme": ""},
        {"extra_headers": '{"x-original-url": "/evil"}'},
        {"dialects": "telepathy"},
        {"allow_private": 1},
        {"ca_file": "/tmp/evil.pem"},
        {"name": "other", "folded": "openai"},
    ],
    ids=str,
)
def test_an_edited_row_is_tampered_with_and_nothing_is_opened(
    openai: Upstreams, database: Database, changes: dict[str, Any]
) -> None:
    with database.write() as tx:
        tx.execute(sa.update(table).values(changes))
    with pytest.raises(Tampered, match="upstream"):
        openai.open("openai")
    [found] = openai.open_all()
    assert (list(found.credentials), [type(problem) for problem in found.problems]) == ([], [Tampered])
    assert [found.upstream] == openai.list()


@pytest.mark.parametrize(
    "changes",
    [
        {"label": "other"},
        {"state": "retired"},
        {"state": "telepathic"},
        {"record_id": "none"},
        {"record_id": "pepper-1"},
        {"id": 99},
    ],
    ids=str,
)
def test_an_edited_credential_is_tampered_with_and_not_opened(
    openai: Upstreams, database: Database, changes: dict[str, Any]
) -> None:
    with database.write() as tx:
        tx.execute(sa.update(credentials).values(changes))
    with pytest.raises(Tampered, match="upstream openai"):
        openai.open("openai")
    [found] = openai.open_all()
    assert list(found.credentials) == []
    assert found.problems


def test_all_are_opened_in_one_transaction_and_a_changed_one_does_not_stop_the_others(
    openai: Upstreams, database: Database
) -> None:
    openai.create("second", "openai", secret=Secret("sk-second"))
    openai.create("third", "openai", secret=Secret("sk-third"))
    with database.write() as tx:
        tx.execute(sa.update(table).where(table.c.name == "second").values(base_url="https://evil.example.com/v1"))
    begun: list[object] = []
    sa.event.listen(database.engine, "begin", begun.append)
    opened = {found.upstream.name: found for found in openai.open_all()}
    assert len(begun) == 1
    assert [each.secret for each in opened["openai"].credentials] == [Secret(SECRET)]
    assert [each.secret for each in opened["third"].credentials] == [Secret("sk-third")]
    assert not opened["second"].credentials
    assert [type(problem) for problem in opened["second"].problems] == [Tampered]


def test_a_row_that_cannot_be_understood_can_still_be_shown_and_deleted(openai: Upstreams, database: Database) -> None:
    with database.write() as tx:
        tx.execute(sa.update(table).values(dialects="telepathy,chat", extra_headers="["))
    assert openai.get("openai").dialects == {Dialect.CHAT}
    with pytest.raises(Tampered):
        openai.open("openai")
    openai.delete("openai")
    assert openai.list() == []


def test_credentials_of_two_accounts_cannot_be_exchanged(openai: Upstreams, database: Database) -> None:
    openai.create("second", "openai", secret=Secret("sk-second"))
    with database.write() as tx:
        first, second = tx.execute(sa.select(credentials.c.id, credentials.c.record_id).order_by(credentials.c.id))
        tx.execute(sa.update(credentials).where(credentials.c.id == first.id).values(record_id="aside"))
        tx.execute(sa.update(credentials).where(credentials.c.id == second.id).values(record_id=first.record_id))
        tx.execute(sa.update(credentials).where(credentials.c.id == first.id).values(record_id=second.record_id))
    for name in ("openai", "second"):
        with pytest.raises(Tampered, match=name):
            openai.open(name)


def test_a_row_put_beside_the_others_gets_no_credential(openai: Upstreams, database: Database) -> None:
    columns = [c for c in table.c if c.name != "id"]
    changed = {"name": "evil", "folded": "evil", "base_url": "https://evil.example.com/v1"}
    picked = [sa.literal(changed[c.name]).label(c.name) if c.name in changed else c for c in columns]
    with database.write() as tx:
        tx.execute(sa.insert(table).from_select([c.name for c in columns], sa.select(*picked)))
    with pytest.raises(Tampered, match="evil"):
        openai.open("evil")
    assert openai.open("openai").secret == Secret(SECRET)


def test_the_id_of_a_deleted_credential_is_never_given_again(openai: Upstreams, database: Database) -> None:
    """Stored objects name the credential they were made with."""
    first = openai.open("openai").credential.id
    openai.delete("openai")
    openai.create("openai", "openai", secret=Secret(SECRET))
    assert openai.open("openai").credential.id > first
