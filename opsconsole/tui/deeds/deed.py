"""A deed: something a person does to the gateway from the console, as a value that one dialog can show and carry out.

What it asks for, what will happen, how severe it is, and the call of the same service that the command line uses. A
screen makes a deed from the row the cursor is on; `screens/dialogs` shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from keyvault.errors import GatewayError
from keyvault.secrets import Secret
from opsconsole.view.text import Line, cut, printable

if TYPE_CHECKING:
    from keyvault.home import Home

ECHOED: Final = 80
"""So much is told of what is wrong with a text: a refusal may repeat the text."""
_TYPED_THERE: Final = ("--", "gwctl balances", "gwctl budgets", "gwctl keys", "gwctl limits")
Values = Mapping[str, str]
"""What was typed, by field, without space around; secrets are in `Typed.secrets`."""


@dataclass(frozen=True, slots=True)
class Typed:
    """What a form was filled with."""

    values: Values
    secrets: Mapping[str, Secret] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        return self.values[name]

    def get(self, name: str) -> str | None:
        """None where nothing was typed."""
        return self.values.get(name) or None


@dataclass(frozen=True, slots=True)
class Field:
    """One line of a form. `check` tells what is wrong with a text, None where nothing is; it runs with every letter."""

    id: str
    label: str
    initial: str = ""
    check: Callable[[str], str | None] = lambda _text: None
    choices: tuple[str, ...] = ()
    """What may be typed; offered as one types. Other texts are wrong unless `open_ended`."""
    open_ended: bool = False
    required: bool = False
    secret: bool = False
    example: str = ""
    """Shown, faint, while nothing is typed."""

    @property
    def is_choice(self) -> bool:
        """Whether it is one of a few words that are all known."""
        return bool(self.choices) and not self.open_ended

    def wrong(self, text: str) -> str | None:
        """What is wrong with a text, in a few words."""
        if not text:
            return "needed" if self.required else None
        if self.choices and not self.open_ended and text not in self.choices:
            return "one of " + ", ".join(self.choices)
        return self.check(text)


class Severity(StrEnum):
    """How a change is agreed to."""

    MILD = "mild"
    """Filling in the form is agreeing."""
    MODERATE = "moderate"
    """A question, with the focus on Cancel."""
    SEVERE = "severe"
    """The name must be typed."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a deed has come to. `told`: one sentence for a toast."""

    told: str
    result: Any = None
    """What the screen goes on with: a new key with its secret, for example."""


@dataclass(frozen=True, slots=True)
class Deed:
    """Something to do. `run` gets a home whose vault opens by asking the person, in the hands' thread."""

    title: str
    """`Revoke key ci-bot`"""
    verb: str
    """On the button: `Revoke`."""
    run: Callable[[Home, Typed], Done]
    fields: tuple[Field, ...] = ()
    tells: Callable[[Values], Sequence[Line]] = lambda _values: ()
    """What happens when it is done, in a few lines, from what is typed so far."""
    severity: Severity = Severity.MILD
    name: str = ""
    """What must be typed where it is severe."""


def checked(parse: Callable[[str], object]) -> Callable[[str], str | None]:
    """A field's check from a parser that raises `GatewayError`."""

    def check(text: str) -> str | None:
        try:
            parse(text)
        except GatewayError as error:
            told = cut(printable(error.message), ECHOED)
            hint = fitting_hint(error)
            return f"{told} ({hint})" if hint else told
        return None

    return check


def fitting_hint(error: GatewayError) -> str:
    """A refusal's hint, empty where it is how to type on the command line what the console has a key or a field for."""
    return "" if not error.hint or error.hint.startswith(_TYPED_THERE) else error.hint
