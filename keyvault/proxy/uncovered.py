"""What a caller is told where the money does not cover a request."""

from __future__ import annotations

from typing import Final

from keyvault.domain.balances import Balance
from keyvault.errors import Refusal
from keyvault.metering.account import Account
from keyvault.proxy.dialects.shape import Shape


def not_here() -> Refusal:
    """Another worker has the purse."""
    text = "this worker may not spend from a hard budget or a balance now, another one does; try again"
    return Refusal(503, "not_the_spender", text, type="server_error", retry_after_seconds=1)


def insufficient(account: Account, shape: Shape | None = None, covered: int = 0) -> Refusal:
    """`shape`: where a lower cap would do, and which is `covered`."""
    what = f"the {'balance' if isinstance(account.of, Balance) else 'budget'} of {account.of.scope}"
    param = None
    if account.limit_pico <= account.spent_pico:
        text = f"{what} is used up"
    elif shape is None:
        text = f"{what} does not cover this request"
    else:
        param = shape.given[0]
        text = f"{what} does not cover {param}={shape.cap} of this request; it covers {param}={covered}"
    return Refusal(402, "insufficient_quota", text, type="insufficient_quota", param=param)


_WHY: Final = {
    "path": "this kind of request",
    "model": "a model without a price of its own",
    "body": "a body that cannot be read",
}


def not_bounded(field: str) -> Refusal:
    """`field`: of the request, or a word for what of it has no bound."""
    what = _WHY.get(field, f"a request with '{field}'")
    text = f"what {what} costs has no bound, and this key draws on money that must not be overspent"
    return Refusal(402, "cost_not_bounded", text, type="insufficient_quota", param=field)
