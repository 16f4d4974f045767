"""The console on a real home of its own, with hands: for tests in which a person changes something."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC
from pathlib import Path

from textual.pilot import Pilot
from textual.widgets import Button, Input

from keyvault.home import Home
from opsconsole.readers.home import HomeReader
from opsconsole.tui.app import Console
from opsconsole.tui.dialogs.deed_dialog import DeedDialog
from opsconsole.tui.hands import HomeHands
from opsconsole.view.text import UNICODE, Glyphs
from tests.few_prices import made_home
from tests.tui.driving import until
from tests.tui.stylesheet import parse_once


@contextmanager
def a_home(directory: Path, busy_timeout_ms: int | None = None) -> Iterator[Home]:
    """A home that is set up and has nothing in it yet."""
    shutil.copytree(made_home(), directory / "home", dirs_exist_ok=True)
    home = Home({"GWCTL_HOME": str(directory / "home"), "TZ": "UTC"}, busy_timeout_ms=busy_timeout_ms)
    yield home
    home.close()


@asynccontextmanager
async def operating(
    home: Home,
    view: str,
    *,
    size: tuple[int, int] = (120, 36),
    read_only: bool = False,
    glyphs: Glyphs = UNICODE,
    review: str = "",
) -> AsyncIterator[tuple[Console, Pilot[None]]]:
    """A console on it that has drawn its first reading of a view, which a `review` begins with."""
    hands = HomeHands(lambda prompt: Home(home.environ, home.clock, prompt=prompt), home.clock.now)
    console = Console(
        HomeReader(home, "UTC"), hands, clock=home.clock, zone=UTC, glyphs=glyphs, read_only=read_only, review=review
    )
    parse_once(console)
    try:
        async with console.run_test(size=size) as pilot:
            if not review:
                console.action_view(view)
            await until(pilot, lambda: view == console.view.NAME and console.view.feed.read_at)
            yield console, pilot
    finally:
        hands.close()


async def fill(console: Console, pilot: Pilot[None], **values: str) -> None:
    """Fill the fields of the dialog that is on top, as pasting into each does."""
    for name, text in values.items():
        console.screen.query_one(f"#field-{name}", Input).value = text
        await pilot.pause()


async def agree(console: Console, pilot: Pilot[None]) -> None:
    """Press the dialog's button and wait until it has gone, or has said why not."""
    dialog = console.screen
    assert isinstance(dialog, DeedDialog)
    dialog.query_one("#do", Button).press()
    await until(pilot, lambda: console.screen is not dialog or refusal(console))


def refusal(console: Console) -> str:
    """What a dialog says that was refused; empty while it is working or nothing was."""
    if not isinstance(console.screen, DeedDialog):
        return ""
    told = str(console.screen.query_one("#refused").render())
    return "" if told.startswith("working") else told
