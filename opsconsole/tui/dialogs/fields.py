"""The fields of a form: what one types into, what may be chosen, and what is wrong with it.

What is pasted loses its control characters, and nothing grows without end. A choice's words stand beside it where they
fit, else on the lines below, with the one that is chosen marked.
"""

from __future__ import annotations

from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.suggester import SuggestFromList
from textual.widgets import Input, Label, Static

from opsconsole.tui.deeds.deed import Field
from opsconsole.tui.theme import painted
from opsconsole.view.text import Line, Span, Tone, width

BESIDE: Final = 21
"""So wide are a choice and its words together at most where they share a line."""
LONGEST: Final = 2_000
LONGEST_SECRET: Final = 20_000
"""What an account's credential may need: some are whole files."""
NEEDED: Final = "needed"


class FieldBox(Vertical):
    """A field: its label, what is typed, and below it what is wrong."""

    def __init__(self, each: Field) -> None:
        super().__init__(classes="field")
        self._field = each

    def compose(self) -> ComposeResult:
        each = self._field
        words = Static(painted(self._words(each.initial)), classes="field-choices", markup=False)
        beside = each.is_choice and max(map(len, each.choices)) + width(self._words("")) <= BESIDE
        with Horizontal(classes="field-line"):
            yield Label(each.label, classes="field-label", markup=False)
            yield _input(each)
            if beside:
                yield words
        if each.is_choice and not beside:
            yield words.add_class("-below")
        yield Static("", id=f"wrong-{each.id}", classes="field-wrong", markup=False)

    def on_input_changed(self, event: Input.Changed) -> None:
        if self._field.is_choice:
            self.query_one(".field-choices", Static).update(painted(self._words(event.value)))

    def _words(self, chosen: str) -> Line:
        """`◂ ▸ live · test`"""
        dot = Span(" · ", Tone.FAINT)
        told = [Span("◂ ▸ ", Tone.FAINT)]
        for at, word in enumerate(self._field.choices):
            told += [*((dot,) if at else ()), Span(word, Tone.ACCENT if word == chosen else Tone.FAINT)]
        return tuple(told)


class Typing(Input):
    """What one types into. What is pasted is one line of what can be printed."""

    def replace(self, text: str, start: int, end: int) -> None:
        super().replace("".join(char for char in text if char.isprintable()), start, end)


class Choice(Typing):
    """One of a few words: typed, or gone through with the arrows."""

    BINDINGS: ClassVar = [
        Binding("left", "turn(-1)", "other", show=False),
        Binding("right", "turn(1)", "other", show=False),
    ]
    choices: tuple[str, ...] = ()

    def action_turn(self, by: int) -> None:
        at = self.choices.index(self.value) if self.value in self.choices else -by
        self.value = self.choices[(at + by) % len(self.choices)]
        self.action_select_all()


def _input(each: Field) -> Input:
    made = (Choice if each.is_choice else Typing)(
        each.initial,
        placeholder=f"{NEEDED}; {each.example}".rstrip("; ") if each.required else each.example,
        password=each.secret,
        suggester=SuggestFromList(each.choices, case_sensitive=False) if each.choices else None,
        max_length=LONGEST_SECRET if each.secret else LONGEST,
        id=f"field-{each.id}",
        compact=True,
    )
    if isinstance(made, Choice):
        made.choices = each.choices
    return made
