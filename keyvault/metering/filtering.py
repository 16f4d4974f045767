"""What a report of usage is about: some values of some dimensions, and by itself never what keys for tests did.

What an alias, a target or a key decides is left to the database. Who pays, the tags and the environment are told of
each sum and looked at then: of what only the environment keeps out, a report says how much it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from keyvault.domain.reports import LIVE, TEST
from keyvault.metering.groups import OF_KEY, OF_PAYER, OF_TARGET, of_key, of_target
from keyvault.storage.reports import Names

ENVS: Final = (LIVE, TEST)


@dataclass(frozen=True, slots=True)
class Filter:
    where: Mapping[str, set[int]]
    """Ids by column."""
    told: Mapping[str, set[str]]
    """Values of dimensions that a sum has to have one of, in the form in which they are the same."""
    envs: tuple[str, ...]
    parted: bool
    """Whether there are keys of another environment to be told apart."""

    @classmethod
    def of(cls, names: Names, by: Sequence[str], wanted: Mapping[str, str | Iterable[str]]) -> Filter:
        folded = {name: _folded(values) for name, values in wanted.items()}
        asked = folded.pop("env", set(ENVS) if "env" in by else {LIVE})
        envs = tuple(env for env in ENVS if env in asked)
        others = any(key.env not in envs for key in names.keys.values()) or LIVE not in envs
        told = {name: values for name, values in folded.items() if name in OF_PAYER}
        ids = {name: values for name, values in folded.items() if name not in OF_PAYER}
        return cls(_where(names, ids), told, envs, parted=others)

    @property
    def checked(self) -> tuple[str, ...]:
        """The dimensions that have to be told of each sum."""
        return (*self.told, *(("env",) if self.parted else ()))

    def passes(self, told: Mapping[str, Sequence[str]]) -> bool:
        """Whether a sum is what was asked for, but for its environment."""
        return all(wanted & _folded(told[name]) for name, wanted in self.told.items())

    def is_of_env(self, told: Mapping[str, Sequence[str]]) -> bool:
        return not self.parted or told["env"][0] in self.envs


def _where(names: Names, wanted: Mapping[str, set[str]]) -> dict[str, set[int]]:
    """The ids that pass all filters, by column."""
    where: dict[str, set[int]] = {}
    for dimension, values in wanted.items():
        column, known = _known(dimension, names)
        passing = {number for number, name in known.items() if name.casefold() in values}
        where[column] = where.get(column, passing) & passing
    return where


def _known(dimension: str, names: Names) -> tuple[str, Mapping[int, str]]:
    """The column that decides a dimension, and what each id says of it."""
    if dimension in OF_KEY:
        return "key_id", {number: of_key(number, names)[dimension][0] for number in names.keys}
    if dimension in OF_TARGET:
        return "target_id", {number: of_target(number, names)[dimension][0] for number in names.targets}
    return "alias_id", names.aliases


def _folded(values: str | Iterable[str]) -> set[str]:
    return {value.casefold() for value in ([values] if isinstance(values, str) else values)}
