"""`gwctl usage export --raw`: every attempt once, in order, from where an earlier export ended."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from decimal import Decimal

import pytest

from keyvault.errors import Exit
from keyvault.home import Home
from keyvault.metering import exporting
from keyvault.storage.attempts import attempts_after
from tests.cli.conftest import Gwctl
from tests.finance import HOSTILE, fill, golden

EXPORT = ("usage", "export", "--raw", "--since", "2026-08-01", "--until", "2026-10-01")


@pytest.fixture
def month(gwctl: Gwctl) -> Gwctl:
    with contextlib.closing(Home(gwctl.environ, gwctl.clock)) as home:
        fill(home)
    return gwctl


def test_every_attempt_is_a_row_in_the_form_it_always_had(month: Gwctl) -> None:
    for form in ("csv", "jsonl"):
        golden(f"export.{form}", month(*EXPORT, "-o", form).out)


def test_rows_add_up_to_the_report_of_the_same_time(month: Gwctl) -> None:
    rows = list(csv.DictReader(io.StringIO(month(*EXPORT, "-o", "csv").out)))
    report = month("usage", "report", *EXPORT[3:], "--json").json["total"]
    assert len(rows) == report["attempts"] == 6
    assert sum(Decimal(row["cost"] or 0) for row in rows) == Decimal(report["cost"])
    assert sum(int(row["input_tokens"] or 0) for row in rows) == report["input_tokens"]
    assert {row["customer"] for row in rows} == {"acme", f"'{HOSTILE}"}


def test_an_export_goes_on_behind_the_row_it_is_told(month: Gwctl) -> None:
    every = [line["id"] for line in month(*EXPORT, "-o", "jsonl").lines]
    assert every == sorted(every)
    for at, last in enumerate(every):
        again = month("usage", "export", "--raw", "--after", last, "-o", "jsonl")
        assert [line["id"] for line in again.lines] == every[at + 1 :]
    assert month(*EXPORT, "-o", "jsonl").err == f"gwctl: 6 attempts; to go on: --after {every[-1]}\n"


def test_it_is_read_a_page_at_a_time(month: Gwctl) -> None:
    with contextlib.closing(Home(month.environ, month.clock)) as home, home.database.read() as tx:
        first = attempts_after(tx, "", 0, 4)
        rest = attempts_after(tx, first[-1].request_id, first[-1].number, 4)
        assert (len(first), len(rest)) == (4, 2)
        assert [row.started_ms for row in first + rest] == sorted(row.started_ms for row in first + rest)
    assert len(exporting.FIELDS) == len(set(exporting.FIELDS))


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--raw", "-o", "table"), "writes -o csv or -o jsonl"),
        (("-o", "csv"), "say --raw"),
        (("--raw", "-o", "csv", "--after", "yesterday"), "not the id of an attempt"),
    ],
)
def test_what_cannot_be_exported_is_said_in_a_line(month: Gwctl, words: tuple[str, ...], what: str) -> None:
    ran = month("usage", "export", *words)
    assert (ran.code, ran.out, what in ran.err) == (Exit.USAGE, "", True), ran.err


def test_a_file_holds_all_of_it_or_does_not_exist(month: Gwctl) -> None:
    out = month.home / "raw.jsonl"
    assert month(*EXPORT, "-o", "jsonl", "--out", str(out)).out == ""
    assert len([json.loads(line) for line in out.read_text().splitlines()]) == 6
