"""The arithmetic of a cost: worked examples of price pages, and genai-prices over its whole catalogue."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction

import genai_prices.types as genai
import pytest
from genai_prices.data import providers
from hypothesis import given
from hypothesis import strategies as st

from keyvault.clock import from_ms, to_ms
from keyvault.domain.endpoints import Dialect
from keyvault.domain.ledger import NO_USAGE, Usage
from keyvault.domain.prices import Price, Rates, charge, cost, flat
from keyvault.domain.routes import Target
from keyvault.metering import catalogue
from keyvault.metering.bounds import worst_case
from keyvault.metering.prices import DAY_MS, MINUTE_MS, PriceBook
from keyvault.money import format_usd, parse_usd
from keyvault.proxy.terms import Tariffs
from keyvault.routing.planner import Planned
from keyvault.storage.prices import Listed
from tests.unit.test_planner import upstream


def usd(text: str) -> tuple[tuple[int, int], ...]:
    return flat(parse_usd(text))


CLAUDE = Rates(
    input=usd("3"), cached_input=usd("0.30"), cache_write=usd("3.75"), cache_write_1h=usd("6"), output=usd("15")
)


@pytest.mark.parametrize(
    ("rates", "usage", "dollars"),
    [
        # OpenAI: 1,000 tokens in of which 400 cached, 500 out, at 1.25 / 0.125 / 10 dollars per million
        (Rates(usd("1.25"), usd("0.125"), output=usd("10")), Usage(1000, 400, output=500), "0.0058"),
        # Anthropic: base 2,000, written 1,000 for 5 minutes and 500 for an hour, read 10,000, out 300
        (CLAUDE, Usage(13_500, 10_000, 1_000, 500, 300), "0.02025"),
        # Gemini 2.5 Pro: above 200,000 tokens of input all tokens take the higher rate, and output too
        (
            Rates(
                ((0, parse_usd("1.25")), (200_000, parse_usd("2.5"))),
                output=((0, parse_usd("10")), (200_000, parse_usd("15"))),
            ),
            Usage(200_001, output=1000),
            "0.5150025",
        ),
        # An audio model: text and audio in and out at their own rates
        (
            Rates(usd("2.5"), output=usd("10"), audio_input=usd("40"), audio_output=usd("80")),
            Usage(1500, output=600, audio_input=1000, audio_output=500),
            "0.08225",
        ),
        # Perplexity: tokens and a fee per call
        (Rates(usd("1"), output=usd("1"), per_call=parse_usd("0.012")), Usage(100, output=100), "0.0122"),
        # Reasoning at a rate of its own
        (Rates(usd("2"), output=usd("8"), reasoning=usd("3")), Usage(0, output=1000, reasoning=600), "0.005"),
        # Embeddings have no output
        (Rates(usd("0.02"), output=flat(0)), Usage(1_000_000), "0.02"),
        # Pictures by the piece
        (Rates(images=usd("40000")), Usage(images=2), "0.08"),
        # A call is all that is billed
        (Rates(per_call=parse_usd("0.01")), NO_USAGE, "0.01"),
        # Free is known, and nothing
        (Rates(flat(0), output=flat(0)), Usage(10, output=10), "0"),
    ],
)  # fmt: skip
def test_a_cost_is_what_the_price_page_says(rates: Rates, usage: Usage, dollars: str) -> None:
    found = cost(rates, usage)
    assert found is not None
    assert format_usd(found) == dollars


@pytest.mark.parametrize(
    ("rates", "usage"),
    [
        (Rates(usd("1"), output=usd("1")), NO_USAGE),
        (Rates(usd("1"), output=usd("1")), Usage(output=5)),
        (Rates(usd("1"), output=usd("1")), Usage(input=5)),
        (Rates(usd("1")), Usage(5, output=5)),
        (Rates(), Usage(5, output=5)),
        (Rates(), NO_USAGE),
        (Rates(usd("1"), output=usd("1")), Usage(5, cached_input=6, output=1)),
        (Rates(usd("1"), usd("0.1"), output=usd("1"), audio_input=usd("9")), Usage(9, 3, output=1, audio_input=3)),
    ],
)
def test_a_cost_that_is_not_known_is_not_zero(rates: Rates, usage: Usage) -> None:
    assert cost(rates, usage) is None


def test_a_cost_is_rounded_half_even_once() -> None:
    half = Rates(flat(500_000), output=flat(0))
    assert [cost(half, Usage(n, output=0)) for n in (1, 3, 5)] == [0, 2, 2]
    assert cost(Rates(flat(250_000), output=flat(250_000)), Usage(1, output=1)) == 0
    assert charge(1, 1_500_000) == 2
    assert charge(3, 1_500_000) == 4


_COUNT = st.integers(0, 2**31 - 1)


@given(st.tuples(*[_COUNT] * 4), st.tuples(*[st.integers(0, 10**15)] * 5))
def test_a_cost_is_the_exact_rational_rounded(counts: tuple[int, ...], rates: tuple[int, ...]) -> None:
    plain, cached, written, output = counts
    usage = Usage(plain + cached + written, cached, written, output=output)
    priced = Rates(*(flat(rate) for rate in rates))
    exact = Fraction(plain * rates[0] + cached * rates[1] + written * rates[2] + output * rates[4], 10**6)
    assert cost(priced, usage) == round(exact)


@given(st.integers(0, 300_000), _COUNT, st.tuples(*[st.integers(0, 10**15)] * 4), st.none() | st.integers(0, 10**12))
def test_the_cost_of_a_plain_answer_is_exact_at_every_tier(
    entered: int, left: int, rates: tuple[int, ...], per_call: int | None
) -> None:
    low, high, low_out, high_out = rates
    tiers = Rates(((0, low), (200_000, high)), output=((0, low_out), (200_000, high_out)), per_call=per_call)
    first, second = (high, high_out) if entered > 200_000 else (low, low_out)
    exact = Fraction(entered * first + left * second, 10**6) + (per_call or 0)
    assert cost(tiers, Usage(entered, output=left)) == round(exact)


@given(st.integers(1, 10**7), st.integers(0, 10**6), st.integers(1, 8))
def test_no_answer_costs_more_than_the_worst_case(body: int, cap: int, choices: int) -> None:
    bound = worst_case(CLAUDE, body, cap, choices)
    assert bound is not None
    for usage in (
        Usage(body, output=cap * choices),
        Usage(body, 0, 0, body, cap * choices),
        Usage(body, body, output=0),
    ):
        assert (cost(CLAUDE, usage) or 0) <= bound


def test_there_is_no_worst_case_without_a_cap_or_a_rate() -> None:
    assert worst_case(CLAUDE, 100, None, 1) is None
    assert worst_case(Rates(output=usd("1")), 100, 10, 1) is None
    assert worst_case(Rates(usd("1"), output=flat(0)), 1_000_000, None, 1) == parse_usd("1")
    assert worst_case(Rates(per_call=7), 100, None, 1) == 7


# The whole catalogue, against genai-prices itself.

NOW = datetime(2026, 11, 3, 14, 30, tzinfo=UTC)
MOMENTS = (NOW, NOW.replace(hour=2), NOW.replace(hour=7), NOW - timedelta(days=90), NOW - timedelta(days=1000))
USAGES = (
    Usage(1000, 0, 0, 0, 500),
    Usage(123_457, 23_456, 0, 0, 7_891),
    Usage(250_001, 100_000, 3_000, 0, 1),
    Usage(5_000, 1_000, 500, 700, 300, 100),
    Usage(1_000_000, 0, 0, 0, 64_000, 60_000),
    Usage(4_000, 0, 0, 0, 3_000, audio_input=3_000, audio_output=2_000),
)


def genai_usage(usage: Usage) -> genai.Usage:
    return genai.Usage(
        input_tokens=usage.input,
        cache_read_tokens=usage.cached_input,
        cache_write_tokens=(usage.cache_write or 0) + (usage.cache_write_1h or 0),
        cache_write_1h_tokens=usage.cache_write_1h,
        output_tokens=usage.output,
        output_reasoning_tokens=usage.reasoning or 0,
        input_audio_tokens=usage.audio_input or 0,
        output_audio_tokens=usage.audio_output or 0,
    )


@pytest.fixture(scope="module")
def found() -> catalogue.Catalogue:
    return catalogue.read(NOW)


def book_of(listed: Iterable[Listed], fallbacks: Mapping[str, Sequence[str]] | None = None) -> PriceBook:
    """A price book of catalogue prices, without a database."""
    by_catalogue: dict[str, list[Listed]] = {}
    for item in listed:
        by_catalogue.setdefault(item.price.catalogue or "", []).append(item)
    return PriceBook((), by_catalogue, fallbacks or {}, read=lambda item: item)


@pytest.mark.parametrize("provider", providers, ids=lambda provider: provider.id)
def test_every_price_of_the_catalogue_gives_what_genai_prices_calculates(
    found: catalogue.Catalogue, provider: genai.Provider
) -> None:
    outcomes: Counter[str] = Counter()
    for model in provider.models:
        # Some models are not matched by their own ids; here any name will do.
        book = book_of(replace(item, match={"starts_with": ""}) for item in found.models[provider.id, model.id])
        for moment in MOMENTS:
            price = book.find("x", provider.id, model.id, to_ms(moment))
            assert price is not None, model.id
            theirs = model.get_prices(moment)
            for usage in USAGES:
                outcomes[_compare(cost(price.rates, usage), theirs, usage)] += 1
    if provider.id in ("openai", "anthropic", "groq", "deepseek"):
        assert outcomes["equal"] > 3 * outcomes["unknown"]


def _compare(ours: int | None, theirs: genai.ModelPrice, usage: Usage) -> str:
    """`equal`, or `unknown` where we do not say: a wrong cost is neither."""
    if ours is None:
        assert _hard_to_tell(vars(theirs), usage)
        return "unknown"
    with localcontext(prec=60), warnings.catch_warnings():
        warnings.simplefilter("error")
        total = theirs.calc_price(genai_usage(usage))["total_price"] * 10**12
        expected = int(total.quantize(Decimal(1), rounding=ROUND_HALF_EVEN))
    # A few rates are given with more than twelve decimals, which we round.
    assert abs(ours - expected) <= (usage.input or 0) // 10**6 + 1, (ours, expected, usage, vars(theirs))
    return "equal"


def _hard_to_tell(told: Mapping[str, object], usage: Usage) -> bool:
    """Whether tokens are billed by kinds that our counts do not have, or not at all by plain input and output."""
    apart = ("image", "video", "citation", "text")
    return (
        not {"input_mtok", "output_mtok"} <= told.keys()
        or any(name.endswith("mtok") and any(kind in name for kind in apart) for name in told)
        or bool(usage.audio_input and usage.cached_input)
    )


def test_model_names_are_matched_as_genai_prices_matches_them(found: catalogue.Catalogue) -> None:
    book = book_of((item for listed in found.models.values() for item in listed), found.fallbacks)
    names = ["gpt-5", "GPT-5", "gpt-5.2-20251211", "claude-sonnet-4-5-20250929", "o3-mini", "nonsense", "deepseek-chat"]
    names += [model.id for provider in providers for model in provider.models][::7]
    for provider in providers:
        for name in names:
            theirs = provider.find_model(name, all_providers=providers)
            ours = book.find("x", provider.id, name, to_ms(NOW))
            assert (ours.model if ours else None) == (theirs.id if theirs else None), (provider.id, name)


def test_a_model_whose_tokens_we_cannot_tell_apart_has_no_known_cost() -> None:
    pictures = genai.ModelPrice(input_mtok=Decimal(5), input_image_mtok=Decimal(10), output_mtok=Decimal(40))
    assert cost(catalogue.rates_of(pictures), Usage(100, output=100)) is None
    same = genai.ModelPrice(input_mtok=Decimal(5), input_image_mtok=Decimal(5), output_mtok=Decimal(40))
    assert cost(catalogue.rates_of(same), Usage(100, output=0)) == 500_000_000


def test_the_catalogue_knows_prices_in_batches_and_the_usual_one_stands_in_elsewhere() -> None:
    at = datetime(2026, 11, 1, tzinfo=UTC)
    rows: dict[str, list[Listed]] = {}
    for (place, _), listed in catalogue.read(at).models.items():
        rows.setdefault(place, []).extend(listed)
    book = PriceBook((), rows, {}, read=lambda listed: listed)
    usual, batch = (find("x", "openai", "gpt-4", to_ms(at)) for find in (book.find, book.find_batch))
    assert usual is not None
    assert batch is not None
    assert (usual.model, batch.model) == ("gpt-4", "gpt-4@batch")
    assert [rate and rate[0][1] for rate in (usual.rates.output, batch.rates.output)] == [6 * 10**13, 3 * 10**13]
    assert book.find_batch("x", "deepseek", "deepseek-chat", to_ms(at)) == book.find(
        "x", "deepseek", "deepseek-chat", to_ms(at)
    )
    assert book.find_batch("x", "openai", "no-such-model", to_ms(at)) is None


HOUR_MS = 60 * MINUTE_MS
HOURS = st.integers(0, 24)
BEGUN = st.lists(st.tuples(st.integers(0, 2), st.none() | st.tuples(HOURS, HOURS)), max_size=4)


@given(BEGUN, BEGUN, st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3 * 24)), max_size=12))
def test_terms_go_by_the_price_of_the_moment_of_the_book_that_there_is(
    of_one: list[tuple[int, tuple[int, int] | None]],
    of_another: list[tuple[int, tuple[int, int] | None]],
    asked: list[tuple[int, int]],
) -> None:
    books, tariffs = [_book(of_one), _book(of_another)], Tariffs()
    provider = upstream("up")
    planned = Planned(Target("up", "m"), provider)
    for which, hour in asked:
        for now_ms in (hour * HOUR_MS - 1, hour * HOUR_MS):
            found = tariffs.of(planned, Dialect.CHAT, books[which], now_ms)
            assert found.price is books[which].find("up", None, "m", now_ms)


def test_a_tariff_is_worked_out_anew_when_its_upstream_has_changed() -> None:
    book, tariffs = _book([(0, None)]), Tariffs()
    target = Target("up", "m")
    seen = [
        tariffs.of(Planned(target, replace(upstream("up"), provider=provider)), Dialect.CHAT, book, HOUR_MS).field
        for provider in ("openai", "groq", "openai")
    ]
    assert seen == ["max_completion_tokens", "max_tokens", "max_completion_tokens"]


def _book(begun: list[tuple[int, tuple[int, int] | None]]) -> PriceBook:
    """The own prices of a model, each from a day on."""
    prices = [
        Price(
            number,
            "up",
            None,
            "m",
            CLAUDE,
            from_ms(day * DAY_MS),
            "own",
            from_ms(0),
            daily=hours and (60 * hours[0], 60 * hours[1]),
        )
        for number, (day, hours) in enumerate(begun)
    ]
    return PriceBook([Listed(price, None) for price in prices], {}, {})
