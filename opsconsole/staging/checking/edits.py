"""What a gateway may change, and why: differences that count for nothing, each by name and with its reason.

The list is this gateway's documented edits (`gwctl help headers`) and what any gateway answers in its own name.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from opsconsole.staging.checking.probes import Probe
from opsconsole.staging.checking.shapes import Unmet


@dataclass(frozen=True, slots=True)
class Edit:
    """Differences of one kind. `aspects`: patterns of their names, `*` for anything."""

    aspects: tuple[str, ...]
    why: str
    holds: Callable[[Probe, Unmet], bool] = lambda probe, miss: True


def _answers_itself(probe: Probe, miss: Unmet) -> bool:
    return probe.own_answer and miss.found is not None


EDITS: Final = (
    Edit(
        ("request id",),
        "the gateway gives each request an id, for the ledger",
        lambda probe, miss: miss.found == "there",
    ),
    Edit(
        ("value error.*", "field error.*", "field request_id", "value request_id", "header cache-control"),
        "the gateway refuses this itself, in its own words",
        _answers_itself,
    ),
    Edit(
        ("value data*", "field data*", "value object", "field has_more", "field first_id", "field last_id"),
        "a gateway lists the models that the key may use",
        lambda probe, miss: probe.id == "models",
    ),
)


def why_allowed(probe: Probe, miss: Unmet, *, same_model: bool, ignored: Sequence[str] = ()) -> str | None:
    """Why a difference counts for nothing; None where it counts. `same_model`: both sides were asked for the same
    model by the same name. `ignored`: patterns a person gave."""
    name = str(miss.aspect)
    if any(fnmatch.fnmatchcase(name, pattern) for pattern in ignored):
        return "ignored as asked"
    if not same_model and miss.aspect.what == "value" and miss.aspect.path.split(".")[-1] in ("model", "id"):
        return "the model goes by another name"
    fitting = (edit for edit in EDITS if edit.holds(probe, miss))
    return next((edit.why for edit in fitting if any(fnmatch.fnmatchcase(name, each) for each in edit.aspects)), None)
