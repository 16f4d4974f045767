"""What somebody wants of customers, projects and keys. What is `UNCHANGED` stays as it is, or as new ones have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from keyvault.domain.keys import UNCHANGED, Unchanged
from keyvault.keys.making import KeyChange


@dataclass(frozen=True, slots=True)
class WantedCustomer:
    name: str
    where: str = ""
    """Where it was read, for what is wrong with it: `tenants.toml:3: customers.acme`."""
    multiplier_ppm: int | Unchanged = UNCHANGED
    suspended: bool | Unchanged = UNCHANGED
    never_capture: bool | Unchanged = UNCHANGED
    tags: Mapping[str, str] | Unchanged = UNCHANGED


@dataclass(frozen=True, slots=True)
class WantedProject:
    path: str
    where: str = ""
    suspended: bool | Unchanged = UNCHANGED
    tags: Mapping[str, str] | Unchanged = UNCHANGED


@dataclass(frozen=True, slots=True)
class WantedKey:
    name: str
    where: str = ""
    project: str | Unchanged = UNCHANGED
    env: str | Unchanged = UNCHANGED
    suspended: bool | Unchanged = UNCHANGED
    change: KeyChange = field(default_factory=KeyChange)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A whole file. `makes_projects`: projects that keys name are made where they are missing."""

    customers: tuple[WantedCustomer, ...] = ()
    projects: tuple[WantedProject, ...] = ()
    keys: tuple[WantedKey, ...] = ()
    makes_projects: bool = False
