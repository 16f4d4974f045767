"""Captures on both databases: their life, their files, and what a killed process leaves of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from keyvault.captures import files
from keyvault.captures.captured import Answer, Captured, pack, unpack
from keyvault.captures.captures import Captures
from keyvault.captures.files import CaptureFile
from keyvault.domain.captures import Capture, Ended, Plan
from keyvault.domain.scopes import parse_scope
from keyvault.domain.vault import Compartment, SlotKind
from keyvault.errors import Damaged, Locked, NotFound, Tampered, UsageError
from keyvault.journal import Journal
from keyvault.keys.customers import Customers
from keyvault.settings import Paths
from keyvault.storage import audit as audit_rows
from keyvault.storage import vault as vault_rows
from keyvault.storage.engine import Database
from keyvault.vault.rewrap import DataKeys
from keyvault.vault.seals import Seals
from keyvault.vault.vault import Vault
from tests.conftest import FrozenClock

EXCHANGE = Captured("01", 0, "POST", "/v1/x", (("accept", "*/*"),), b"{}", Answer(200, (), b"hi"), "k", "c", "p")


@dataclass
class Bench:
    """A home's parts, put together as the home does."""

    database: Database
    clock: FrozenClock
    paths: Paths

    def __post_init__(self) -> None:
        self.vault = self.new_vault()
        self.captures = Captures(self.database, self.clock, self.vault, self.paths.captures)

    def new_vault(self, environ: dict[str, str] | None = None) -> Vault:
        seals = Seals(self.database, lambda: self.vault, Journal(self.paths.journal_file))
        self.database.sealer = None
        vault = self.vault = Vault(self.database, self.clock, self.paths, environ or {}, check=seals.check)
        if not self.paths.key_file.exists():
            vault.initialise(SlotKind.FILE)
            seals.journal.begin()
        self.database.sealer = lambda: seals
        return vault

    def start(self, **more: Any) -> Capture:
        plan = Plan(**{"most": 10, "max_bytes": 10**6, "keep_seconds": 86_400, **more})
        return self.captures.start(parse_scope("customer:acme"), sample_ppm=10**6, lasts=timedelta(hours=1), plan=plan)

    def write(self, capture: Capture, *names: str, count: int = 3) -> list[Path]:
        """What processes of these names would write; the files."""
        key = self.captures.key(capture)
        for name in names:
            file = CaptureFile(self.captures.place(capture), name, capture.record_id, key)
            for _ in range(count):
                file.append(pack(EXCHANGE))
            file.close()
        return sorted(self.captures.place(capture).iterdir())

    def actions(self) -> list[str]:
        with self.database.read() as tx:
            return [str(row["action"]) for row in audit_rows.after(tx, 0) if row["scope"].startswith("capture")]


@pytest.fixture
def bench(database: Database, clock: FrozenClock, tmp_path: Path) -> Bench:
    paths = Paths(tmp_path / "config", tmp_path / "data", tmp_path / "state", one_roof=True)
    paths.make()
    made = Bench(database, clock, paths)
    Customers(database, clock).create("acme")
    return made


def test_a_capture_is_read_by_whoever_opens_the_vault_and_who_did_is_on_record(bench: Bench) -> None:
    capture = bench.start()
    bench.write(capture, "a", "b")
    assert list(bench.captures.export(capture.id)) == [EXCHANGE] * 6
    assert bench.actions() == ["captures.start", "captures.export"]
    bench.captures.stop(capture.id)
    bench.captures.delete(capture.id)
    assert bench.actions()[2:] == ["captures.stop", "captures.delete"]


def test_a_data_key_rotation_seals_only_the_small_record_anew(bench: Bench) -> None:
    capture = bench.start()
    (file,) = bench.write(capture, "a")
    before = file.read_bytes()
    import contextlib

    rotated = DataKeys(bench.database, bench.clock, bench.vault, lambda _: contextlib.nullcontext(True))
    assert rotated.rotate(Compartment.UPSTREAM).rewrapped == 1
    assert file.read_bytes() == before
    assert list(bench.captures.export(capture.id)) == [EXCHANGE] * 3


def test_deleting_leaves_a_copy_of_the_files_unreadable(bench: Bench) -> None:
    """Not even by the vault as it is then: the key is gone, and a new capture's is another."""
    capture = bench.start()
    (file,) = bench.write(capture, "a")
    copy, name = file.read_bytes(), file.name
    bench.captures.delete(capture.id)
    assert not bench.captures.place(capture).exists()
    with bench.database.read() as tx:
        assert vault_rows.record(tx, capture.record_id) is None
    other = bench.start()
    place = bench.captures.place(other)
    place.mkdir(parents=True)
    (place / name).write_bytes(copy)
    with pytest.raises(Tampered):
        list(bench.captures.export(other.id))
    for ask in (bench.captures.show, bench.captures.export, bench.captures.stop, bench.captures.delete):
        with pytest.raises(NotFound):
            ask(capture.id)


def test_a_capture_ends_by_time_count_or_size_and_goes_when_it_was_kept_long_enough(
    bench: Bench, clock: FrozenClock
) -> None:
    by_time, by_count, by_size = bench.start(), bench.start(most=5), bench.start(max_bytes=1_000)
    bench.write(by_time, "a")
    bench.captures.count(by_count.id, taken=3, dropped=2, size=100)
    bench.captures.count(by_size.id, taken=1, dropped=0, size=1_000)
    bench.captures.keep()
    assert [c.reason for c in bench.captures.list()] == [None, Ended.COUNT, Ended.BYTES]
    assert [c.id for c in bench.captures.running()] == [by_time.id]
    clock.advance(seconds=3_600)
    assert not bench.captures.running()
    bench.captures.keep()
    assert bench.captures.show(by_time.id).reason is Ended.TIME
    clock.advance(days=1, seconds=-1)
    bench.captures.keep()
    assert [c.id for c in bench.captures.list()] == [by_time.id]
    clock.advance(seconds=1)
    bench.captures.keep()
    assert not bench.captures.list()
    assert not bench.captures.place(by_time).exists()
    assert bench.actions()[-1] == "captures.expire"


def test_stopping_works_while_the_vault_is_locked_and_reading_does_not(bench: Bench) -> None:
    capture = bench.start()
    bench.paths.key_file.rename(bench.paths.key_file.with_suffix(".away"))
    bench.paths.key_file.touch()
    locked = Bench.__new__(Bench)
    locked.__dict__.update(bench.__dict__)
    locked.new_vault()
    service = Captures(bench.database, bench.clock, locked.vault, bench.paths.captures)
    bench.paths.key_file.unlink()
    assert service.stop(capture.id).reason is Ended.STOPPED
    for ask in (service.export, service.delete):
        with pytest.raises(Locked):
            ask(capture.id)


def test_a_pattern_that_may_not_be_starts_nothing(bench: Bench) -> None:
    with pytest.raises(UsageError):
        bench.start(patterns=("a+",))
    assert not bench.captures.list()


def test_files_that_belong_to_no_capture_are_found(bench: Bench) -> None:
    capture = bench.start()
    bench.write(capture, "a")
    (bench.paths.captures / "capture-STRAY").mkdir()
    assert [path.name for path in bench.captures.strays()] == ["capture-STRAY"]
    assert bench.captures.examine() == [None]


def test_an_exchange_comes_out_as_it_went_in_or_not_at_all() -> None:
    assert unpack(pack(EXCHANGE)) == EXCHANGE
    for bad in (b"", b"{}", pack(EXCHANGE)[:-3]):
        with pytest.raises(Damaged):
            unpack(bad)


# Files, which know nothing of databases

KEY = bytes(range(32))


def written(place: Path, count: int, name: str = "worker") -> Path:
    file = CaptureFile(place, name, "record", KEY)
    for number in range(count):
        file.append(b"exchange %d" % number)
    file.close()
    return place / f"{name}-0.capture"


def read(place: Path) -> list[bytes]:
    return list(files.read(place, "record", KEY))


def test_a_process_killed_while_it_writes_loses_the_last_exchange_alone(tmp_path: Path) -> None:
    whole = written(tmp_path / "c", 3).read_bytes()
    last = len(whole) - len(whole) // 3
    for length in range(last, len(whole)):
        (tmp_path / "c" / "worker-0.capture").write_bytes(whole[:length])
        assert read(tmp_path / "c") == [b"exchange 0", b"exchange 1"]


def test_a_frame_that_was_changed_moved_or_taken_out_shows(tmp_path: Path) -> None:
    path = written(tmp_path / "c", 3)
    whole = path.read_bytes()
    size = len(whole) // 3
    first, second, third = (whole[at : at + size] for at in (0, size, 2 * size))
    changed = second[:-1] + bytes([second[-1] ^ 1])
    for bad in (first + changed + third, second + first + third, first + third, b"\0" * 8 + whole):
        path.write_bytes(bad)
        with pytest.raises(Tampered):
            read(tmp_path / "c")
    path.write_bytes(whole)
    path.rename(path.with_name("another-0.capture"))
    with pytest.raises(Tampered):
        read(tmp_path / "c")


def test_files_are_private_and_never_written_over(tmp_path: Path) -> None:
    path = written(tmp_path / "c", 1)
    assert [oct(each.stat().st_mode & 0o777) for each in (tmp_path / "c", path)] == ["0o700", "0o600"]
    with pytest.raises(FileExistsError):
        written(tmp_path / "c", 1)
    assert read(tmp_path / "absent") == []
