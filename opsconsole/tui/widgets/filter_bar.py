"""The line in which a filter is typed; it acts on the table with every letter."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static


class FilterBar(Horizontal):
    """Hidden until asked for. Enter keeps what was typed, the screen's escape clears it."""

    class Changed(Message):
        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Done(Message):
        """Enter was pressed."""

    def compose(self) -> ComposeResult:
        yield Static("/", id="filter-mark")
        yield Input(placeholder="words to find, !word to hide", compact=True, max_length=100)

    def open(self) -> None:
        self.display = True
        self.query_one(Input).focus()

    def close(self) -> None:
        self.display = False

    def clear(self) -> None:
        self.query_one(Input).clear()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Changed(event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Done())
