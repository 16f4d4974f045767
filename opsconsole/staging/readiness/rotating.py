"""Step 5: is the old secret of a rotated key refused, and is a revoked one, at the next request?"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from keyvault.errors import Conflict, NotFound
from opsconsole.staging.asking import Answer, Asker, Place, said
from opsconsole.staging.readiness.drilling import about_one
from opsconsole.staging.readiness.plan import Keys
from opsconsole.staging.readiness.step import Standing
from opsconsole.view.readiness.report import Evidence, Step

NAME = "keys"
REFUSED = 401
_REQUESTS = 4


def rotated(here: Standing, plan: Keys) -> Step:
    """Rotate and revoke a key that was made for it. Raises `GatewayError` where it cannot be tried."""
    home, progress = here.home, here.progress(NAME)
    with here.key_of_application() as (key, place):
        first = _ask(here, place)
        if not first.ok:
            raise Conflict(f"a new key is not served: {_saw(here, first)}", hint="gwctl usage tail")
        rotation = home.keys.rotate(key.name, timedelta())
        assert rotation.secret is not None
        newer = here.place(place, rotation.secret)
        progress(1, _REQUESTS)
        evidence = [_followed(here, plan, "the rotation")]
        evidence.append(_served(here, newer, "the new secret"))
        home.keys.acknowledge(key.name, rotation.generation)
        evidence.append(_followed(here, plan, "the end of the old one"))
        evidence.append(_refused(here, place, "the old secret"))
        progress(2, _REQUESTS)
        evidence.append(_served(here, newer, "after that, the new secret"))
        progress(3, _REQUESTS)
        home.keys.revoke(key.name)
        took = _followed(here, plan, "the revocation")
        evidence += [took, _refused(here, newer, "the revoked key")]
        progress(_REQUESTS, _REQUESTS)
    return Step.of(NAME, f"rotated without grace, then revoked: {took.found}", evidence)


def foreseen(here: Standing, _: Keys) -> tuple[str, int | None]:
    """What would be done."""
    one = about_one(here)
    return "a key made for it is rotated without grace, then revoked", one and one * 3


def _followed(here: Standing, plan: Keys, what: str) -> Evidence:
    """Whether every worker acts by the change, and how long that took."""
    applied = here.home.workers.wait("keys", plan.within)
    told = f"{applied.seconds * 1000:,.0f} ms, {plan.within.total_seconds():g} s allowed"
    return Evidence(f"every worker knows of {what}", not applied.missing, told)


def _served(here: Standing, place: Place, what: str) -> Evidence:
    answer = _ask(here, place)
    return Evidence(f"{what} is served", answer.ok, _saw(here, answer))


def _refused(here: Standing, place: Place, what: str) -> Evidence:
    """At its next request, and nothing of it leaves."""
    answer = _ask(here, place)
    refused = answer.status == REFUSED and not _left(here, answer)
    return Evidence(f"{what} is refused, and nothing leaves", refused, _saw(here, answer))


def _left(here: Standing, answer: Answer) -> bool:
    """Whether the ledger knows of an attempt."""
    try:
        return bool(here.home.reports.request(answer.header("x-request-id") or "none").attempts)
    except NotFound:
        return False


def _ask(here: Standing, place: Place) -> Answer:
    async def one() -> Answer:
        async with Asker(place) as asker:
            return await asker.ask(here.path, here.question())

    return asyncio.run(one())


def _saw(here: Standing, answer: Answer) -> str:
    heard = said(here.path, answer)
    if answer.ok:
        return "answered"
    return answer.failure or f"{answer.status} {heard.error_code}: {heard.error_text or 'no reason given'}"
