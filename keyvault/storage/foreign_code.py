"""Code that somebody put into the database: it would change rows within our transactions, before they are sealed."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from keyvault.storage.engine import Transaction
from keyvault.storage.schema import metadata

_SQLITE: Final = sa.text("SELECT name FROM sqlite_master WHERE type = 'trigger' ORDER BY name")
_OURS: Final = (
    "JOIN pg_class c ON c.oid = {} JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = current_schema() AND c.relname IN :tables"
)
_POSTGRESQL: Final = sa.text(
    f"SELECT tgname FROM pg_trigger {_OURS.format('tgrelid')} AND NOT tgisinternal "  # noqa: S608 - constants alone
    f"UNION ALL SELECT rulename FROM pg_rewrite {_OURS.format('ev_class')} ORDER BY 1"
).bindparams(sa.bindparam("tables", expanding=True))


def foreign_code(tx: Transaction) -> list[str]:
    """The names of triggers and rules on our tables; we have none of our own."""
    if tx.dialect.name == "sqlite":
        return list(tx.execute(_SQLITE).scalars())
    return [str(name) for name in tx.execute(_POSTGRESQL, {"tables": list(metadata.tables)}).scalars()]
