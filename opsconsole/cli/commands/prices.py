"""`gwctl prices`: what models cost, with effective dates. Amounts are dollars per million tokens."""

from __future__ import annotations

from typing import Annotated

import typer

from keyvault.domain.prices import Price, Rate, Rates, flat
from keyvault.domain.routes import parse_target
from keyvault.domain.typed import moment
from keyvault.money import CURRENCY, parse_usd
from opsconsole.cli.completion import names_of
from opsconsole.cli.output import Column, Details, Listing, Row
from opsconsole.cli.session import Session
from opsconsole.cli.text import Amount, amount
from opsconsole.cli.verbs import Noun

prices = Noun(
    "prices",
    "What models cost, with effective dates.",
    examples="gwctl prices set local/my-model --input 0.10 --output 0.40\ngwctl prices list --model 'gpt-5*'",
)
app = prices

_UNIT = {"currency": CURRENCY, "unit": "per million tokens"}
_COLUMNS = [
    Column("applies_to", "UPSTREAM / LIST"),
    Column("model"),
    Column("input"),
    Column("cached_input", "CACHED"),
    Column("cache_write", "WRITE"),
    Column("output"),
    Column("per_call", "CALL"),
    Column("effective_from", "SINCE"),
    Column("source"),
]

TargetName = Annotated[str, typer.Argument(metavar="UPSTREAM/MODEL", help="Such as openai/gpt-5.")]


@prices.verb("update", changes=True, examples="gwctl prices update")
def update(session: Session) -> None:
    """Take the list prices of the installed genai-prices into the price book; older versions stay on record."""
    filled = session.home.prices.fill_from_catalogue()
    session.changed(f"{filled.added} prices are new, {filled.unchanged} as before, from {filled.source}")
    session.show(Details({"added": filled.added, "unchanged": filled.unchanged, "source": filled.source}, key="source"))


@prices.verb(
    "set",
    changes=True,
    examples="""
    gwctl prices set openai/gpt-5 --input 1.25 --cached-input 0.125 --output 10
    gwctl prices set local/my-model --input 0.10 --output 0.40 --from 2026-12-01
    """,
)
def set_(
    session: Session,
    target: TargetName,
    input_: Annotated[str, typer.Option("--input", metavar="USD", help="Per million input tokens.")],
    output_: Annotated[str, typer.Option("--output", metavar="USD", help="Per million output tokens.")],
    cached_input: Annotated[
        str | None, typer.Option("--cached-input", metavar="USD", help="Of them, from a cache.")
    ] = None,
    cache_write: Annotated[
        str | None, typer.Option("--cache-write", metavar="USD", help="Of them, into a cache.")
    ] = None,
    per_call: Annotated[
        str | None, typer.Option("--per-call", metavar="USD", help="Per call, beside the tokens.")
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="DATE", help="When it begins; now if not given.")
    ] = None,
) -> None:
    """Set an own price for a model of an upstream; it counts before the list price. Dollars per million tokens."""
    wanted = parse_target(target)
    rates = Rates(
        input=flat(parse_usd(input_)),
        cached_input=_rate(cached_input),
        cache_write=_rate(cache_write),
        output=flat(parse_usd(output_)),
        per_call=None if per_call is None else parse_usd(per_call),
    )
    home = session.home
    begin = None if from_ is None else moment(from_, home.clock.now(), past=False)
    price = home.prices.set_own(wanted.upstream, wanted.model, rates, begin)
    session.changed(f"set the price of {price.upstream}/{price.model}")
    session.show(Details(_row(price), key="model"))


@prices.verb("list", examples="gwctl prices list --own\ngwctl prices list --model 'gpt-5*' --json")
def list_(
    session: Session,
    upstream: Annotated[
        str | None,
        typer.Option("--upstream", metavar="NAME", help="That apply to it.", autocompletion=names_of("upstreams")),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", metavar="GLOB", help="Of these models.")] = None,
    own: Annotated[bool, typer.Option("--own", help="Only own prices.")] = False,
) -> None:
    """List the prices in force now: own ones first, then list prices."""
    found = [_row(price) for price in session.home.prices.list(upstream, model=model, own=own)]
    session.show(Listing("prices", found, _COLUMNS, key="model", extra=_UNIT))


@prices.verb("show", examples="gwctl prices show openai/gpt-5")
def show(session: Session, target: TargetName) -> None:
    """Show the price of a model at an upstream: what counts, since when, where it is from, and all its versions."""
    wanted = parse_target(target)
    book = session.home.prices
    row = {**_row(book.show(wanted.upstream, wanted.model)), **_UNIT}
    versions = [_row(price) for price in book.versions(wanted.upstream, wanted.model)]
    session.show(Details(row, key="model", inner=[Listing("versions", versions, _COLUMNS, key="model")]))


def _rate(text: str | None) -> Rate | None:
    return None if text is None else flat(parse_usd(text))


def _row(price: Price) -> Row:
    rates = price.rates
    named = {
        "input": rates.input,
        "cached_input": rates.cached_input,
        "cache_write": rates.cache_write,
        "cache_write_1h": rates.cache_write_1h,
        "output": rates.output,
        "reasoning": rates.reasoning,
        "audio_input": rates.audio_input,
        "audio_output": rates.audio_output,
        "images": rates.images,
    }
    return {
        "id": price.id,
        "applies_to": price.upstream or price.catalogue,
        "upstream": price.upstream,
        "catalogue": price.catalogue,
        "model": price.model,
        **{name: None if rate is None else Amount(rate[0][1]) for name, rate in named.items()},
        "per_call": amount(rates.per_call),
        "above": {
            name: [{"input_tokens": threshold, "price": Amount(pico)} for threshold, pico in rate[1:]]
            for name, rate in named.items()
            if rate is not None and len(rate) > 1
        },
        "effective_from": price.effective_from,
        "daily": None if price.daily is None else "-".join(f"{m // 60:02}:{m % 60:02}" for m in price.daily),
        "source": price.source,
        "note": price.note or None,
        "recorded_at": price.recorded_at,
    }
