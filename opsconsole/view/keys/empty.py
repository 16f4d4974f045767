"""What the Keys view says where its table has no rows."""

from __future__ import annotations

from opsconsole.view.keys.snapshot import KeysBy, KeysSnapshot
from opsconsole.view.notices import Notice
from opsconsole.view.text import Line, Span, Tone, line


def empty(snapshot: KeysSnapshot, *, read_only: bool) -> Notice:
    """Why there is nothing, and the key that changes it."""
    question = snapshot.question
    where = f" of {question.within}" if question.within else ""
    if question.by is KeysBy.DELETED:
        return Notice("No key was deleted in the last seven days.", (_press("g k", "goes back to the keys"),))
    what = {KeysBy.KEY: "keys", KeysBy.PROJECT: "projects", KeysBy.CUSTOMER: "customers"}[question.by]
    told: list[Line] = []
    if question.by is KeysBy.KEY:
        told.append(line(Span("An application calls the gateway with a key of its own.", Tone.FAINT)))
    if not read_only:
        told.append(_press("n", f"makes the first {what[:-1]}"))
    return Notice(f"There are no {what}{where} yet.", tuple(told))


def _press(key: str, does: str) -> Line:
    return line(Span(key, Tone.ACCENT), Span(f" {does}.", Tone.FAINT))
