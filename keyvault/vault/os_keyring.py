"""The operating system's keyring as a place for an unlock secret, used through a helper process with a time limit.

A new secret is read back by a second process before it counts as stored: some keyrings say yes and forget.
"""

from __future__ import annotations

import hmac
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keyvault.errors import Locked, Unavailable

SERVICE: Final = "gwctl"
LIMIT_SECONDS: Final = 4.0
_HELPER: Final = Path(__file__).with_name("keyring_helper.py")


@dataclass(frozen=True, slots=True)
class Absent:
    """Nothing there, and why."""

    why: str


@dataclass(frozen=True, slots=True)
class OsKeyring:
    """The keyring of the user whose environment this is."""

    environ: Mapping[str, str]
    limit_seconds: float = LIMIT_SECONDS
    helper: Path = _HELPER

    def store(self, account: str, secret: bytes) -> str:
        """Keep a secret; the name of the backend that has it. Raises `Unavailable` or `Locked`."""
        answer = self._ask({"do": "set", "account": account, "secret": secret.hex()})
        if "backend" not in answer:
            raise Unavailable(f"no keyring can be used here: {answer.get('absent', 'no answer')}", hint=_OTHERS)
        found = self.fetch(answer["backend"], account)
        if isinstance(found, Absent) or not hmac.compare_digest(found, secret):
            raise Unavailable(f"the {answer['backend']} keyring took the secret but does not return it", hint=_OTHERS)
        return answer["backend"]

    def fetch(self, backend: str, account: str) -> bytes | Absent:
        """The secret of an account, or why there is none. Raises `Locked` when the keyring is there but broken."""
        answer = self._ask({"do": "get", "backend": backend, "account": account})
        if "secret" not in answer:
            return Absent(answer.get("absent", "no answer"))
        try:
            return bytes.fromhex(answer["secret"])
        except ValueError:
            raise Locked("OS keyring: the item is not an unlock secret of this program", hint=_OTHERS) from None

    def remove(self, backend: str, account: str) -> bool:
        """Delete the item; whether it was there."""
        return "absent" not in self._ask({"do": "delete", "backend": backend, "account": account})

    def _ask(self, request: dict[str, str]) -> dict[str, str]:
        output = self._run(json.dumps({"service": SERVICE, **request}))
        try:
            answer = json.loads(output)
        except ValueError:
            raise Locked("OS keyring: it failed in an unexpected way", hint=_OTHERS) from None
        if "refused" in answer:
            raise Locked(f"OS keyring: {str(answer['refused'])[:200]}", hint=_OTHERS)
        return {str(name): str(value) for name, value in answer.items()}

    def _run(self, text: str) -> str:
        process = subprocess.Popen(  # noqa: S603 - our own helper, by full path
            [sys.executable, "-P", str(self.helper)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a foreign traceback may show anything
            env=dict(self.environ),
            start_new_session=True,
            text=True,
        )
        try:
            return process.communicate(text, timeout=self.limit_seconds)[0]
        except subprocess.TimeoutExpired:
            _kill(process)
            raise Locked(f"OS keyring: no answer within {self.limit_seconds:g} seconds", hint=_OTHERS) from None
        except BaseException:
            _kill(process)
            raise


def _kill(process: subprocess.Popen[str]) -> None:
    """End the helper and whatever it started. It has not been waited for yet, so its group cannot be another's."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


_OTHERS: Final = "use a key file, a passphrase (GWCTL_PASSPHRASE_FD) or GWCTL_UNLOCK_COMMAND instead"
