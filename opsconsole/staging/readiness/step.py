"""What every step stands in: the home, the plan, and where it tells how far it is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from keyvault.domain.routes import Target
from keyvault.errors import NotFound
from opsconsole.staging.asking import Place
from opsconsole.staging.costing import Costing
from opsconsole.staging.drilling.failing import PATHS, question
from opsconsole.staging.places import own_gateway, temporary_key
from opsconsole.staging.readiness.plan import Direct, Plan
from opsconsole.staging.runs import Run, Runs

if TYPE_CHECKING:
    from keyvault.domain.keys import Key
    from keyvault.home import Home
    from keyvault.secrets import Secret

Progress = Callable[[int, int], None]
PURPOSE: Final = "readiness"
"""With which the names of what a readiness makes begin."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One readiness of one alias. `progress`: for a step by its name; `secret_of`: reads a file with a key."""

    home: Home
    alias: str
    plan: Plan
    directory: Path
    """From where the staging file names others."""
    began_at: datetime
    kept: Run | None
    """Where it is kept; None where it is only foreseen."""
    progress: Callable[[str], Progress]
    secret_of: Callable[[Path], Secret]

    @property
    def costing(self) -> Costing:
        return Costing(self.home)

    @property
    def runs(self) -> Runs:
        return Runs(self.home.paths.state, self.home.clock)

    @property
    def path(self) -> str:
        """Of the requests that steps make themselves."""
        return PATHS[self.plan.alias.dialect]

    def question(self, *, stream: bool = False, model: str | None = None) -> dict[str, Any]:
        """A short request that costs little."""
        return question(self.plan.alias.dialect, model or self.alias, stream=stream)

    def targets(self) -> tuple[Target, ...]:
        """Who serves the alias, the first first. Raises `NotFound`."""
        found = self.costing.targets(self.path, self.alias)
        if not found:
            raise NotFound(f"nothing serves {self.alias[:70]!a}", hint="gwctl routes test " + self.alias[:70])
        return found

    def beside(self, direct: Direct) -> tuple[Place, str]:
        """The API behind the gateway, and what it calls the alias."""
        secret = None if direct.key_file is None else self.secret_of(self.directory / direct.key_file)
        return Place.at(direct.url, secret), direct.model or self.targets()[0].model

    @contextlib.contextmanager
    def key(self, **more: Any) -> Iterator[tuple[Key, Place]]:
        """A key of environment `test`, gone afterwards, and the gateway with it."""
        place = Place.at(own_gateway(self.home))
        with temporary_key(self.home, PURPOSE, **more) as (key, secret):
            yield key, self.place(place, secret)

    def key_of_application(self) -> AbstractContextManager[tuple[Key, Place]]:
        """One that may do what the application's may, from wherever this runs. Raises `NotFound`."""
        name = self.plan.alias.key
        if name is None:
            return self.key()
        policy = self.home.keys.get(name).policy
        return self.key(policy=replace(policy, expose=True, addresses=()))

    def place(self, place: Place, secret: Secret) -> Place:
        return Place(place.base_url, secret, ca_file=self.home.settings.tls_cert)

    def inner(self, name: str, kind: str, title: str, told: Mapping[str, Any]) -> Run:
        """The run that a step makes, or the one it made before it was interrupted. `told`: its plan."""
        assert self.kept is not None
        before = self.kept.done().get(inner_id(name))
        if before is not None:
            with contextlib.suppress(NotFound):
                return self.runs.open(kind, before["run"])
        run = self.runs.begin(kind, title, told)
        self.kept.add(inner_id(name), {"kind": kind, "run": run.id})
        return run


def inner_id(name: str) -> str:
    """Under what a readiness keeps the run that a step made."""
    return f"run of {name}"
