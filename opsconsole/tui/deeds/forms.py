"""What forms share: fields of a policy and of limits, and how what was typed into them becomes a change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from keyvault.domain import typed as parsers
from keyvault.domain.budgets import parse_budget
from keyvault.domain.keys import ATTRIBUTIONS, Key, Policy, PolicyChange, check_policy
from keyvault.domain.limits import LimitChange, parse_change
from keyvault.domain.names import exact_duration
from keyvault.errors import UsageError
from keyvault.money import format_usd, parse_usd
from opsconsole.tui.deeds.deed import Field, Typed, Values, checked
from opsconsole.view.keys import words
from opsconsole.view.text import Line, Span, Tone, line

NONE: Final = "none"
ANY: Final = "any"
ON_OFF: Final = ("off", "on")


def says(*parts: str, tone: Tone = Tone.FAINT) -> Line:
    return line(Span(" ".join(parts), tone))


def warns(text: str, sign: str = "▲") -> Line:
    return line(Span(f"{sign} {text}", Tone.WARNING))


# A policy


def models(text: str) -> tuple[str, ...]:
    """Patterns, none for every model. Raises `UsageError`."""
    return check_policy(Policy(models=parsers.parts(text) or ("*",))).models


def _endpoints(text: str) -> tuple[str, ...]:
    return check_policy(Policy(endpoints=parsers.parts(text))).endpoints


def _addresses(text: str) -> tuple[str, ...]:
    places = () if text in ("", ANY) else parsers.parts(text)
    return check_policy(Policy(addresses=places)).addresses


def _rotation(text: str) -> int | None:
    return check_policy(Policy(rotate_every_s=parsers.every(text))).rotate_every_s


def _attribute(text: str) -> str:
    return "" if text == NONE else text


def _bound(text: str) -> int | None:
    return check_policy(Policy(bound_pico=None if text == NONE else parse_usd(text))).bound_pico


def _is_on(text: str) -> bool:
    return text == "on"


_PARSERS: Final[dict[str, Callable[[str], Any]]] = {
    "models": models,
    "endpoints": _endpoints,
    "addresses": _addresses,
    "rotate_every_s": _rotation,
    "attribute": _attribute,
    "clamp": _is_on,
    "bound_pico": _bound,
    "free_aborts": _is_on,
    "isolation": _is_on,
    "expose": _is_on,
    "pin": _is_on,
}


def models_field(policy: Policy, known: Iterable[str]) -> Field:
    return Field(
        "models", "models", ", ".join(policy.models) or "*", checked(models), tuple(known), open_ended=True,
        example="*, or such as gpt-5*, claude-*",
    )  # fmt: skip


def rotation_field(policy: Policy) -> Field:
    return Field("rotate_every_s", "new secret every", words.every(policy.rotate_every_s), checked(_rotation),
                 example="30d, or never", required=True)  # fmt: skip


def expiry_field(initial: str, now: datetime) -> Field:
    return Field("expires", "expires", initial, checked(lambda text: _future(text, now)),
                 example="90d, a date, or never", required=True)  # fmt: skip


def _future(text: str, now: datetime) -> datetime | None:
    end = parsers.expiry(text, now)
    if end is not None and end <= now:
        raise UsageError("already past", hint="90d")
    return end


def policy_fields(policy: Policy, known: Iterable[str]) -> tuple[Field, ...]:
    """All that a policy says, as it is."""

    def switch(name: str, label: str, on: bool) -> Field:
        return Field(name, label, ON_OFF[on], choices=ON_OFF, required=True)

    bound = NONE if policy.bound_pico is None else format_usd(policy.bound_pico)
    return (
        models_field(policy, known),
        Field("endpoints", "endpoints", ", ".join(policy.endpoints), checked(_endpoints), required=True),
        Field("addresses", "from addresses", ", ".join(policy.addresses) or ANY, checked(_addresses),
              example="any, or such as 10.0.0.0/8"),
        rotation_field(policy),
        Field("attribute", "may name as payer", policy.attribute or NONE,
              choices=(NONE, *filter(None, ATTRIBUTIONS)), required=True),
        switch("clamp", "lower caps to the money", policy.clamp),
        Field("bound_pico", "bound of a request, USD", bound, checked(_bound), example="0.50, or none", required=True),
        switch("free_aborts", "answers it leaves are free", policy.free_aborts),
        switch("isolation", "only its project's objects", policy.isolation),
        switch("expose", "is told target and cost", policy.expose),
        switch("pin", "may choose a target", policy.pin),
    )  # fmt: skip


def policy_change(typed: Typed, fields: Sequence[Field]) -> PolicyChange:
    """What of a policy was typed otherwise than it was; all else stays as it is on record then."""
    other = {field.id: typed[field.id] for field in fields if field.id in _PARSERS and typed[field.id] != field.initial}
    return PolicyChange(**{name: _PARSERS[name](text) for name, text in other.items()})


def expires_text(key: Key) -> str:
    return parsers.NEVER if key.expires_at is None else f"{key.expires_at:%Y-%m-%dT%H:%MZ}"


def span_text(span: Any) -> str:
    return parsers.NEVER if span is None else exact_duration(span)


def changes(values: Values, fields: Sequence[Field]) -> list[Line]:
    """A line for each field that says something else than before."""
    found = [(field, values.get(field.id, "")) for field in fields if values.get(field.id, "") != field.initial]
    return [
        line(Span(f"{field.label}: ", Tone.FAINT), Span(f"{field.initial or NONE} → "), Span(text or NONE, Tone.ACCENT))
        for field, text in found
    ] or [says("nothing is changed yet")]


# Limits and budgets

LIMITS: Final = (
    ("rpm", "requests a minute", "60"),
    ("tpm", "tokens a minute", "100k"),
    ("parallel", "requests at once", "4"),
)


def limit_fields(initial: dict[str, str]) -> tuple[Field, ...]:
    """`initial`: what there is now, by kind; nothing typed is no limit."""

    def check(kind: str) -> Callable[[str], str | None]:
        told: dict[str, str | None] = {"rpm": None, "tpm": None, "parallel": None}
        return checked(lambda text: parse_change(**{**told, kind: text}))

    return tuple(
        Field(kind, label, initial.get(kind, ""), check(kind), example=f"no limit; such as {such}")
        for kind, label, such in LIMITS
    )


def limit_change(typed: Typed, fields: Sequence[Field]) -> LimitChange:
    """What was typed otherwise than it was."""
    told: dict[str, str | None] = {
        field.id: (typed[field.id] or NONE) if typed[field.id] != field.initial else None
        for field in fields
        if field.id in ("rpm", "tpm", "parallel")
    }
    return parse_change(told["rpm"], told["tpm"], told["parallel"])


def _cap(text: str) -> None:
    if parse_budget(text)[0] <= 0:
        raise UsageError("a budget of nothing would let nothing through", hint="x suspends")


def budget_field(initial: str = "", *, required: bool = False) -> Field:
    return Field("budget", "budget", initial, checked(_cap), required=required,
                 example="none; such as 10usd/month")  # fmt: skip
