"""Draws the requests of an alias that has a rollout: which go to the new target, which are what it is compared with.

What a request is bound to goes before the draw: a pin, and the state of a conversation. Such a request belongs to
neither arm. All the others belong to one, and their first attempt is recorded as that arm's.
"""

from __future__ import annotations

from keyvault.domain.rollouts import By, Rollout
from keyvault.proxy.admission import Call
from keyvault.routing.planner import Planned, Planner

SINGLE = -1
"""In the place of a unit, where requests are drawn by themselves."""


def draw(call: Call, planner: Planner, plan: tuple[Planned, ...]) -> tuple[Planned, ...]:
    """The plan as the draw has it; notes on the call which arm it belongs to."""
    rollout = planner.rollouts.get(plan[0].route.alias)
    if rollout is None or not rollout.share_ppm or call.pin is not None or call.model is None:
        return plan
    if call.claim is not None and call.claim.upstream is not None:
        return plan
    new = planner.with_new(rollout, plan, call.model, call.dialect)
    if new is None:  # another dialect, or its upstream is switched off: there is nothing to compare
        return plan
    unit = _unit(call, rollout)
    place = rollout.place(unit or call.request_id)
    taken = rollout.takes(place)
    call.drawn = ((rollout.id, call.request_id, int(taken), SINGLE if unit is None else place >> 1),)
    return new if taken else plan


def _unit(call: Call, rollout: Rollout) -> str | None:
    """What is drawn; None: the request by itself."""
    by = rollout.plan.by
    if by is By.KEY:
        return str(call.caller.key_id)
    if by is By.CUSTOMER:
        return str(call.payer.customer_id)
    if by is By.HEADER:
        value = call.exchange.request.header(rollout.plan.header.encode())
        return value.decode("latin-1") if value else None
    return None
