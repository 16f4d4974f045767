"""The dialog of a deed: its form, checked as one types, what will happen, and the two ways out.

A refusal of the service is shown in place and what was typed stays. While the deed is carried out the dialog can be
left: it goes on, and its end is told. A moderate or severe deed has its focus on Cancel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from keyvault.errors import GatewayError
from keyvault.secrets import Secret
from opsconsole.tui.deeds.deed import ECHOED, Deed, Done, Field, Severity, Typed, fitting_hint
from opsconsole.tui.dialogs.fields import FieldBox
from opsconsole.tui.dialogs.unlock import Unlock
from opsconsole.tui.hands import Hands
from opsconsole.tui.theme import painted
from opsconsole.view.text import Line, Span, Tone, cut, printable

NAME_FIELD = "typed-name"


class DeedDialog(ModalScreen[Done | None]):
    """Gives back what has come of it, None where it was left."""

    BINDINGS: ClassVar = [
        Binding("escape", "leave", "cancel", show=False),
        Binding("up", "app.focus_previous", "previous", show=False),
        Binding("down", "app.focus_next", "next", show=False),
        Binding("ctrl+c", "stay", "", show=False),
        Binding("ctrl+s", "do", "do it", show=False, priority=True),
    ]
    AUTO_FOCUS = ""

    def __init__(self, deed: Deed, hands: Hands, late: Callable[[Done], object] = lambda _done: None) -> None:
        """`late` gets what has come of a deed that was left while it was carried out."""
        super().__init__()
        self._deed = deed
        self._hands = hands
        self._fields = (*deed.fields, *_typed_name(deed))
        self._late = late
        self._working = False
        self._left = False
        self._touched: set[str] = set()
        """The fields into which something was typed: nothing is wrong with a form that was only opened."""

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog", can_focus=False):
            yield Static(self._deed.title, classes="dialog-title", markup=False)
            for each in self._fields:
                yield FieldBox(each)
            yield Static("", id="tells", markup=False)
            yield Static("", id="refused", markup=False)
            with Horizontal(id="ways"):
                yield Button("Cancel", id="cancel", compact=True)
                yield Button(self._deed.verb, id="do", compact=True, classes=self._deed.severity.value)
            yield Static(painted(self._ways()), classes="dialog-foot")

    def on_mount(self) -> None:
        self._check()
        if self._deed.severity is not Severity.MILD:
            self.query_one("#cancel", Button).focus()
        elif self._fields:
            self.query(Input).first().focus()
        else:
            self.query_one("#do", Button).focus()

    def _ways(self) -> Line:
        """The keys of the form."""
        keys = [("tab", "next"), ("ctrl+s", self._deed.verb.lower())] if self._fields else [("tab", "other button")]
        told = [(Span(key, Tone.ACCENT), Span(f" {does}   ", Tone.FAINT)) for key, does in (*keys, ("esc", "cancel"))]
        return tuple(span for pair in told for span in pair)

    # What is typed

    def _text(self, each: Field) -> str:
        return self.query_one(f"#field-{each.id}", Input).value.strip()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        initial = {f"field-{each.id}": each.initial for each in self._fields}
        name = event.input.id or ""
        if event.value != initial[name]:
            self._touched.add(name.removeprefix("field-"))
        self.query_one("#refused", Static).update("")
        self._check()

    def _check(self) -> bool:
        """Say what is wrong beside each field and what will happen; whether all is right."""
        wrong = {each.id: each.wrong(self._text(each)) for each in self._fields}
        for name, told in wrong.items():
            beside = self.query_one(f"#wrong-{name}", Static)
            beside.display = bool(told) and name in self._touched
            beside.update(told or "")
        right = not any(wrong.values())
        self.query_one("#do", Button).disabled = not right or self._working
        self.query_one("#tells", Static).update(painted(*self._deed.tells(self._values())))
        return right

    def _values(self) -> dict[str, str]:
        return {each.id: self._text(each) for each in self._deed.fields if not each.secret}

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        """Enter goes to the next field, and from the last one does it."""
        event.stop()
        inputs = list(self.query(Input))
        at = inputs.index(event.input)
        if at + 1 < len(inputs):
            inputs[at + 1].focus()
        else:
            self._begin()

    @on(Button.Pressed, "#do")
    def action_do(self) -> None:
        self._begin()

    @on(Button.Pressed, "#cancel")
    def action_leave(self) -> None:
        if self._working:
            self._left = True
            self.app.notify("it goes on; its end will be told", markup=False)
        self.dismiss(None)

    def action_stay(self) -> None:
        self.app.notify("esc leaves this, then q the console", timeout=4, markup=False)

    # Doing it

    def _begin(self) -> None:
        if self._check() and not self._working:
            self._working = True
            self.query_one("#do", Button).disabled = True
            self.app.run_worker(self._carry_out())  # not the dialog's: that would end with it

    async def _carry_out(self) -> None:
        secrets = {each.id: Secret(self._text(each)) for each in self._deed.fields if each.secret}
        typed = Typed(self._values(), secrets)
        refused = self.query_one("#refused", Static)
        refused.update(painted((Span("working…", Tone.FAINT),)))
        try:
            done = await self._hands.carry_out(lambda home: self._deed.run(home, typed), self._unlock)
        except GatewayError as error:
            self._refused(error)
            return
        if self._left:
            self._late(done)
            return
        for box in self.query(Input):
            box.clear()
        self.dismiss(done)

    def _refused(self, error: GatewayError) -> None:
        told = cut(printable(error.message), 3 * ECHOED)
        if self._left:
            self.app.notify(f"{self._deed.title}: {told}", severity="error", timeout=10, markup=False)
            return
        self._working = False
        refused = self.query_one("#refused", Static)
        hint = fitting_hint(error)
        beside = (Span(f"  {hint}", Tone.FAINT),) if hint else ()
        refused.update(painted((Span(told, Tone.ALARM), *beside)))
        self._check()
        refused.scroll_visible(animate=False)

    async def _unlock(self, question: str) -> Secret | None:
        return await self.app.push_screen(Unlock(question), wait_for_dismiss=True)


def _typed_name(deed: Deed) -> tuple[Field, ...]:
    """The field in which a severe deed wants the name typed."""
    if deed.severity is not Severity.SEVERE:
        return ()

    def check(text: str) -> str | None:
        return None if text.casefold() == deed.name.casefold() else f"type {deed.name}"

    return (Field(NAME_FIELD, "to go on, type its name", check=check, required=True, example=deed.name),)
