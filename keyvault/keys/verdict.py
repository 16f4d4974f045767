"""Asks a running gateway whether it accepts a secret, at no cost: the question carries no body, so it reaches no
provider, stands in no ledger and counts as no use of the key.

The answer is believed only where it is this program's own: another server's 401 or 400 proves nothing. The secret goes
to the address that was named and nowhere else: no redirect is followed, no proxy of the environment used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from keyvault.errors import Unavailable, UsageError
from keyvault.secrets import Secret

if TYPE_CHECKING:
    import httpx

TIMEOUT_SECONDS: Final = 10.0
LONGEST_SECRET: Final = 4096
_HINT: Final = "--url http://127.0.0.1:8900"

_REFUSED: Final = {
    (401, "invalid_api_key"): "the gateway does not know it, or no longer accepts it",
    (403, "address_not_allowed"): "its key may not be used from here",
    (503, "gateway_suspended"): "everybody is suspended",
}
_ACCEPTED: Final = frozenset({(400, "invalid_json"), (403, "endpoint_not_allowed")})
"""What a question without a body is told once its caller is known: it makes no sense, or this key may not chat."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a gateway says to a secret."""

    url: str
    accepted: bool
    status: int
    reason: str | None
    """Why it is refused."""


def ask(url: str, secret: Secret) -> Verdict:
    """What the gateway at `url` says. Raises `UsageError`, `Unavailable` where none of ours answers."""
    import httpx

    where, presented = _chat(url), _presentable(secret)
    try:
        with httpx.Client(trust_env=False, follow_redirects=False, timeout=TIMEOUT_SECONDS) as client:
            answer = client.post(where, headers={"authorization": f"Bearer {presented}"})
    except (httpx.HTTPError, OSError) as error:
        # A library's text may repeat what was sent.
        text = f"{where} could not be asked: {type(error).__name__}"
        raise Unavailable(text, hint="is the gateway running? gwctl workers list") from None
    told = (answer.status_code, _code(answer))
    if told in _REFUSED:
        return Verdict(where, False, answer.status_code, _REFUSED[told])
    if told in _ACCEPTED:
        return Verdict(where, True, answer.status_code, None)
    raise Unavailable(f"{where} answered {answer.status_code}, which says neither yes nor no", hint=_HINT)


def _chat(url: str) -> str:
    """A path under `/v1` that every gateway has; `url` may end with `/v1` or not."""
    parts = urlsplit(url)
    try:
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good or parts.username or parts.query or parts.fragment:
        raise UsageError(f"not the address of a gateway: {url[:80]!a}", hint=_HINT)
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v1')}/v1/chat/completions"


def _presentable(secret: Secret) -> str:
    text = secret.reveal()
    if not (text.isascii() and text.isprintable() and len(text) <= LONGEST_SECRET):
        raise UsageError("the secret has characters that no header can carry", hint="is it the right file?")
    return text


def _code(answer: httpx.Response) -> str | None:
    """Our code of an error, as the OpenAI dialect carries it."""
    try:
        content = answer.json()
    except ValueError:
        return None
    error = content.get("error") if isinstance(content, dict) else None
    return error.get("code") if isinstance(error, dict) else None
