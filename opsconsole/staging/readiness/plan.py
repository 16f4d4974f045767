"""Which steps prove an alias, with what, and from when on they fail. `document` reads it from a file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from keyvault.domain.drills import Fault
from keyvault.domain.endpoints import Dialect
from keyvault.domain.guards import Guard
from keyvault.domain.rollouts import USUAL_GUARDS, guards_of
from keyvault.domain.routes import Target
from keyvault.errors import UsageError
from opsconsole.view.readiness.report import STEPS


@dataclass(frozen=True, slots=True)
class Direct:
    """The API behind the gateway. `model`: what it calls the alias; None: the model of the first target."""

    url: str
    key_file: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Alias:
    """What is proved."""

    name: str | None = None
    dialect: Dialect = Dialect.CHAT
    key: str | None = None
    """Of the application: what it may do is what check, replay and keys may do; None: everything."""


@dataclass(frozen=True, slots=True)
class Check:
    only: tuple[str, ...] = ()
    """Patterns of probes; none: all."""
    ignore: tuple[str, ...] = ()
    """Patterns of differences that count for nothing."""
    tolerate: int = 0
    """Probes that may differ."""
    client: str | None = None
    """`sdk` or `httpx`; None: the official SDKs, where they are installed."""
    direct: Direct | None = None


@dataclass(frozen=True, slots=True)
class Replay:
    file: str
    model: str | None = None
    """Asked for in place of the recorded models; None: the alias."""
    limit: int | None = None
    max_cost_pico: int | None = None
    concurrency: int = 4
    tolerate: int = 0
    """Requests that may break."""
    slower: float | None = None
    """The most that the 95th percentile of the whole time may be of the recorded one; None: whatever it is."""
    dearer: float | None = None
    """The same for what it cost."""
    direct: Direct | None = None


@dataclass(frozen=True, slots=True)
class Compare:
    prompts: str
    models: tuple[str, ...]
    """Beside the alias, which is always compared."""
    baseline: str | None = None
    """The model that the alias may not be worse than; None: every prompt only has to be answered."""
    margin: float | None = None
    """Points by which it may be worse; None: it may not be shown to be worse."""
    judge: str | None = None
    repeat: int = 1
    limit: int | None = None
    least: int = 20
    """Prompts without which nothing is proved."""
    max_cost_pico: int | None = None


@dataclass(frozen=True, slots=True)
class Drill:
    faults: tuple[Fault, ...] = (Fault.REFUSE, Fault.LIMITED, Fault.SERVER)
    target: Target | None = None
    """None: the one that serves first."""
    requests: int = 6
    lasts: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Quota:
    """Nothing of it can be chosen."""


@dataclass(frozen=True, slots=True)
class Spend:
    requests: int = 4
    """Sent with keys of two projects."""


@dataclass(frozen=True, slots=True)
class Keys:
    within: timedelta = timedelta(seconds=5)
    """How long every worker may take to follow."""


@dataclass(frozen=True, slots=True)
class Rollout:
    to: Target
    percent_ppm: int = 50_000
    """The share that the real rollout would begin with."""
    guards: tuple[Guard, ...] = guards_of(USUAL_GUARDS)
    requests: int = 60
    """At the least, sent while routes change and go back."""
    tolerate: int = 0
    """Of those, how many may fail."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole file. None: that step is not run."""

    alias: Alias = Alias()
    check: Check | None = None
    replay: Replay | None = None
    compare: Compare | None = None
    drill: Drill | None = None
    quota: Quota | None = None
    spend: Spend | None = None
    keys: Keys | None = None
    rollout: Rollout | None = None

    def steps(self, only: tuple[str, ...] = ()) -> list[str]:
        """The names of those to be run. Raises `UsageError` where `only` names none, or one that is not there."""
        for name in only:
            if name not in STEPS:
                raise UsageError(f"no such step: {name[:40]!a}", hint=f"one of {', '.join(STEPS)}")
            if getattr(self, name) is None:
                raise UsageError(f"the file says nothing of {name}", hint=f"add a section [{name}]")
        found = [name for name in STEPS if getattr(self, name) is not None and (not only or name in only)]
        if not found:
            raise UsageError("the file has no step", hint="gwctl readiness init - | less")
        return found


def source(base: Path, named: str) -> str:
    """A file named from where the staging file is; a capture stays one."""
    return named if named.startswith("capture:") else str(base / named)
