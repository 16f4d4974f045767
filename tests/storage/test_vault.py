"""The vault on both databases: making, opening, slots, scopes, and what an attacker with database access can do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa

from keyvault import audit
from keyvault.clock import Clock
from keyvault.domain.vault import Compartment, SlotKind, SlotScope
from keyvault.errors import Conflict, GatewayError, Locked, NotFound, Tampered, UnknownGeneration, UsageError, WrongKey
from keyvault.secrets import Secret
from keyvault.settings import Paths
from keyvault.storage import audit as audit_rows
from keyvault.storage import schema
from keyvault.storage import vault as rows
from keyvault.storage.engine import Database
from keyvault.storage.schema import meta, sealed_records, vault_generations, vault_slots
from keyvault.vault.generations import new_data_key
from keyvault.vault.open_vault import PEPPER, UPSTREAM_SECRET
from keyvault.vault.os_keyring import OsKeyring
from keyvault.vault.results import InitResult
from keyvault.vault.slot_changes import Slots
from keyvault.vault.unlock import Prompt
from keyvault.vault.vault import Vault

PASSPHRASE = Secret("correct horse battery staple")


@dataclass
class Bench:
    """A home on one database, whose vault can be opened afresh as by another process."""

    database: Database
    clock: Clock
    paths: Paths
    environ: dict[str, str] = field(default_factory=dict)

    def vault(self, prompt: Prompt | None = None, **environ: str) -> Vault:
        return Vault(self.database, self.clock, self.paths, {**self.environ, **environ}, prompt=prompt)

    def slots(self, vault: Vault | None = None) -> Slots:
        return Slots(self.database, self.clock, self.paths, vault or self.vault(), OsKeyring(self.environ))

    def initialise(self, *, recovery: bool = False) -> InitResult:
        return self.vault().initialise(SlotKind.FILE, recovery=recovery)

    def change(self, statement: sa.UpdateBase) -> None:
        """What somebody with write access to the database does."""
        with self.database.write() as tx:
            tx.execute(statement)


@pytest.fixture
def bench(database: Database, clock: Clock, tmp_path: Path) -> Bench:
    return Bench(database, clock, Paths.find({"GWCTL_HOME": str(tmp_path / "home")}))


def test_a_new_vault_opens_with_its_key_file_and_has_a_pepper(bench: Bench) -> None:
    result = bench.initialise()
    assert [(slot.id, slot.kind, slot.scope) for slot in result.slots] == [("file-1", SlotKind.FILE, SlotScope.ALL)]
    assert result.recovery_code is None
    opened = bench.vault().unlock(Compartment.UPSTREAM)
    version, pepper = opened.pepper()
    assert version == 1
    assert len(pepper) == 32
    assert opened.peppers() == {1: pepper}


def test_unlocking_happens_once(bench: Bench) -> None:
    bench.initialise()
    vault = bench.vault()
    opened = vault.unlock()
    bench.paths.key_file.unlink()
    assert vault.unlock(Compartment.UPSTREAM) is opened


def test_a_vault_is_never_made_twice(bench: Bench) -> None:
    first = bench.initialise()
    bench.paths.key_file.rename(bench.paths.key_file.with_suffix(".old"))
    with pytest.raises(Conflict, match="exists already"):
        bench.initialise()
    assert not bench.paths.key_file.exists()
    assert bench.vault().status().vault_id == first.vault_id


def test_an_existing_key_file_is_kept_and_no_vault_is_made(bench: Bench) -> None:
    bench.paths.make()
    bench.paths.key_file.write_text("precious")
    with pytest.raises(Conflict, match="not overwritten"):
        bench.initialise()
    assert bench.paths.key_file.read_text() == "precious"
    with pytest.raises(NotFound, match="not set up"):
        bench.vault().status()


def test_a_failed_initialisation_leaves_no_key_file(bench: Bench) -> None:
    bench.change(
        sa.insert(vault_generations).values(number=1, compartment="keys", state="x", wrapped=b"", created_ms=0)
    )
    with pytest.raises(sa.exc.IntegrityError):
        bench.initialise()
    assert not bench.paths.key_file.exists()


def test_without_a_vault_unlocking_says_how_to_make_one(bench: Bench) -> None:
    with pytest.raises(NotFound) as caught:
        bench.vault().unlock()
    assert caught.value.hint == "gwctl init"


def test_the_status_is_told_without_unlocking(bench: Bench) -> None:
    made = bench.initialise(recovery=True)
    bench.paths.key_file.unlink()
    status = bench.vault().status()
    assert status.vault_id == made.vault_id
    assert [slot.id for slot in status.slots] == ["file-1", "recovery-1"]
    assert [(key.number, key.compartment, key.state) for key in status.data_keys] == [
        (1, Compartment.UPSTREAM, "primary"),
        (2, Compartment.KEYS, "primary"),
    ]
    assert status.records == {"pepper": 1}


def test_what_was_done_is_in_the_audit_log(bench: Bench) -> None:
    bench.initialise()
    slots = bench.slots()
    slots.create(SlotKind.RECOVERY)
    slots.delete("recovery-1")
    with bench.database.read() as tx:
        assert audit.verify(tx) is None
        actions = [row["action"] for row in audit_rows.oldest_first(tx)]
    assert actions == ["vault.initialise", "vault.slots.create", "vault.slots.delete"]


# Every slot alone opens the vault.


def test_a_recovery_code_opens_the_vault_however_it_is_typed(bench: Bench) -> None:
    code = bench.initialise(recovery=True).recovery_code
    assert code is not None
    bench.paths.key_file.unlink()
    typed = code.reveal().lower().replace("0", "O").replace("1", "l").replace("-", " ")
    assert bench.vault(prompt=lambda _: Secret(typed)).unlock(Compartment.UPSTREAM).scope is SlotScope.ALL
    assert bench.slots().test_recovery(Secret(typed)).id == "recovery-1"


def test_a_wrong_recovery_code_says_checksum(bench: Bench) -> None:
    code = bench.initialise(recovery=True).recovery_code
    assert code is not None
    wrong = code.reveal()[:-1] + ("0" if code.reveal()[-1] != "0" else "1")
    with pytest.raises(WrongKey, match="checksum"):
        bench.slots().test_recovery(Secret(wrong))


def test_a_passphrase_opens_the_vault(bench: Bench) -> None:
    bench.vault().initialise(SlotKind.PASSPHRASE, passphrase=PASSPHRASE)
    asked: list[str] = []

    def prompt(question: str) -> Secret:
        asked.append(question)
        return PASSPHRASE

    bench.vault(prompt=prompt).unlock()
    assert asked == ["vault passphrase"]
    with pytest.raises(WrongKey, match="prompt: it opens no slot"):
        bench.vault(prompt=lambda _: Secret("wrong horse battery staple")).unlock()


def test_a_new_slot_opens_and_a_deleted_one_does_not(bench: Bench) -> None:
    bench.initialise()
    slots = bench.slots()
    code = slots.create(SlotKind.RECOVERY).recovery_code
    assert code is not None
    deleted = slots.delete("file-1")
    assert deleted.secret_removed
    assert not bench.paths.key_file.exists()
    bench.vault(prompt=lambda _: code).unlock(Compartment.UPSTREAM)
    with pytest.raises(Conflict, match="last slot that opens everything"):
        slots.delete("recovery-1")
    with pytest.raises(NotFound, match="no such slot"):
        slots.delete("file-1")


def test_deleting_a_slot_leaves_a_file_that_holds_another_key(bench: Bench) -> None:
    bench.initialise()
    slots = bench.slots()
    slots.create(SlotKind.RECOVERY)
    bench.paths.key_file.write_text("00" * 32)
    assert not slots.delete("file-1").secret_removed
    assert bench.paths.key_file.exists()


def test_a_slot_that_could_not_be_made_leaves_nothing(bench: Bench) -> None:
    bench.initialise()
    with pytest.raises(Conflict):
        bench.slots().create(SlotKind.FILE)
    with pytest.raises(UsageError):
        bench.slots().create(SlotKind.PASSPHRASE, passphrase=Secret("short"))
    assert [slot.id for slot in bench.slots().list()] == ["file-1"]
    bench.vault().unlock()


# A slot of scope `keys` reaches the pepper and nothing of the providers.


@pytest.fixture
def keys_only(bench: Bench, tmp_path: Path) -> Vault:
    bench.initialise()
    bench.slots().create(SlotKind.FILE, scope=SlotScope.KEYS, key_file=tmp_path / "cron.key")
    return bench.vault(GWCTL_KEY_FILE=str(tmp_path / "cron.key"))


def test_scope_keys_opens_the_pepper_only(bench: Bench, keys_only: Vault) -> None:
    assert keys_only.unlock().pepper() == bench.vault().unlock().pepper()
    with pytest.raises(Locked, match="opens only the keys compartment"):
        keys_only.unlock(Compartment.UPSTREAM)


def test_scope_keys_cannot_open_or_seal_a_provider_secret(bench: Bench, keys_only: Vault) -> None:
    with bench.database.write() as tx:
        bench.vault().unlock().seal(tx, "rec", UPSTREAM_SECRET, ("openai",), b"sk", version=1)
    opened = keys_only.unlock()
    with bench.database.write() as tx:
        with pytest.raises(Locked):
            opened.open(tx, "rec", ("openai",))
        with pytest.raises(Locked):
            opened.seal(tx, "rec-2", UPSTREAM_SECRET, ("openai",), b"sk", version=1)
        assert 1 not in opened._keys.by_number


def test_scope_keys_can_neither_make_nor_delete_slots(bench: Bench, keys_only: Vault) -> None:
    with pytest.raises(Locked):
        bench.slots(keys_only).create(SlotKind.RECOVERY)
    with pytest.raises(Locked):
        bench.slots(keys_only).delete("file-1")


def test_the_last_slot_that_opens_everything_stays_even_beside_one_of_scope_keys(
    bench: Bench, keys_only: Vault
) -> None:
    with pytest.raises(Conflict):
        bench.slots().delete("file-1")


# An attacker who can write the database.


def _copy_slot(**changes: object) -> sa.UpdateBase:
    columns = [c.name for c in vault_slots.c]
    picked = [sa.literal(changes[name]).label(name) if name in changes else vault_slots.c[name] for name in columns]
    return sa.insert(vault_slots).from_select(columns, sa.select(*picked).where(vault_slots.c.id == "recovery-1"))


ATTACKS_ON_SLOTS: dict[str, Callable[[], sa.UpdateBase]] = {
    "added": lambda: _copy_slot(id="recovery-2"),
    "removed": lambda: sa.delete(vault_slots).where(vault_slots.c.id == "recovery-1"),
    "scope": lambda: sa.update(vault_slots).where(vault_slots.c.id == "recovery-1").values(scope="keys"),
    "detail": lambda: sa.update(vault_slots).where(vault_slots.c.id == "recovery-1").values(detail="elsewhere"),
    "unknown kind": lambda: sa.update(vault_slots).where(vault_slots.c.id == "recovery-1").values(kind="magic"),
    "own scope": lambda: sa.update(vault_slots).where(vault_slots.c.id == "file-1").values(scope="keys"),
    "own parameters": lambda: sa.update(vault_slots).where(vault_slots.c.id == "file-1").values(params='{"a": 1}'),
    "no mac": lambda: sa.delete(meta).where(meta.c.name == "slot_table_mac.all"),
    "other mac": lambda: sa.update(meta).where(meta.c.name == "slot_table_mac.all").values(value="00" * 32),
    "odd mac": lambda: sa.update(meta).where(meta.c.name == "slot_table_mac.all").values(value="\u00e9"),
    "vault id": lambda: sa.update(meta).where(meta.c.name == "vault_id").values(value="other"),
}


@pytest.mark.parametrize("attack", ATTACKS_ON_SLOTS)
def test_a_changed_slot_table_is_refused(bench: Bench, attack: str) -> None:
    bench.initialise(recovery=True)
    bench.change(ATTACKS_ON_SLOTS[attack]())
    with pytest.raises(Tampered, match="slot"):
        bench.vault().unlock()


def test_no_slots_left_is_said_in_plain_words(bench: Bench) -> None:
    bench.initialise()
    bench.change(sa.delete(vault_slots))
    with pytest.raises(Locked, match="no slots left"):
        bench.vault().unlock()
    assert bench.paths.key_file.exists()


def test_a_passphrase_slot_that_asks_for_64_gib_is_refused(bench: Bench) -> None:
    bench.vault().initialise(SlotKind.PASSPHRASE, passphrase=PASSPHRASE)
    params = '{"iterations": 3, "kdf": "argon2id", "lanes": 4, "memory_kib": 67108864, "salt": "' + "00" * 16 + '"}'
    bench.change(sa.update(vault_slots).values(params=params))
    with pytest.raises(Tampered, match="65536 MiB"):
        bench.vault(prompt=lambda _: PASSPHRASE).unlock()


def test_cheaper_passphrase_parameters_open_nothing(bench: Bench) -> None:
    bench.vault().initialise(SlotKind.PASSPHRASE, passphrase=PASSPHRASE)
    with bench.database.read() as tx:
        params = rows.slots(tx)[0].params
    bench.change(sa.update(vault_slots).values(params=params.replace("65536", "64")))
    with pytest.raises(WrongKey):
        bench.vault(prompt=lambda _: PASSPHRASE).unlock()


@pytest.mark.parametrize("number", [1, 2])
def test_a_changed_data_key_is_named(bench: Bench, number: int) -> None:
    bench.initialise()
    other = sa.select(vault_generations.c.wrapped).where(vault_generations.c.number == 3 - number).scalar_subquery()
    bench.change(sa.update(vault_generations).where(vault_generations.c.number == number).values(wrapped=other))
    with pytest.raises(Tampered, match=f"data key {number}"):
        bench.vault().unlock()


@pytest.fixture
def two_records(bench: Bench) -> Bench:
    bench.initialise()
    opened = bench.vault().unlock(Compartment.UPSTREAM)
    with bench.database.write() as tx:
        opened.seal(tx, "rec-a", UPSTREAM_SECRET, ("openai",), b"secret a", version=1)
        opened.seal(tx, "rec-b", UPSTREAM_SECRET, ("openai",), b"secret b", version=1)
    return bench


def _open(bench: Bench, record_id: str, identity: tuple[str, ...] = ("openai",)) -> bytes:
    with bench.database.read() as tx:
        return bench.vault().unlock(Compartment.UPSTREAM).open(tx, record_id, identity)


def _blob(bench: Bench, record_id: str) -> bytes:
    with bench.database.read() as tx:
        found = rows.record(tx, record_id)
    assert found is not None
    return found.blob


def _set(record_id: str, **values: object) -> sa.UpdateBase:
    return sa.update(sealed_records).where(sealed_records.c.id == record_id).values(values)


def test_records_open_for_what_they_belong_to(two_records: Bench) -> None:
    assert _open(two_records, "rec-a") == b"secret a"
    assert _open(two_records, "rec-b") == b"secret b"
    with pytest.raises(Tampered, match="rec-a"):
        _open(two_records, "rec-a", ("mistral",))


def test_swapped_records_are_refused(two_records: Bench) -> None:
    a, b = _blob(two_records, "rec-a"), _blob(two_records, "rec-b")
    two_records.change(_set("rec-a", blob=b))
    two_records.change(_set("rec-b", blob=a))
    for record_id in ("rec-a", "rec-b"):
        with pytest.raises(Tampered, match=record_id):
            _open(two_records, record_id)


def test_a_record_copied_to_a_new_id_is_refused(two_records: Bench) -> None:
    with two_records.database.write() as tx:
        found = rows.record(tx, "rec-a")
        assert found is not None
        tx.execute(
            sa.insert(sealed_records).values(
                id="rec-c", purpose=found.purpose, generation=found.generation, version=1, blob=found.blob, updated_ms=0
            )
        )
    with pytest.raises(Tampered, match="rec-c"):
        _open(two_records, "rec-c")


def test_an_old_record_under_a_newer_version_is_refused(two_records: Bench) -> None:
    old = _blob(two_records, "rec-a")
    with two_records.database.write() as tx:
        two_records.vault().unlock().seal(tx, "rec-a", UPSTREAM_SECRET, ("openai",), b"new", version=2)
    assert _open(two_records, "rec-a") == b"new"
    two_records.change(_set("rec-a", blob=old))
    with pytest.raises(Tampered):
        _open(two_records, "rec-a")


@pytest.mark.parametrize(
    "values",
    [{"version": 2}, {"purpose": PEPPER}, {"purpose": "nonsense"}, {"blob": b""}, {"blob": b"gwv"}],
    ids=str,
)
def test_a_changed_record_row_is_refused(two_records: Bench, values: dict[str, object]) -> None:
    two_records.change(_set("rec-a", **values))
    with pytest.raises(GatewayError) as caught:
        _open(two_records, "rec-a")
    assert "rec-a" in caught.value.message


def test_a_missing_record_or_pepper_is_said(two_records: Bench) -> None:
    with pytest.raises(Tampered, match="rec-z is missing"):
        _open(two_records, "rec-z")
    two_records.change(sa.delete(sealed_records).where(sealed_records.c.purpose == PEPPER))
    with pytest.raises(Tampered, match="pepper is missing"):
        two_records.vault().unlock().pepper()


def test_a_data_key_made_by_another_process_is_picked_up_when_first_met(two_records: Bench) -> None:
    reader, other = (two_records.vault().unlock(Compartment.UPSTREAM) for _ in range(2))
    with two_records.database.write() as tx:
        tx.execute(sa.update(vault_generations).where(vault_generations.c.number == 1).values(state="decrypt-only"))
        fresh = new_data_key(other.access, 3, Compartment.UPSTREAM, bytes(32), two_records.clock.now())
        rows.insert_data_key(tx, fresh)
    with two_records.database.write() as tx:
        two_records.vault().unlock(Compartment.UPSTREAM).seal(tx, "rec-c", UPSTREAM_SECRET, (), b"new key", version=1)
        assert reader.open(tx, "rec-c", ()) == b"new key"
        assert reader.open(tx, "rec-a", ("openai",)) == b"secret a"


def test_a_record_of_a_data_key_that_is_gone_says_so(two_records: Bench) -> None:
    blob = bytearray(_blob(two_records, "rec-a"))
    blob[8] = 99
    two_records.change(_set("rec-a", blob=bytes(blob)))
    with pytest.raises(UnknownGeneration, match="rec-a"):
        _open(two_records, "rec-a")


def test_nothing_that_holds_a_key_shows_it(bench: Bench) -> None:
    bench.initialise()
    opened = bench.vault().unlock()
    keys = [opened.access.key, *opened._keys.by_number.values(), opened.pepper()[1]]
    with bench.database.read() as tx:
        shown = f"{opened!r} {opened.access!r} {opened._keys!r} {rows.slots(tx)!r} {rows.data_keys(tx)!r}"
    for key in keys:
        assert repr(key)[2:-1] not in shown
        assert key.hex() not in shown


def test_the_database_never_holds_an_unlocked_key(database: Database, tmp_path: Path) -> None:
    bench = Bench(database, Clock(), Paths.find({"GWCTL_HOME": str(tmp_path / "home")}))
    bench.initialise()
    opened = bench.vault().unlock()
    with database.read() as tx:
        tables = (meta, vault_slots, vault_generations, sealed_records, schema.audit)
        stored = b"".join(_as_bytes(value) for table in tables for row in tx.execute(sa.select(table)) for value in row)
    stored += b"".join(path.read_bytes() for path in tmp_path.glob("gateway.db*"))
    for key in (opened.access.key, *opened._keys.by_number.values(), bytes.fromhex(bench.paths.key_file.read_text())):
        assert key not in stored
        assert key.hex().encode() not in stored


def _as_bytes(value: object) -> bytes:
    return bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
