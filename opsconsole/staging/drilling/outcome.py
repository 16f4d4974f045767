"""What came of a drill: each request as its client saw it and as the ledger has it, and whether that is as promised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from keyvault.domain.ledger import Outcome
from keyvault.errors import NotFound
from opsconsole.staging.asking import Answer, said

if TYPE_CHECKING:
    from keyvault.domain.reports import AttemptLine
    from keyvault.home import Home

_SERVED: Final = Outcome.SERVED.label


@dataclass(frozen=True, slots=True)
class Made:
    """One attempt, as the ledger has it."""

    target: str
    outcome: str
    error_code: str | None
    charge_pico: int | None

    @classmethod
    def of(cls, line: AttemptLine) -> Made:
        return cls(line.target, line.outcome, line.error_code, line.charge_pico)


@dataclass(frozen=True, slots=True)
class Tried:
    """One request of a drill."""

    number: int
    stream: bool
    status: int | None
    saw: str
    """What the client saw, in a few words: `answered`, or its error."""
    complete: bool
    """A whole answer, or an error in the shape the client's SDK understands."""
    total_ms: float
    attempts: tuple[Made, ...]
    """In their order; empty where the request was refused before any."""
    retry_after: str | None = None
    request_id: str | None = None
    """Under which the ledger has it; None where no answer began."""

    @property
    def served_by(self) -> str | None:
        return next((each.target for each in self.attempts if each.outcome == _SERVED), None)

    @property
    def charged(self) -> int:
        """How many of its attempts its customer pays something for."""
        return sum(1 for each in self.attempts if each.charge_pico)


@dataclass(frozen=True, slots=True)
class Check:
    """One promise, whether it held, and what shows it."""

    name: str
    held: bool
    evidence: str


@dataclass(frozen=True, slots=True)
class Drilled:
    """A whole drill."""

    title: str
    tried: tuple[Tried, ...]
    checks: tuple[Check, ...]
    drill_id: int | None = None
    """None where no target was broken."""

    @property
    def passed(self) -> bool:
        return all(check.held for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def tried(home: Home, number: int, path: str, *, stream: bool, answer: Answer) -> Tried:
    """A request from its answer and the ledger's rows of it."""
    heard = said(path, answer)
    error = None if heard.error_code is None else f"{heard.error_code}: {heard.error_text or 'no reason given'}"
    well_formed = answer.failure is None and (heard.complete or heard.error_code is not None)
    return Tried(
        number=number,
        stream=stream,
        status=answer.status,
        saw=answer.failure or error or ("answered" if heard.complete else "an answer without its end"),
        complete=well_formed,
        total_ms=answer.total_ms,
        attempts=_attempts(home, answer),
        retry_after=answer.header("retry-after"),
        request_id=answer.header("x-request-id"),
    )


def charged_once(each: Sequence[Tried]) -> Check:
    """No request is paid for twice."""
    twice = [str(one.number) for one in each if one.charged > 1]
    charged = sum(one.charged for one in each)
    evidence = f"{charged} charges for {len(each)} requests, {sum(len(one.attempts) for one in each)} attempts"
    return Check("charged once", not twice, f"requests {', '.join(twice)} are charged twice" if twice else evidence)


def well_formed(each: Sequence[Tried]) -> Check:
    """Every client got a whole answer, or an error that its SDK understands."""
    broken = [f"{one.number} ({one.saw})" for one in each if not one.complete]
    return Check("answered properly", not broken, ", ".join(broken[:5]) or f"all {len(each)} requests")


def _attempts(home: Home, answer: Answer) -> tuple[Made, ...]:
    request_id = answer.header("x-request-id")
    if request_id is None:
        return ()
    try:
        return tuple(map(Made.of, home.reports.request(request_id).attempts))
    except NotFound:
        return ()
