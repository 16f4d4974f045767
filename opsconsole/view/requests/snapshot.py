"""What the Requests view knows at one moment, and what the page of one request knows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from keyvault.clock import EPOCH
from keyvault.domain.narrowing import EVERY_REQUEST, Narrowing
from keyvault.domain.reports import RequestDetail, RequestLine
from opsconsole.view.snapshot import Question, Snapshot


@dataclass(frozen=True, slots=True)
class RequestsQuestion(Question):
    """Which requests. `before`: the page of those that came before this id; empty: the newest, as they end."""

    narrowing: Narrowing = EVERY_REQUEST
    before: str = ""

    @property
    def live(self) -> bool:
        """Whether new ones show."""
        return not self.before and self.narrowing.until is None


@dataclass(frozen=True, slots=True)
class RequestsSnapshot(Snapshot):
    """The answer to a `RequestsQuestion`. Names in `lines` are safe to print."""

    question: RequestsQuestion
    lines: tuple[RequestLine, ...] = ()
    """The last to end first."""
    older: str | None = None
    """Where the next page begins; None where there is none."""

    def timeless(self) -> RequestsSnapshot:
        return replace(self, taken_at=EPOCH)


@dataclass(frozen=True, slots=True)
class RequestQuestion(Question):
    """One request."""

    request_id: str = ""


@dataclass(frozen=True, slots=True)
class PriceTold:
    """The version of a price that made a cost."""

    number: int
    model: str
    since: datetime
    source: str


@dataclass(frozen=True, slots=True)
class RouteTold:
    """The revision of the routes that held when the request came; 0: there were none yet."""

    number: int
    since: datetime


@dataclass(frozen=True, slots=True)
class RequestSnapshot(Snapshot):
    """The answer to a `RequestQuestion`."""

    question: RequestQuestion
    detail: RequestDetail | None = None
    """None: the ledger has no such request."""
    prices: tuple[PriceTold, ...] = ()
    route: RouteTold | None = None

    def timeless(self) -> RequestSnapshot:
        return replace(self, taken_at=EPOCH)
