"""A terminal without symbols gets ASCII alone, in every view and in what is opened over it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from keyvault.home import Home
from opsconsole.tui.app import Console
from opsconsole.tui.ascii import in_ascii
from opsconsole.tui.registry import OVER, SCREENS
from opsconsole.view.text import ASCII, ASCII_FOR
from screenshots.demo import make_home
from tests.tui.driving import press, screen_text, until
from tests.tui.operating import operating

OPENED = {"live": ("question_mark",), "keys": ("n",)}
"""Keys that open what stands on top."""


def test_a_symbol_takes_as_much_room_in_ascii() -> None:
    assert all(len(char) == len(simple) == 1 and simple.isascii() for char, simple in ASCII_FOR.items())
    assert in_ascii("◐ “Zoë” 李") == '% "Zo?" ??'


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with closing(make_home(tmp_path_factory.mktemp("homes") / "busy")) as home:
        yield home


async def test_every_view_and_dialog_is_drawn_in_ascii(busy: Home) -> None:
    async with operating(busy, "live", size=(100, 30), glyphs=ASCII) as (console, pilot):
        for name in (*SCREENS, *OVER):
            (console.action_view if name in SCREENS else console.action_over)(name)
            await until(pilot, lambda: console.view.newest)
            view = console.view
            assert isinstance(view, (SCREENS | OVER)[name])
            assert drawn(console, name).isascii()
            for key in OPENED.get(name, ()):
                await press(pilot, key)
                assert drawn(console, f"{name} {key}").isascii()
                await press(pilot, "escape")
                assert console.screen is view


def drawn(console: Console, told: str) -> str:
    """What is on the screen, with a word on what is not ASCII in it."""
    shown = screen_text(console)
    print(told, {char for char in shown if not char.isascii()})
    return shown
