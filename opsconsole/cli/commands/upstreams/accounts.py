"""`gwctl upstreams credentials`: several accounts of one upstream share its requests by weight."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from keyvault.vault.trials import refuse_failure
from opsconsole.cli.arguments import Confirm, SecretFile, SecretStdin, UpstreamName, given_secret
from opsconsole.cli.commands.upstreams.noun import COLUMNS, Label, credential_row, upstreams, usable_rows
from opsconsole.cli.commands.upstreams.rotation import Test
from opsconsole.cli.commands.upstreams.trying import Model, Timeout
from opsconsole.cli.output import Details, Listing
from opsconsole.cli.session import Session
from opsconsole.cli.verbs import Noun

credentials = Noun(
    "credentials",
    "Several accounts of one upstream.",
    examples="gwctl upstreams credentials list openai",
)
upstreams.add(credentials)

_WEIGHT: Final = "Its share of the requests, 0 to 100; 0 leaves it what depends on it."
NewLabel = Annotated[str, typer.Option("--label", metavar="LABEL", help="A name for the account.")]
TheLabel = Annotated[str, typer.Option("--label", metavar="LABEL", help="Which account.")]


@credentials.verb(
    "list", examples="gwctl upstreams credentials list openai\ngwctl upstreams credentials list openai --all --json"
)
def list_(
    session: Session,
    name: UpstreamName,
    every: Annotated[bool, typer.Option("--all", help="Retired ones too.")] = False,
) -> None:
    """List the credentials of an upstream and their states."""
    found, now = session.home.credentials.of(name), session.home.clock.now()
    rows = [credential_row(each, now) for each in found] if every else usable_rows(found, now)
    session.show(Listing("credentials", rows, COLUMNS, key="label"))


@credentials.verb(
    "create",
    changes=True,
    examples="gwctl upstreams credentials create openai --label second --weight 2 --secret-file second.key",
)
def create(
    session: Session,
    name: UpstreamName,
    label: NewLabel,
    weight: Annotated[int, typer.Option("--weight", metavar="N", help=_WEIGHT)] = 1,
    secret_stdin: SecretStdin = False,
    secret_file: SecretFile = None,
    test: Test = True,
    model: Model = None,
    timeout: Timeout = 30.0,
) -> None:
    """Add another account: test its secret with a real call, then let it share the traffic.

    Exit 7 if the test is not answered well: then it stays staged.
    """
    service, missing = session.home.credentials, "another account needs its credential"
    upstream = session.home.upstreams.get(name)
    prompt = f"credential {label} of {upstream.name}"
    secret = given_secret(session.io, prompt=prompt, from_stdin=secret_stdin, file=secret_file, missing=missing)
    made = service.create(name, label, secret, weight=weight)
    if not session.dry_run:
        if test:
            result = session.home.trials.make(name, made, model, timeout)
            hint = f"gwctl upstreams promote {upstream.name} --label {made.label}"
            refuse_failure(f"{upstream.name} with credential {made.label}", result, hint=hint)
        made, _ = service.promote(name, made.label, only=made)
    session.changed(f"created credential {made.label} of upstream {upstream.name}")
    session.show(Details({"name": upstream.name, **credential_row(made, session.home.clock.now())}))


@credentials.verb(
    "update", changes=True, examples="gwctl upstreams credentials update openai --label second --weight 3"
)
def update(
    session: Session,
    name: UpstreamName,
    weight: Annotated[int, typer.Option("--weight", metavar="N", help=_WEIGHT)],
    label: Label = None,
) -> None:
    """Give an account another share of the requests."""
    changed = session.home.credentials.set_weight(name, label, weight)
    session.changed(f"credential {changed.label} of upstream {name} has weight {weight}")
    session.show(Details({"name": name, **credential_row(changed, session.home.clock.now())}))


@credentials.verb(
    "delete", changes=True, examples="gwctl upstreams credentials delete openai --label second --confirm second"
)
def delete(session: Session, name: UpstreamName, label: TheLabel, confirm: Confirm = None) -> None:
    """Remove an account with all its secrets, for good."""
    upstream = session.home.upstreams.get(name)
    question = f"delete credential {label} of upstream {upstream.name}? this cannot be undone"
    session.confirm_name(question, label, confirm)
    gone = session.home.credentials.delete(name, label)
    session.changed(f"deleted credential {gone[0].label} of upstream {upstream.name}")
    row = {"name": upstream.name, "label": gone[0].label, "secrets": len(gone), "deleted": True}
    session.show(Details(row))
