"""What the verbs of `gwctl compare` print, and the guard for CI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from keyvault.errors import CheckFailed, UsageError
from opsconsole.cli.files import form_of, written
from opsconsole.cli.output import Format
from opsconsole.cli.session import Session

if TYPE_CHECKING:
    from opsconsole.view.comparison.report import Comparison


def print_comparison(session: Session, found: Comparison, out: Path | None) -> None:
    """In the form that was asked for, or that the file's name says."""
    text = _text(found, form_of(session, out))
    with written(session, out) as write:
        write(text)


def outcome(found: Comparison, baseline: str | None, margin: float | None) -> None:
    """Raises `CheckFailed` where nothing was answered, or another model is worse than the baseline by the weightiest
    measure of quality."""
    from opsconsole.view.comparison.guard import worse_than

    show = f"gwctl compare show {found.id[-8:]}"
    if not any(each.answered for each in found.models):
        error = next((each.errors[0] for each in found.models if each.errors), "nothing was asked")
        raise CheckFailed(f"nothing was answered: {error}", hint=f"gwctl compare --resume {found.id[-8:]}")
    if baseline is None:
        return
    if baseline not in [each.model for each in found.models]:
        raise UsageError(f"{baseline[:70]!a} is not compared", hint=show)
    why = worse_than(found, baseline, None if margin is None else margin / 100)
    if why:
        raise CheckFailed(f"worse than {baseline}: {why[0]}", hint=show)


def _text(found: Comparison, form: Format) -> str:
    from opsconsole.view import paper, sheet
    from opsconsole.view.comparison import forms

    if form is Format.NAME:
        return f"{found.id}\n"
    if form in (Format.JSON, Format.JSONL):
        return forms.as_json(forms.document(found))
    if form is Format.CSV:
        return sheet.lines(forms.lines(found), sheet.PLAIN)
    page = forms.paper(found)
    return {Format.MD: paper.as_markdown, Format.HTML: paper.as_html}.get(form, paper.as_text)(page)
