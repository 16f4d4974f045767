"""Asks for what unlocks the vault, without echo."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from keyvault.secrets import Secret


class Unlock(ModalScreen[Secret | None]):
    """Gives back what was typed, or None for escape."""

    BINDINGS: ClassVar = [Binding("escape", "dismiss(None)", "cancel", show=False)]
    AUTO_FOCUS = "Input"

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static("The vault is locked", classes="dialog-title")
            yield Static(f"{self._question}", markup=False)
            yield Input(password=True, compact=True)
            yield Static("enter unlocks for some minutes, esc leaves it locked", classes="dialog-foot")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        typed = event.value
        event.input.clear()
        self.dismiss(Secret(typed) if typed else None)
