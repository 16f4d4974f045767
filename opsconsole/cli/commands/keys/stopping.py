"""`gwctl keys revoke|suspend|resume|delete|restore`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from keyvault.errors import UsageError
from opsconsole.cli.arguments import Confirm, KeyName
from opsconsole.cli.commands.keys.noun import key_row, keys, shown_to_programs
from opsconsole.cli.completion import names_of
from opsconsole.cli.effect import NOTHING_ASKED, Cut, Effect, Taken, Wait
from opsconsole.cli.output import Column, Details, Listing
from opsconsole.cli.session import Session

if TYPE_CHECKING:
    from keyvault.domain.keys import Key

KeyNames = Annotated[
    list[str] | None, typer.Argument(metavar="NAME", help="The keys' names.", autocompletion=names_of("keys"))
]
OfCustomer = Annotated[
    str | None,
    typer.Option("--customer", metavar="NAME", help="All its keys.", autocompletion=names_of("customers")),
]
OfProject = Annotated[
    str | None,
    typer.Option("--project", metavar="CUSTOMER/PROJECT", help="All its keys.", autocompletion=names_of("projects")),
]
TokenStdin = Annotated[
    bool, typer.Option("--token-stdin", help="The key of the secret that comes on stdin; for a leak.")
]
MOST_NAMED = 5


@keys.verb(
    "revoke",
    changes=True,
    examples="""
    gwctl keys revoke ci-bot
    gwctl keys revoke ci-bot mobile --wait --cut --yes
    gwctl keys revoke --customer acme
    pbpaste | gwctl keys revoke --token-stdin --yes --wait
    """,
)
def revoke(
    session: Session,
    names: KeyNames = None,
    customer: OfCustomer = None,
    project: OfProject = None,
    token_stdin: TokenStdin = False,
    wait: Wait = None,
    cut: Cut = False,
) -> None:
    """End keys for good. Their next request is refused. Works while the vault is locked."""
    effect = Effect.asked(wait, cut)
    if token_stdin:
        found = _leaked(session, names, customer, project)
        if found is None:
            return
    else:
        found = _named(session, names, customer, project)
    if found:
        what = f"key {found[0].name}" if len(found) == 1 else f"{len(found)} keys ({_some(found)})"
        session.confirm(f"revoke {what}? every next request of it is refused, for good")
    done = session.home.stops.revoke([key.name for key in found])
    for key in done:
        session.changed(f"revoked key {key.name}")
    if not done:
        session.changed("there are no such keys: nothing to revoke")
    _show(session, done, effect.take(session, "keys", [key.id for key in done]), one=not (customer or project))


@keys.verb("suspend", changes=True, examples="gwctl keys suspend ci-bot\ngwctl keys suspend ci-bot --wait --cut")
def suspend(session: Session, name: KeyName, wait: Wait = None, cut: Cut = False) -> None:
    """Refuse a key until it is resumed. Works while the vault is locked."""
    effect = Effect.asked(wait, cut)
    key = session.home.keys.suspend(name)
    session.changed(f"suspended key {key.name}")
    _show(session, [key], effect.take(session, "keys", [key.id]), one=True)


@keys.verb("resume", changes=True, examples="gwctl keys resume ci-bot")
def resume(session: Session, name: KeyName, wait: Wait = None) -> None:
    """Admit a suspended key again. This gives access, so it needs the vault."""
    effect = Effect.asked(wait)
    key = session.home.keys.resume(name)
    session.changed(f"resumed key {key.name}")
    if key.suspended_by:
        session.io.note(f"it is still refused: {key.suspended_by} is suspended; gwctl resume {key.suspended_by}")
    _show(session, [key], effect.take(session, "keys"), one=True)


@keys.verb(
    "delete",
    changes=True,
    examples="""
    gwctl keys delete ci-bot
    gwctl keys delete ci-bot --confirm ci-bot --wait
    gwctl keys delete ci-bot --purge --confirm ci-bot
    """,
)
def delete(
    session: Session,
    name: KeyName,
    purge: Annotated[bool, typer.Option("--purge", help="For good, and its name is free at once.")] = False,
    confirm: Confirm = None,
    wait: Wait = None,
    cut: Cut = False,
) -> None:
    """Refuse a key at once and hide it. For seven days it can be restored; what it used stays in reports."""
    effect = Effect.asked(wait, cut)
    key = session.home.keys.get(name)
    ending = "this cannot be undone" if purge else "it can be restored for seven days"
    session.confirm_name(f"delete key {key.name} ({key.customer}/{key.project})? {ending}", key.name, confirm)
    key = session.home.stops.delete(name, purge=purge)
    if purge:
        session.changed(f"deleted key {key.name} for good; its name is free")
    else:
        session.changed(f"deleted key {key.name}; to have it back: gwctl keys restore {key.name}")
    _show(session, [key], effect.take(session, "keys", [key.id]), one=True)


@keys.verb("restore", changes=True, examples="gwctl keys list --deleted\ngwctl keys restore ci-bot")
def restore(session: Session, name: KeyName, wait: Wait = None) -> None:
    """Bring a deleted key back as it was: active, suspended or revoked. This gives access, so it needs the vault."""
    effect = Effect.asked(wait)
    key = session.home.stops.restore(name)
    session.changed(f"restored key {key.name}; it is {key.state_at(session.home.clock.now()).value}, as it was")
    _show(session, [key], effect.take(session, "keys"), one=True)


def _named(session: Session, names: list[str] | None, customer: str | None, project: str | None) -> Sequence[Key]:
    """The keys that were asked for, in one of three ways."""
    if [bool(names), customer is not None, project is not None].count(True) != 1:
        text = "name the keys, or give --customer, --project or --token-stdin; one of them"
        raise UsageError(text, hint="gwctl keys revoke ci-bot")
    service = session.home.keys
    if names:
        return [service.get(name) for name in dict.fromkeys(names)]
    return service.list(customer=customer, project=project)


def _leaked(
    session: Session, names: list[str] | None, customer: str | None, project: str | None
) -> Sequence[Key] | None:
    """The key of the token on stdin; None where that token opens nothing any more. Never asks, never shows it."""
    if names or customer or project:
        raise UsageError("--token-stdin names the key already", hint="gwctl keys revoke --token-stdin")
    session.home.vault.prompt = None  # a leak waits for nobody's passphrase
    holder = session.home.stops.holder(session.io.secret_from_stdin())
    key, now = holder.key, session.home.clock.now()
    if holder.unverified is not None:
        session.io.note(f"the vault is locked, so the id in the token alone says that it is key {key.name}")
        return [key]
    generation = holder.generation
    if generation is not None and generation.state_at(now).value in ("expired", "abandoned"):
        state = generation.state_at(now).value
        session.changed(f"the token is an old secret of key {key.name}, {state} and refused: the key was left as it is")
        _show(session, [key], NOTHING_ASKED, one=True)
        return None
    return [key]


def _some(found: Sequence[Key]) -> str:
    names = [key.name for key in found]
    return ", ".join(names[:MOST_NAMED]) + (", …" if len(names) > MOST_NAMED else "")


def _show(session: Session, found: Sequence[Key], taken: Taken, *, one: bool) -> None:
    now = session.home.clock.now()
    rows = [key_row(key, now) for key in found]
    if one and len(rows) == 1:
        session.show(Details({**rows[0], **taken.row}, omit=shown_to_programs(rows[0]) | taken.row.keys()))
    else:
        session.show(Listing("keys", rows, [Column("name"), Column("project"), Column("state")], extra=taken.row))
    taken.check()
