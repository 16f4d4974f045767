"""A home whose vault opens by a passphrase alone: the console opens without it, and asks when a change needs it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Button, Input

from keyvault.domain.vault import SlotKind
from keyvault.home import Home
from keyvault.secrets import Secret
from opsconsole.tui.app import Console
from opsconsole.tui.dialogs.deed_dialog import DeedDialog
from opsconsole.tui.dialogs.new_secret import NewSecret
from opsconsole.tui.dialogs.unlock import Unlock
from opsconsole.tui.hands import OPEN_FOR, HomeHands
from tests.conftest import FrozenClock
from tests.few_prices import keep_few
from tests.tui.driving import press, screen_text, until
from tests.tui.operating import fill, operating, refusal

PHRASE = "correct horse battery staple"
WRONG = "another thing of words"


@pytest.fixture
def home(tmp_path: Path, clock: FrozenClock) -> Iterator[Home]:
    """Locked again, as after a restart."""
    environ = {"GWCTL_HOME": str(tmp_path / "home"), "TZ": "UTC"}
    made = Home(environ, clock, prompt=lambda _question: Secret(PHRASE))
    made.initialise(SlotKind.PASSPHRASE, passphrase=Secret(PHRASE))
    keep_few(made)
    made.close()
    home = Home(environ, clock)
    yield home
    home.close()


async def ask_for(console: Console, pilot: Pilot[None], name: str) -> DeedDialog:
    """Fill the form of a new key and press its button."""
    await press(pilot, "n")
    await fill(console, pilot, name=name)
    form = console.screen
    assert isinstance(form, DeedDialog)
    form.query_one("#do", Button).press()
    return form


async def unlock(console: Console, pilot: Pilot[None], phrase: str) -> None:
    await until(pilot, lambda: isinstance(console.screen, Unlock))
    console.screen.query_one(Input).value = phrase
    await press(pilot, "enter")


async def test_a_change_asks_for_the_passphrase_and_a_wrong_one_can_be_tried_again(
    home: Home, clock: FrozenClock
) -> None:
    async with operating(home, "keys") as (console, pilot):
        form = await ask_for(console, pilot, "first")
        await unlock(console, pilot, WRONG)
        await until(pilot, lambda: refusal(console))
        assert "vault" in refusal(console)
        assert WRONG not in screen_text(console)
        assert form.query_one("#field-name", Input).value == "first", "what was typed stays"
        assert home.keys.list() == []

        form.query_one("#do", Button).press()
        await unlock(console, pilot, PHRASE)
        await until(pilot, lambda: isinstance(console.screen, NewSecret))
        assert [key.name for key in home.keys.list()] == ["first"]

        await press(pilot, "v", "escape")
        await ask_for(console, pilot, "second")
        await until(pilot, lambda: isinstance(console.screen, NewSecret))
        await press(pilot, "v", "escape")

        clock.advance(seconds=(OPEN_FOR + timedelta(seconds=1)).total_seconds())
        await ask_for(console, pilot, "third")
        await until(pilot, lambda: isinstance(console.screen, Unlock))
        await press(pilot, "escape")
        await until(pilot, lambda: refusal(console))
        assert {key.name for key in home.keys.list()} == {"first", "second"}


async def test_leaving_the_console_while_it_asks_changes_nothing(home: Home) -> None:
    async with operating(home, "keys") as (console, pilot):
        await ask_for(console, pilot, "never")
        await until(pilot, lambda: isinstance(console.screen, Unlock))
        console.exit()
        await until(pilot, lambda: not console.is_running)
    assert home.keys.list() == []


async def test_an_opened_vault_is_forgotten_when_nothing_is_changed_for_a_while(home: Home, clock: FrozenClock) -> None:
    async with operating(home, "keys") as (console, pilot):
        hands = console._shared.hands
        assert isinstance(hands, HomeHands)
        await ask_for(console, pilot, "first")
        await unlock(console, pilot, PHRASE)
        await until(pilot, lambda: isinstance(console.screen, NewSecret))
        console._tick()
        assert hands._home is not None
        clock.advance(seconds=(OPEN_FOR + timedelta(seconds=1)).total_seconds())
        console._tick()
        await until(pilot, lambda: hands._home is None)
