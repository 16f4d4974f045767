"""The poller over a real SQLite file that is slow, locked, gone, and back again."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from textual.pilot import Pilot

from keyvault.clock import Clock
from keyvault.home import Home
from keyvault.storage import migrations
from keyvault.storage.engine import Database, sqlite_module
from opsconsole.readers.home import HomeReader
from opsconsole.tui.app import Console
from opsconsole.tui.poller import Poller, Reader
from opsconsole.view import feed as feeds
from opsconsole.view.feed import Feed
from opsconsole.view.keys.snapshot import KeysBy, KeysQuestion
from opsconsole.view.live.snapshot import LiveQuestion
from opsconsole.view.snapshot import Question, Snapshot
from opsconsole.view.text import UNICODE, plain
from tests import postgresql
from tests.conftest import FrozenClock
from tests.tui.driving import press, screen_text, until
from tests.tui.operating import a_home

BUSY_TIMEOUT_MS = 50
sqlite = sqlite_module()
"""The library that the gateway uses: locks are a process's, and another library in it would not meet them."""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with a_home(tmp_path, BUSY_TIMEOUT_MS) as home:
        yield home


@pytest.fixture
def poller(home: Home, clock: FrozenClock) -> Poller:
    return Poller(HomeReader(home, "UTC"), lambda _feed: None, clock, LiveQuestion())


def database_of(home: Home) -> Path:
    return Path(home.settings.database_url.removeprefix("sqlite:///"))


def told(feed: Feed, clock: FrozenClock) -> str:
    banner = feeds.banner(feed, clock.now())
    return plain(banner) if banner else ""


class Witness:
    """Reads a home, and remembers what it was asked and how many readings there were at once."""

    def __init__(self, home: Home) -> None:
        self._reader = HomeReader(home, "UTC")
        self.asked: list[Question] = []
        self.inside = 0
        self.most = 0

    def read(self, question: Question) -> Snapshot:
        self.asked.append(question)
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            return self._reader.read(question)
        finally:
            self.inside -= 1


class WatchedConsole(Console):
    """Reads when asked, and by itself only where a reading has failed."""

    def make_poller(self, reader: Reader, clock: Clock, question: Question) -> Poller:
        return RetryingPoller(reader, self._post, clock, question)


class RetryingPoller(Poller):
    def step(self, before: Feed) -> tuple[Feed, float]:
        feed, wait = super().step(before)
        return feed, wait if feed.failure else 3600.0


@asynccontextmanager
async def watching(home: Home) -> AsyncIterator[tuple[Console, Pilot[None], Witness]]:
    """The console on a home, by customer, after its first reading."""
    witness = Witness(home)
    console = WatchedConsole(witness, clock=home.clock, zone=UTC, glyphs=UNICODE)
    async with console.run_test(size=(120, 36)) as pilot:
        await press(pilot, "2", "g", "c")
        await until(pilot, lambda: "default" in screen_text(console))
        witness.asked.clear()
        yield console, pilot, witness


@contextmanager
def locked(home: Home) -> Iterator[Any]:
    """Somebody has the file for himself alone, which no reader gets past, and works on it."""
    with closing(sqlite.connect(database_of(home), isolation_level=None, timeout=0)) as holder:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        home.database.close()  # who has the file open has a part in it
        holder.execute("BEGIN EXCLUSIVE")
        yield holder


@contextmanager
def slow(home: Home) -> Iterator[threading.Event]:
    """From its first few steps on SQLite does not get on with any statement. The event: it has come so far."""
    begun, free = threading.Event(), threading.Event()

    def hang() -> int:
        begun.set()
        free.wait()
        return 0

    def connected(connection: Any, *_: object) -> None:
        connection.set_progress_handler(hang, 10)

    event.listen(home.database.engine, "checkout", connected)
    try:
        yield begun
    finally:
        event.remove(home.database.engine, "checkout", connected)
        home.database.close()
        free.set()


def add_customer(database: Database, name: str) -> None:
    """As another program of the gateway does, which tells of it."""
    with database.write() as tx:
        for statement in added(name):
            tx.exec_driver_sql(statement)


def added(name: str) -> tuple[str, str]:
    insert = f"INSERT INTO customers (name, folded, created_ms) VALUES ('{name}', '{name}', 0)"
    return insert, "UPDATE epochs SET keys = keys + 1"


async def can_be_operated(console: Console, pilot: Pilot[None]) -> bool:
    """Whether help opens and closes, the filter takes letters, and the cursor's row is as it was."""
    await press(pilot, "question_mark")
    opened = "sort" in screen_text(console) and console.screen is not console.view
    await press(pilot, "escape", "slash", "d")
    filtered = "filter: d" in screen_text(console)
    await press(pilot, "escape")
    return opened and filtered and console.screen is console.view


def test_a_writer_under_way_keeps_nobody_from_reading(home: Home, poller: Poller, clock: FrozenClock) -> None:
    writer = sqlite.connect(database_of(home), isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    try:
        feed, _ = poller.step(Feed())
    finally:
        writer.close()
    assert feed.snapshot is not None
    assert feed.failure is None


def test_a_database_that_is_gone_is_told_of_and_read_again_when_it_is_back(
    home: Home, poller: Poller, clock: FrozenClock
) -> None:
    before, _ = poller.step(Feed())
    file = database_of(home)
    aside = file.rename(file.with_suffix(".aside"))
    clock.advance(seconds=7)
    gone, wait = poller.step(before)
    assert gone.snapshot is before.snapshot, "the figures stay"
    assert "figures 7.0 s old · next try in 1 s" in told(gone, clock)
    assert wait == 1
    assert poller.step(gone)[1] == 2, "each further try waits longer"
    aside.rename(file)
    back, wait = poller.step(gone)
    assert (told(back, clock), wait) == ("", 1)
    assert back.read_at == clock.now()


def test_another_database_in_its_place_is_read_from_then_on(home: Home, poller: Poller, clock: FrozenClock) -> None:
    """As after a restore, while the console is open."""
    poller.step(Feed())
    file = database_of(home)
    copy = file.with_suffix(".copy")
    with closing(sqlite.connect(file)) as source, closing(sqlite.connect(copy)) as restored:
        source.backup(restored)
        restored.execute("INSERT INTO customers (name, folded, created_ms) VALUES ('acme', 'acme', 0)")
        restored.commit()
    copy.rename(file)
    for leftover in (file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm")):
        leftover.unlink(missing_ok=True)
    home_reader = poller._reader
    assert "acme" in home_reader.read(KeysQuestion(KeysBy.CUSTOMER)).customers  # type: ignore[attr-defined]


def test_a_database_that_is_none_any_more_is_told_of(home: Home, poller: Poller, clock: FrozenClock) -> None:
    before, _ = poller.step(Feed())
    file = database_of(home)
    home.database.close()
    content = file.read_bytes()
    file.write_bytes(b"this is no database, whatever it is called" * 100)
    broken, _ = poller.step(before)
    assert broken.snapshot is before.snapshot
    assert "figures" in told(broken, clock)
    home.database.close()
    file.write_bytes(content)
    assert told(poller.step(broken)[0], clock) == ""


async def test_a_database_locked_for_longer_than_one_waits_is_told_of_until_it_is_free(home: Home) -> None:
    async with watching(home) as (console, pilot, _):
        with locked(home) as holder:
            await press(pilot, "ctrl+r")
            await until(pilot, lambda: "database is locked" in screen_text(console))
            shown = screen_text(console)
            assert "stale" in shown
            assert "next try in" in shown or "trying again" in shown
            assert "default" in shown, "the figures stay"
            assert await can_be_operated(console, pilot)
            for statement in (*added("acme"), "COMMIT"):
                holder.execute(statement)
        await until(pilot, lambda: "acme" in screen_text(console))
        assert "stale" not in screen_text(console)
        assert "locked" not in screen_text(console)


async def test_the_console_is_operated_while_a_reading_is_slow_and_the_newest_question_wins(home: Home) -> None:
    async with watching(home) as (console, pilot, witness):
        with slow(home) as begun:
            await press(pilot, "ctrl+r")
            await until(pilot, begun.is_set)
            assert await can_be_operated(console, pilot)
            await press(pilot, "g", "k", "ctrl+r", "g", "p", "ctrl+r", "ctrl+r")
            assert witness.asked == [KeysQuestion(KeysBy.CUSTOMER)], "nobody else reads meanwhile"
        await until(pilot, lambda: "default/default" in screen_text(console))
        assert witness.asked == [KeysQuestion(KeysBy.CUSTOMER), KeysQuestion(KeysBy.PROJECT)]
        assert witness.most == 1


async def test_a_file_that_is_moved_away_and_back_is_read_on(home: Home) -> None:
    async with watching(home) as (console, pilot, _):
        file = database_of(home)
        aside = file.rename(file.with_suffix(".aside"))
        await press(pilot, "ctrl+r")
        await until(pilot, lambda: "the database cannot be found" in screen_text(console))
        assert "stale" in screen_text(console)
        assert await can_be_operated(console, pilot)
        aside.rename(file)
        with closing(Database(home.settings.database_url)) as other:
            add_customer(other, "acme")
        await press(pilot, "ctrl+r")
        await until(pilot, lambda: "acme" in screen_text(console))
        assert "stale" not in screen_text(console)


async def test_a_postgresql_that_is_stopped_and_started_again_is_read_on(home: Home) -> None:
    with postgresql.stoppable() as server:
        database = Database(server.get_uri())
        migrations.upgrade(database)
        add_customer(database, "default")
        environ = {**home.environ, "GWCTL_DATABASE_URL": server.get_uri()}
        with closing(Home(environ)) as served:
            async with watching(served) as (console, pilot, _):
                database.close()
                server.stop()
                await press(pilot, "ctrl+r")
                await until(pilot, lambda: "stale" in screen_text(console))
                assert await can_be_operated(console, pilot)
                server.start()
                add_customer(database, "acme")
                await press(pilot, "ctrl+r")
                await until(pilot, lambda: "acme" in screen_text(console))
                assert "stale" not in screen_text(console)
        database.close()
