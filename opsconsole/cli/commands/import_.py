"""`gwctl import`: upstreams, routes and keys of another gateway."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keyvault.domain.names import counted
from opsconsole.cli.files import read_text
from opsconsole.cli.output import Column, Format, Listing
from opsconsole.cli.plans import OnlyPlan, OutDir, plan_line, plan_row
from opsconsole.cli.session import Session
from opsconsole.cli.text import harmless
from opsconsole.cli.verbs import Noun

if TYPE_CHECKING:
    from keyvault.foreign.draft import Draft
    from keyvault.foreign.move import Agreed
    from keyvault.tenants.changes import Deliver

imports = Noun(
    "import",
    "Upstreams, routes and keys of another gateway.",
    examples="gwctl import litellm config.yaml --plan\ngwctl import one-api channels.json --plan",
)
app = imports

ForeignFile = Annotated[Path, typer.Argument(metavar="FILE", help="What the other gateway wrote; - for stdin.")]
WithoutSecrets = Annotated[
    bool, typer.Option("--without-secrets", help="Take over no credential and no token that the file has.")
]
AllowPrivate = Annotated[
    bool, typer.Option("--allow-private", help="Upstreams may be on this machine or a private network.")
]


@imports.verb(
    "litellm",
    changes=True,
    examples="""
    gwctl import litellm config.yaml --plan
    gwctl import litellm config.yaml
    gwctl import litellm keys.json --out-dir new-keys
    """,
)
def litellm(
    session: Session,
    file: ForeignFile,
    plan: OnlyPlan = False,
    without_secrets: WithoutSecrets = False,
    allow_private: AllowPrivate = False,
    out_dir: OutDir = None,
) -> None:
    """Carry over a LiteLLM proxy's config.yaml, or its keys as JSON or CSV.

    The models of a configuration become upstreams and routes. References such as os.environ/NAME are not looked up.
    LiteLLM keeps only hashes of its keys, so each gets a new secret, in --out-dir.
    """

    def read(text: str) -> Draft:
        from keyvault.foreign import litellm_config, litellm_keys
        from keyvault.foreign.files import is_json, read_csv, read_json, read_yaml

        name, now = str(file), session.home.clock.now()
        if file.suffix == ".csv":
            return litellm_keys.read(list(read_csv(text, name)), now)
        tree = read_json(text, name) if is_json(text) else read_yaml(text, name)
        if litellm_keys.looks_like_keys(tree):
            return litellm_keys.read(litellm_keys.rows_in(tree, name), now)
        return litellm_config.read(tree, name, with_secrets=not without_secrets)

    _import(session, file, read, only_plan=plan, allow_private=allow_private, out_dir=out_dir)


@imports.verb(
    "one-api",
    changes=True,
    examples="""
    gwctl import one-api channels.json --plan
    gwctl import one-api channels.csv
    gwctl import one-api tokens.json
    """,
)
def one_api(
    session: Session,
    file: ForeignFile,
    plan: OnlyPlan = False,
    without_secrets: WithoutSecrets = False,
    allow_private: AllowPrivate = False,
    out_dir: OutDir = None,
) -> None:
    """Carry over One API's channels or tokens, JSON as its API answers or CSV of its tables.

    Credentials are sealed and tokens go on working here; with --without-secrets neither is taken over, and each key
    gets a new secret, in --out-dir.
    """

    def read(text: str) -> Draft:
        from keyvault.foreign import one_api
        from keyvault.foreign.files import is_json, read_csv, read_json

        name = str(file)
        tree = read_json(text, name) if is_json(text) else list(read_csv(text, name))
        channels, tokens = one_api.parts(tree, name)
        return one_api.read(channels, tokens, session.home.clock.now(), with_secrets=not without_secrets)

    _import(session, file, read, only_plan=plan, allow_private=allow_private, out_dir=out_dir)


def _import(
    session: Session,
    file: Path,
    read: Callable[[str], Draft],
    *,
    only_plan: bool,
    allow_private: bool,
    out_dir: Path | None,
) -> None:
    """Always a plan first; then, unless only that was asked for, what it says."""
    from keyvault.foreign.move import Move
    from keyvault.tenants.secret_files import SecretFiles
    from keyvault.tenants.tenants import no_place

    home, draft = session.home, read(read_text(session, file))
    move = Move(home.upstreams, home.routes, home.tenants, allow_private=allow_private)
    agreed = move.plan(draft)
    if only_plan or session.dry_run:
        _show(session, agreed, applied=False)
        return
    if agreed.plan.new_secrets and out_dir is None:
        raise no_place(agreed.plan)
    with contextlib.ExitStack() as stack:
        deliver: Deliver | None = None
        if agreed.plan.new_secrets and out_dir is not None:
            deliver = stack.enter_context(SecretFiles(out_dir)).deliver
        move.carry_out(draft, agreed, deliver)
    session.changed(
        f"{counted(len(agreed.plan.steps), 'change')} applied" if agreed.plan.steps else "nothing to change"
    )
    _show(session, agreed, applied=True)


def _show(session: Session, agreed: Agreed, *, applied: bool) -> None:
    steps = agreed.plan.steps
    if session.options.format is not Format.TABLE:
        left = [{"what": left.what, "why": left.why} for left in agreed.left_out]
        extra = {"applied": applied, "new_secrets": agreed.plan.new_secrets, "left_out": left}
        columns = [Column("change"), Column("scope"), Column("differences")]
        session.show(Listing("changes", [plan_row(step) for step in steps], columns, key="scope", extra=extra))
        return
    lines = [plan_line(step) for step in steps] or ["no changes"]
    if agreed.left_out:
        lines += ["", "not carried over:", *(f"  {left.what}: {left.why}" for left in agreed.left_out)]
    session.io.data("".join(f"{harmless(text)}\n" for text in lines))
