"""The poller over a real SQLite file that is slow, locked, gone, and back again."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from keyvault.home import Home
from opsconsole.readers.home import HomeReader
from opsconsole.tui.poller import Poller
from opsconsole.view import feed as feeds
from opsconsole.view.feed import Feed
from opsconsole.view.keys.snapshot import KeysBy, KeysQuestion
from opsconsole.view.live.snapshot import LiveQuestion, LiveSnapshot
from opsconsole.view.text import plain
from tests.conftest import FrozenClock
from tests.tui.driving import press, running, screen_text, until
from tests.tui.operating import a_home


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with a_home(tmp_path) as home:
        yield home


@pytest.fixture
def poller(home: Home, clock: FrozenClock) -> Poller:
    return Poller(HomeReader(home, "UTC"), lambda _feed: None, clock, LiveQuestion())


def database_of(home: Home) -> Path:
    return Path(home.settings.database_url.removeprefix("sqlite:///"))


def told(feed: Feed, clock: FrozenClock) -> str:
    banner = feeds.banner(feed, clock.now())
    return plain(banner) if banner else ""


@contextmanager
def locked(home: Home) -> Iterator[None]:
    """Somebody has the file for himself alone, which no reader gets past."""
    home.database.close()
    holder = sqlite3.connect(database_of(home), isolation_level=None, check_same_thread=False)
    try:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        holder.close()


def test_a_writer_under_way_keeps_nobody_from_reading(home: Home, poller: Poller, clock: FrozenClock) -> None:
    writer = sqlite3.connect(database_of(home), isolation_level=None)
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
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(copy)) as restored:
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


async def test_the_console_works_on_while_a_reading_hangs_on_a_locked_database(home: Home) -> None:
    """And shows the figures as soon as it is free again."""
    reader = HomeReader(home, "UTC")
    begun, free = threading.Event(), threading.Event()

    def answer(question: LiveQuestion) -> LiveSnapshot:
        if not begun.is_set():
            return reader.read(question)
        free.wait()
        return reader.read(question)

    async with running(answer) as (console, pilot):
        with locked(home):
            begun.set()
            console.frozen.advance(seconds=9)
            await press(pilot, "ctrl+r", "question_mark", "escape", "right_square_bracket")
            assert "last 1 h" in screen_text(console)
            free.set()
        await until(pilot, lambda: console.view.feed.read_at == console.frozen.now())
        assert "● live" in screen_text(console)
