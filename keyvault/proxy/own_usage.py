"""`GET /gateway/v1/usage`: what whoever holds a key may know of it, and of nobody else.

Its own use this day and month, its limits, and of each budget and balance that its requests draw on how much is left.
A key that may name payers names one here by the same headers, and sees what it used for that payer and what that payer
has left. Money comes from the memory that requests are judged by; use comes from the totals, read in a thread and kept
for a second, so that asking often costs the database nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from keyvault.clock import Clock, from_ms, rfc3339
from keyvault.domain.budgets import Budget
from keyvault.domain.limits import Limit
from keyvault.metering.account import Account
from keyvault.metering.own import Used, used
from keyvault.money import CURRENCY, format_usd
from keyvault.proxy import attribution
from keyvault.proxy.admission import Call
from keyvault.proxy.tables import Tables
from keyvault.storage.engine import Database

KEPT_SECONDS: Final = 1.0
_AT_ONCE: Final = 2
_REMEMBERED: Final = 1_000
_OWN: Final = 0

_Asked = tuple[int, int | None]
"""Key, and the project whose share is asked for: 0 for the key's own, None for what anybody paid."""


class OwnUsage:
    """Answers keys about themselves, for the event loop's thread."""

    def __init__(self, database: Database, clock: Clock, tables: Tables) -> None:
        self._database = database
        self._clock = clock
        self._tables = tables
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._kept: dict[_Asked, tuple[float, asyncio.Task[tuple[Used, ...]]]] = {}

    async def answer(self, call: Call) -> None:
        """Raises `Refusal` as any request of the same headers would, and `Unavailable`."""
        attribution.attribute(call, self._tables.payers)
        found = await asyncio.shield(self._used(self._asked(call)))
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store"), *call.headers]
        call.exchange.reply(200, headers, msgspec.json.encode(self._told(call, found)))

    def _asked(self, call: Call) -> _Asked:
        caller, payer = call.caller, call.payer
        if not attribution.names_payer(call):
            return caller.key_id, None
        return caller.key_id, _OWN if payer.project_id == caller.project_id else payer.project_id

    def _used(self, asked: _Asked) -> asyncio.Task[tuple[Used, ...]]:
        now = self._clock.monotonic()
        kept = self._kept.get(asked)
        if kept is not None and now < kept[0]:
            return kept[1]
        if len(self._kept) >= _REMEMBERED:
            self._kept = {each: task for each, task in self._kept.items() if now < task[0]}
        task = asyncio.create_task(self._read(asked))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be waiting any more
        self._kept[asked] = now + KEPT_SECONDS, task
        return task

    async def _read(self, asked: _Asked) -> tuple[Used, ...]:
        async with self._turn:
            return await asyncio.to_thread(self._look, asked)

    def _look(self, asked: _Asked) -> tuple[Used, ...]:
        key_id, project_id = asked
        with self._database.read() as tx:
            return used(tx, key_id, self._clock.now_ms(), project_id)

    def _told(self, call: Call, found: Sequence[Used]) -> dict[str, Any]:
        caller, payer, now_ms = call.caller, call.payer, self._clock.now_ms()
        accounts = self._tables.accounts.about(payer, caller.key_id, caller.env, now_ms)
        return {
            "object": "usage",
            "at": rfc3339(from_ms(now_ms)),
            "key": caller.key_name,
            "env": caller.env,
            "payer": payer.path,
            "currency": CURRENCY,
            "usage": [_use(each, with_cost=caller.policy.expose) for each in found],
            "limits": [_limit(limit) for limit in self._tables.limiter.about(call)],
            "budgets": [_budget(account, account.of) for account in accounts if isinstance(account.of, Budget)],
            "balance": next((_balance(each) for each in accounts if not isinstance(each.of, Budget)), None),
        }


def _use(used: Used, *, with_cost: bool) -> dict[str, Any]:
    """Of what is not known of a charge nothing is added up; how many answers that is stands beside it."""
    sums = used.totals
    told: dict[str, Any] = {
        "period": used.period.value,
        "since": _moment(used.from_ms),
        "until": _moment(used.until_ms),
        "requests": sums.requests,
        "errors": sums.errors,
        "input_tokens": sums.input_tokens,
        "cached_input_tokens": sums.cached_input_tokens,
        "output_tokens": sums.output_tokens,
        "charge": None if used.unknown_charges and not sums.charge_pico else format_usd(sums.charge_pico),
        "unknown_charges": used.unknown_charges,
        "in_doubt": format_usd(sums.doubt_pico),
    }
    return told | ({"cost": _amount(sums.cost_pico)} if with_cost else {})


def _limit(limit: Limit) -> dict[str, Any]:
    return {
        "scope": str(limit.scope),
        "model": limit.model or None,
        "rpm": limit.rpm,
        "tpm": limit.tpm,
        "parallel": limit.parallel,
    }


def _budget(account: Account, budget: Budget) -> dict[str, Any]:
    return {
        "scope": str(budget.scope),
        "model": budget.model or None,
        "period": budget.period.value,
        "since": _moment(account.from_ms or None),
        "until": _moment(account.until_ms),
        "hard": budget.hard,
        "amount": format_usd(account.limit_pico),
        "spent": format_usd(account.spent_pico),
        "in_doubt": format_usd(account.in_doubt_pico),
        "held": format_usd(account.held_pico),
        "remaining": format_usd(max(0, account.available_pico)),
    }


def _balance(account: Account) -> dict[str, Any]:
    return {
        "scope": str(account.of.scope),
        "in_doubt": format_usd(account.in_doubt_pico),
        "held": format_usd(account.held_pico),
        "available": format_usd(account.available_pico),
    }


def _moment(ms: int | None) -> str | None:
    return None if ms is None else rfc3339(from_ms(ms))


def _amount(pico: int | None) -> str | None:
    return None if pico is None else format_usd(pico)
