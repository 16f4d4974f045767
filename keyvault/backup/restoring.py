"""Puts a backup in the place of a home's database, which is kept aside; into an empty home too.

Everything is made ready in a home of its own first: schema, audit log, what happened since. Then the database is
exchanged in one step while nobody serves it. The journal of this home, kept outside the database, tells whether the
backup is older than what was seen here; on a fresh machine there is none, and no rollback can be noticed.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from keyvault import audit, files
from keyvault.audit import Entry
from keyvault.backup import archive, prepaid
from keyvault.backup.archive import Manifest
from keyvault.backup.outcomes import Outcome
from keyvault.backup.replay import put_back, replay
from keyvault.backup.staged import Staged, staged
from keyvault.backup.verifying import opened_records
from keyvault.domain.vault import Compartment
from keyvault.errors import Conflict, GatewayError, Locked, RolledBack, WrongKey
from keyvault.home import Home
from keyvault.journal import Journal
from keyvault.metering.remembered import Seen
from keyvault.settings import Settings
from keyvault.storage import audit as audit_rows
from keyvault.storage import snapshot
from keyvault.storage import vault as vault_rows
from keyvault.storage.engine import Database, Transaction
from keyvault.storage.exclusive import serving_lock


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did."""

    manifest: Manifest
    aside: str | None
    """Where the database that was here is now; None where there was none."""
    config_beside: Path | None
    """Where the backup's `config.toml` was put, this home having another one of its own."""
    fresh: bool
    """Nothing here could tell whether the backup is the newest."""
    since: Sequence[Entry]
    """The audit entries that the backup lacked, now back in the log."""
    outcomes: Sequence[Outcome]
    records: int | None
    """How many sealed records decrypt; None where the vault could not be opened."""
    unopened: str | None

    @property
    def denied(self) -> list[str]:
        """What gives no access after this that the backup gave, or that was given back since."""
        return sorted({outcome.scope for outcome in self.outcomes if outcome.denied})


def restore(home: Home, path: Path, *, accept_rollback: bool = False, rehearsal: bool = False) -> Restored:
    """Restore a backup. With `rehearsal` nothing is put in place.

    Raises `Conflict` while a gateway serves the home or where the backup is another gateway's, `RolledBack` for a
    backup older than the journal unless `accept_rollback`, which needs the vault opened; and what `verify` raises.
    """
    archive.opened(path).close()  # before anything is made here
    with _workshop(home, rehearsal=rehearsal) as beside, staged(home, path, beside) as content:
        settings = _settings(home, content)
        with _lock(home, settings, rehearsal=rehearsal):
            journal = Journal(home.paths.journal_file)
            _look_at_present(home, content, journal)
            fresh = journal.last() is None
            since = _since(content, journal)
            if since and not accept_rollback:
                raise _rolled_back(path, since)
            records, unopened = _records(content)
            seen: Mapping[str, Seen] = home.remembered.read()
            spent = _spent_since(content, seen)
            if not spent or records is not None:
                outcomes = _bring_up(content, since, seen)
                seen = _seen_now(content)
            else:  # nobody here can book it: what is remembered stays, and such balances cover nothing
                outcomes = _bring_up(content, since, {})
            aside, config = None, None
            if not rehearsal:
                aside = _exchange(home, content, settings)
                config = _place_config(home, content)
                _catch_up(settings, journal)
                home.remembered.write(seen)
    return Restored(content.manifest, aside, config, fresh, since, outcomes, records, unopened)


@contextlib.contextmanager
def _workshop(home: Home, *, rehearsal: bool) -> Iterator[Path]:
    """Where to make things ready: in the data directory, whose disk has to hold the database anyway."""
    if rehearsal and not home.paths.data.is_dir():
        with tempfile.TemporaryDirectory() as directory:
            yield Path(directory)
    else:
        home.paths.make()
        yield home.paths.data


def _settings(home: Home, content: Staged) -> Settings:
    """This home's; in an empty one the backup's, for the directories that are here."""
    if home.exists:
        return home.settings
    return Settings.load(replace(home.paths, config=content.config.parent), home.environ)


@contextlib.contextmanager
def _lock(home: Home, settings: Settings, *, rehearsal: bool) -> Iterator[None]:
    if rehearsal and not home.exists:
        yield
    else:
        with serving_lock(settings, home.paths):
            yield


def _look_at_present(home: Home, content: Staged, journal: Journal) -> None:
    """Bring the journal up to date from the database that is here, if that can be read, and compare vaults."""
    if not home.exists:
        return
    try:
        with home.database.read() as tx:
            vault_id = vault_rows.fact(tx, "vault_id")
            journal.catch_up(tx)
    except GatewayError:
        return  # damaged, missing or not migrated: that is what backups are for
    finally:
        home.close()
    if vault_id is not None and vault_id != content.manifest.vault_id:
        raise Conflict(
            f"the backup is another gateway's (vault {content.manifest.vault_id}, here is {vault_id})",
            hint="restore it into an empty home: GWCTL_HOME=DIR gwctl restore FILE",
        )


def _since(content: Staged, journal: Journal) -> list[Entry]:
    """What the journal knows and the backup does not. Raises `Conflict` where they tell different histories."""
    last = journal.last()
    if last is None:
        return []
    with content.home.database.read() as tx:
        seq, digest = audit_rows.last(tx)
        if last.seq <= seq:
            _same(audit_rows.digest_at(tx, last.seq), last.digest, last.seq)
            return []
    known, *since = [None, *journal.entries()] if seq == 0 else list(journal.entries(after=seq - 1))
    _same(known.digest if known else audit.BEGIN, digest, seq)
    return [entry for entry in since if entry is not None]


def _same(one: bytes | None, other: bytes, seq: int) -> None:
    if one != other:
        raise Conflict(
            f"the backup and this home's journal tell different histories: their audit entries {seq} differ",
            hint="restore it into an empty home: GWCTL_HOME=DIR gwctl restore FILE",
        )


def _rolled_back(path: Path, since: Sequence[Entry]) -> RolledBack:
    count = f"{len(since)} audit entries" if len(since) > 1 else "1 audit entry"
    return RolledBack(
        f"{path} is older than what was seen here: it lacks {count}, from {_moment(since[0].at)} to "
        f"{_moment(since[-1].at)}",
        hint="add --accept-rollback to repeat what took access away and suspend what it cannot vouch for; "
        "with --dry-run it only tells",
    )


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _records(content: Staged) -> tuple[int | None, str | None]:
    """Every sealed record decrypts, or nobody here can tell: then why."""
    try:
        return opened_records(content), None
    except (Locked, WrongKey) as error:
        return None, error.message


def _spent_since(content: Staged, seen: Mapping[str, Seen]) -> bool:
    """Whether more was spent of some balance than the backup knows."""
    with content.home.database.read() as tx:
        return prepaid.anything_since(tx, seen)


def _seen_now(content: Staged) -> Mapping[str, Seen]:
    with content.home.database.read() as tx:
        return prepaid.seen_now(tx)


def _bring_up(content: Staged, since: Sequence[Entry], seen: Mapping[str, Seen]) -> list[Outcome]:
    """Make the staged database what it would be, had the backup been taken now; one transaction. `seen`: what was
    spent of balances."""
    home = content.home
    if not since and not (seen and _spent_since(content, seen)):
        with home.database.write() as tx:
            _record(tx, home, content.manifest, 0, [])
        return []
    access = home.vault.unlock(Compartment.UPSTREAM).access
    with home.database.change() as tx:
        put_back(tx, since)
        outcomes = replay(tx, since, access)
        outcomes += prepaid.spent_since(tx, home.clock, seen)
        _record(tx, home, content.manifest, len(since), outcomes)
    return outcomes


def _record(tx: Transaction, home: Home, manifest: Manifest, since: int, outcomes: Sequence[Outcome]) -> None:
    results = {f"{o.scope} {o.action}": o.result.value for o in outcomes}
    taken = f"{manifest.created_at:%Y-%m-%dT%H:%M:%SZ}"
    audit.record(tx, home.clock, "backup.restore", "home", taken_at=taken, replayed=since, results=results)


def _exchange(home: Home, content: Staged, settings: Settings) -> str | None:
    content.home.close()
    return snapshot.put_in_place(content.database, settings.database_url, f"aside-{home.clock.now():%Y%m%dT%H%M%SZ}")


def _place_config(home: Home, content: Staged) -> Path | None:
    """An empty home gets the backup's; one that has its own keeps it and gets the backup's beside it, if different."""
    own = home.paths.config_file
    if home.exists and own.read_bytes() == content.config.read_bytes():
        return None
    place = own.with_name("config.toml.restored") if home.exists else own
    files.replace(place, content.config.read_bytes())
    return None if place == own else place


def _catch_up(settings: Settings, journal: Journal) -> None:
    database = Database(settings.database_url)
    try:
        with database.read() as tx:
            journal.catch_up(tx)
    finally:
        database.close()
