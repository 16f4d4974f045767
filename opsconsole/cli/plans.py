"""How a plan of many changes is shown, agreed to and carried out: for `apply`, `keys import` and `import`."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keyvault.domain.names import counted
from keyvault.errors import CheckFailed
from opsconsole.cli.output import Column, Format, Listing, Row
from opsconsole.cli.session import Session
from opsconsole.cli.text import cell, harmless

if TYPE_CHECKING:
    from keyvault.domain.differences import Change
    from keyvault.secrets import Secret
    from keyvault.tenants.changes import Deliver
    from keyvault.tenants.steps import Plan
    from keyvault.tenants.wanted import Wanted

OnlyPlan = Annotated[bool, typer.Option("--plan", help="Show what would change, and change nothing.")]
ExitCode = Annotated[bool, typer.Option("--exit-code", help="With --plan: exit with 7 where something would change.")]
OutDir = Annotated[
    Path | None,
    typer.Option("--out-dir", metavar="DIR", help="Takes the secret of each new key, as DIR/NAME.key, 0600."),
]

_VERBS = {"+": "create", "~": "change", "-": "end"}
_SHOWN_IN_QUESTION = 5


def carry_out(
    session: Session,
    wanted: Wanted,
    *,
    only_plan: bool,
    exit_code: bool,
    out_dir: Path | None,
    prune: bool = False,
    adopted: Mapping[str, Secret] | None = None,
) -> None:
    """Plan; show; and unless only that was asked for, confirm and change. Raises what the service raises."""
    from keyvault.tenants.tenants import no_place

    service = session.home.tenants
    plan = service.plan(wanted, prune=prune, adopted=adopted or {})
    if only_plan:
        show_plan(session, plan, applied=False)
        if plan.new_secrets and out_dir is None:
            session.io.note(f"{counted(plan.new_secrets, 'new key')} will need --out-dir DIR, or gwctl keys create")
        if exit_code and plan.steps:
            raise CheckFailed(f"{counted(len(plan.steps), 'difference')}", hint="the same without --plan")
        return
    if plan.new_secrets and out_dir is None:
        raise no_place(plan)
    if plan.ended:
        named = ", ".join(plan.ended[:_SHOWN_IN_QUESTION])
        more = f" and {len(plan.ended) - _SHOWN_IN_QUESTION} more" if len(plan.ended) > _SHOWN_IN_QUESTION else ""
        session.confirm(f"revoke or suspend {named}{more}?")
    done = _apply(session, wanted, plan, out_dir, prune=prune, adopted=adopted or {})
    session.changed(f"{counted(len(done.steps), 'change')} applied" if done.steps else "nothing to change")
    show_plan(session, done, applied=not session.dry_run)


def show_plan(session: Session, plan: Plan, *, applied: bool) -> None:
    """Lines of `+`, `~` and `-` for people, each with old → new; a document for programs."""
    if session.options.format is Format.TABLE:
        session.io.data("".join(f"{plan_line(step)}\n" for step in plan.steps) or "no changes\n")
        return
    columns = [Column("change"), Column("scope"), Column("differences")]
    extra = {"applied": applied, "new_secrets": plan.new_secrets}
    session.show(Listing("changes", [plan_row(step) for step in plan.steps], columns, key="scope", extra=extra))


def plan_line(step: Change) -> str:
    """`~ key:ci-bot  models gpt-4* → gpt-5*`."""
    if step.sign == "+":
        parts = [f"{d.field} {_value(d.new)}" for d in step.differences]
    else:
        parts = [f"{d.field} {_value(d.old)} → {_value(d.new)}" for d in step.differences]
    return f"{step.sign} {harmless(step.scope)}{'  ' if parts else ''}{', '.join(parts)}"


def plan_row(step: Change) -> Row:
    """A change for programs."""
    return {
        "change": _VERBS[step.sign],
        "scope": step.scope,
        "differences": [{"field": d.field, "old": d.old, "new": d.new} for d in step.differences],
    }


def _apply(
    session: Session, wanted: Wanted, plan: Plan, out_dir: Path | None, *, prune: bool, adopted: Mapping[str, Secret]
) -> Plan:
    from keyvault.tenants.secret_files import SecretFiles

    service = session.home.tenants
    with contextlib.ExitStack() as stack:
        deliver: Deliver | None = None
        if plan.new_secrets and session.dry_run:
            deliver = _nowhere
        elif plan.new_secrets and out_dir is not None:
            files = stack.enter_context(SecretFiles(out_dir))
            deliver = files.deliver
        done = service.apply(wanted, prune=prune, deliver=deliver, adopted=adopted, agreed=plan)
    if done.new_secrets and not session.dry_run:
        session.io.note(f"{counted(done.new_secrets, 'secret')} written to {out_dir}")
    return done


def _nowhere(_key: Any, _secret: Any) -> None:
    """A rehearsal makes secrets that nobody gets and that open nothing."""


def _value(value: Any) -> str:
    return "none" if value in ([], {}) else cell(value)
