"""Proves that a running gateway accepts a secret: asks it for its list of models, which costs nothing.

The secret goes to the address the operator named and nowhere else: no redirect is followed, no proxy of the environment
used. A gateway on another machine may hear of a new secret a moment later, so a refusal is asked about again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from keyvault.errors import CheckFailed, UsageError
from keyvault.secrets import Secret

if TYPE_CHECKING:
    import httpx

TRIES: Final = 20
PAUSE_SECONDS: Final = 0.25
TIMEOUT_SECONDS: Final = 10.0
_HINT: Final = "--verify http://127.0.0.1:8080/v1"


class NotProved(CheckFailed):
    """The gateway did not accept a secret, or could not be asked."""

    code = "not_proved"


def models_url(url: str) -> str:
    """Where the gateway at `url` lists its models; `/v1` is added to a bare origin. Raises `UsageError`."""
    parts = urlsplit(url)
    try:
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good or parts.username or parts.query or parts.fragment:
        raise UsageError(f"--verify: not the address of a gateway: {url[:80]!a}", hint=_HINT)
    path = parts.path.rstrip("/").removesuffix("/models")
    return f"{parts.scheme}://{parts.netloc}{path or '/v1'}/models"


def prove(url: str, secret: Secret, *, sleep: Callable[[float], None] = time.sleep) -> None:
    """Return when the gateway at `url` accepted the secret. Raises `NotProved`."""
    where = models_url(url)
    for attempt in range(TRIES):
        status = _status(where, secret)
        if status == 200:
            return
        if status != 401:
            raise NotProved(f"{where} answered {status} to the new secret", hint="gwctl doctor")
        if attempt < TRIES - 1:
            sleep(PAUSE_SECONDS)
    raise NotProved(f"{where} refused the new secret", hint="is it the address of this gateway?")


def _status(where: str, secret: Secret) -> int:
    import httpx

    try:
        with httpx.Client(trust_env=False, follow_redirects=False, timeout=TIMEOUT_SECONDS) as client:
            answer = client.get(where, headers={"authorization": f"Bearer {secret.reveal()}"})
    except (httpx.HTTPError, OSError) as error:
        # A library's text may repeat what was sent.
        raise NotProved(f"{where} could not be asked: {type(error).__name__}", hint="is the gateway running?") from None
    if answer.status_code == 200 and not _lists_models(answer):
        raise NotProved(f"{where} answered something else than a list of models", hint=_HINT)
    return answer.status_code


def _lists_models(answer: httpx.Response) -> bool:
    try:
        content = answer.json()
    except ValueError:
        return False
    return isinstance(content, dict) and isinstance(content.get("data"), list)
