"""What the files of another gateway come to here, and what of them has no equivalent.

Readers collect it piece by piece. A thing that cannot be carried over is left out with the reason, never half done: a
key whose addresses cannot be read would otherwise open to everybody.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from keyvault.domain.names import fold, shown
from keyvault.domain.routes import Target
from keyvault.errors import UsageError
from keyvault.secrets import Secret
from keyvault.tenants import fields
from keyvault.tenants.fields import Table
from keyvault.tenants.wanted import Wanted, WantedKey

LONGEST_NAME: Final = 48
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class DraftUpstream:
    """An upstream to be. Without a `secret` that it needs, it can only be one that exists already."""

    name: str
    provider: str
    base_url: str | None
    secret: Secret | None
    no_secret_because: str = ""


@dataclass(frozen=True, slots=True)
class DraftTarget:
    """A target of a route to be."""

    target: Target
    rank: int = 0
    """Those of the lowest rank share the traffic, the others are fallbacks in the order of their ranks."""
    weight: float = 1


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that is not carried over."""

    what: str
    why: str


@dataclass(slots=True)
class Draft:
    """Filled by a reader."""

    upstreams: list[DraftUpstream] = field(default_factory=list)
    routes: dict[str, list[DraftTarget]] = field(default_factory=dict)
    keys: list[WantedKey] = field(default_factory=list)
    tokens: dict[str, Secret] = field(default_factory=dict)
    """Key name → the token it takes over."""
    left_out: list[LeftOut] = field(default_factory=list)
    _names: dict[str, set[str]] = field(default_factory=dict)

    @property
    def wanted(self) -> Wanted:
        return Wanted(keys=tuple(self.keys), makes_projects=True)

    def leave_out(self, what: str, why: str) -> None:
        """`what` may come from the file: it is shown escaped and cut."""
        self.left_out.append(LeftOut(what, why))

    def name(self, kind: str, text: object, otherwise: str) -> str:
        """A valid name made of `text`, unlike all others of its kind; what had to be changed is told."""
        wanted = text if isinstance(text, str) else ""
        base = _NOT_IN_NAMES.sub("-", wanted[:200])[:LONGEST_NAME].strip("._-") or otherwise
        taken = self._names.setdefault(kind, set())
        found, number = base, 2
        while fold(found) in taken:
            found, number = f"{base}-{number}", number + 1
        taken.add(fold(found))
        if wanted and found != wanted:
            self.leave_out(f"{kind} name {shown(wanted)}", f"is {found} here")
        return found

    def add_route(self, alias: str, target: Target, *, rank: int = 0, weight: float = 1) -> None:
        """Have `alias` served by a target too; once it is, a second time changes nothing."""
        targets = self.routes.setdefault(alias, [])
        if all(target != known.target for known in targets):
            targets.append(DraftTarget(target, rank, weight))

    def add_key(self, name: str, values: Mapping[str, Any], token: Secret | None = None) -> None:
        """A key with fields as in `tenants.toml`; left out where any of them cannot be."""
        try:
            self.keys.append(fields.key(name, Table(values, lambda part: part or "key")))
        except UsageError as error:
            self.leave_out(f"key {name}", error.message)
        else:
            if token is not None:
                self.tokens[name] = token
