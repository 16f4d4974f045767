"""Answers what the Requests view asks: the newest as they end, a page of older ones, one with all its attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from keyvault.domain.reports import RequestDetail
from keyvault.errors import NotFound
from opsconsole.readers.around import Surroundings
from opsconsole.view.requests import reading
from opsconsole.view.requests.snapshot import (
    PriceTold,
    RequestQuestion,
    RequestSnapshot,
    RequestsQuestion,
    RequestsSnapshot,
    RouteTold,
)
from opsconsole.view.table import MOST_ROWS
from opsconsole.view.text import printable

if TYPE_CHECKING:
    from keyvault.home import Home
    from keyvault.metering.recent import Page, Recent

OPEN: Final = "open"


class RequestsReader:
    """A page of older requests, once read, stays as it is."""

    def __init__(self, home: Home, around: Surroundings) -> None:
        self._home = home
        self._around = around
        self._recent: Recent | None = None
        self._page: tuple[RequestsQuestion, Page] | None = None

    def read(self, question: RequestsQuestion) -> RequestsSnapshot:
        recent = self._recent = self._recent or self._home.reports.recent()
        page = recent.read(question.narrowing, MOST_ROWS) if question.live else self._paged(recent, question)
        workers = self._home.workers.live()
        now = self._home.clock.now()
        self._around.ever_used = self._around.ever_used or bool(page.lines)
        around = self._around.read(now, workers)
        return RequestsSnapshot(
            question=question,
            taken_at=now,
            lines=tuple(map(reading.line, page.lines)),
            older=page.reached,
            **around,
        )

    def _paged(self, recent: Recent, question: RequestsQuestion) -> Page:
        if self._page is None or self._page[0] != question:
            page = recent.page(question.narrowing, question.before or None, MOST_ROWS)
            self._page = (question, page)
        return self._page[1]


class RequestReader:
    """One request: read again as long as it is open."""

    def __init__(self, home: Home, around: Surroundings) -> None:
        self._home = home
        self._around = around
        self._kept: RequestSnapshot | None = None

    def read(self, question: RequestQuestion) -> RequestSnapshot:
        kept, now = self._kept, self._home.clock.now()
        around = self._around.read(now, self._home.workers.live())
        if kept is None or kept.question != question or kept.detail is None or kept.detail.line.outcome == OPEN:
            detail = self._detail(question.request_id)
            prices, route = (self._prices(detail), self._route(detail)) if detail else ((), None)
        else:
            detail, prices, route = kept.detail, kept.prices, kept.route
        self._kept = RequestSnapshot(
            question=question, taken_at=now, detail=detail, prices=prices, route=route, **around
        )
        return self._kept

    def _detail(self, request_id: str) -> RequestDetail | None:
        try:
            return reading.detail(self._home.reports.request(request_id))
        except NotFound:
            return None

    def _prices(self, detail: RequestDetail) -> tuple[PriceTold, ...]:
        ids = sorted({attempt.price_id for attempt in detail.attempts if attempt.price_id is not None})
        found = [price for price_id in ids if (price := self._home.prices.get(price_id)) is not None]
        return tuple(
            PriceTold(price.id, printable(price.model), price.effective_from, printable(price.source))
            for price in found
        )

    def _route(self, detail: RequestDetail) -> RouteTold:
        revision = self._home.routes.at(detail.line.at)
        return RouteTold(revision.number, revision.created_at)
