"""What a person sets for the console, and what it remembers by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyvault.errors import UsageError
from opsconsole.tui import memory, preferences
from opsconsole.tui.memory import Memory
from opsconsole.tui.preferences import Preferences
from opsconsole.tui.registry import all_actions
from opsconsole.tui.theme import PALETTES, Palette
from opsconsole.view.live.snapshot import GroupBy, LiveQuestion
from opsconsole.view.snapshot import WINDOWS
from tests.tui.driving import press, running, screen_text, until


def written(tmp_path: Path, text: str) -> Preferences:
    file = tmp_path / preferences.FILE
    file.write_text(text)
    return preferences.load(file, all_actions())


def test_without_a_file_nothing_is_wanted(tmp_path: Path) -> None:
    assert preferences.load(tmp_path / "none.toml", all_actions()) == Preferences()


def test_a_file_sets_colours_interval_and_keys(tmp_path: Path) -> None:
    wanted = written(tmp_path, 'theme = "light"\nevery = 2\n[keys]\nzoom = "f5, Z"\n')
    assert (wanted.theme, wanted.every) == ("light", 2.0)
    assert wanted.keys == {"zoom": ("f5", "Z")}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("theme = ", "console.toml: "),
        ('theme = "pink"', "theme: not one of them: 'pink'"),
        ("every = 3", "every: not one of the intervals: '3'"),
        ("colour = 1", "unknown name: 'colour'"),
        ("keys = 1", "keys: not a table"),
        ('[keys]\nzom = "f5"', "there is no action 'zom'"),
        ('[keys]\nzoom = ""', "zoom: not keys: ''"),
        ("[keys]\nzoom = 5", "zoom: not keys: '5'"),
        ('[keys]\nzoom = "q"', "q would mean both"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_name_and_place(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        written(tmp_path, text)
    assert str(tmp_path / preferences.FILE) in caught.value.message
    assert told in caught.value.message
    assert caught.value.hint


async def test_a_key_of_ones_own_acts_and_is_shown_in_the_place_of_the_usual_one() -> None:
    wanted = Preferences(keys={"zoom": ("f5",)})
    async with running(size=(160, 30), preferences=wanted) as (console, pilot):
        assert "f5 zoom" in screen_text(console)
        await press(pilot, "z")
        assert not console.screen.has_class("-graphs")
        await press(pilot, "f5")
        assert console.screen.has_class("-graphs")


async def test_leaving_and_coming_back_finds_everything_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / memory.FILE
    async with running() as (console, pilot):
        await press(pilot, "right_square_bracket", "g", "m", "s", "T", "plus")
        memory.remember(file, console.memory())
    async with running(memory=memory.recall(file)) as (console, pilot):
        await until(pilot, lambda: console.view.kept)
        assert console.view.question == LiveQuestion(WINDOWS[2], GroupBy.MODEL)
        assert (console.view.sort.column, console.theme, console.interval) == ("errors", "light", 0.5)
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"views": {"live": 3}, "every": "x", "theme": 5, "view": null}'])
async def test_a_memory_that_makes_no_sense_is_forgotten(tmp_path: Path, content: str) -> None:
    file = tmp_path / memory.FILE
    file.write_text(content)
    assert memory.recall(file) == Memory()
    strange = Memory(view="nowhere", theme="pink", every=0.001, views={"live": {"sort": 1, "by": "x", "window": []}})
    async with running(memory=strange) as (console, _):
        assert (console.current_mode, console.theme, console.interval) == ("live", "dark", 1.0)


async def test_without_colour_the_look_is_plain_until_another_is_chosen() -> None:
    async with running(colour=False) as (console, pilot):
        assert console.theme == "plain"
        await press(pilot, "T")
        assert console.theme == "dark"


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("name", "palette"), PALETTES.items())
def test_every_text_stands_out_from_every_ground(name: str, palette: Palette) -> None:
    least = 7.0 if name == "contrast" else 4.5
    for ground in (palette.background, palette.surface, palette.panel):
        texts = (palette.foreground, palette.strong, palette.accent, palette.money, palette.tokens)
        for text in (*texts, palette.warning, palette.error, palette.faint):
            floor = least if text != palette.faint else min(least, 4.0)
            assert contrast(text, ground) >= floor, (text, ground, contrast(text, ground))
