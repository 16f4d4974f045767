"""What came of rotations, and how a person and a program are told: one document, however many keys.

In a batch one failure does not stop the others. Secrets that go to stdout are gathered first: their keys stay locked
until the one document is written, and only then count as delivered.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from keyvault.errors import Exit, GatewayError
from keyvault.keys.delivery import Handed
from opsconsole.cli.delivery import deliver
from opsconsole.cli.output import Column, Details, Format, Listing, Row
from opsconsole.cli.session import Session

if TYPE_CHECKING:
    from keyvault.keys.rotation import Rotation

GATHERED = "gathered"

Steps = Generator[str, None, "Rotation"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one key: a rotation, or an error."""

    name: str
    done: Rotation | None = None
    place: str | None = None
    """Where its secret went, None for stdout."""
    error: GatewayError | None = None

    @property
    def state(self) -> str:
        return "failed" if self.done is None else "rotated" if self.done.changed else "unchanged"

    def row(self, *, secret: bool) -> Row:
        """`secret`: show it, where there is one and it went nowhere else."""
        done = self.done
        previous = done and {"generation": done.previous_generation, "valid_until": done.previous_valid_until}
        return {
            "changed": done.changed if done else False,
            "name": self.name,
            "secret": done.secret.reveal() if secret and done and done.secret and not self.place else None,
            "generation": done.generation if done else None,
            "previous": previous if done and done.previous_generation is not None else None,
            "reason": self.error.message if self.error else done.reason if done else None,
            "delivered_to": self.place if done and done.changed else None,
            "in_place": done.in_place if done else None,
        }

    def row_among_others(self, *, secret: bool) -> Row:
        error = self.error and {"code": self.error.code, "message": self.error.message, "hint": self.error.hint}
        return {**self.row(secret=secret), "result": self.state, "error": error}


class Printed(Handed):
    """Prints one new secret with its document."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def steps(self, rotation: Rotation) -> Iterator[str]:
        assert rotation.secret is not None
        self._session.changed(f"rotated key {rotation.key.name}, now generation {rotation.generation}")
        row = Outcome(rotation.key.name, rotation).row(secret=False)
        deliver(self._session, rotation.secret, row, omit=_OMIT | {"previous"})
        yield "printed"


class Gathered(Handed):
    """Keeps a new secret until the whole batch can be printed."""

    def __init__(self) -> None:
        self.rotation: Rotation | None = None

    def steps(self, rotation: Rotation) -> Iterator[str]:
        self.rotation = rotation
        yield GATHERED


_OMIT = frozenset({"secret", "reason", "in_place", "delivered_to"})


def tell_one(session: Session, outcome: Outcome, *, printed: bool) -> None:
    """Say what came of one rotation; the document of one that was printed is out already."""
    done = outcome.done
    assert done is not None
    if not done.changed:
        session.changed(f"key {outcome.name} was left as it is: {done.reason}")
        session.show(Details(outcome.row(secret=False), omit=_OMIT))
        warn_of_place(session, outcome)
    elif session.dry_run or not printed:
        told = f": {done.reason}" if done.reason else ""
        session.changed(f"rotated key {outcome.name}, now generation {done.generation}{told}")
        if session.options.format is not Format.SECRET:
            session.show(Details(outcome.row(secret=False), omit=_OMIT - {"delivered_to"}))
    if done.changed and done.previous_valid_until is not None:
        session.changed(f"the old secret works until {done.previous_valid_until:%Y-%m-%d %H:%M:%S} UTC")


def warn_of_place(session: Session, outcome: Outcome) -> None:
    """Whoever reads a file that does not hold the current secret stops working one day."""
    if outcome.done and outcome.done.in_place is False:
        session.io.note(f"{outcome.place} does not hold the current secret of key {outcome.name}")
        session.io.note(f"hint: to make one for it: gwctl keys rotate {outcome.name} --end-grace with the same options")


class Batch:
    """The rotations of many keys, one after the other."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._outcomes: list[Outcome] = []
        self._gathered: list[tuple[int, Steps]] = []

    def add(self, outcome: Outcome) -> None:
        self._outcomes.append(outcome)

    def rotate(self, name: str, place: str | None, delivery: object, steps: Steps) -> None:
        """Take a rotation's steps, up to where its secret was gathered."""
        try:
            while next(steps) != GATHERED:
                pass
        except StopIteration as end:
            self.add(Outcome(name, end.value, place))
        except GatewayError as error:
            self.add(Outcome(name, error=error))
        else:
            assert isinstance(delivery, Gathered)
            self._gathered.append((len(self._outcomes), steps))
            self.add(Outcome(name, delivery.rotation, place))

    def finish(self) -> None:
        """Print the document, then acknowledge what it delivered. Raises `SomeFailed`."""
        try:
            self._session.show(self._document())
        except OSError as error:
            self._not_printed(error)
            raise
        for place, steps in self._gathered:
            self._acknowledge(place, steps)
        for outcome in self._outcomes:
            warn_of_place(self._session, outcome)
        failed = [outcome for outcome in self._outcomes if outcome.error]
        for outcome in failed:
            self._session.io.note(f"key {outcome.name}: {outcome.error}")
        if failed:
            raise SomeFailed(f"{len(failed)} of {len(self._outcomes)} keys were not rotated", hint="gwctl alerts list")

    def _document(self) -> Listing:
        states = [outcome.state for outcome in self._outcomes]
        counts = {state: states.count(state) for state in ("rotated", "unchanged", "failed")}
        rows = [outcome.row_among_others(secret=not self._session.dry_run) for outcome in self._outcomes]
        columns = [Column("name"), Column("result"), Column("generation"), Column("delivered_to"), Column("reason")]
        return Listing("results", rows, columns, extra=counts)

    def _acknowledge(self, place: int, steps: Steps) -> None:
        try:
            for _ in steps:
                pass
        except GatewayError as error:
            self._outcomes[place] = replace(self._outcomes[place], done=None, error=error)

    def _not_printed(self, error: OSError) -> None:
        for _, steps in self._gathered:
            with contextlib.suppress(GatewayError, OSError):
                steps.throw(error)


class SomeFailed(GatewayError):
    """Some keys of a batch could not be rotated; the document says which and why."""

    code = "some_failed"
    exit_code = Exit.FAILURE
