"""Where a new recovery code goes: to a file made for it, or once onto a person's screen; never into JSON or a pipe."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from keyvault.errors import Conflict, UsageError
from keyvault.secrets import Secret
from opsconsole.cli.session import Session

Keep = Callable[[Secret], None]


@contextlib.contextmanager
def open_for_code(session: Session, path: Path | None, wanted: bool) -> Iterator[Keep]:
    """Make sure, before a code is made, that it can be kept; yields what keeps it.

    A file is made first (private, never an existing one) and taken away again if the block fails. Without a file
    somebody must be there to read the code, else `UsageError`.
    """
    if path is None or session.dry_run:
        if wanted and not session.dry_run and not session.io.can_ask:
            raise UsageError("the recovery code would be lost: nobody can read it here", hint="--recovery-out FILE")
        yield lambda _code: None
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise Conflict(f"{path} exists already and is left as it is", hint="name a new file") from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:

            def keep(code: Secret) -> None:
                file.write(code.reveal() + "\n")
                file.flush()
                os.fsync(file.fileno())

            yield keep
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def show_code(session: Session, code: Secret) -> None:
    """Show a code on the screen, apart from data, so that it is in no document."""
    session.io.note("recovery code, shown this once; keep it away from this machine:")
    session.io.streams.stderr.write(f"\n  {code.reveal()}\n\n")
    session.io.streams.stderr.flush()
