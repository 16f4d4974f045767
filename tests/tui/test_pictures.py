"""Pictures of the designed states, as text.

`UPDATE_PICTURES=1` draws them anew; look at the difference before keeping it.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from keyvault.errors import Unavailable
from opsconsole.tui.memory import Memory
from opsconsole.view.feed import Failure, Feed
from opsconsole.view.live.snapshot import LiveQuestion, LiveSnapshot
from opsconsole.view.snapshot import Setup
from opsconsole.view.text import ASCII
from tests.tui import examples
from tests.tui.driving import NORMAL, Answer, RecordingConsole, press, running, screen_text
from tests.tui.examples import NOW

PICTURES = Path(__file__).with_name("pictures")


def compare(name: str, console: RecordingConsole) -> None:
    drawn = screen_text(console)
    file = PICTURES / f"{name}.txt"
    if os.environ.get("UPDATE_PICTURES"):
        file.write_text(drawn, encoding="utf-8")
    assert drawn == file.read_text(encoding="utf-8")


def unused(_question: LiveQuestion) -> LiveSnapshot:
    return replace(examples.new(), setup=Setup("/home/ops/.local/share/gwctl", initialised=False, ever_used=False))


STATES: dict[str, tuple[Answer, tuple[int, int], tuple[str, ...]]] = {
    "first-run": (lambda _question: examples.new(), NORMAL, ()),
    "not-set-up": (unused, NORMAL, ()),
    "empty": (lambda _question: examples.quiet(), NORMAL, ()),
    "empty-without-worker": (lambda _question: replace(examples.quiet(), workers=0), NORMAL, ()),
    "busy-60x15": (examples.busy, (60, 15), ()),
    "busy-80x24": (examples.busy, NORMAL, ()),
    "busy-120x36": (examples.busy, (120, 36), ()),
    "busy-160x48": (examples.busy, (160, 48), ()),
    "busy-200x60": (examples.busy, (200, 60), ()),
    "many": (lambda question: examples.many(250, question), (120, 36), ("G",)),
    "paused": (examples.busy, NORMAL, ("space",)),
    "filter-active": (examples.busy, NORMAL, ("slash", "!", "g", "p", "t")),
    "filter-without-match": (examples.busy, NORMAL, ("slash", "z", "z", "enter")),
    "group-menu": (examples.busy, NORMAL, ("g",)),
    "by-model": (examples.busy, NORMAL, ("g", "m")),
    "graphs": (examples.busy, (100, 34), ("z",)),
    "table-only": (examples.busy, (60, 15), ("z", "z")),
    "help": (examples.busy, (100, 50), ("question_mark",)),
    "too-small": (examples.busy, (50, 12), ()),
}


@pytest.mark.parametrize("name", STATES)
async def test_a_state_looks_as_designed(name: str) -> None:
    answer, size, keys = STATES[name]
    async with running(answer, size=size) as (console, pilot):
        await press(pilot, *keys)
        asked = console.view.question
        while (snapshot := console.feed.snapshot) is None or snapshot.question.by is not asked.by:
            await pilot.pause(0.005)
        await pilot.pause()
        compare(name, console)


async def test_loading_looks_as_designed() -> None:
    async with running() as (console, pilot):
        console.feed = Feed()
        console.view.table = None
        console.view.draw()
        await pilot.pause()
        compare("loading", console)


async def test_a_failure_before_any_reading_looks_as_designed() -> None:
    def broken(_question: LiveQuestion) -> LiveSnapshot:
        raise Unavailable("database: unable to open database file", hint="gwctl doctor")

    async with running(broken) as (console, _):
        compare("failed", console)


async def test_stale_figures_look_as_designed() -> None:
    async with running() as (console, pilot):
        console.frozen.advance(seconds=12)
        failure = Failure("database: disk I/O error", "gwctl doctor", console.frozen.now())
        console.feed = Feed(examples.busy(), NOW, failure)
        await pilot.pause()
        compare("stale", console)


async def test_a_terminal_without_braille_looks_as_designed() -> None:
    async with running(size=(120, 36), glyphs=ASCII) as (console, _):
        compare("ascii", console)


COLOURS = re.compile(r"fill(?:=\"|: )#([0-9a-f]{6})\b")
RICHS_OWN = {"c5c8c6", "292929", "ff5f57", "febc2e", "28c840"}
"""Of the window drawn around each exported picture."""


@pytest.mark.parametrize("said", [None, "1"])
async def test_without_colour_there_are_only_greys_and_every_word_stays(
    monkeypatch: pytest.MonkeyPatch, said: str | None
) -> None:
    """Whatever the environment says: who starts the console has gone by all of it."""
    if said:
        monkeypatch.setenv("NO_COLOR", said)
    async with running(colour=False, memory=Memory(theme="dark")) as (console, _):
        compare("busy-80x24", console)
        assert len(hues(console, grey=True)) > 3
        assert not hues(console, grey=False)
    async with running(colour=True) as (console, _):
        assert hues(console, grey=False)


def hues(console: RecordingConsole, *, grey: bool) -> set[str]:
    """The greys on the screen, or the other colours."""
    found = set(COLOURS.findall(console.export_screenshot())) - RICHS_OWN
    return {each for each in found if (each[:2] == each[2:4] == each[4:]) is grey}
