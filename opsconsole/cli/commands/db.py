"""`gwctl db`: which schema the database has, and bringing it to this program's."""

from __future__ import annotations

import contextlib

from opsconsole.cli.commands.init import shown_url
from opsconsole.cli.output import Details, Row
from opsconsole.cli.session import NothingSetUp, Session
from opsconsole.cli.verbs import Noun

db = Noun("db", "The database's schema.", examples="gwctl db status\ngwctl db migrate")
app = db


@db.verb("status", examples="gwctl db status --json")
def status(session: Session) -> None:
    """Show which schema the database has and which one this program needs. Changes nothing."""
    session.show(Details(_status(session), key="schema"))


@db.verb("migrate", changes=True, examples="gwctl db migrate --dry-run\ngwctl db migrate")
def migrate(session: Session) -> None:
    """Bring the database to this program's schema, in one transaction. Nothing may be serving.

    SQLite is migrated by whichever command comes first, after a copy was put beside it; PostgreSQL only by this one.
    """
    from keyvault.storage import migrations
    from keyvault.storage.exclusive import serving_lock

    before = _status(session)
    home = session.unopened_home
    with serving_lock(home.settings, home.paths), contextlib.closing(home.unmigrated()) as database:
        database.rehearsal = session.dry_run
        migrations.migrate(database)
    if before["current"]:
        session.changed(f"the database has schema {migrations.HEAD} already")
    else:
        session.changed(f"migrated the database from schema {before['schema']} to {migrations.HEAD}")
    session.show(Details({**before, "schema": migrations.HEAD, "current": True}, key="schema"))


def _status(session: Session) -> Row:
    from keyvault.storage import migrations

    home = session.unopened_home
    if not home.exists:
        raise NothingSetUp(home)
    with contextlib.closing(home.unmigrated()) as database:
        found = migrations.revision(database)
        kind = "sqlite" if database.is_sqlite else "postgresql"
    return {
        "database": shown_url(home.settings.database_url),
        "kind": kind,
        "schema": found,
        "needed": migrations.HEAD,
        "current": found == migrations.HEAD,
    }
