"""Talks to the operating system's keyring, in a process of its own: `python keyring_helper.py`, JSON in, JSON out.

Keyrings hang, prompt, and pull in foreign code; none of that may happen in the gateway. Only the classes listed here
are ever used, instantiated directly: the keyring library's own choice would follow configuration files and installed
plug-ins, some of which store plain text or nothing. This file imports nothing of the product, so that it starts fast.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

BACKENDS = {
    "secret-service": ("keyring.backends.SecretService", "Keyring"),
    "kwallet": ("keyring.backends.kwallet", "DBusKeyring"),
    "macos": ("keyring.backends.macOS", "Keyring"),
}


class Absent(Exception):
    """There is no keyring, or no such item in it."""


def open_backend(name: str) -> Any:
    """An instance of an allow-listed backend that works here. Raises `Absent`."""
    if name not in BACKENDS:
        raise Absent("this keyring is not on the list of trusted ones")
    module_name, class_name = BACKENDS[name]
    try:
        backend_class = getattr(importlib.import_module(module_name), class_name)
        backend_class.priority  # noqa: B018 - the library's way to ask whether it works here
        return backend_class()
    except (ImportError, RuntimeError, OSError) as error:
        raise Absent(str(error).splitlines()[0] if str(error) else type(error).__name__) from None


def first_backend() -> tuple[str, Any]:
    """The first trusted backend that works here, with its name."""
    reasons = []
    for name in BACKENDS:
        try:
            return name, open_backend(name)
        except Absent as absent:
            reasons.append(f"{name}: {absent}")
    raise Absent("; ".join(reasons))


def answer(request: dict[str, str]) -> dict[str, str]:
    """Do what is asked: `get`, `set` or `delete` of the item (service, account)."""
    import keyring.errors

    place = request["service"], request["account"]
    try:
        if request["do"] == "set":
            name, backend = first_backend()
            backend.set_password(*place, request["secret"])
            return {"backend": name}
        backend = open_backend(request["backend"])
        if request["do"] == "delete":
            backend.delete_password(*place)
            return {}
        found = backend.get_password(*place)
    except Absent as absent:
        return {"absent": str(absent)}
    except keyring.errors.PasswordDeleteError:
        return {"absent": "no such item"}
    except keyring.errors.KeyringError as error:
        return {"refused": str(error) or type(error).__name__}
    return {"absent": "no such item"} if found is None else {"secret": found}


if __name__ == "__main__":
    json.dump(answer(json.load(sys.stdin)), sys.stdout)
