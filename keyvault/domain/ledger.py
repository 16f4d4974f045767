"""What the ledger records: usage, attempts and their settlement.

Counts follow the OpenAI convention: `input` includes `cached_input` and `cache_write`, `output` includes `reasoning`.
A count that is not known is None, never 0.
"""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct


class Basis(IntEnum):
    """How the token counts are known. Stored as the number."""

    UNKNOWN = 0
    PROVIDER = 1
    TOKENIZER = 2
    ESTIMATE = 3

    @property
    def label(self) -> str:
        return self.name.lower()


class Outcome(IntEnum):
    """How an attempt ended. Stored as the number."""

    SERVED = 1
    FAILED = 2
    ABORTED = 3
    """The client left; the provider call was cancelled."""
    LOST = 4
    """The process died with the attempt open."""

    @property
    def label(self) -> str:
        return self.name.lower()


class Usage(Struct, frozen=True, gc=False):
    """Counts of one attempt; None where not known."""

    input: int | None = None
    cached_input: int | None = None
    cache_write: int | None = None
    """Tokens written to a cache that lives five minutes or a time not told."""
    cache_write_1h: int | None = None
    output: int | None = None
    reasoning: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None
    images: int | None = None


NO_USAGE = Usage()


Drawn = tuple[int, str, int, int]
"""A rollout, a request, the arm that it was drawn for, and with which others, -1 for none."""


class OpenAttempt(Struct):
    """An attempt as it is recorded before it leaves. Ids are the ledger's interned numbers."""

    request_id: str
    number: int
    started_ms: int
    key_id: int
    generation: int
    alias_id: int
    target_id: int
    dialect: str
    stream: bool
    bound_pico: int | None
    """The worst this attempt can cost; None where no bound is known (unpriced model, no output cap)."""
    multiplier_ppm: int = 1_000_000
    project_id: int = 0
    """Who pays; 0: the key's own project."""
    balance_id: int | None = None
    """The balance that money was held on."""
    hold_pico: int | None = None
    """What is held for it at the customer's price; None: nothing."""
    tags: str | None = None
    """The request's own tags, as JSON."""
    hard: bool = False
    """It draws on what must not be overspent. Not on record."""
    drawn: tuple[Drawn, ...] = ()
    """Of the first attempt of a request that belongs to a rollout: to which. On record beside it."""

    @property
    def bound_charge_pico(self) -> int | None:
        """The worst this attempt can cost at the customer's price, rounded up."""
        return None if self.bound_pico is None else -(-self.bound_pico * self.multiplier_ppm // 1_000_000)


class Settlement(Struct):
    """How an open attempt ended; everything else is copied from the open attempt."""

    request_id: str
    number: int
    outcome: Outcome
    final: bool
    """No further attempt of this request follows."""
    status: int | None
    """HTTP status of the provider, None where no answer came."""
    usage: Usage
    basis: Basis
    total_ms: int | None
    """None where the end was not seen."""
    first_content_ms: int | None = None
    price_id: int | None = None
    cost_pico: int | None = None
    """None: unknown."""
    charge_pico: int | None = None
    doubt_pico: int | None = None
    """At the customer's price, what nobody is charged for and the provider may have taken all the same; None: nothing
    is known of it."""
    error_code: str | None = None
    error_text: str | None = None
    provider_request_id: str | None = None
