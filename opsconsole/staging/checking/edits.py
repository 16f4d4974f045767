"""What a gateway may change, and why: differences that count for nothing, each by name and with its reason.

The list is this gateway's documented edits and what any gateway answers in its own name. What clients need of an answer
is never on it: a difference that leaves the probe's own shape counts whatever the list says.
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
    holds: Callable[[Probe, Unmet], bool]


_MODELS_THERE_ARE_NOT: Final = ("error-model", "error-model-stream", "error-message-model")


def _error_for_answer(miss: Unmet) -> bool:
    """Whether a difference is one between an answer and an error in its place."""
    if miss.aspect.what in ("status", "body"):
        return miss.expected in ("200", "events")
    return miss.aspect.what != "header" and None in (miss.expected, miss.found)


EDITS: Final = (
    Edit(
        ("request id",),
        "the gateway gives each request an id, for the ledger",
        lambda probe, miss: miss.found == "there",
    ),
    Edit(
        ("field usage in * events",),
        "the gateway asks for the usage of every stream, and providers then send a null with each event",
        lambda probe, miss: miss.expected is None and miss.found == "null",
    ),
    Edit(
        ("* timings* in * events",),
        "llama.cpp sends its timings with the usage, where that is asked for",
        lambda probe, miss: miss.found is None,
    ),
    Edit(
        (
            "header content-type",
            "field type",
            "value type",
            "field error.*",
            "value error.*",
            "field request_id",
            "value request_id",
            "header cache-control",
        ),
        "the gateway refuses this itself, in its own words",
        lambda probe, miss: probe.own_answer,
    ),
    Edit(
        ("status",),
        "a path that a key may not use is refused, whether or not it is there",
        lambda probe, miss: probe.id in ("error-path", "error-method") and miss.found == "403",
    ),
    Edit(
        ("status", "header content-type", "field *", "value *", "spelling *", "SDK *"),
        "a gateway tells of its own models",
        lambda probe, miss: probe.id in ("models", "model"),
    ),
    Edit(
        ("*",),
        "the gateway refuses models that it does not have; this API answers whatever the name",
        lambda probe, miss: probe.id in _MODELS_THERE_ARE_NOT and _error_for_answer(miss),
    ),
)


def why_allowed(probe: Probe, miss: Unmet, *, same_model: bool, ignored: Sequence[str] = ()) -> str | None:
    """Why a difference counts for nothing; None where it counts. `same_model`: both sides were asked for the same
    model by the same name. `ignored`: patterns a person gave."""
    name = str(miss.aspect)
    if any(fnmatch.fnmatchcase(name, pattern) for pattern in ignored):
        return "ignored as asked"
    if not same_model and miss.aspect.what == "value" and miss.aspect.path.split(".")[-1] == "model":
        return "the model goes by another name"
    if _is_needed(probe, miss):
        return None
    fitting = (edit for edit in EDITS if edit.holds(probe, miss))
    return next((edit.why for edit in fitting if any(fnmatch.fnmatchcase(name, each) for each in edit.aspects)), None)


def _is_needed(probe: Probe, miss: Unmet) -> bool:
    """Whether the probe's own shape is not met by what was found."""
    told = {} if miss.found is None else {miss.aspect: miss.found}
    return any(other.aspect == miss.aspect for other in probe.shape.unmet(told))
