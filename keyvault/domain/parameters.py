"""Which fields of a request's body a route may set for a target, and to what."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

from keyvault.domain.names import shown
from keyvault.errors import UsageError

MAX_TOKENS: Final = 10_000_000
MAX_CHOICES: Final = 128

_CAPS: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_COUNTS: Final = {**dict.fromkeys(_CAPS, MAX_TOKENS), "n": MAX_CHOICES, "best_of": MAX_CHOICES}
"""What decides the cost: whole numbers from 1 to this."""
_FIXED: Final = {
    **dict.fromkeys(("model", "models"), "the target says the model"),
    **dict.fromkeys(("stream", "stream_options", "background"), "how the answer comes is the client's choice"),
    **dict.fromkeys(("api_key", "api_base", "base_url"), "addresses and credentials belong to the upstream"),
    **dict.fromkeys(("messages", "input", "prompt"), "what is asked is the client's"),
    **dict.fromkeys(
        ("previous_response_id", "conversation", "container"), "it names an object that is stored at the provider"
    ),
}
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
_DEEPEST: Final = 8
_LARGEST: Final = 64 * 1024
"""Of a value as JSON, in bytes: it goes out with every request."""
_INT_64: Final = range(-(2**63), 2**63)


def check_parameter(name: str) -> str:
    """`name` if a route may set or remove that field. Raises `UsageError`."""
    if name.casefold() in _FIXED:
        raise UsageError(f"may not be set: {_FIXED[name.casefold()]}")
    if not _NAME.match(name):
        raise UsageError(f"not a field of a request: {shown(name)}", hint="lower-case letters, digits and '_'")
    return name


def check_value(name: str, value: Any) -> Any:
    """`value` if a route may set the field to it. Raises `UsageError`."""
    if (most := _COUNTS.get(name)) is not None:
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise UsageError(f"expected a whole number from 1 to {most:,}, not {shown(str(value))}")
    else:
        _check_json(value, _DEEPEST)
        if len(json.dumps(value, ensure_ascii=False).encode(errors="replace")) > _LARGEST:
            raise UsageError(f"more than {_LARGEST // 1024} kB")
    return value


def _check_json(value: Any, deeper: int) -> None:
    """Raises `UsageError` for what JSON cannot say: dates, infinities, integers that few parsers read."""
    if deeper == 0:
        raise UsageError(f"nested more than {_DEEPEST} deep")
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            _check_json(inner, deeper - 1)
    elif isinstance(value, int):
        if value not in _INT_64:
            raise UsageError("a whole number of more than 64 bits")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise UsageError(f"not a number that JSON has: {value}")
    elif not isinstance(value, str):
        raise UsageError(f"JSON has no such value: {shown(str(value))}", hint="write dates as texts")
