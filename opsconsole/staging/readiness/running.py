"""Running the steps of a readiness one after the other, each on the disk before the next one begins.

What cannot be tried is a verdict, not an error: the other steps are run all the same. A readiness that was interrupted
goes on with what has no verdict yet, and tries once more what could not be tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from keyvault.clock import rfc3339
from keyvault.domain.names import shown
from keyvault.errors import GatewayError, NotFound, UsageError
from opsconsole.staging.readiness import checking, comparing, document, drilling, replaying, rolling, rotating, spending
from opsconsole.staging.readiness.plan import Plan
from opsconsole.staging.readiness.step import Progress, Standing
from opsconsole.staging.runs import Run, Runs
from opsconsole.view.readiness.report import STEPS, Readiness, Step, Verdict

if TYPE_CHECKING:
    from keyvault.home import Home
    from keyvault.secrets import Secret

KIND: Final = "readiness"
Try = Callable[[Standing, Any], Step]
Foresee = Callable[[Standing, Any], tuple[str, int | None]]

_STEPS: Final[Mapping[str, tuple[Try, Foresee]]] = {
    "check": (checking.checked, checking.foreseen),
    "replay": (replaying.replayed, replaying.foreseen),
    "compare": (comparing.compared, comparing.foreseen),
    "rollout": (rolling.there_and_back, rolling.foreseen),
    "drill": (drilling.drilled, drilling.foreseen_drill),
    "quota": (drilling.exhausted, drilling.foreseen_quota),
    "keys": (rotating.rotated, rotating.foreseen),
    "spend": (spending.added_up, spending.foreseen),
}
"""In the order in which they are run: guards are foreseen before something is broken on purpose, and what all of them
spent is looked at last."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a readiness set out to do, as its run keeps it: with the file's text, so that it goes on as it began."""

    alias: str
    file: str
    text: str
    only: tuple[str, ...] = ()

    @property
    def plan(self) -> Plan:
        """Raises `ConfigurationError`."""
        return document.read(self.text, self.file)

    def told(self) -> dict[str, Any]:
        return {"alias": self.alias, "file": self.file, "text": self.text, "only": list(self.only)}

    @classmethod
    def of(cls, run: Run) -> Asked:
        told = run.plan
        return cls(told["alias"], told["file"], told["text"], tuple(told["only"]))


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a step would do. `pico`: about what it would cost; None: not known."""

    step: str
    what: str
    pico: int | None
    error: str | None = None
    """Why it could not be tried."""


def asked(alias: str | None, file: Path, text: str, only: Sequence[str] = ()) -> Asked:
    """Raises `ConfigurationError`, and `UsageError` where it is not clear what is to be proved."""
    plan = document.read(text, str(file))
    name = alias or plan.alias.name
    if name is None:
        raise UsageError("which alias?", hint=f"gwctl readiness ALIAS -f {file}, or [alias] name in the file")
    if plan.alias.name not in (None, name):
        raise UsageError(f"{file} is about {shown(plan.alias.name or '')}, not {shown(name)}", hint=f"-f {file} alone")
    plan.steps(tuple(only))
    return Asked(name, str(file.absolute()), text, tuple(only))


class Readying:
    """The readinesses of one home."""

    def __init__(
        self,
        home: Home,
        secret_of: Callable[[Path], Secret],
        progress: Callable[[str], Progress] = lambda _: lambda *_: None,
    ) -> None:
        """`secret_of`: reads a file with a key; `progress`: for a step by its name."""
        self._home = home
        self._secret_of = secret_of
        self._progress = progress
        self.runs = Runs(home.paths.state, home.clock)

    def begin(self, wanted: Asked) -> Run:
        return self.runs.begin(KIND, wanted.alias, wanted.told())

    def foresee(self, wanted: Asked) -> Iterator[Foreseen]:
        """What each step would do and cost; nothing is asked and nothing is made."""
        here = self._standing(wanted, None)
        for name in wanted.plan.steps(wanted.only):
            try:
                what, pico = _STEPS[name][1](here, getattr(here.plan, name))
            except GatewayError as error:
                yield Foreseen(name, "", None, error.message)
            else:
                yield Foreseen(name, what, pico)

    def go(self, run: Run) -> Readiness:
        """Run what has no verdict yet, and what could not be tried."""
        wanted = Asked.of(run)
        here = self._standing(wanted, run)
        named = wanted.plan.steps(wanted.only)
        before = steps_of(run)
        for name in (name for name in _STEPS if name in named):
            if name not in before or before[name].verdict is Verdict.NOT_TRIED:
                run.add(name, _tried(here, name).to_json())
        found = readiness(run)
        run.finish(msgspec.to_builtins(found), found.overall.value)
        return found

    def delete(self, run: Run) -> None:
        """Remove what it kept, its replays and comparisons with it. The ledger keeps its requests."""
        for item, record in run.done().items():
            if item not in STEPS:
                try:
                    self.runs.open(record["kind"], record["run"]).delete()
                except NotFound:
                    continue  # deleted by hand
        run.delete()

    def _standing(self, wanted: Asked, run: Run | None) -> Standing:
        return Standing(
            home=self._home,
            alias=wanted.alias,
            plan=wanted.plan,
            directory=Path(wanted.file).parent,
            began_at=self._home.clock.now() if run is None else run.summary().began_at,
            kept=run,
            progress=self._progress,
            secret_of=self._secret_of,
        )


def _tried(here: Standing, name: str) -> Step:
    """A step's verdict, whatever comes."""
    error: GatewayError | None = None
    try:
        return _STEPS[name][0](here, getattr(here.plan, name))
    except GatewayError as raised:
        error = raised
    except ExceptionGroup as group:  # of tasks that asked at the same time
        error = _first(group)
        if error is None:
            raise
    hint = f" ({error.hint})" if error.hint else ""
    return Step(name, Verdict.NOT_TRIED, f"because {error.message}{hint}")


def _first(group: BaseException) -> GatewayError | None:
    """The first of a group, if all are errors of ours."""
    if isinstance(group, GatewayError):
        return group
    found = [_first(each) for each in group.exceptions] if isinstance(group, ExceptionGroup) else [None]
    return None if None in found else found[0]


def steps_of(run: Run) -> dict[str, Step]:
    """The steps of a run that have a verdict, by name."""
    return {name: Step.of_json(record) for name, record in run.done().items() if name in STEPS}


def readiness(run: Run) -> Readiness:
    """What a run has found so far."""
    wanted = Asked.of(run)
    named, found = wanted.plan.steps(wanted.only), steps_of(run)
    missing = "interrupted before it"
    steps = [
        found.get(name) or Step(name, Verdict.NOT_RUN, missing if name in named else "nobody asked for it")
        for name in STEPS
    ]
    unfinished = any(name not in found for name in named)
    began_at = rfc3339(run.summary().began_at) or ""
    return Readiness(run.id, wanted.alias, wanted.file, began_at, tuple(steps), unfinished)
