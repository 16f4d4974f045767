"""A console that breaks while a secret is on the screen says where it broke, and nothing of the secret."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout

import pytest
from textual.screen import Screen
from textual.widgets import Input

from keyvault.secrets import Secret
from opsconsole.tui.app import Console
from opsconsole.tui.deeds import vault
from opsconsole.tui.deeds.keys import Fresh
from opsconsole.tui.dialogs.deed_dialog import DeedDialog
from opsconsole.tui.dialogs.new_secret import NewSecret
from opsconsole.tui.dialogs.unlock import Unlock
from opsconsole.tui.hands import NoHands
from opsconsole.view.keys.snapshot import Awaited
from opsconsole.view.text import UNICODE
from tests.tui import examples

CANARY = "sk-canary-of-a-dialog-0123456789"

DIALOGS: dict[str, tuple[Callable[[], Screen[None]], str]] = {
    "a new key's secret": (lambda: NewSecret(Fresh("made", "", Awaited("a", 1), Secret(CANARY)), UNICODE), ""),
    "what unlocks the vault": (lambda: Unlock("vault passphrase"), "Input"),
    "an upstream's credential": (lambda: DeedDialog(vault.new_upstream(), NoHands()), "#field-secret"),
}


@pytest.mark.parametrize("dialog", DIALOGS)
def test_a_crash_over_a_dialog_tells_nothing_that_is_in_it(dialog: str, capfd: pytest.CaptureFixture[str]) -> None:
    make, field = DIALOGS[dialog]
    console = Console(examples.FakeReader())

    def break_it() -> None:
        held = [str(box.value) for box in console.screen.query(Input)] + [CANARY]
        raise KeyError(f"broken with {held}")

    async def drive(pilot) -> None:  # type: ignore[no-untyped-def]
        await console.push_screen(make())
        if field:
            console.screen.query_one(field, Input).value = CANARY
        else:
            await pilot.press("v")
        await pilot.pause()
        console.call_later(break_it)

    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        console.run(headless=True, auto_pilot=drive, size=(80, 24))
    printed = out.getvalue() + err.getvalue() + "".join(capfd.readouterr())
    assert "stopped on an internal error: KeyError" in printed
    assert "in break_it" in printed
    assert CANARY not in printed
