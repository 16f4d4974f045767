"""`gwctl audit`: who changed what, and whether the log of it is whole. Only `verify` tries to open the vault."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keyvault.audit import Entry
from keyvault.domain.typed import moment
from keyvault.errors import Exit, GatewayError, NotFound
from opsconsole.cli.arguments import Limit
from opsconsole.cli.output import Column, Details, Format, Listing, Row
from opsconsole.cli.session import Session
from opsconsole.cli.verbs import Noun

if TYPE_CHECKING:
    from keyvault.vault.verifying import Anchor

audit = Noun(
    "audit",
    "Who changed what, and whether the log of it is whole.",
    examples="gwctl audit list --since 24h\ngwctl audit verify\ngwctl audit anchor",
)
app = audit

_COLUMNS = [Column("seq"), Column("at"), Column("actor"), Column("action"), Column("scope"), Column("detail")]

Since = Annotated[str | None, typer.Option("--since", metavar="WHEN", help="24h, 30d, a date or a time.")]
Scope = Annotated[
    str | None, typer.Option("--scope", metavar="GLOB", help="What it applied to, such as key:ci-bot or 'key:*'.")
]
Action = Annotated[str | None, typer.Option("--action", metavar="GLOB", help="Such as keys.revoke or 'keys.*'.")]
Actor = Annotated[str | None, typer.Option("--actor", metavar="GLOB", help="Such as 'alice@*' or '* cron'.")]


@audit.verb(
    "list", examples="gwctl audit list --since 24h\ngwctl audit list --action 'keys.*' --scope key:ci-bot --json"
)
def list_(
    session: Session,
    since: Since = None,
    scope: Scope = None,
    action: Action = None,
    actor: Actor = None,
    limit: Limit = 50,
) -> None:
    """List changes, the newest last. What a statement says in full: gwctl audit show."""
    found = list(_chosen(session, since, scope, action, actor))[-limit:]
    rows = [_row(entry) for entry in found]
    if session.options.format is Format.TABLE:
        rows = [{**row, "detail": _in_short(row["detail"])} for row in rows]
    session.show(Listing("entries", rows, _COLUMNS, key="seq"))


@audit.verb("show", examples="gwctl audit show 42")
def show(session: Session, seq: Annotated[int, typer.Argument(metavar="NUMBER", min=1)]) -> None:
    """Show one entry with all that it says."""
    from keyvault import audit as log

    with session.home.database.read() as tx:
        entry = next(log.entries(tx, seq - 1), None)
    if entry is None or entry.seq != seq:
        raise NotFound(f"no audit entry {seq}", hint="gwctl audit list")
    session.show(Details({**_row(entry), "digest": entry.digest.hex()}, key="seq"))


@audit.verb(
    "verify",
    examples="""
    gwctl audit verify
    gwctl audit verify --anchor anchor.txt
    """,
)
def verify(
    session: Session,
    anchor: Annotated[
        str | None, typer.Option("--anchor", metavar="TEXT|FILE", help="What `gwctl audit anchor` printed earlier.")
    ] = None,
) -> None:
    """Check the chain, the seals where the vault can be opened, the journal and an anchor.

    Exit 7 where an entry is not what was written; the first such one is named.
    """
    from keyvault.vault.manifest import SealKeys
    from keyvault.vault.verifying import verify as examine

    kept = _anchor(anchor)
    try:
        keys, locked = SealKeys.of(session.home.vault.trust().access), None
    except GatewayError as error:
        keys, locked = None, error.message
    with session.home.database.snapshot() as tx:
        verdict = examine(tx, keys, session.home.seals.journal, kept)
    session.show(
        Details(
            {
                "ok": verdict.ok,
                "entries": verdict.entries,
                "unsealed": verdict.unsealed,
                "seals_checked": keys is not None,
                "anchor_checked": kept is not None,
                "first_bad": verdict.bad,
                "reason": verdict.reason,
            },
            key="ok",
            absent={"first_bad": "none", "reason": "none"},
        )
    )
    if locked is not None:
        session.io.note(f"the seals were not checked: {locked}")
    if not verdict.ok:
        session.io.note(f"audit entry {verdict.bad} {verdict.reason}")
        raise typer.Exit(Exit.CHECK_FAILED)


@audit.verb("anchor", examples="gwctl audit anchor >> /mnt/elsewhere/anchors.txt")
def anchor(session: Session) -> None:
    """Print the end of the log in one line, to be kept where nobody who writes the database can write."""
    from keyvault.vault.verifying import Anchor

    with session.home.database.read() as tx:
        end = Anchor.of(tx)
    if session.options.format is Format.TABLE:
        session.io.data(f"{end}\n")
    else:
        session.show(Details({"anchor": str(end), "seq": end.seq, "digest": end.digest.hex()}, key="anchor"))


@audit.verb("export", examples="gwctl audit export > audit.jsonl\ngwctl audit export -o csv --since 30d > audit.csv")
def export(
    session: Session, since: Since = None, scope: Scope = None, action: Action = None, actor: Actor = None
) -> None:
    """Print all changes, the oldest first: one JSON object a line, or CSV with `-o csv`."""
    chosen = _chosen(session, since, scope, action, actor)
    if session.options.format is Format.CSV:
        rows = [{**_row(entry), "digest": entry.digest.hex()} for entry in chosen]
        columns = [Column(name) for name in (*_FIELDS, "digest")]
        session.show(Listing("entries", rows, columns, key="seq"))
        return
    for entry in chosen:
        session.show_row({**_row(entry), "digest": entry.digest.hex()})


def _chosen(
    session: Session, since: str | None, scope: str | None, action: str | None, actor: str | None
) -> Iterator[Entry]:
    """The entries asked for, the oldest first."""
    from keyvault import audit as log

    start = None if since is None else moment(since, session.unopened_home.clock.now(), past=True)
    wanted = {"scope": scope, "action": action, "actor": actor}
    with session.home.database.snapshot() as tx:
        for entry in log.entries(tx):
            if start is not None and entry.at < start:
                continue
            if all(glob is None or fnmatch.fnmatchcase(getattr(entry, name), glob) for name, glob in wanted.items()):
                yield entry


_FIELDS = ("seq", "at", "actor", "command", "action", "scope", "detail", "sealed")


def _row(entry: Entry) -> Row:
    return {name: getattr(entry, name) for name in _FIELDS}


def _in_short(detail: Any) -> Any:
    """Without what a document says in full, which its number and its digest name."""
    return {name: value for name, value in detail.items() if not isinstance(value, Mapping)}


def _anchor(text: str | None) -> Anchor | None:
    """An anchor as it was typed, or the last line of a file of anchors."""
    from keyvault.vault.verifying import Anchor

    if text is None:
        return None
    if (path := Path(text)).is_file():
        lines = path.read_text(errors="replace").split("\n")
        text = next((line for line in reversed(lines) if line.strip()), "")
    return Anchor.parse(text)
