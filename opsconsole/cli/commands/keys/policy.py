"""The options that say what a key may do, and the change of a policy they come to."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, TypeVar

import typer

from keyvault.domain import typed
from keyvault.domain.keys import ATTRIBUTIONS, UNCHANGED, PolicyChange, Unchanged
from keyvault.errors import UsageError
from keyvault.money import parse_usd
from opsconsole.cli.arguments import listed
from opsconsole.cli.completion import names_in

T = TypeVar("T")

Models = Annotated[
    str | None,
    typer.Option("--models", metavar="GLOB,…", help="Only these models, such as 'gpt-5*,claude-*'; '*' for all."),
]
Endpoints = Annotated[
    str | None, typer.Option("--endpoints", metavar="LIST", help="default, all, or dialects such as chat,embeddings.")
]
Addresses = Annotated[
    str | None,
    typer.Option("--addresses", metavar="CIDR,…", help="Only from these networks, such as 10.0.0.0/8; any for all."),
]
Expires = Annotated[str | None, typer.Option("--expires", metavar="WHEN", help="90d, a date, or never.")]
RotateEvery = Annotated[
    str | None,
    typer.Option("--rotate-every", metavar="SPAN", help="When `keys rotate --due` takes it, such as 30d, or never."),
]
_NONE = "none"


def _either(flag: str, words: tuple[str, ...], text: str) -> Any:
    """An option that takes one of some words."""
    return typer.Option(flag, metavar="|".join(words), help=text, autocompletion=names_in(words))


Isolation = Annotated[str | None, _either("--isolation", ("on", "off"), "off: sees every project's stored objects.")]
Attribute = Annotated[
    str | None,
    _either("--attribute", (*filter(None, ATTRIBUTIONS), _NONE), "Whom its requests may name as their payer."),
]
Clamp = Annotated[
    str | None,
    _either("--clamp", ("on", "off"), "on: a cap that the money does not cover is lowered, not refused."),
]
Bound = Annotated[
    str | None,
    typer.Option("--bound", metavar="USD", help="What a request without a bound costs at most, such as 0.50, or none."),
]
Abort = Annotated[
    str | None, _either("--abort", ("free", "charge"), "free: answers whose client left are not charged.")
]


def policy_change(
    *,
    models: str | None,
    endpoints: str | None,
    addresses: str | None,
    rotate_every: str | None,
    isolation: str | None,
    expose: bool | None,
    pin: bool | None,
    attribute: str | None = None,
    clamp: str | None = None,
    bound: str | None = None,
    abort: str | None = None,
) -> PolicyChange:
    """What the options given change. Raises `UsageError`."""
    wanted = listed("--models", models, otherwise="leave the option out, or --models '*' for all")
    open_to = listed("--endpoints", endpoints, otherwise="leave the option out, or --endpoints default")
    places = listed("--addresses", addresses, otherwise="leave the option out, or --addresses any")
    if places is not None and "any" in places:
        if len(places) > 1:
            raise UsageError("--addresses any goes with no other address", hint="--addresses any")
        places = ()
    return PolicyChange(
        models=_given(wanted),
        endpoints=_given(open_to),
        addresses=_given(places),
        isolation=_given(_is("--isolation", isolation, "on", "off")),
        expose=_given(expose),
        pin=_given(pin),
        rotate_every_s=UNCHANGED if rotate_every is None else typed.every(rotate_every),
        attribute=UNCHANGED if attribute is None else _attribution(attribute),
        clamp=_given(_is("--clamp", clamp, "on", "off")),
        bound_pico=UNCHANGED if bound is None else _amount(bound),
        free_aborts=_given(_is("--abort", abort, "free", "charge")),
    )


def expiry(text: str | None, now: datetime) -> datetime | Unchanged | None:
    """`--expires`: None for never, `UNCHANGED` where it was left out."""
    return UNCHANGED if text is None else typed.expiry(text, now)


def _given(value: T | None) -> T | Unchanged:
    return UNCHANGED if value is None else value


def _is(option: str, text: str | None, yes: str, no: str) -> bool | None:
    if text is not None and text not in (yes, no):
        raise UsageError(f"{option}: no such choice: {text[:40]!a}", hint=f"{yes} or {no}")
    return None if text is None else text == yes


def _amount(text: str) -> int | None:
    return None if text == _NONE else parse_usd(text)


def _attribution(text: str) -> str:
    if not text:
        raise UsageError("--attribute says nothing", hint="customers, projects or none")
    return "" if text == _NONE else text
