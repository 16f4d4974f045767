"""What sums and ids say in words: totals of a group, and the values of the dimensions that an id decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import add
from typing import Final, TypeVar

from keyvault.domain.ledger import Basis
from keyvault.domain.reports import LIVE, NO_TAG, Totals
from keyvault.storage.reports import COUNTS, HISTOGRAMS, Names, ProjectNames

T = TypeVar("T")

OF_KEY: Final = ("key", "env")
OF_PAYER: Final = ("customer", "project", "tag")
"""Decided by who pays: a project that the request named, else the key's own."""
OF_TARGET: Final = ("model", "upstream", "target")
COLUMNS: Final[Mapping[str, Sequence[str]]] = {
    "key_id": (*OF_KEY, *OF_PAYER),
    "project_id": OF_PAYER,
    "alias_id": ("alias",),
    "target_id": OF_TARGET,
}
"""Which dimensions need which ids."""

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


def values_of(ids: Mapping[str, int], names: Names) -> dict[str, Sequence[str]]:
    """What ids say of each dimension that they decide; an id without a name shows as its number."""
    told: dict[str, Sequence[str]] = {}
    if "key_id" in ids:
        told |= of_key(ids["key_id"], names)
    if "project_id" in ids:
        payer = ids["key_id"], ids["project_id"]
        told |= {**of_payer(*payer, names), "tag": _tags(*payer, names)}
    if "alias_id" in ids:
        told["alias"] = [names.aliases.get(ids["alias_id"], f"#{ids['alias_id']}")]
    if "target_id" in ids:
        told |= of_target(ids["target_id"], names)
    return told


def of_key(key_id: int, names: Names) -> dict[str, Sequence[str]]:
    """A key that is not known is not known to be one for tests."""
    key = names.keys.get(key_id)
    return {"key": [key.key if key else f"#{key_id}"], "env": [key.env if key else LIVE]}


def of_payer(key_id: int, project_id: int, names: Names) -> dict[str, Sequence[str]]:
    """`project_id` is 0 where the key's own project pays."""
    payer_id, payer = _payer(key_id, project_id, names)
    if payer is None:
        return {"customer": [f"#{payer_id}"], "project": [f"#{payer_id}"]}
    return {"customer": [payer.customer], "project": [f"{payer.customer}/{payer.project}"]}


def _tags(key_id: int, project_id: int, names: Names) -> Sequence[str]:
    """The nearer tag wins: the key's, the project's, the customer's."""
    payer_id, payer = _payer(key_id, project_id, names)
    if payer is None:
        return [f"#{payer_id}"]
    key = names.keys.get(key_id)
    tags = {**payer.tags, **(key.tags if key else {})}
    return [f"{name}={value}" for name, value in sorted(tags.items())] or [NO_TAG]


def _payer(key_id: int, project_id: int, names: Names) -> tuple[int, ProjectNames | None]:
    """With the number that stands for a payer that is not known."""
    key = names.keys.get(key_id)
    payer_id = project_id or (key.project_id if key else 0)
    return payer_id or key_id, names.projects.get(payer_id)


def of_target(target_id: int, names: Names) -> dict[str, Sequence[str]]:
    upstream, model = names.targets.get(target_id, (f"#{target_id}", f"#{target_id}"))
    return {"model": [model], "upstream": [upstream], "target": [f"{upstream}/{model}"]}


def collect(groups: dict[T, list[int]], group: T, values: list[int]) -> None:
    """Add values to a group's. No list is changed, so that groups may share lists with what was remembered."""
    found = groups.get(group)
    groups[group] = values if found is None else list(map(add, found, values))


def summed(parts: Iterable[Sequence[int]], width: int) -> list[int]:
    """The sum of many lists of values, all of this width."""
    return list(map(sum, zip(*parts, strict=True))) or [0] * width
