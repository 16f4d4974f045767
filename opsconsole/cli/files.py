"""Reads a file that a person named, `-` being stdin: text of a bounded size, or one line that says why not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from keyvault.errors import ConfigurationError
from opsconsole.cli.session import Session

LARGEST: Final = 32 * 1024 * 1024


def read_text(session: Session, path: Path) -> str:
    """The whole text, UTF-8, with or without a byte order mark. Raises `ConfigurationError`.

    Opened without waiting, so that a pipe nobody writes to cannot hang.
    """
    if str(path) == "-":
        text = session.io.streams.stdin.read(LARGEST + 1)
    else:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                text = file.read(LARGEST + 1).decode("utf-8-sig")
        except OSError as error:
            raise ConfigurationError(f"{path}: {(error.strerror or type(error).__name__).lower()}") from None
        except UnicodeDecodeError:
            raise ConfigurationError(f"{path}: not UTF-8 text") from None
    if len(text) > LARGEST:
        raise ConfigurationError(f"{path}: larger than 32 MiB")
    return text
