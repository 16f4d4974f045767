"""`gwctl keys revoke|suspend|resume`."""

from __future__ import annotations

from opsconsole.cli.arguments import KeyName
from opsconsole.cli.commands.keys.noun import key_changed, keys
from opsconsole.cli.session import Session


@keys.verb("revoke", changes=True, examples="gwctl keys revoke ci-bot\ngwctl keys revoke ci-bot --yes --json")
def revoke(session: Session, name: KeyName) -> None:
    """End a key for good. Its next request is refused."""
    key = session.home.keys.get(name)
    session.confirm(f"revoke key {key.name} ({key.customer}/{key.project})? its next request is refused, for good")
    key_changed(session, session.home.keys.revoke(name), "revoked")


@keys.verb("suspend", changes=True, examples="gwctl keys suspend ci-bot")
def suspend(session: Session, name: KeyName) -> None:
    """Refuse a key until it is resumed."""
    key_changed(session, session.home.keys.suspend(name), "suspended")


@keys.verb("resume", changes=True, examples="gwctl keys resume ci-bot")
def resume(session: Session, name: KeyName) -> None:
    """Admit a suspended key again."""
    key_changed(session, session.home.keys.resume(name), "resumed")
