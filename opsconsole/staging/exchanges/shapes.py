"""What the readers of all log formats share: looking into a line, and telling where a request went."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from keyvault.domain.endpoints import ENDPOINTS
from keyvault.domain.ledger import Usage
from keyvault.money import PICO_PER_USD
from opsconsole.staging.asking import Answer

Fields = Mapping[str, msgspec.Raw]
"""A line, its values undecoded."""

LONGEST_ID: Final = 200
LARGEST: Final = 2.0**53
"""What a log tells beyond it is no count and no time."""
DEAREST: Final = 1_000_000
"""Dollars; what a log tells beyond it is no cost of one request."""
_OUTPUT_CAPS: Final = ("max_output_tokens", "instructions", "previous_response_id")


class Unfit(Exception):
    """A line that cannot be used; its text says why."""


def value(fields: Fields, *names: str) -> Any:
    """The first of some fields that is there and not null, decoded; None where none is."""
    for name in names:
        raw = fields.get(name)
        if raw is not None and (found := msgspec.json.decode(raw)) is not None:
            return found
    return None


def text(fields: Fields, *names: str) -> str | None:
    """The same, if it is a text that is not empty."""
    found = value(fields, *names)
    return found if isinstance(found, str) and found else None


def objects(fields: Fields, *names: str) -> dict[str, Any] | None:
    """The same, if it is an object, or a text that holds one: logs often quote JSON in JSON."""
    found = value(fields, *names)
    if isinstance(found, str):
        try:
            found = msgspec.json.decode(found)
        except (msgspec.DecodeError, RecursionError):
            return None
    return found if isinstance(found, dict) and found else None


def number(found: Any) -> float | None:
    """A finite number, or a text that is one; None for anything else."""
    if isinstance(found, bool) or not isinstance(found, int | float | str):
        return None
    try:
        told = float(found)
    except (ValueError, OverflowError):
        return None
    return told if abs(told) <= LARGEST else None


def moment(found: Any) -> datetime | None:
    """Seconds since the epoch, or a time as ISO 8601 writes it; without a zone it is UTC."""
    seconds = number(found)
    try:
        if seconds is not None:
            return datetime.fromtimestamp(seconds, UTC)
        at = datetime.fromisoformat(found) if isinstance(found, str) else None
    except (ValueError, OverflowError, OSError):
        return None
    return at if at is None or at.tzinfo else at.replace(tzinfo=UTC)


def between_ms(began: datetime | None, ended: datetime | None) -> float | None:
    """Milliseconds from one moment to the other; None where one is not known, or they are not in order."""
    if began is None or ended is None or ended < began:
        return None
    return (ended - began).total_seconds() * 1000


def dollars(found: Any) -> int | None:
    """An amount of dollars as pico-dollars."""
    if isinstance(found, bool) or not isinstance(found, int | float | str):
        return None
    try:
        amount = Decimal(str(found))
        return int((amount * PICO_PER_USD).to_integral_value()) if 0 <= amount <= DEAREST else None
    except InvalidOperation:  # no number, or none that can be compared
        return None


def usage(tokens_in: Any, tokens_out: Any) -> Usage | None:
    """Counts as a log tells them; None where it tells neither."""
    entered, left = number(tokens_in), number(tokens_out)
    if entered is None and left is None:
        return None
    return Usage(input=None if entered is None else int(entered), output=None if left is None else int(left))


def json_answer(status: int | None, body: Any) -> Answer | None:
    """An answer of which only its decoded body was logged."""
    if not isinstance(body, dict) or not body:
        return None
    return Answer(status or 200, (("content-type", "application/json"),), msgspec.json.encode(body))


def identifier(found: Any, line: int) -> str:
    """An id if it can be one, else the line's number."""
    usable = isinstance(found, str | int) and not isinstance(found, bool) and 0 < len(str(found)) <= LONGEST_ID
    return str(found) if usable and str(found).isprintable() else f"line-{line}"


def path_of(url: str | None) -> str | None:
    """The API's path in a URL or in the path of one, such as `/chat/completions`. Raises `Unfit` for a request that
    cannot be sent again: one to no known endpoint, or a form."""
    if url is None:
        return None
    try:
        path = urlsplit(url).path.rstrip("/")
    except ValueError:
        raise Unfit("its URL is none") from None
    known = next((each for each in sorted(ENDPOINTS, key=len, reverse=True) if path.endswith(each)), None)
    if known is None:
        raise Unfit(f"not an endpoint that can be asked again: {path[:80]}")
    if ENDPOINTS[known].multipart:
        raise Unfit(f"a form cannot be sent again from a log: {known}")
    return known


def body_of(raw: bytes | str) -> bytes:
    """A request body if it is a JSON object. Raises `Unfit`."""
    data = raw.encode() if isinstance(raw, str) else bytes(raw)
    try:
        told = msgspec.json.decode(data)  # all of it: whoever looks into it later meets nothing that is damaged
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise Unfit("its request body is not a JSON object")
    return data


def guessed_path(body: Mapping[str, Any]) -> str | None:
    """Which endpoint a body is meant for, by what only that one takes; None for what is no request."""
    if "messages" in body:
        return "/chat/completions"
    if "input" in body:
        model = body.get("model")
        named = (msgspec.json.decode(model) if isinstance(model, msgspec.Raw) else model) or ""
        meant = "embed" in str(named) and not any(name in body for name in _OUTPUT_CAPS)
        return "/embeddings" if meant or "encoding_format" in body else "/responses"
    return "/completions" if "prompt" in body else None
