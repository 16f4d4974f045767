"""A readiness as a page for people and as a document for programs."""

from __future__ import annotations

import json
from typing import Any, Final

from opsconsole.view.paper import Paper, Table
from opsconsole.view.readiness.report import STEPS, Readiness, Step, Verdict
from opsconsole.view.text import printable

_HELD: Final = {True: "yes", False: "no", None: "–"}


def paper(readiness: Readiness) -> Paper:
    """The verdict first, then the steps, then what shows each."""
    facts = (
        ("verdict", readiness.overall.value),
        ("alias", readiness.alias),
        ("run", readiness.id),
        ("began", readiness.began_at),
        ("file", readiness.file),
    )
    steps = Table("Steps", ("step", "name", "shows that", "verdict", "found"), tuple(map(_row, readiness.steps)), 5)
    shown = [_evidence(step) for step in readiness.steps if step.evidence]
    more = [f"more of {step.name}: {command}" for step in readiness.steps for command in step.runs]
    return Paper(
        title=printable(f"Readiness of {readiness.alias}"),
        facts=tuple((name, printable(text)) for name, text in facts),
        tables=(steps, *shown),
        remarks=tuple(map(printable, more)),
        findings=(printable(readiness.sentence), *map(printable, _troubles(readiness))),
    )


def document(readiness: Readiness) -> dict[str, Any]:
    """For programs."""
    return {
        "id": readiness.id,
        "alias": readiness.alias,
        "file": readiness.file,
        "began_at": readiness.began_at,
        "verdict": readiness.overall.value,
        "ready": readiness.overall.value == "ready",
        "sentence": readiness.sentence,
        "steps": [{"step": step.number, **step.to_json()} for step in readiness.steps],
    }


def as_json(readiness: Readiness) -> str:
    return json.dumps(document(readiness), indent=2) + "\n"


def lines(readiness: Readiness) -> list[list[Any]]:
    """For spreadsheets: one row for each step."""
    rows = [[step.number, step.name, step.verdict.value, step.summary] for step in readiness.steps]
    return [["step", "name", "verdict", "found"], *rows]


def _row(step: Step) -> tuple[str, ...]:
    shows = STEPS[step.name][1]
    return (str(step.number), step.name, shows, step.verdict.value, printable(step.summary))


def _troubles(readiness: Readiness) -> list[str]:
    """What keeps it from being ready, each in a sentence."""
    failed = [
        f"{step.name}: {each.what}: {each.found}"
        for step in readiness.steps
        for each in step.evidence
        if each.held is False
    ]
    return failed + [f"{s.name} {s.verdict}, {s.summary}" for s in readiness.steps if s.verdict is Verdict.NOT_TRIED]


def _evidence(step: Step) -> Table:
    rows = tuple((printable(each.what), _HELD[each.held], printable(each.found)) for each in step.evidence)
    return Table(f"{step.number} {step.name}", ("looked at", "held", "found"), rows, 3)
