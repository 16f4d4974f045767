"""Single attempts in the order of their ids, read in pages, so that a year takes no more memory than an hour.

Rows do not change, so that pages read at different instants go together. An attempt that ends late has the id of when
its request began: whoever goes on where an export ended goes on behind what may still end, and gets nothing twice but
what began since.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final

from keyvault.clock import Clock, from_ms, ulid_at
from keyvault.domain.ledger import Basis, Outcome
from keyvault.metering.groups import of_key, of_payer, of_target
from keyvault.storage import reports as rows
from keyvault.storage.attempts import attempts_after
from keyvault.storage.engine import Database, Transaction
from keyvault.storage.reports import Names

FIELDS: Final = (
    "id", "request_id", "number", "at", "customer", "project", "key", "generation", "env", "alias", "upstream", "model",
    "dialect", "stream", "outcome", "final", "status", "error_code", "error_text", "provider_request_id",
    "input_tokens", "cached_input_tokens", "cache_write_tokens", "cache_write_1h_tokens", "output_tokens",
    "reasoning_tokens", "audio_input_tokens", "audio_output_tokens", "images", "basis", "price_id", "cost", "charge",
    "bound", "in_doubt", "first_content_ms", "total_ms", "tags",
)  # fmt: skip
"""What is told of an attempt; `cost`, `charge`, `bound` and `in_doubt` in pico-dollars. Cache writes for an hour are
also among those of all kinds."""
MONEY: Final = ("cost", "charge", "bound", "in_doubt")

UPLOAD_MS: Final = 60_000
"""How long after it got its id a request may come on record, when its body has come."""
_LONGEST_MS: Final = 86_400_000
"""How long after its request began an attempt may begin at most."""
_PAGE: Final = 2_000


def settled_behind(tx: Transaction, clock: Clock) -> str:
    """The id behind which requests may still end: of the oldest open one, or one that began a minute ago."""
    lately, oldest_open = ulid_at(clock.now_ms() - UPLOAD_MS), rows.oldest_open(tx)
    return lately if oldest_open is None else min(lately, oldest_open[:-1])  # cut, it comes before the whole


def attempts(
    database: Database, since_ms: int | None, until_ms: int, after: tuple[str, int] | None = None
) -> Iterator[list[tuple[Any, ...]]]:
    """Pages of attempts that began in a stretch of time, each a row of FIELDS; with `after`, those behind that one."""
    first = 0 if since_ms is None else since_ms
    place = after or (ulid_at(max(0, first - _LONGEST_MS))[:-1], 0)
    told: _Told | None = None
    while True:
        with database.read() as tx:
            page = attempts_after(tx, *place, _PAGE)
            if told is None or not told.knows(page):
                told = _Told(rows.names(tx))
        found = [told.row(row) for row in page if first <= row.started_ms < until_ms]
        if found:
            yield found
        if len(page) < _PAGE or page[-1].request_id > ulid_at(until_ms):
            return
        place = (page[-1].request_id, page[-1].number)


class _Told:
    """Rows in words, with what ids stand for remembered."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._whose = cache(self._owner)

    def knows(self, page: Sequence[Any]) -> bool:
        return all(
            row.key_id in self._names.keys
            and row.alias_id in self._names.aliases
            and row.target_id in self._names.targets
            for row in page
        )

    def row(self, of: Any) -> tuple[Any, ...]:
        target = of_target(of.target_id, self._names)
        key, env, customer, project = self._whose(of.key_id, of.project_id)
        return (
            f"{of.request_id}-{of.number}",
            of.request_id,
            of.number,
            from_ms(of.started_ms),
            customer,
            project,
            key,
            of.generation,
            env,
            self._names.aliases.get(of.alias_id, f"#{of.alias_id}"),
            target["upstream"][0],
            target["model"][0],
            of.dialect,
            bool(of.stream),
            Outcome(of.outcome).label,
            bool(of.final),
            of.status,
            of.error_code,
            of.error_text,
            of.provider_request_id,
            of.input,
            of.cached_input,
            _written(of),
            of.cache_write_1h,
            of.output,
            of.reasoning,
            of.audio_input,
            of.audio_output,
            of.images,
            Basis(of.basis).label,
            of.price_id,
            of.cost_pico,
            of.charge_pico,
            of.bound_pico,
            of.doubt_pico,
            of.first_content_ms,
            of.total_ms,
            json.loads(of.tags) if of.tags else {},
        )

    def _owner(self, key_id: int, project_id: int) -> tuple[str, str, str, str]:
        key, payer = of_key(key_id, self._names), of_payer(key_id, project_id, self._names)
        return key["key"][0], key["env"][0], payer["customer"][0], payer["project"][0]


def _written(of: Any) -> int | None:
    """Tokens written to a cache, for whatever time."""
    known = [count for count in (of.cache_write, of.cache_write_1h) if count is not None]
    return sum(known) if known else None
