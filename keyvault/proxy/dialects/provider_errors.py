"""Reading a provider's errors, in the many shapes they come in, without passing on a secret.

What is recorded is one short printable line; the credential that was sent, in whatever encoding it comes back, and
anything that looks like a token are masked.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote, quote_plus

import msgspec

from keyvault.secrets import scrub_foreign

MAX_TEXT: Final = 300
MAX_READ_BYTES: Final = 64 * 1024
MASK: Final = "***"

_json = msgspec.json.Decoder(Any)
_TAGS: Final = re.compile(r"<(?:script|style).*?</(?:script|style)>|<[^>]{0,500}>", re.IGNORECASE | re.DOTALL)
_NOT_CODE: Final = re.compile(r"[^A-Za-z0-9_.:-]+")


def read_error(body: bytes, secrets: Sequence[str] = ()) -> tuple[str, str]:
    """Code (may be empty) and text of an error answer's body, short, printable and scrubbed."""
    body = scrub(body[:MAX_READ_BYTES], secrets)
    try:
        answer = _json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "", _line(_TAGS.sub(" ", body.decode("utf-8", "replace")))
    return error_of(answer)


def error_of(answer: object) -> tuple[str, str]:
    """Code and text of a decoded error: `{"error": {…}}`, `{"error": "…"}`, `[{"error": …}]`, `{"detail": …}`, …"""
    if isinstance(answer, list) and answer:
        return error_of(answer[0])
    if not isinstance(answer, Mapping):
        return "", _line(str(answer))
    error = answer.get("error") or answer.get("detail") or answer.get("errors") or answer
    if isinstance(error, list) and error:
        error = error[0]
    if not isinstance(error, Mapping):
        return _code(answer), _line(str(error))
    message = next((error[name] for name in ("message", "msg", "detail", "error") if error.get(name)), None)
    return _code(error), _line(message if isinstance(message, str) else msgspec.json.encode(error).decode())


def _code(error: Mapping[str, Any]) -> str:
    """The most precise name an error has; numbers only where there is no word."""
    found = [error.get(name) for name in ("code", "status", "type")]
    words = [value for value in found if isinstance(value, str) and value]
    numbers = [str(value) for value in found if type(value) is int]
    chosen = next(iter(words + numbers), "")
    return _NOT_CODE.sub("_", scrub_foreign(chosen, MASK))[:64]


def _line(text: str) -> str:
    printable = "".join(character if character.isprintable() else " " for character in text[: 4 * MAX_TEXT])
    line = scrub_foreign(" ".join(printable.split()), MASK)
    return line if len(line) <= MAX_TEXT else line[: MAX_TEXT - 1] + "…"


def scrub(body: bytes, secrets: Sequence[str]) -> bytes:
    """`body` with every appearance of the secrets masked: as they are, in JSON, in a URL, in base64."""
    for secret in secrets:
        forms = _forms(secret)
        if forms and len(body) >= len(forms[-1]):  # else it is too short for any of them
            for form in forms:
                if body.find(form) >= 0:  # of bytes `in` takes twice as long
                    body = body.replace(form, MASK.encode())
    return body


@lru_cache(maxsize=64)
def _forms(secret: str) -> list[bytes]:
    """Remembered, as it is asked at every answer: a few of the secrets that this process holds open anyway."""
    if not secret:
        return []
    raw = secret.encode()
    forms = {raw, msgspec.json.encode(secret)[1:-1], quote(secret, safe="").encode(), quote_plus(secret).encode()}
    forms |= {base64.b64encode(raw).rstrip(b"="), base64.urlsafe_b64encode(raw).rstrip(b"=")}
    return sorted(forms, key=len, reverse=True)
