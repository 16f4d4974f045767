"""Reads genai-prices into our own prices.

Each model becomes one version per dated or time-of-day price, with the clause that model names are matched by. What
our counts cannot tell apart is never billed at a guess: where such tokens (of images, video, citations) have a rate of
their own, the side they belong to is left without a rate, so that the cost is unknown instead of wrong. Tool calls such
as searches are not counted; the note says so. Rates are exact to a pico-dollar per million tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, time
from decimal import Decimal
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from keyvault.clock import EPOCH
from keyvault.domain.prices import BATCH, BATCH_CLAUSE, Price, Rate, Rates
from keyvault.money import PICO_PER_USD
from keyvault.storage.prices import Listed

if TYPE_CHECKING:
    from genai_prices.types import ConditionalPrice, ModelInfo, ModelPrice, PriceVariant, TieredPrices

_KINDS: Final = {
    "input_mtok": "input",
    "cache_read_mtok": "cached_input",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_mtok": "output",
    "output_reasoning_mtok": "reasoning",
    "input_audio_mtok": "audio_input",
    "output_audio_mtok": "audio_output",
}
_IN_BATCHES: Final = {"processing": "batch"}
_CACHED_AUDIO: Final = "cache_audio_read_mtok"
_UNTOLD_INPUT: Final = ("input_image_mtok", "input_video_mtok", "cache_image_read_mtok")
_UNTOLD_OUTPUT: Final = ("output_image_mtok", "output_video_mtok", "output_citation_mtok")
"""Kinds of tokens that our counts do not tell apart."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    source: str
    """Name and version, such as `genai-prices 0.2.3`."""
    models: Mapping[tuple[str, str], tuple[Listed, ...]]
    """The prices of each (catalogue, model)."""
    fallbacks: Mapping[str, tuple[str, ...]]
    """Catalogues whose prices apply where one does not list a model, as for models resold."""


def read(recorded_at: datetime) -> Catalogue:
    """The catalogue shipped with the installed genai-prices; takes about half a second the first time."""
    from genai_prices.data import providers

    source = f"genai-prices {version('genai-prices')}"
    return Catalogue(
        source=source,
        models={
            (provider.id, found[0].price.model): found
            for provider in providers
            for model in provider.models
            for found in _found(provider.id, model, source, recorded_at)
            if found
        },
        fallbacks={p.id: tuple(p.fallback_model_providers) for p in providers if p.fallback_model_providers},
    )


def _found(catalogue: str, model: ModelInfo, source: str, recorded_at: datetime) -> Iterator[tuple[Listed, ...]]:
    """The prices of a model, and those of the same model in batches."""
    clause = _clause(model.match)
    in_batches = [each for each in model.price_variants or () if each.when == _IN_BATCHES]
    for name, match, prices in (
        (model.id, clause, _conditional(model)),
        (model.id + BATCH, {BATCH_CLAUSE: clause}, in_batches),
    ):
        yield tuple(_prices(catalogue, model, name, match, prices, source, recorded_at))


def _prices(
    catalogue: str,
    model: ModelInfo,
    name: str,
    clause: Mapping[str, Any],
    prices: Iterable[ConditionalPrice | PriceVariant],
    source: str,
    recorded_at: datetime,
) -> Iterator[Listed]:
    for conditional in prices:
        start, daily = _when(conditional)
        yield Listed(
            Price(
                id=0,
                upstream=None,
                catalogue=catalogue,
                model=name,
                rates=rates_of(conditional.prices),
                effective_from=start,
                source=source,
                recorded_at=recorded_at,
                note=_note(model, conditional.prices),
                daily=daily,
            ),
            clause,
        )


def _conditional(model: ModelInfo) -> list[ConditionalPrice]:
    from genai_prices.types import ConditionalPrice

    return model.prices if isinstance(model.prices, list) else [ConditionalPrice(prices=model.prices)]


def _when(conditional: ConditionalPrice | PriceVariant) -> tuple[datetime, tuple[int, int] | None]:
    """From when on, and between which minutes of the UTC day, a price applies."""
    from genai_prices.types import StartDateConstraint, TimeOfDateConstraint

    constraint = conditional.constraint
    if isinstance(constraint, StartDateConstraint):
        return datetime.combine(constraint.start_date, time(), UTC), None
    if isinstance(constraint, TimeOfDateConstraint):
        return EPOCH, (_minute(constraint.start_time), _minute(constraint.end_time))
    return EPOCH, None


def _minute(moment: time) -> int:
    offset = moment.utcoffset()
    minutes = moment.hour * 60 + moment.minute - (int(offset.total_seconds()) // 60 if offset else 0)
    return minutes % 1_440


def rates_of(price: ModelPrice) -> Rates:
    """Our rates of a catalogue price."""
    told = {name: value for name, value in vars(price).items() if value is not None}
    rates: dict[str, Any] = {ours: rate(told[theirs]) for theirs, ours in _KINDS.items() if theirs in told}
    # Where cached audio costs what cached text does, counts of audio need not say how much was cached.
    rates = _leave_out(rates, told, _UNTOLD_INPUT, ("input", "cached_input"))
    rates = _leave_out(rates, told, _UNTOLD_OUTPUT, ("output",))
    if "requests_kcount" in told:
        rates["per_call"] = _pico(told["requests_kcount"] / 1000)
    return Rates(**rates)


def _leave_out(rates: dict[str, Any], told: Mapping[str, Any], untold: tuple[str, ...], sides: tuple[str, ...]) -> Any:
    """The rates without a side that bills some of its tokens apart, in a way we cannot follow."""
    same = {rates[side] for side in sides if side in rates}
    if all(rate(told[name]) in same for name in untold if name in told):
        return rates
    return {name: value for name, value in rates.items() if name not in sides}


def rate(value: Decimal | TieredPrices) -> Rate:
    if isinstance(value, Decimal):
        return ((0, _pico(value)),)
    return ((0, _pico(value.base)), *((tier.start, _pico(tier.price)) for tier in value.tiers))


def _pico(dollars: Decimal) -> int:
    return round(dollars * PICO_PER_USD)


def _clause(match: Any) -> dict[str, Any]:
    """A match clause as plain data: `{"starts_with": "gpt-"}`, `{"or": [...]}`."""
    return {name.rstrip("_"): _plain(value) for name, value in asdict(match).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name.rstrip("_"): _plain(item) for name, item in value.items()}
    return value


def _note(model: ModelInfo, price: ModelPrice) -> str:
    told = [name for name, value in vars(price).items() if value is not None]
    notes = [
        *(["searches are billed apart and not counted"] if any("searches" in name for name in told) else []),
        *(["image or video tokens are billed apart and not counted"] if _apart(told) else []),
        *(["other prices apply to other service tiers"] if model.price_variants else []),
    ]
    return "; ".join(notes)


def _apart(told: list[str]) -> bool:
    return any(name in told for name in (*_UNTOLD_INPUT, *_UNTOLD_OUTPUT))
