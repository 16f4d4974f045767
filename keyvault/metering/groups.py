"""What sums and ids say in words: totals of a group, and the values of the dimensions that an id decides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

from keyvault.domain.ledger import Basis
from keyvault.domain.reports import NO_TAG, Totals
from keyvault.storage.reports import COUNTS, HISTOGRAMS, Names

T = TypeVar("T")

OF_KEY: Final = ("customer", "project", "key", "tag")
OF_TARGET: Final = ("model", "upstream", "target")


_BASES: Final = tuple((COUNTS.index(f"basis_{basis.label}"), basis.label) for basis in Basis)
_FIRST: Final = len(COUNTS)
_TOTAL: Final = _FIRST + len(HISTOGRAMS) // 2


def totals(values: Sequence[int]) -> Totals:
    """Sums in the order of COUNTS, and HISTOGRAMS where they were read."""
    requests, attempts, errors, failures, entered, cached, written, left, reasoning, unknown_cost, free = values[:11]
    known_cost, charge, doubt = values[_FIRST - 3 : _FIRST]
    return Totals(
        requests=requests,
        attempts=attempts,
        errors=errors,
        failures=failures,
        input_tokens=entered,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        output_tokens=left,
        reasoning_tokens=reasoning,
        known_cost_pico=known_cost,
        charge_pico=charge,
        doubt_pico=doubt,
        unknown_cost_attempts=unknown_cost,
        free_attempts=free,
        basis={label: values[at] for at, label in _BASES if values[at]},
        first_content=tuple(values[_FIRST:_TOTAL]),
        total=tuple(values[_TOTAL:]),
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


def collect(groups: dict[T, list[int]], group: T, values: list[int]) -> None:
    """Add values to a group's. No list is changed, so that groups may share lists with what was remembered."""
    found = groups.get(group)
    groups[group] = values if found is None else [a + b for a, b in zip(found, values, strict=True)]


def summed(parts: Iterable[Sequence[int]], width: int) -> list[int]:
    """The sum of many lists of values, all of this width."""
    return list(map(sum, zip(*parts, strict=True))) or [0] * width
