"""`gwctl keys export|import`: keys as a table, without their secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from opsconsole.cli.commands.keys.creating import Create
from opsconsole.cli.commands.keys.noun import keys
from opsconsole.cli.files import read_text
from opsconsole.cli.output import Column, Listing
from opsconsole.cli.plans import ExitCode, OnlyPlan, OutDir, carry_out
from opsconsole.cli.session import Session

_FIELDS = (
    "name", "project", "env", "state", "models", "endpoints", "addresses", "expose", "pin", "isolation", "attribute",
    "clamp", "bound", "abort", "rotate_every", "expires", "tags",
)  # fmt: skip


@keys.verb("export", examples="gwctl keys export -o csv > keys.csv\ngwctl keys export -o json > keys.json")
def export(session: Session) -> None:
    """Print all keys with their policies, never their secrets, as `gwctl keys import` reads them.

    Revoked and deleted keys are left out.
    """
    session.show(Listing("keys", session.home.tenants.exported(), [Column(field) for field in _FIELDS]))


@keys.verb(
    "import",
    changes=True,
    examples="""
    gwctl keys import keys.csv --plan
    gwctl keys import keys.csv --create --out-dir new-keys
    """,
)
def import_(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV or JSON as exported; - for stdin.")],
    plan: OnlyPlan = False,
    exit_code: ExitCode = False,
    create_missing: Create = False,
    out_dir: OutDir = None,
) -> None:
    """Create or change the keys of a table: all of them, or none where anything is wrong.

    An empty cell leaves a field as it is. The secrets of new keys go to --out-dir.
    """
    from keyvault.tenants.exchange import read_keys

    wanted = read_keys(read_text(session, file), str(file), makes_projects=create_missing)
    carry_out(session, wanted, only_plan=plan, exit_code=exit_code, out_dir=out_dir)
