"""23. SQLAlchemy errors, a crash of the command line or the console, KeyError(secret), logging: no secret in any.

Expected: statements without parameters, tracebacks without locals, log lines scrubbed in the formatter.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import exc

from keyvault.storage.engine import Database
from keyvault.storage.schema import customers
from opsconsole.cli.errors import guarded
from opsconsole.cli.io import IO, Streams
from opsconsole.tui import crash

SECRET = "sk-canary-attack23-9f8e7d6c5b4a"
SHAPELESS = "hunter2 is what it says"


def test_a_database_error_shows_no_parameters(database: Database) -> None:
    row = {"name": SHAPELESS, "folded": SECRET, "created_ms": 1}
    with database.engine.connect() as connection:
        connection.execute(sa.insert(customers).values(row))
        with pytest.raises(exc.IntegrityError) as caught:
            connection.execute(sa.insert(customers).values({**row, "name": None}))
    shown = "".join(traceback.format_exception(caught.value.with_traceback(None))) + repr(caught.value)
    assert "parameters hidden" in shown.lower()
    if database.is_sqlite:  # PostgreSQL itself names the row that failed; the product never shows such an error
        assert SECRET not in shown
        assert SHAPELESS not in shown


def failing() -> None:
    hidden = SHAPELESS
    raise KeyError(SECRET, hidden and "locals are not shown")


@pytest.mark.parametrize("debug", [False, True])
def test_a_crash_of_a_command_shows_no_locals_and_no_secret(debug: bool) -> None:
    said = io.StringIO()
    streams = Streams(io.StringIO(), io.StringIO(), said)
    assert guarded(failing, IO(streams, {}), debug=debug) == 1
    assert "KeyError" in said.getvalue()
    assert ("in failing" in said.getvalue()) is debug
    assert SECRET not in said.getvalue()
    assert SHAPELESS not in said.getvalue()


def test_a_crash_of_the_console_tells_places_and_no_values() -> None:
    try:
        failing()
    except KeyError as error:
        told = crash.report(error)
    assert "KeyError" in told
    assert "in failing" in told
    assert SECRET not in told
    assert SHAPELESS not in told


CONSOLE = """
import asyncio, sys
from textual.app import App
from opsconsole.tui.app import Console
assert Console._fatal_error is not App._fatal_error
"""


def test_the_console_overrides_what_prints_locals() -> None:
    subprocess.run([sys.executable, "-c", CONSOLE], check=True)


LOGGING = """
import logging, sys
import structlog
from keyvault.proxy.logs import configure
from keyvault.settings import Settings
configure(Settings(log_format=sys.argv[1]))
secret = sys.argv[2]
log = logging.getLogger("somebody.else")
log.warning("argument %s and %(x)s" if False else "argument %s", secret)
log.warning("in %s", {"deep": [secret]})
log.warning("an object: %r", ValueError(secret))
try:
    raise KeyError(secret)
except KeyError:
    log.exception("with a traceback, key %s", secret)
    structlog.get_logger().exception("ours", key=secret, more={"x": [secret]}, raw=secret.encode())
log.error("stack", extra={"x": secret}, stack_info=True)
try:
    try:
        raise ValueError("Bearer " + secret)
    except ValueError as inner:
        raise RuntimeError("outer") from inner
except RuntimeError:
    log.critical("chained", exc_info=True)
logging.getLogger("asyncio").error("Task exception was never retrieved: %s", KeyError(secret))
"""


@pytest.mark.parametrize("form", ["json", "console"])
def test_nothing_that_is_logged_shows_a_secret(form: str) -> None:
    done = subprocess.run([sys.executable, "-c", LOGGING, form, SECRET], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("redacted") >= 8
    assert "KeyError" in done.stderr
    assert SECRET not in done.stderr
    assert "attack23" not in done.stderr
    if form == "json":
        assert all(json.loads(line) for line in done.stderr.splitlines())


def test_an_unknown_option_that_is_a_secret_is_not_repeated_by_debug(tmp_path: Path) -> None:
    """People paste secrets where they do not belong."""
    script = "from opsconsole.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, "keys", "show", SECRET, "--debug"],
        env={"GWCTL_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert SECRET not in done.stdout + done.stderr
