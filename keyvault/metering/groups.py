"""What sums and ids say in words: totals of a group, and the values of the dimensions that an id decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keyvault.domain.ledger import Basis
from keyvault.domain.reports import NO_TAG, Totals
from keyvault.storage.reports import COUNTS, HISTOGRAMS, Names

OF_KEY: Final = ("customer", "project", "key", "tag")
OF_TARGET: Final = ("model", "upstream", "target")


def totals(values: Sequence[int]) -> Totals:
    """Sums in the order of COUNTS, and HISTOGRAMS where they were read."""
    told = dict(zip((*COUNTS, *HISTOGRAMS), values, strict=False))
    half = len(HISTOGRAMS) // 2
    return Totals(
        requests=told["requests"],
        attempts=told["attempts"],
        errors=told["errors"],
        failures=told["failures"],
        input_tokens=told["input"],
        cached_input_tokens=told["cached_input"],
        cache_write_tokens=told["cache_write"],
        output_tokens=told["output"],
        reasoning_tokens=told["reasoning"],
        known_cost_pico=told["cost_pico"],
        charge_pico=told["charge_pico"],
        unknown_cost_attempts=told["unknown_cost"],
        basis={basis.label: told[f"basis_{basis.label}"] for basis in Basis if told[f"basis_{basis.label}"]},
        first_content=tuple(values[len(COUNTS) : len(COUNTS) + half]),
        total=tuple(values[len(COUNTS) + half :]),
    )


def values_of(column: str, number: int, names: Names) -> dict[str, Sequence[str]]:
    """What an id says of each dimension that it decides; an id without a name shows as its number."""
    if column == "key_id":
        key = names.keys.get(number)
        if key is None:
            return {name: [f"#{number}"] for name in OF_KEY}
        return {
            "customer": [key.customer],
            "project": [f"{key.customer}/{key.project}"],
            "key": [key.key],
            "tag": key.tags or [NO_TAG],
        }
    if column == "alias_id":
        return {"alias": [names.aliases.get(number, f"#{number}")]}
    upstream, model = names.targets.get(number, (f"#{number}", f"#{number}"))
    return {"model": [model], "upstream": [upstream], "target": [f"{upstream}/{model}"]}


def add(to: list[int], values: Sequence[int]) -> None:
    for at, value in enumerate(values):
        to[at] += value
