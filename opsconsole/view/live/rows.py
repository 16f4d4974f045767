"""From a snapshot to the rows of the Live table."""

from __future__ import annotations

from typing import Final

from keyvault.domain.narrowing import EVERY_REQUEST, Narrowing
from opsconsole.view.filters import Filter
from opsconsole.view.live.columns import columns, scale_of
from opsconsole.view.live.reading import TEST
from opsconsole.view.live.snapshot import GroupBy, LiveSnapshot
from opsconsole.view.table import MOST_ROWS, RowKey, Sort, Table, write
from opsconsole.view.text import UNICODE, Glyphs

BY_COST: Final = Sort("cost")


def table(
    snapshot: LiveSnapshot,
    sort: Sort = BY_COST,
    wanted: Filter = Filter(),  # noqa: B008 - frozen
    glyphs: Glyphs = UNICODE,
    most: int = MOST_ROWS,
) -> Table:
    """The written table of a snapshot."""
    question = snapshot.question
    scale = scale_of(snapshot.rows, question.window.seconds, glyphs)
    return write(
        snapshot.rows,
        columns(question.by, scale),
        sort,
        key=lambda row: row.key,
        names=lambda row: (row.group, row.model),
        wanted=wanted,
        kind=question.by,
        usual=BY_COST,
        more=snapshot.more_rows,
        most=most,
    )


def narrowing(by: GroupBy, key: RowKey) -> Narrowing:
    """The requests of a row."""
    group, model = key
    found = EVERY_REQUEST.to(by, group.removesuffix(TEST))
    return found.to("model", model) if by.splits_by_model else found
