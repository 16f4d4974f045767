"""What running workers must do now, and what each of them answered: rows in, domain values out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from keyvault.clock import from_ms, to_ms
from keyvault.domain.workers import Command
from keyvault.storage.engine import Transaction
from keyvault.storage.schema import acknowledgements, commands


def insert(tx: Transaction, command: Command) -> None:
    row = {
        "id": command.id,
        "kind": command.kind,
        "payload": json.dumps(dict(command.payload)),
        "created_ms": to_ms(command.created_at),
    }
    tx.execute(sa.insert(commands).values(row))


def pending_for(tx: Transaction, worker: str) -> list[Command]:
    """The commands that a worker has not acknowledged, oldest first."""
    answered = sa.select(acknowledgements.c.command_id).where(acknowledgements.c.worker == worker)
    query = sa.select(commands).where(commands.c.id.not_in(answered)).order_by(commands.c.id)
    return [_command(row) for row in tx.execute(query)]


def acknowledge(tx: Transaction, command_id: str, worker: str, result: Mapping[str, Any], at_ms: int) -> None:
    row = {"command_id": command_id, "worker": worker, "result": json.dumps(dict(result)), "at_ms": at_ms}
    tx.execute(sa.insert(acknowledgements).values(row))


def answers(tx: Transaction, command_id: str) -> dict[str, Mapping[str, Any]]:
    """Worker → what it answered."""
    query = sa.select(acknowledgements.c.worker, acknowledgements.c.result)
    found = tx.execute(query.where(acknowledgements.c.command_id == command_id))
    return {row.worker: json.loads(row.result) for row in found}


def delete_older_than(tx: Transaction, ms: int) -> None:
    """Clear away old commands with their answers."""
    old = sa.select(commands.c.id).where(commands.c.created_ms < ms)
    tx.execute(sa.delete(acknowledgements).where(acknowledgements.c.command_id.in_(old)))
    tx.execute(sa.delete(commands).where(commands.c.created_ms < ms))


def _command(row: sa.Row[Any]) -> Command:
    return Command(row.id, row.kind, json.loads(row.payload), from_ms(row.created_ms))
