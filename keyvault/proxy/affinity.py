"""Sends conversation state back to the target that made it, and notes who made what.

What is noted is in memory at once, and on record with the settlement of the attempt that made it: before the client has
the end of the answer, whatever becomes of the worker then. What is not on record (older than 30 days, made before there
were routes, or not made here) binds nothing.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypedDict

import msgspec

from keyvault.clock import Clock
from keyvault.domain.endpoints import Dialect
from keyvault.domain.routes import Target
from keyvault.metering.ledger import Ledger
from keyvault.proxy.admission import Call
from keyvault.proxy.dialects.base import identifier
from keyvault.proxy.dialects.fields import JsonBody
from keyvault.proxy.ending import Ending
from keyvault.proxy.tables import Tables
from keyvault.routing import affinity
from keyvault.routing.affinity import CARRYING, Carried
from keyvault.routing.planner import UNROUTED, Planned, Planner
from keyvault.storage import affinities
from keyvault.storage.engine import Database

KEPT_MS: Final = 30 * 24 * 3600 * 1000
"""How long it is on record who made something; as long as providers keep a response."""
MOST_KNOWN: Final = 20_000
"""Digests in memory."""
FORGET_EVERY_MS: Final = 60_000
FORGOTTEN_AT_ONCE: Final = 1_000
CARRIES_STATE: Final = frozenset(CARRYING)
"""The dialects to ask `place` and `note` for."""
_TALK: Final = {Dialect.RESPONSES: "input", Dialect.MESSAGES: "messages"}
_NONE: Final = msgspec.Raw(b"")


class _Answer(TypedDict, total=False):
    """What matters of an answer; the rest is skipped, not decoded."""

    id: Any


_answer: Final = msgspec.json.Decoder(_Answer)


class Affinity:
    """What one worker knows of state and its makers. For the event loop."""

    def __init__(self, database: Database, tables: Tables, ledger: Ledger) -> None:
        self._database = database
        self._tables = tables
        self._ledger = ledger
        self._known: OrderedDict[bytes, Target] = OrderedDict()

    async def place(self, call: Call, plan: tuple[Planned, ...]) -> tuple[Planned, ...]:
        """The plan as it must be for what a request carries; for a dialect that can carry state. Raises `Refusal`."""
        asked = _carried(call, plan, self._tables.planner)
        if not asked:
            return plan
        maker = affinity.maker_of(asked, await self._makers(asked))
        if maker is None or call.model is None:
            return plan
        placed = affinity.place(self._tables.planner, call.model, call.dialect, plan, maker)
        at = call.claim.upstream if call.claim is not None else None
        return placed if at is None or placed[0].upstream.name == at else plan

    def note(self, call: Call, planned: Planned, ending: Ending) -> None:
        """Remember who made what an answer carries; for a dialect that can carry state, before it is settled."""
        if planned.route is UNROUTED or not planned.route.affinity or ending.refused:
            return
        for digest in _made(call, ending):
            self._remember(digest, planned.target)
            self._ledger.note(digest, planned.target)

    async def _makers(self, asked: Carried) -> Mapping[bytes, Target]:
        """Who made what: from memory where that knows the newest, else from the database."""
        known = self._known
        newest = asked.response or asked.reasoning[0]
        if newest in known:
            known.move_to_end(newest)
            return known
        found = await asyncio.to_thread(self._read, asked.digests)
        for digest, target in found.items():
            self._remember(digest, target)
        return known

    def _read(self, digests: tuple[bytes, ...]) -> Mapping[bytes, Target]:
        with self._database.read() as tx:
            return affinities.find(tx, digests)

    def _remember(self, digest: bytes, target: Target) -> None:
        self._known[digest] = target
        self._known.move_to_end(digest)
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)


class Forgetting:
    """Drops from the record what is too old. A chore, for a thread of its own."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._done_ms = 0

    def __call__(self) -> None:
        now_ms = self._clock.now_ms()
        if now_ms - self._done_ms < FORGET_EVERY_MS:
            return
        with self._database.write() as tx:
            forgotten = affinities.forget(tx, now_ms - KEPT_MS, FORGOTTEN_AT_ONCE)
        if forgotten < FORGOTTEN_AT_ONCE:
            self._done_ms = now_ms


def _carried(call: Call, plan: tuple[Planned, ...], planner: Planner) -> Carried:
    """What a request carries that may bind it, where there is a choice. A pin is stronger; what isolated keys have
    stored is on a record of its own."""
    route, body = plan[0].route, call.body
    choice = len(route.targets) > 1 or route.alias in planner.rollouts
    if not route.affinity or not choice or call.pin is not None or not isinstance(body, JsonBody):
        return affinity.NOTHING
    talk = body.fields.get(_TALK[call.dialect], _NONE)
    previous = body.fields.get("previous_response_id", _NONE) if call.claim is None else _NONE
    return affinity.carried(call.dialect, bytes(talk), bytes(previous))


def _made(call: Call, ending: Ending) -> Iterable[bytes]:
    """The digests of what an answer made."""
    if ending.metered is not None:
        found = map(affinity.digest_of_reasoning, ending.metered.sealed)
        yield from (digest for digest in found if digest is not None)
    else:
        yield from affinity.reasoning_in(call.dialect, ending.body)
    if _can_go_on(call) and (response_id := _response_id(ending)) is not None:
        yield affinity.digest_of_response(response_id)


def _can_go_on(call: Call) -> bool:
    """Whether the caller may name the response in another request: it is stored, and not isolated, which has a record
    of its own."""
    if call.dialect is not Dialect.RESPONSES or call.isolated or not isinstance(call.body, JsonBody):
        return False
    allowed = "all" in call.caller.policy.endpoints
    return allowed and bytes(call.body.fields.get("store", _NONE)) != b"false"


def _response_id(ending: Ending) -> str | None:
    if ending.metered is not None:
        return ending.metered.provider_request_id
    try:
        return identifier(_answer.decode(ending.body).get("id"))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
