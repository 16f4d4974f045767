"""What `gwctl doctor` looks at: everything about a home that can be wrong, each with its remedy.

A check never changes anything and never stops the others: whatever it raises is its finding.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

from keyvault.clock import from_ms
from keyvault.domain.vault import Upstream
from keyvault.errors import GatewayError
from keyvault.home import Home

_PATIENCE_SECONDS: Final = 10.0
_REFUSALS: Final = (401, 403)
_CLOCK_TOLERANCE: Final = timedelta(seconds=5)


class State(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, how it is, and what to do about it."""

    check: str
    state: State
    text: str
    remedy: str | None = None


Check = Callable[[Home], Iterator[Finding]]


def examine(home: Home, *, offline: bool) -> Iterator[Finding]:
    """All findings, as they are made. Where nothing is set up that is the only one."""
    if not home.exists:
        yield Finding("home", State.FAILED, "no gateway is set up here", "gwctl init")
        return
    for name, check in CHECKS.items():
        if not (offline and check is _providers):
            yield from _guarded(name, check, home)


def _guarded(name: str, check: Check, home: Home) -> Iterator[Finding]:
    try:
        yield from check(home)
    except (GatewayError, OSError) as error:
        hint = error.hint if isinstance(error, GatewayError) else None
        yield Finding(name, State.FAILED, str(error), hint if hint != "gwctl doctor" else None)


def _settings(home: Home) -> Iterator[Finding]:
    sources = sorted(name for name, source in home.settings.sources.items() if source != "default")
    yield Finding("settings", State.OK, f"set: {', '.join(sources)}" if sources else "all defaults")


def _files(home: Home) -> Iterator[Finding]:
    paths = home.paths
    database = home.database.path
    files = [paths.config_file, paths.key_file]
    files += [Path(f"{database}{suffix}") for suffix in ("", "-wal", "-shm")] if database else []
    places = [paths.config, paths.data, paths.state]
    open_to_others = [p for p in [*places, *files] if p.exists() and stat.S_IMODE(p.stat().st_mode) & 0o077]
    not_ours = [p for p in [*places, *files] if p.exists() and p.stat().st_uid not in (os.getuid(), 0)]
    for path in open_to_others:
        yield Finding("files", State.FAILED, f"others may read {path}", f"chmod go= {path}")
    for path in not_ours:
        yield Finding("files", State.FAILED, f"{path} belongs to somebody else", f"chown {os.getuid()} {path}")
    if not open_to_others and not not_ours:
        yield Finding("files", State.OK, "private to this user")
    if paths.one_roof and paths.key_file.exists() and database:
        text = "the key file and the database are under one roof: who copies both can open the vault"
        yield Finding("key file", State.WARNING, text, "gwctl vault slots create passphrase, or keep the key elsewhere")


def _database(home: Home) -> Iterator[Finding]:
    from keyvault.storage import migrations
    from keyvault.storage.engine import sqlite_is_sound, sqlite_module

    yield Finding("schema", State.OK, f"{migrations.revision(home.database)}, as this program needs it")
    if not home.database.is_sqlite:
        yield Finding("database", State.OK, "PostgreSQL answers")
        return
    module = sqlite_module()
    if sqlite_is_sound(module.sqlite_version_info):
        yield Finding("sqlite", State.OK, module.sqlite_version)
    else:
        text = f"{module.sqlite_version} can corrupt the database when two programs write at once"
        yield Finding("sqlite", State.FAILED, text, "pip install pysqlite3, or a build of 3.51.3 or newer")


def _vault(home: Home) -> Iterator[Finding]:
    opened = home.vault.unlock()
    yield Finding("vault", State.OK, f"opens by {opened.source}")
    peppers = opened.peppers()
    status, upstreams, changed = home.vault.status(), home.upstreams.list(), 0
    for upstream in upstreams:
        try:
            home.upstreams.open(upstream.name)
        except GatewayError as error:
            changed += 1
            yield Finding("records", State.FAILED, error.message, error.hint)
    sealed, known = sum(status.records.values()), len(peppers) + len(upstreams)
    if sealed != known:
        yield Finding("records", State.FAILED, f"{sealed} sealed records, {known} things they belong to", None)
    elif not changed:
        yield Finding("records", State.OK, f"all {sealed} decrypt")


def _audit(home: Home) -> Iterator[Finding]:
    from keyvault import audit

    with home.database.read() as tx:
        broken = audit.verify(tx)
    if broken is None:
        yield Finding("audit", State.OK, "the chain is whole")
    else:
        yield Finding(
            "audit", State.FAILED, f"entry {broken} does not follow from the one before it", "restore a backup"
        )


def _clock(home: Home) -> Iterator[Finding]:
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


def _port(home: Home) -> Iterator[Finding]:
    """The port is free, or taken by our own worker."""
    from importlib.metadata import version

    ours, live = version("opsconsole"), home.workers.live()
    for worker in live:
        yield Finding("worker", State.OK, f"serving on {worker.listen}, process {worker.pid}")
        if worker.version != ours:
            text = f"the running proxy is version {worker.version}, this program is {ours}"
            yield Finding("versions", State.WARNING, text, "restart gwctl serve")
    if not live:
        yield _free("listen", home.settings.listen)
        yield _free("admin", home.settings.admin)


def _free(name: str, address: str) -> Finding:
    host, _, port = address.rpartition(":")
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host.strip("[]"), int(port)))
    except (OSError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or "not an address"
        return Finding(
            "port", State.FAILED, f"serve.{name} {address}: {reason.lower()}", f"gwctl serve --{name} HOST:PORT"
        )
    return Finding("port", State.OK, f"{address} is free")


def _providers(home: Home) -> Iterator[Finding]:
    upstreams = [upstream for upstream in home.upstreams.list() if not upstream.disabled]
    if not upstreams:
        yield Finding("upstreams", State.WARNING, "none yet", "gwctl upstreams create openai --provider openai")
    for upstream in upstreams:
        yield _answer(home, upstream)


def _answer(home: Home, upstream: Upstream) -> Finding:
    """Whether an upstream lists its models: an authenticated call that costs nothing."""
    from keyvault.vault.testing import list_models

    result = list_models(home.upstreams.open(upstream.name), _PATIENCE_SECONDS, environ=home.environ)
    if result.ok:
        return Finding("upstream", State.OK, f"{upstream.name} answers in {result.latency_ms} ms")
    if result.status is not None and result.status not in _REFUSALS:
        # It answers, but lists no models: that is no reason to call it broken.
        return Finding("upstream", State.OK, f"{upstream.name} answers, with http status {result.status}")
    text = f"{upstream.name}: {result.error_text or result.error_code}"
    return Finding("upstream", State.FAILED, text, f"gwctl upstreams test {upstream.name}")


CHECKS: Final[dict[str, Check]] = {
    "settings": _settings,
    "files": _files,
    "database": _database,
    "vault": _vault,
    "audit": _audit,
    "clock": _clock,
    "port": _port,
    "upstreams": _providers,
}
