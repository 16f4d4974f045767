"""Forms: what a field shows of itself, what it takes, and what is said of what was typed."""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path

import pytest
from textual.events import Paste
from textual.widgets import Input

from keyvault.errors import UsageError
from opsconsole.tui import deeds
from opsconsole.tui.app import Console
from opsconsole.tui.deeds import money
from opsconsole.tui.deeds.deed import Deed, Done, Field, checked
from opsconsole.tui.dialogs.deed_dialog import DeedDialog
from opsconsole.tui.hands import NoHands
from opsconsole.view.text import plain
from tests.tui.driving import press, running, screen_text, until
from tests.tui.test_keys import ROWS, busy, long_names, on_keys

LABELS = 26
"""The longest label of any form."""


def deed(*fields: Field) -> Deed:
    return Deed("Do something", "Do", lambda _home, _typed: Done("done"), fields)


async def test_a_choice_is_seen_whole_beside_what_else_may_be_chosen() -> None:
    async with running(long_names) as (console, pilot):
        await on_keys(console, pilot)
        await press(pilot, "t")
        box = console.screen.query_one("#field-of", Input)
        assert box.size.width > 40
        shown = " ".join(screen_text(console).split())
        assert "customer:international-operations" in shown
        assert "has no balance yet" in shown


async def test_a_label_ends_before_what_is_typed_begins() -> None:
    field = Field("x", "w" * LABELS, "value", choices=("value", "other"))
    async with running(busy) as (console, pilot):
        console.push_screen(DeedDialog(deed(field), NoHands()))
        await pilot.pause()
        assert f"{field.label}  value" in screen_text(console)


def test_no_label_is_longer_than_its_place() -> None:
    forms = [ast.parse(each.read_text()) for each in Path(deeds.__path__[0]).glob("*.py")]
    fields = [
        call.args[1]
        for form in forms
        for call in ast.walk(form)
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Field" and len(call.args) > 1
    ]
    labels = [each.value for each in fields if isinstance(each, ast.Constant)]
    assert len(labels) > 20
    assert [label for label in labels if len(label) > LABELS] == []


async def test_a_form_says_which_of_its_fields_are_needed() -> None:
    async with running(busy) as (console, pilot):
        await on_keys(console, pilot)
        await press(pilot, "n")
        assert "needed; such as mobile-app" in screen_text(console)


async def test_what_is_pasted_loses_its_control_characters_and_an_end_is_set_to_it() -> None:
    async with running(busy) as (console, pilot):
        console.push_screen(DeedDialog(deed(Field("x", "name")), NoHands()))
        await pilot.pause()
        box = console.screen.query_one("#field-x", Input)
        box.post_message(Paste("\x1b]0;owned\x07mobile\u202e-app"))
        await pilot.pause()
        assert box.value == "]0;ownedmobile-app"
        assert box.max_length


@pytest.mark.parametrize("typed", ["x" * 4_000, "\x1b[31m\u202e"])
def test_what_is_wrong_is_told_in_few_printable_words(typed: str) -> None:
    def parse(text: str) -> None:
        raise UsageError(f"not a thing: {text}", hint="write it like this")

    told = checked(parse)(typed)
    assert told is not None
    assert told.isprintable()
    assert len(told) < 150
    assert told.endswith("(write it like this)")


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("60usd/month", "now $ 50 a month"),
        ("6usd/day", "▲ one more budget, beside $ 50 a month, which B removes"),
    ],
)
def test_a_budget_of_another_period_is_said_to_be_one_more(typed: str, told: str) -> None:
    tells = money.budget(ROWS[1]).tells({"budget": typed, "when": "refuse", "model": ""})
    assert told in [plain(each) for each in tells]


def told(console: Console) -> str:
    return " ".join(each.message for each in console._notifications)


class SlowHands(NoHands):
    """Carry out a change when they are let."""

    def __init__(self) -> None:
        self.may = asyncio.Event()

    async def carry_out(self, change, ask):  # type: ignore[no-untyped-def]
        await self.may.wait()
        return change(None)


async def test_a_deed_that_is_left_while_it_is_carried_out_goes_on_and_its_end_is_told() -> None:
    hands, ends = SlowHands(), []
    async with running(busy) as (console, pilot):
        console.push_screen(DeedDialog(deed(), hands, ends.append))
        await pilot.pause()
        await press(pilot, "ctrl+c")
        assert "esc leaves this" in told(console)
        await press(pilot, "enter", "escape")
        assert not isinstance(console.screen, DeedDialog)
        assert "it goes on" in told(console)
        hands.may.set()
        await until(pilot, lambda: ends)
        assert ends == [Done("done")]


@pytest.mark.parametrize("make", [money.top_up, money.adjust, money.budget])
def test_an_amount_of_nothing_is_wrong_as_it_is_typed(make) -> None:  # type: ignore[no-untyped-def]
    fields = {each.id: each for each in make(ROWS[0]).fields}
    field = fields.get("amount") or fields["budget"]
    wrong = field.wrong("0" if field.id == "amount" else "0usd/month")
    assert wrong is not None
    assert "nothing" in wrong
    assert "gwctl" not in wrong


def test_a_form_does_not_say_what_to_type_on_a_command_line() -> None:
    reason = next(each for each in money.top_up(ROWS[0]).fields if each.id == "reason")
    assert reason.wrong("x" * 300) == "a reason is needed, of at most 200 characters"
