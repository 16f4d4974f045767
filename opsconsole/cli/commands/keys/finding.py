"""`gwctl keys scan|identify`: where our tokens are, and whose they are. Neither opens the vault."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keyvault.errors import Exit, NotFound, UsageError
from opsconsole.cli.commands.keys.noun import keys
from opsconsole.cli.output import Column, Details, Listing, Row
from opsconsole.cli.session import Session

if TYPE_CHECKING:
    from keyvault.domain.keys import Key


class Rule(StrEnum):
    GITLEAKS = "gitleaks"
    GITHUB = "github"


_RULES = {
    Rule.GITLEAKS: """\
[[rules]]
id = "gwctl-key"
description = "Key of a gwctl gateway"
regex = '''\\b({pattern})\\b'''
secretGroup = 1
keywords = ["sk-gw_"]
""",
    Rule.GITHUB: """\
pattern name: gwctl key
secret format: {pattern}
before secret: \\A|[^0-9A-Za-z_-]
after secret: \\z|[^0-9A-Za-z]
test string: OPENAI_API_KEY=sk-gw_test_000000000000_00000000000000000000000000000000000000000001rMNQM
""",
}


@keys.verb(
    "scan",
    examples="""
    gwctl keys scan .
    gwctl keys scan /var/log/app --json
    gwctl keys scan --rule gitleaks >> .gitleaks.toml
    """,
)
def scan(
    session: Session,
    paths: Annotated[list[Path] | None, typer.Argument(metavar="PATH…", help="Files and directories.")] = None,
    rule: Annotated[
        Rule | None, typer.Option("--rule", metavar="gitleaks|github", help="Print the rule for another scanner.")
    ] = None,
) -> None:
    """Find keys of a gateway like this in files. Works offline; exit 7 if there are any.

    Else exit 2 if what was named cannot be read, 1 if something below it cannot.
    """
    from keyvault.keys.finding import PATTERN, Found, Unread
    from keyvault.keys.finding import scan as search

    if rule is not None:
        session.io.data(_RULES[rule].format(pattern=PATTERN))
        return
    if not paths:
        raise UsageError("no file or directory named", hint="gwctl keys scan .")
    rows: list[Row] = []
    unread: list[Path] = []
    for path in paths:
        for item in search(path):
            if isinstance(item, Unread):
                unread.append(item.path)
                session.io.note(f"not searched: {ascii(str(item.path))[1:-1]}: {item.reason}")
            elif isinstance(item, Found):
                rows.append({"path": str(item.path), "line": item.line, "id": item.public_id, "masked": item.masked})
    named = [{**row, "name": name} for row, name in zip(rows, _names(session, rows), strict=True)]
    columns = [Column("path"), Column("line"), Column("masked", "SECRET"), Column("name", "KEY", absent="not ours")]
    session.show(Listing("found", named, columns, key="path", extra={"unread": len(unread)}))
    if rows:
        session.io.note("whoever can read these files can use the keys: gwctl keys revoke NAME, or rotate it")
        raise typer.Exit(Exit.CHECK_FAILED)
    if unread:
        raise typer.Exit(Exit.FAILURE if set(paths).isdisjoint(unread) else Exit.USAGE)


@keys.verb(
    "identify",
    examples="""
    gwctl keys identify < leaked.txt
    pbpaste | gwctl keys identify --json
    """,
)
def identify(session: Session) -> None:
    """Tell whose key stands in a text on stdin, without showing it. The text may hold anything else."""
    from keyvault.keys.finding import tokens_in

    text = session.io.secret_from_stdin().reveal()
    found = list(tokens_in(text.encode(errors="replace")))
    if not found:
        raise NotFound("no key of a gateway in the text", hint="gwctl keys scan PATH searches files")
    if len({masked for _, _, masked in found}) > 1:
        raise UsageError(f"the text holds {len(found)} keys", hint="gwctl keys scan FILE lists them")
    _, public_id, masked = found[0]
    key = _key(session, public_id)
    generation = None if key is None else next((g for g in key.generations if g.masked == masked), None)
    now = session.unopened_home.clock.now()
    session.show(
        Details(
            {
                "id": public_id,
                "masked": masked,
                "env": masked.split("_")[1],
                "name": key.name if key else None,
                "project": f"{key.customer}/{key.project}" if key else None,
                "state": key.state_at(now).value if key else None,
                "generation": generation.number if generation else None,
                "generation_state": generation.state_at(now).value if generation else None,
            },
            absent={"name": "not of this gateway"},
        )
    )
    if key is None:
        raise typer.Exit(Exit.NOT_FOUND)


def _names(session: Session, rows: list[Row]) -> list[str | None]:
    found = [_key(session, row["id"]) for row in rows]
    return [key.name if key else None for key in found]


def _key(session: Session, public_id: str) -> Key | None:
    """The key of this gateway, if there is a gateway here."""
    return session.home.known_keys.find_by_public_id(public_id) if session.unopened_home.exists else None
