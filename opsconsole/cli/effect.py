"""Has a change take effect on running proxies before a command ends: cuts what is under way, waits for every worker.

Shared by everything that stops somebody: `keys revoke`, `keys suspend`, `keys delete`, `suspend`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from keyvault.errors import Unavailable, UsageError
from opsconsole.cli.output import Row
from opsconsole.cli.session import Session

if TYPE_CHECKING:
    from keyvault.domain.workers import Applied, Worker
    from keyvault.storage.epochs import Aggregate

USUAL_LIMIT: Final = timedelta(seconds=10)
LONGEST_LIMIT: Final = 3600.0

Wait = Annotated[
    str | None,
    typer.Option("--wait", metavar="[SECONDS]", help="Return when every live worker acts by it; at most 10 s."),
]
Cut = Annotated[bool, typer.Option("--cut", help="End its requests and streams in flight, too; waits for it.")]


@dataclass(frozen=True, slots=True)
class Taken:
    """How far a change has come. `row`: what the document says of it, `{}` where nothing was asked for."""

    row: Row
    behind: Unavailable | None = None

    def check(self) -> None:
        """After the document was shown. Raises `Unavailable`, naming the workers that did not follow in time."""
        if self.behind is not None:
            raise self.behind


NOTHING_ASKED: Final = Taken({})


@dataclass(frozen=True, slots=True)
class Effect:
    """What of a change is waited for. Make it before the change: a limit that makes no sense must change nothing."""

    limit: timedelta | None
    """None: wait for nothing."""
    cut: bool = False

    @classmethod
    def asked(cls, wait: str | None, cut: bool = False) -> Effect:
        """What `--wait [SECONDS]` and `--cut` ask for. Raises `UsageError`."""
        if wait is None:
            return cls(USUAL_LIMIT if cut else None, cut)
        return cls(_limit(wait), cut)

    def take(self, session: Session, aggregate: Aggregate, keys: Sequence[int] | None = ()) -> Taken:
        """Cut the calls of keys, everybody's where `keys` is None; wait; say how far it has come."""
        if self.limit is None or session.dry_run:
            return NOTHING_ASKED
        workers = session.home.workers
        payload = {"keys": None if keys is None else list(keys)}
        command = workers.order("cut", payload) if self.cut and keys != () else None
        applied = workers.wait(aggregate, self.limit, command=command)
        if not applied.missing:
            session.changed(_said(applied, cut=command is not None))
        return Taken(_row(applied, cut=command is not None), _behind(applied) if applied.missing else None)


def _limit(text: str) -> timedelta:
    if not text:
        return USUAL_LIMIT
    try:
        seconds = float(text)
    except ValueError:
        raise UsageError(f"--wait: not a number of seconds: {text[:40]!a}", hint="--wait 10") from None
    if not 0 < seconds <= LONGEST_LIMIT:
        raise UsageError(f"--wait: must be more than 0 and at most {LONGEST_LIMIT:.0f} seconds", hint="--wait 10")
    return timedelta(seconds=seconds)


def _said(applied: Applied, *, cut: bool) -> str:
    if not applied.done:
        return "no worker is live: nobody to wait for"
    count = len(applied.done)
    ended = f", {_count(applied)} calls cut" if cut else ""
    return f"{count} of {count} workers, {applied.seconds:.2f} s{ended}"


def _row(applied: Applied, *, cut: bool) -> dict[str, Any]:
    told: dict[str, Any] = {
        "workers": len(applied.done),
        "workers_live": len(applied.done) + len(applied.missing),
        "seconds": round(applied.seconds, 3),
    }
    return {**told, "calls_cut": _count(applied)} if cut else told


def _count(applied: Applied) -> int:
    return sum(int(result.get("cut", 0)) for result in applied.results)


def _behind(applied: Applied) -> Unavailable:
    total = len(applied.done) + len(applied.missing)
    text = f"done, but after {applied.seconds:.1f} s only {len(applied.done)} of {total} workers act by it"
    return Unavailable(f"{text}; not yet: {', '.join(map(_name, applied.missing))}", hint="gwctl workers list")


def _name(worker: Worker) -> str:
    return f"{worker.id} (process {worker.pid} on {worker.host})"
