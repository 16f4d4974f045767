"""From the ledger's lines to the console's: names made safe to print, here and once."""

from __future__ import annotations

from dataclasses import replace

from keyvault.domain.reports import AttemptLine, RequestDetail, RequestLine
from opsconsole.view.text import printable


def line(found: RequestLine) -> RequestLine:
    """The line itself where nothing in it could act on a terminal, as nearly always."""
    tags = "".join(f"{name}{value}" for name, value in found.tags.items())
    names = (found.key, found.customer, found.project, found.alias, found.target, found.error or "", found.dialect)
    if "".join((*names, *found.failed_over, tags)).isprintable():
        return found
    return replace(
        found,
        key=printable(found.key),
        customer=printable(found.customer),
        project=printable(found.project),
        alias=printable(found.alias),
        model=printable(found.model),
        target=printable(found.target),
        dialect=printable(found.dialect),
        error=found.error and printable(found.error),
        failed_over=tuple(map(printable, found.failed_over)),
        tags={printable(name): printable(value) for name, value in found.tags.items()},
    )


def detail(found: RequestDetail) -> RequestDetail:
    return replace(found, line=line(found.line), attempts=tuple(map(attempt, found.attempts)))


def attempt(found: AttemptLine) -> AttemptLine:
    return replace(
        found,
        target=printable(found.target),
        dialect=printable(found.dialect),
        error_code=found.error_code and printable(found.error_code),
        error_text=found.error_text and printable(found.error_text),
        provider_request_id=found.provider_request_id and printable(found.provider_request_id),
    )
