"""`gwctl keys rotate`: one key, several, those that are due, or all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keyvault.domain.names import parse_duration
from keyvault.errors import GatewayError, UsageError
from opsconsole.cli.commands.keys.noun import keys
from opsconsole.cli.commands.keys.outcomes import Batch, Gathered, Outcome, Printed, tell_one
from opsconsole.cli.completion import names_of
from opsconsole.cli.delivery import check_deliverable
from opsconsole.cli.output import Format
from opsconsole.cli.session import Session

if TYPE_CHECKING:
    from keyvault.domain.keys import Key
    from keyvault.keys.delivery import Delivery
    from keyvault.keys.rotating import Prove, Terms

Names = Annotated[
    list[str] | None, typer.Argument(metavar="NAME", help="The key's name.", autocompletion=names_of("keys"))
]
Due = Annotated[bool, typer.Option("--due", help="The keys whose --rotate-every is over.")]
All = Annotated[bool, typer.Option("--all", help="Every key that is not revoked or expired.")]
Grace = Annotated[
    str | None,
    typer.Option("--grace", metavar="SPAN", help="How long the old secret works on, instead of keys.grace (24h)."),
]
Young = Annotated[
    str | None, typer.Option("--if-older-than", metavar="SPAN", help="Change nothing if the secret is younger.")
]
EndGrace = Annotated[bool, typer.Option("--end-grace", help="End a rotation that is still under way.")]
Out = Annotated[
    str | None, typer.Option("--out", metavar="FILE", help="Into a file, 0600. {name} stands for the key's name.")
]
EnvFile = Annotated[
    str | None, typer.Option("--env-file", metavar="FILE", help="Into one line of a file; needs --var.")
]
Var = Annotated[
    str | None, typer.Option("--var", metavar="NAME", help="The line's variable. {NAME} stands for the key's name.")
]
Exec = Annotated[str | None, typer.Option("--exec", metavar="CMD", help="To a command, on its stdin, without a shell.")]
ExecLimit = Annotated[str, typer.Option("--exec-limit", metavar="SPAN", help="How long the command may take.")]
Verify = Annotated[
    str | None, typer.Option("--verify", metavar="URL", help="Prove that this gateway takes the new secret first.")
]
WaitLock = Annotated[str, typer.Option("--wait-lock", metavar="SPAN", help="How long to wait for another rotation.")]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the options say that secrets go."""

    out: str | None
    env_file: str | None
    variable: str | None
    command: str | None
    limit: timedelta
    wait: timedelta

    def check(self, *, many: bool) -> None:
        """Raises `UsageError` for places that exclude each other, or that cannot take more than one secret."""
        given = [n for n, v in (("--out", self.out), ("--env-file", self.env_file), ("--exec", self.command)) if v]
        if len(given) > 1:
            raise UsageError(f"{' and '.join(given)} are two places", hint="give one of them")
        if bool(self.env_file) != bool(self.variable):
            raise UsageError("--env-file and --var go together", hint="--env-file .env --var OPENAI_API_KEY")
        if many and self.out and "{name}" not in self.out:
            raise UsageError(f"--out {self.out} is one file for several keys", hint="--out DIRECTORY/{name}.key")
        if many and self.env_file and "{name}" not in self.env_file and "{NAME}" not in (self.variable or ""):
            raise UsageError("--var is one variable for several keys", hint="--var '{NAME}_API_KEY'")

    @property
    def is_elsewhere(self) -> bool:
        """Whether stdout gets no secret."""
        return bool(self.out or self.env_file or self.command)

    def delivery(self, session: Session, name: str) -> Delivery | None:
        """What takes a key's secret there; None for stdout."""
        from keyvault.keys.files import FileDelivery
        from keyvault.keys.filing import Alone, Line
        from keyvault.keys.handing import CommandDelivery

        locks = session.home.rotations.locks
        if self.out:
            return FileDelivery(_file(self.out, name), Alone(), locks, self.wait)
        if self.env_file and self.variable:
            line = Line(self.variable.replace("{NAME}", _as_variable(name))).checked()
            return FileDelivery(_file(self.env_file, name), line, locks, self.wait)
        if self.command:
            return CommandDelivery(self.command, session.surroundings.environ, session.io.note, self.limit)
        return None

    def shown(self, name: str) -> str | None:
        """The place in a document: never the command, which may hold anything."""
        path = self.out or self.env_file
        return str(_file(path, name)) if path else "--exec" if self.command else None


@keys.verb(
    "rotate",
    changes=True,
    also=(Format.SECRET,),
    examples="""
    gwctl keys rotate ci-bot --grace 24h
    gwctl keys rotate ci-bot --if-older-than 30d --out /run/keys/ci-bot
    gwctl keys rotate ci-bot --env-file .env --var OPENAI_API_KEY
    gwctl keys rotate ci-bot --exec 'gh secret set OPENAI_API_KEY'
    gwctl keys rotate --due --out '/run/keys/{name}' --json
    """,
)
def rotate(
    session: Session,
    names: Names = None,
    due: Due = False,
    every: All = False,
    grace: Grace = None,
    if_older_than: Young = None,
    end_grace: EndGrace = False,
    out: Out = None,
    env_file: EnvFile = None,
    var: Var = None,
    exec_: Exec = None,
    exec_limit: ExecLimit = "60s",
    verify: Verify = None,
    wait_lock: WaitLock = "30s",
) -> None:
    """Make a new secret; the old one works on for the grace, counted from the delivery of the new one.

    One process at a time rotates a key; who comes second changes nothing and says why. Killed at any moment, it leaves
    a working secret in the file, and the next run finishes or repeats it.
    """
    from keyvault.keys.defaults import defaults
    from keyvault.keys.rotating import Terms
    from keyvault.keys.rotation import check_grace

    settled = check_grace(defaults(session.unopened_home.settings).grace if grace is None else parse_duration(grace))
    waiting = parse_duration(wait_lock)
    young = None if if_older_than is None else parse_duration(if_older_than)
    terms = Terms(settled, young, end_grace, waiting)
    place = Place(out, env_file, var, exec_, parse_duration(exec_limit), waiting)
    one = _the_one(names, due=due, every=every)
    place.check(many=one is None)
    _check_format(session, place, many=one is None)
    prove = None if verify is None else _prover(verify)
    if one is not None:
        _rotate_one(session, one, terms, place, prove)
        return
    chosen = _chosen(session, names or (), due=due)
    if every:
        session.confirm(f"rotate {len(chosen)} keys?")
    _rotate_many(session, {key.name: _own(terms, key) if due else terms for key in chosen}, place, prove)


def _rotate_one(session: Session, name: str, terms: Terms, place: Place, prove: Prove | None) -> None:
    rotations, name = session.home.rotations, session.home.keys.get(name).name
    delivery = place.delivery(session, name) or Printed(session)
    if session.dry_run:
        done = rotations.rehearse(name, delivery, terms)
    else:
        done = rotations.run(name, delivery, terms, prove=prove)
    tell_one(session, Outcome(name, done, place.shown(name)), printed=isinstance(delivery, Printed))


def _rotate_many(session: Session, wanted: dict[str, Terms], place: Place, prove: Prove | None) -> None:
    batch, rotations = Batch(session), session.home.rotations
    for name, terms in wanted.items():
        try:
            delivery = place.delivery(session, name) or Gathered()
            if session.dry_run:
                batch.add(Outcome(name, rotations.rehearse(name, delivery, terms), place.shown(name)))
                continue
        except GatewayError as error:
            batch.add(Outcome(name, error=error))
            continue
        batch.rotate(name, place.shown(name), delivery, rotations.steps(name, delivery, terms, prove=prove))
    batch.finish()


def _own(terms: Terms, key: Key) -> Terms:
    """The terms of a key that is due: it stays due only until somebody rotates it."""
    if terms.if_older_than is not None:
        return terms
    return replace(terms, if_older_than=timedelta(seconds=key.policy.rotate_every_s or 0))


def _check_format(session: Session, place: Place, *, many: bool) -> None:
    """Raises `UsageError` where a new secret would be lost, or go to two places."""
    form = session.options.format
    if place.is_elsewhere:
        if form is Format.SECRET:
            raise UsageError("-o secret is a second place for the secret", hint="give one of them")
        return
    check_deliverable(session)
    if many and not session.dry_run and form not in (Format.JSON, Format.JSONL):
        raise UsageError("the secrets of several keys need a place", hint="--out DIRECTORY/{name}.key, or --json")


def _the_one(names: Sequence[str] | None, *, due: bool, every: bool) -> str | None:
    """The one key that is named, None for several. Raises `UsageError` unless exactly one way of choosing is used."""
    if sum((bool(names), due, every)) != 1:
        raise UsageError("which keys? name them, or give --due or --all", hint="gwctl keys rotate ci-bot")
    return names[0] if names and len(names) == 1 else None


def _chosen(session: Session, names: Sequence[str], *, due: bool) -> Sequence[Key]:
    """The keys in the order of their names, so that two processes never wait for each other."""
    home = session.home
    if due:
        return home.rotations.due()
    if names:
        found = {key.name: key for key in (home.keys.get(name) for name in names)}
        return [found[name] for name in sorted(found, key=str.casefold)]
    return home.rotations.living()


def _prover(url: str) -> Prove:
    from keyvault.keys.proof import models_url, prove

    models_url(url)
    return lambda secret: prove(url, secret)


def _file(text: str, name: str) -> Path:
    return Path(text.replace("{name}", name)).expanduser().absolute()


def _as_variable(name: str) -> str:
    text = "".join(c if c.isalnum() else "_" for c in name).upper()
    return f"_{text}" if text[:1].isdigit() else text
