"""`gwctl vault status`: what the vault holds and when its duties were last done, without opening it."""

from __future__ import annotations

from typing import Annotated

import typer

from keyvault.storage.peppers import Straggler
from keyvault.vault.results import VaultStatus
from opsconsole.cli.commands.vault.noun import SLOT_COLUMNS, slot_row, vault
from opsconsole.cli.output import Column, Details, Listing, Row
from opsconsole.cli.session import Session

_STRAGGLERS = (
    Column("key"),
    Column("key_state"),
    Column("generation"),
    Column("generation_state"),
    Column("pepper_version", "PEPPER"),
    Column("last_used_at", "LAST USED", "never"),
)


@vault.verb("status", examples="gwctl vault status --json\ngwctl vault status --stragglers")
def status(
    session: Session,
    stragglers: Annotated[
        bool, typer.Option("--stragglers", help="List the tokens that still need an old pepper.")
    ] = False,
) -> None:
    """Show what the vault holds, how it opens, and when its keys were last rotated, without opening it."""
    state = session.home.vault.status()
    if stragglers:
        session.show(straggler_listing([straggler_row(token) for token in session.home.peppers.stragglers()]))
        return
    last = {f"{duty}_at": at for duty, at in state.last_done.items()}
    row = {"vault_id": state.vault_id, "records": dict(state.records), "old_pepper_tokens": state.old_pepper_tokens}
    session.show(
        Details(
            {**row, **last},
            key="vault_id",
            inner=_inner(state),
            absent=dict.fromkeys(last, "never"),
        )
    )


def straggler_row(token: Straggler) -> Row:
    """A token under an old pepper as programs see it."""
    return {
        "key": token.key,
        "key_state": token.key_state,
        "generation": token.generation,
        "generation_state": token.generation_state,
        "pepper_version": token.pepper_version,
        "last_used_at": token.last_used_at,
        "adopted": token.adopted,
    }


def straggler_listing(rows: list[Row]) -> Listing:
    return Listing("stragglers", rows, _STRAGGLERS, key="key")


def _inner(state: VaultStatus) -> list[Listing]:
    data_keys: list[Row] = [
        {"generation": k.number, "compartment": k.compartment.value, "state": k.state, "created_at": k.created_at}
        for k in state.data_keys
    ]
    peppers: list[Row] = [{"version": p.version, "tokens": p.tokens, "created_at": p.created_at} for p in state.peppers]
    created = Column("created_at", "CREATED")
    return [
        Listing("slots", [slot_row(slot) for slot in state.slots], SLOT_COLUMNS, key="id"),
        Listing(
            "data_keys",
            data_keys,
            [Column("generation"), Column("compartment"), Column("state"), created],
            key="generation",
        ),
        Listing("peppers", peppers, [Column("version"), Column("tokens"), created], key="version"),
    ]
