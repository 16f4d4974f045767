"""What stands where there is nothing to show."""

from __future__ import annotations

from opsconsole.view.notices import Notice, first_run
from opsconsole.view.snapshot import Setup
from opsconsole.view.text import plain

NEW = Setup("/home/ops", initialised=True, ever_used=False)


def words(notice: Notice, width: int) -> list[str]:
    return [plain(each) for each in notice.drawn(width, 20)]


def test_the_next_step_is_done_in_the_console_or_by_a_command() -> None:
    told = words(first_run(NEW), 100)
    assert "  ▸ upstream  3 then n  or gwctl upstreams create openai --provider openai" in told
    assert "    key       2 then n  or gwctl keys create my-app" in told


def test_nothing_is_cut_where_there_is_little_room() -> None:
    wide, narrow = words(first_run(NEW), 200), words(first_run(NEW), 54)
    assert max(map(len, narrow)) <= 54
    assert " ".join(narrow).split() == " ".join(wide).split()


def test_each_page_promises_what_it_becomes_itself() -> None:
    told = words(first_run(NEW, promise="Sums stand here later."), 80)
    assert told[2] == "Sums stand here later."
    assert not any("live view" in each for each in told)
