"""The plain twins of the console: `gwctl top` and `usage show --watch`, on terminals, pipes and for screen readers."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys

import pytest

from keyvault.errors import Exit
from keyvault.home import Home
from opsconsole.cli.watching import fitting
from tests.cli.conftest import Gwctl
from tests.finance import fill

TWICE = ("--count", "2", "--interval", "0.1")
SHOW = ("usage", "show", "--watch", "--by", "model", "--since", "40d")
TOP = ("top", "--window", "30d")
MODERN = {"TERM": "xterm-256color"}


@pytest.fixture
def month(gwctl: Gwctl) -> Gwctl:
    with contextlib.closing(Home(gwctl.environ, gwctl.clock)) as home:
        fill(home)
    return gwctl


def test_top_is_a_table_of_key_and_model_the_dearest_first(month: Gwctl) -> None:
    head, rates, money, blank, titles, first, *rest = month(*TOP, "--count", "1").out.splitlines()
    assert head == "gwctl top, 12:00:00 UTC, last 30 d, by key × model"
    assert rates.startswith("0 requests/s, 5 in all, errors 20 %")
    assert money.startswith("cost > $ 4.00, today")
    assert (blank, titles.split()[:3], first.split()[:3]) == ("", ["KEY", "MODEL", "REQ"], ["search", "gpt-5", "3"])
    assert len(rest) == 2


def test_on_a_pipe_blocks_follow_each_other_and_nothing_moves(month: Gwctl) -> None:
    for words in ((*TOP, *TWICE), (*SHOW, *TWICE)):
        ran = month(*words, environ=MODERN)
        assert "\x1b" not in ran.out
        one, other = ran.out.split("\n\n") if words[0] == "usage" else (ran.out[: len(ran.out) // 2], "")
        assert other in ("", f"{one}\n")
        assert ran.code == 0


def test_programs_get_a_line_each_time(month: Gwctl) -> None:
    lines = month(*TOP, *TWICE, "--json").lines
    assert [line["by"] for line in lines] == ["key", "key"]
    dearest = lines[0]["rows"][0]
    assert (dearest["key"], dearest["model"], dearest["cost"]) == ("search", "gpt-5", "4.000001234567")
    assert lines[0]["rows"][1]["cost"] in (None, "0")
    lines = month(*SHOW, *TWICE, "--json").lines
    assert [line["total"]["requests"] for line in lines] == [6, 6]


def test_on_a_terminal_a_table_takes_the_place_of_the_one_before_it_unless_it_may_not(month: Gwctl) -> None:
    moved = month(*SHOW, *TWICE, terminal=True, environ=MODERN).out
    first, second = moved.split("\x1b[5F\x1b[J")
    assert first == second
    assert first.count("\n") == 5
    for words, environ in (((*SHOW, *TWICE, "--plain"), MODERN), ((*SHOW, *TWICE), {"TERM": "dumb"})):
        assert "\x1b[" not in month(*words, "--color", "never", terminal=True, environ=environ).out


def test_a_narrow_screen_gets_no_line_that_wraps() -> None:
    lines = [f"\x1b[2m{'a' * 70}\x1b[0m", "日本" * 20, "short", *["more"] * 20]
    text = "".join(f"{line}\n" for line in lines)
    assert fitting(text, (60, 6)) == f"\x1b[2m{'a' * 60}\x1b[0m\n{'日本' * 15}\nshort\nmore\n… 19 more lines\n"
    assert fitting("fits\n", (60, 6)) == "fits\n"


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("top", "--by", "colour"), "cannot group by 'colour'"),
        (("top", "--window", "3h"), "no such window: '3h'"),
        (("top", "-o", "csv"), "does not write -o csv"),
        (("usage", "show", "--watch", "-o", "csv"), "--watch does not write -o csv"),
    ],
)
def test_what_cannot_be_watched_is_said_in_a_line(gwctl: Gwctl, words: tuple[str, ...], what: str) -> None:
    ran = gwctl(*words)
    assert (ran.code, what in ran.err) == (Exit.USAGE, True)


def test_without_a_home_top_says_what_is_missing(nowhere: Gwctl) -> None:
    assert nowhere("top", "--count", "1").code == Exit.NOT_FOUND


def test_ctrl_c_ends_it_cleanly_in_a_real_terminal(month: Gwctl) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", "from opsconsole.cli.main import main; main()", *TOP, "--interval", "0.1"]
    process = subprocess.Popen(
        command, env={**month.environ, **MODERN}, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE
    )
    os.close(theirs)
    try:
        shown = b""
        while b"\x1b[J" not in shown and select.select([ours], [], [], 30)[0]:
            shown += os.read(ours, 65536)
        assert b"F\x1b[Jgwctl top" in shown
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (Exit.INTERRUPTED, b"")
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_json_of_top_is_what_the_console_reads(month: Gwctl) -> None:
    told = json.loads(month(*TOP, "--count", "1", "--json").out)
    assert told["total"]["requests"] == sum(row["requests"] for row in told["rows"])
