"""Whether a home's settings, files, vault and clock are as they must be."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

from keyvault.clock import from_ms
from keyvault.domain.vault import Compartment
from keyvault.home import Home
from keyvault.settings import unknown_variables
from opsconsole.cli.checks.finding import Finding, State
from opsconsole.cli.unserved import ROUTE_REMEDY, unserved

_CLOCK_TOLERANCE: Final = timedelta(seconds=5)


def settings(home: Home) -> Iterator[Finding]:
    sources = sorted(name for name, source in home.settings.sources.items() if source != "default")
    for name, meant in unknown_variables(home.environ):
        remedy = f"did you mean {meant}?" if meant else "gwctl help settings"
        yield Finding("settings", State.WARNING, f"nothing reads the variable {name}", remedy)
    yield Finding("settings", State.OK, f"set: {', '.join(sources)}" if sources else "all defaults")


def open_to_others(home: Home) -> list[Path]:
    """Every file and directory of the home that somebody else may read or write: databases, logs, copies, all of it."""
    from keyvault.storage.engine import sqlite_path

    paths = home.paths
    database = sqlite_path(home.settings.database_url)
    places = [paths.config, paths.data, paths.state]
    found = [each for place in places if place.is_dir() for each in (place, *sorted(place.rglob("*")))]
    found += sorted(database.parent.glob(f"{database.name}*")) if database and database.parent not in places else []
    return [path for path in found if not path.is_symlink() and stat.S_IMODE(path.stat().st_mode) & 0o077]


def close_to_others(home: Home) -> list[Path]:
    """Take everybody else's access away, as far as the files are ours; which files that changed."""
    changed = []
    for path in open_to_others(home):
        with contextlib.suppress(PermissionError):  # not ours: the check goes on naming it
            path.chmod(stat.S_IMODE(path.stat().st_mode) & 0o700)
            changed.append(path)
    return changed


def files(home: Home) -> Iterator[Finding]:
    from keyvault.storage.engine import sqlite_path

    paths = home.paths
    database = sqlite_path(home.settings.database_url)
    found = [
        paths.config_file,
        paths.key_file,
        paths.config,
        paths.data,
        paths.state,
        *([database] if database else []),
    ]
    exposed = open_to_others(home)
    not_ours = [path for path in found if path.exists() and path.stat().st_uid not in (os.getuid(), 0)]
    for path in exposed:
        yield Finding("files", State.FAILED, f"others may read {path}", "gwctl doctor --fix")
    for path in not_ours:
        yield Finding("files", State.FAILED, f"{path} belongs to somebody else", f"chown {os.getuid()} {path}")
    if not exposed and not not_ours:
        yield Finding("files", State.OK, "private to this user")
    if paths.one_roof and paths.key_file.exists() and database:
        text = "the key file and the database are under one roof: who copies both can open the vault"
        yield Finding("key file", State.WARNING, text, "gwctl vault slots create passphrase, or keep the key elsewhere")


def vault(home: Home) -> Iterator[Finding]:
    opened = home.vault.trust()  # what is wrong with the rows is said by a check of its own
    peppers = opened.peppers()
    if Compartment.UPSTREAM not in opened.compartments:
        yield Finding("vault", State.OK, f"{opened.source} opens the keys compartment only")
        yield Finding("records", State.SKIPPED, "the upstreams' need a slot of scope all; the keys' decrypt")
        return
    yield Finding("vault", State.OK, f"opens by {opened.source}")
    found = [*home.upstreams.examine(), *home.captures.examine()]
    for error in found:
        if error is not None:
            yield Finding("records", State.FAILED, error.message, error.hint)
    sealed, known = sum(home.vault.status().records.values()), len(peppers) + len(found)
    if sealed != known:
        yield Finding("records", State.FAILED, f"{sealed} sealed records, {known} things they belong to", None)
    elif not any(found):
        yield Finding("records", State.OK, f"all {sealed} decrypt")


def clock(home: Home) -> Iterator[Finding]:
    """Time that went back shows against what is on record."""
    from keyvault.storage import audit

    with home.database.read() as tx:
        newest = audit.newest(tx, 1)
    now = home.clock.now()
    last = from_ms(newest[0]["at_ms"]) if newest else now
    if last - now > _CLOCK_TOLERANCE:
        yield Finding("clock", State.FAILED, f"it is {last - now} behind the newest audit entry", "timedatectl")
    else:
        yield Finding("clock", State.OK, f"{now:%Y-%m-%d %H:%M:%S} UTC")


def routes(home: Home) -> Iterator[Finding]:
    """Whether what clients ask for leads anywhere."""
    if (reason := unserved(home)) is not None:
        yield Finding("routes", State.WARNING, reason, ROUTE_REMEDY)
        return
    count = len(home.routes.current().routes)
    yield Finding("routes", State.OK, f"{count} set" if count else "none: one upstream serves every model as it is")


def alerts(home: Home) -> Iterator[Finding]:
    """What somebody noticed and nobody has seen to."""
    count = len(home.alerts.list())
    if count:
        text = f"{count} open alert{'s' if count > 1 else ''}"
        yield Finding("alerts", State.WARNING, text, "gwctl alerts list")
    else:
        yield Finding("alerts", State.OK, "none open")
    yield _webhook(home)


def _webhook(home: Home) -> Finding:
    """Whether what the settings say can be a webhook; nothing is sent."""
    from keyvault.webhook import Webhook

    webhook = Webhook.of(home.settings, home.environ)
    if webhook is None:
        return Finding("webhook", State.OK, "none set: alerts are in the log, the console and gwctl alerts list")
    return Finding("webhook", State.OK, f"alerts go to {webhook.shown}; to try it: gwctl alerts test")
