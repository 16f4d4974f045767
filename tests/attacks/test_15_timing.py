"""15. Timing of a known id against an unknown one → the numbers are reported (`python -m tests.benchmarks.directory`);
here: both take the same path, one MAC and one look-up each, so that there is nothing to measure."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from keyvault.keys import token
from keyvault.keys.directory import Directory
from keyvault.keys.lifecycle import Keys
from keyvault.storage.engine import Database
from tests.conftest import FrozenClock
from tests.pepper import FixedPepper


def test_a_known_and_an_unknown_id_run_the_same_lines(database: Database, clock: FrozenClock) -> None:
    secret = Keys(database, FixedPepper(), clock).create("ci-bot", create_missing=True).secret.reveal()
    directory = Directory(database, FixedPepper().peppers, clock=clock)
    directory.load()
    known_id = token.mint("live", secret.split("_")[2], b"\x07" * 32).encode()
    unknown_id = token.mint("live", "0" * 12, b"\x07" * 32).encode()
    assert directory.find(known_id) is directory.find(unknown_id) is None

    assert lines_of(lambda: directory.find(known_id)) == lines_of(lambda: directory.find(unknown_id))
    assert lines_of(lambda: directory.find(known_id)) != lines_of(lambda: directory.find(b"no token"))


def lines_of(call: Callable[[], object]) -> list[tuple[str, int]]:
    """Every line that runs while `call` does."""
    seen: list[tuple[str, int]] = []

    def note(frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line":
            seen.append((frame.f_code.co_filename, frame.f_lineno))
        return note

    before = sys.gettrace()
    sys.settrace(note)
    try:
        call()
    finally:
        sys.settrace(before)
    return [(name, line) for name, line in seen if "keyvault" in name]
