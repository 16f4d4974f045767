"""`gwctl vault reseal`: vouches for the database as it is, once a person has looked into it."""

from __future__ import annotations

from opsconsole.cli.arguments import Confirm
from opsconsole.cli.commands.vault.noun import vault
from opsconsole.cli.output import Column, Details, Listing
from opsconsole.cli.session import Session


@vault.verb(
    "reseal",
    changes=True,
    examples="""
    gwctl vault reseal --dry-run
    gwctl vault reseal --confirm 01M82R41XCF8ATTY7MFX0FB9JD
    """,
)
def reseal(session: Session, confirm: Confirm = None) -> None:
    """Vouch for every row as it is now, whoever wrote it: after an upgrade, or when a change was looked into.

    What does not fit its seal is listed first. A journal that does not fit is put aside and written anew from the audit
    log. Restoring a backup is the safer way out.
    """
    from keyvault.vault.manifest import SealKeys
    from keyvault.vault.survey import reseal as seal_everything
    from keyvault.vault.survey import survey

    home = session.home
    keys = SealKeys.of(home.vault.trust().access)
    found = survey(home.database, keys, home.seals.journal)
    for problem in found.wrong:
        session.io.note(problem)
    what = f"vouch for the whole database as it is, {len(found.wrong)} problems included?"
    session.confirm_name(what, keys.vault_id, confirm)
    aside = seal_everything(home.database, home.clock, keys, home.seals.journal)
    session.changed("sealed every row as it is")
    if aside is not None:
        session.changed(f"wrote the journal anew from the audit log; the old one is {aside}")
    problems = Listing("problems", [{"problem": text} for text in found.wrong], [Column("problem")], key="problem")
    row = {"vault_id": keys.vault_id, "resealed": True, "journal_aside": None if aside is None else str(aside)}
    session.show(Details(row, key="vault_id", inner=[problems], omit=frozenset(["journal_aside"])))
