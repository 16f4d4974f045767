"""What names and tags may look like, which name was meant, and durations such as `24h` and `90d`.

Names are unique without regard to case; they are printable ASCII so that they cannot carry terminal escapes,
bidi marks or CSV formulas into anything that shows them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final

from keyvault.errors import NotFound, UsageError

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?\Z")
_MODEL = re.compile(r"[A-Za-z0-9@][\x21-\x7e]{0,199}\Z")
_TAG_VALUE = re.compile(r"[\x20-\x7e]{0,200}\Z")
_DURATION = re.compile(r"([0-9]{1,6})(s|m|h|d|w)\Z")
_EXACT: Final = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def shown(text: str) -> str:
    """`text` as an error may quote it: escaped, cut, and masked where it looks like a secret in a name's place."""
    return "'sk-…'" if text.strip().lower().startswith("sk-") else ascii(text[:70])


def check_name(what: str, text: str) -> str:
    """`text` if it is a valid name for a `what` (key, customer, …), else `UsageError`."""
    if not _NAME.match(text):
        raise UsageError(
            f"not a valid {what} name: {shown(text)}",
            hint="1 to 64 letters, digits, '.', '_' or '-', beginning and ending with a letter or digit",
        )
    return text


def check_model(text: str) -> str:
    """`text` if it can be a model or alias name (1 to 200 printable ASCII characters, no space), else `UsageError`."""
    if not _MODEL.match(text):
        raise UsageError(f"not a valid model name: {shown(text)}", hint="1 to 200 printable ASCII characters, no space")
    return text


def check_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """A copy of `tags` if each is a name and a text of at most 200 printable ASCII characters, else `UsageError`."""
    for name, value in tags.items():
        check_name("tag", name)
        if not _TAG_VALUE.match(value):
            raise UsageError(
                f"not a valid value of tag {name}: {value[:70]!a}", hint="at most 200 printable ASCII characters"
            )
    return dict(tags)


def not_found(what: str, name: str, known: Iterable[str], *, otherwise: str) -> NotFound:
    """The error for a `what` that does not exist; its hint is the known name nearest to it, or else `otherwise`."""
    spellings = {fold(spelling): spelling for spelling in known}
    near = difflib.get_close_matches(fold(name), spellings, n=1, cutoff=0.6)
    return NotFound(f"no such {what}: {shown(name)}", hint=f"did you mean {spellings[near[0]]}?" if near else otherwise)


def counted(count: int, thing: str) -> str:
    """`1 key`, `2 keys`."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def fold(name: str) -> str:
    """The form in which two names are the same name."""
    return name.casefold()


def split_project(path: str) -> tuple[str, str]:
    """`acme/web` → (`acme`, `web`), both checked."""
    customer, slash, project = path.partition("/")
    if not slash:
        raise UsageError(f"not a project: {shown(path)}", hint="write it as CUSTOMER/PROJECT, such as acme/web")
    return check_name("customer", customer), check_name("project", project)


def short_duration(span: timedelta) -> str:
    """A span in its largest whole unit, as `parse_duration` reads it: `29d`, `5h`, `0s`."""
    seconds = int(span.total_seconds())
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def exact_duration(span: timedelta) -> str:
    """A span of whole seconds in the largest unit that tells it exactly: `30d`, `36h`, `90s`."""
    seconds = int(span.total_seconds())
    size, unit = next((size, unit) for size, unit in _EXACT if seconds % size == 0)
    return f"{seconds // size}{unit}"


def parse_duration(text: str) -> timedelta:
    """`30s`, `15m`, `24h`, `90d`, `2w`; else `UsageError`."""
    match = _DURATION.match(text.strip())
    if not match:
        raise UsageError(f"not a duration: {text[:40]!a}", hint="write it like 15m, 24h or 90d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})
