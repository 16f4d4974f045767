"""What names may look like, and durations such as `24h` and `90d`.

Names are unique without regard to case; they are printable ASCII so that they cannot carry terminal escapes,
bidi marks or CSV formulas into anything that shows them.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from keyvault.errors import UsageError

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?\Z")
_MODEL = re.compile(r"[A-Za-z0-9@][\x21-\x7e]{0,199}\Z")
_DURATION = re.compile(r"([0-9]{1,6})(s|m|h|d|w)\Z")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def check_name(what: str, text: str) -> str:
    """`text` if it is a valid name for a `what` (key, customer, …), else `UsageError`."""
    if not _NAME.match(text):
        raise UsageError(
            f"not a valid {what} name: {text[:70]!a}",
            hint="1 to 64 letters, digits, '.', '_' or '-', beginning and ending with a letter or digit",
        )
    return text


def check_model(text: str) -> str:
    """`text` if it can be a model or alias name (1 to 200 printable ASCII characters, no space), else `UsageError`."""
    if not _MODEL.match(text):
        raise UsageError(f"not a valid model name: {text[:70]!a}", hint="1 to 200 printable ASCII characters, no space")
    return text


def fold(name: str) -> str:
    """The form in which two names are the same name."""
    return name.casefold()


def split_project(path: str) -> tuple[str, str]:
    """`acme/web` → (`acme`, `web`), both checked."""
    customer, slash, project = path.partition("/")
    if not slash:
        raise UsageError(f"not a project: {path[:70]!a}", hint="write it as CUSTOMER/PROJECT, such as acme/web")
    return check_name("customer", customer), check_name("project", project)


def parse_duration(text: str) -> timedelta:
    """`30s`, `15m`, `24h`, `90d`, `2w`; else `UsageError`."""
    match = _DURATION.match(text.strip())
    if not match:
        raise UsageError(f"not a duration: {text[:40]!a}", hint="write it like 15m, 24h or 90d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})
