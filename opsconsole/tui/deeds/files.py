"""Deeds that write what is shown into a file; they change nothing of the gateway."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from keyvault.files import asked_for
from opsconsole.tui.deeds.deed import Deed, Done, Field, Typed, Values
from opsconsole.view.text import Line, Span, Tone, line

if TYPE_CHECKING:
    from keyvault.home import Home


def write(what: str, name: str, text: Callable[[], str]) -> Deed:
    """Write `text` into a new file; `name` is what it is called unless one types another."""

    def run(_home: Home, typed: Typed) -> Done:
        path = Path(typed["file"]).expanduser()
        with asked_for(path) as file:
            file.write(text().encode())
        return Done(f"written: {path}", path)

    def tells(values: Values) -> list[Line]:
        path = Path(values["file"]).expanduser().absolute()
        return [line(Span(f"{what}, amounts exact, into the new file {path}, which only you can read.", Tone.FAINT))]

    return Deed(
        title=f"Write {what}",
        verb="Write",
        run=run,
        fields=(Field("file", "file", initial=name, required=True),),
        tells=tells,
    )
