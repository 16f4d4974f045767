"""From a snapshot to the rows of the Live table."""

from __future__ import annotations

from typing import Final

from opsconsole.view.filters import Filter
from opsconsole.view.live.columns import columns, scale_of
from opsconsole.view.live.snapshot import LiveSnapshot
from opsconsole.view.table import MOST_ROWS, Sort, Table, write
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
