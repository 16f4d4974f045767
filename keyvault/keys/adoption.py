"""Tokens of another gateway: which may be taken over, and what may be shown of one.

An adopted token keeps its form, so nobody has to change a key on the day of the move. Its strength is not ours to vouch
for: what looks guessable is refused, and every adopted token is due for rotation at once.
"""

from __future__ import annotations

import re
from typing import Final

from keyvault.errors import UsageError
from keyvault.secrets import Secret

SHORTEST: Final = 16
LONGEST: Final = 200
FEWEST_CHARACTERS: Final = 10
"""Different ones. A random token of 16 hexadecimal digits has about that many."""

_PRINTABLE = re.compile(r"[\x21-\x7e]+\Z")
_PROVIDERS: Final = ("sk-ant-", "sk-proj-", "sk-svcacct-", "sk-admin-", "sk-or-v1-", "gsk_", "xai-", "AIza")
_OURS: Final = "sk-gw_"


def check_adoptable(token: Secret, *, force: bool = False) -> None:
    """Raises `UsageError`, without showing the token. `force`: even if it looks like a provider's own credential."""
    text = token.reveal()
    if not SHORTEST <= len(text) <= LONGEST:
        raise UsageError(f"the token has {len(text)} characters, not {SHORTEST} to {LONGEST}")
    if not _PRINTABLE.match(text):
        raise UsageError(
            "the token has a space, a line break or a character that is not plain ASCII",
            hint="pass the token alone, on one line",
        )
    if text.startswith(_OURS):
        raise UsageError("the token has the form of a key of this gateway", hint="gwctl keys create NAME")
    if len(set(text)) < FEWEST_CHARACTERS:
        raise UsageError(
            f"the token could be guessed: it has only {len(set(text))} different characters",
            hint="gwctl keys create NAME",
        )
    if text.startswith(_PROVIDERS) and not force:
        raise UsageError(
            "the token looks like a provider's credential, which belongs into an upstream",
            hint="gwctl upstreams create NAME --provider PRESET, or --force",
        )


def mask_adopted(token: Secret) -> str:
    """What may be shown of it: at most the first 3 and the last 2 characters, fewer of a short one."""
    text = token.reveal()
    return f"{text[:3]}…{text[-2:]}" if len(text) >= 2 * SHORTEST else f"{text[:2]}…"
