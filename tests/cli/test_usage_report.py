"""`gwctl usage report`: a month for finance, in every form, with sums that add up."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
from decimal import Decimal
from typing import Any

import pytest

from keyvault.errors import Exit
from keyvault.home import Home
from opsconsole.view.report.figures import rounded
from tests.cli.conftest import Gwctl
from tests.finance import HOSTILE, fill, golden

SEPTEMBER = ("usage", "report", "--month", "2026-09", "--tz", "Europe/Berlin")


@pytest.fixture
def month(gwctl: Gwctl) -> Gwctl:
    with contextlib.closing(Home(gwctl.environ, gwctl.clock)) as home:
        fill(home)
    return gwctl


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv", "md", "html"])
def test_each_form_says_what_it_said(month: Gwctl, form: str) -> None:
    ran = month(*SEPTEMBER, "-o", form)
    assert ran.code == 0, ran.err
    golden(f"report.{form}", ran.out)


def sums(groups: list[dict[str, Any]]) -> tuple[int, int, Decimal, Decimal]:
    return (
        sum(group["requests"] for group in groups),
        sum(int(group["input_tokens"] or 0) for group in groups),
        sum((Decimal(group["cost"] or 0) for group in groups), Decimal(0)),
        sum((Decimal(group["charge"] or 0) for group in groups), Decimal(0)),
    )


def test_the_groups_of_every_level_add_up_to_what_is_above_them(month: Gwctl) -> None:
    report = month(*SEPTEMBER, "--json").json
    assert sums([report["total"]]) == sums(report["groups"]) == sums(report["days"]) == sums(report["models"])

    def check(group: dict[str, Any]) -> int:
        inner = group.get("groups", [])
        assert not inner or sums(inner) == sums([group])
        return 1 + sum(map(check, inner))

    assert sum(map(check, report["groups"])) == 8
    rows = list(csv.DictReader(io.StringIO(month(*SEPTEMBER, "-o", "csv").out)))
    assert sums(
        [{**row, "requests": int(row["requests"]), "input_tokens": row["input_tokens"]} for row in rows]
    ) == sums([report["total"]])


def test_a_month_is_the_zones_own(month: Gwctl) -> None:
    def requests(tz: str, month_: str = "2026-09") -> int:
        report = month("usage", "report", "--month", month_, "--tz", tz, "--by", "customer", "--json").json
        return int(report["total"]["requests"])

    assert (requests("UTC"), requests("UTC", "2026-08"), requests("UTC", "2026-10")) == (5, 1, 0)
    assert (requests("Europe/Berlin"), requests("Europe/Berlin", "2026-08")) == (5, 0)
    assert (requests("Asia/Kathmandu"), requests("Asia/Kathmandu", "2026-10")) == (5, 1)
    assert (requests("America/New_York"), requests("America/New_York", "2026-08")) == (5, 1)


def test_dates_without_a_zone_are_of_the_zone_that_was_asked_for(month: Gwctl) -> None:
    words = ("usage", "report", "--since", "2026-09-01", "--until", "2026-09-02", "--by", "model", "--json")
    report = month(*words, "--tz", "Europe/Berlin").json
    assert (report["since"], report["total"]["requests"]) == ("2026-08-31T22:00:00.000Z", 1)
    assert month(*words).json["total"]["requests"] == 0


def test_what_nobody_knows_is_said_and_never_taken_for_nothing(month: Gwctl) -> None:
    report = month(*SEPTEMBER, "--by", "model", "--json").json
    by_model = {group["name"]: group for group in report["groups"]}
    assert (by_model["claude"]["cost"], by_model["claude"]["margin"]) == (None, None)
    assert (by_model["claude"]["charge"], by_model["gpt-5"]["charge"]) == (None, "9")
    assert (report["total"]["cost"], report["total"]["margin"]) == ("4.000001234567", None)
    assert by_model["gpt-5"]["margin"] == "4.999998765433"
    assert report["total"]["basis_shares"] == {"unknown": 0.25, "provider": 0.5, "estimate": 0.25}
    ran = month(*SEPTEMBER)
    assert "1 of 5 attempts have no known cost: cost is at least what is shown" in ran.err
    assert "how the counts are known: unknown 25.0%, provider 50.0%, estimate 25.0%" in ran.err
    [total] = [line for line in ran.out.splitlines() if line.startswith("total")]
    assert total.split()[-5:] == ["≥", "4.000001234567", "≥", "9", "–"]
    [shown] = [
        line
        for line in month("usage", "show", "--since", "60d", "--by", "model").out.splitlines()
        if line.startswith("claude")
    ]
    assert shown.split()[-2:] == ["–", "–"]


def test_what_is_unknown_leaves_a_mark_and_what_is_small_is_not_nothing(month: Gwctl) -> None:
    bars = re.findall(
        r'<rect class="bar partly"[^>]* width="([0-9.]+)" height="([0-9.]+)"', month(*SEPTEMBER, "-o", "html").out
    )
    assert bars
    assert all(float(width) >= 4 and float(height) >= 4 for width, height in bars)
    assert [rounded(pico, 4) for pico in (7_000, -7_000, 0, 10**8)] == ["<0.0001", ">-0.0001", "0.0000", "0.0001"]
    assert rounded(7_000, 4, at_least=True) == "≥ 0.0000"


def test_no_name_is_a_formula_markup_or_the_end_of_a_cell(month: Gwctl) -> None:
    rows = list(csv.DictReader(io.StringIO(month(*SEPTEMBER, "-o", "csv").out)))
    assert {row["customer"] for row in rows} == {"acme", f"'{HOSTILE}"}
    assert "<b>" not in month(*SEPTEMBER, "-o", "html").out
    [line] = [line for line in month(*SEPTEMBER, "--by", "customer", "-o", "md").out.splitlines() if "cmd" in line]
    assert line.startswith("| =cmd\\|&lt;b&gt;")
    assert line.replace("\\|", "").count("|") == 12


def test_a_file_is_written_once_and_its_name_decides_the_form(month: Gwctl) -> None:
    out = month.home / "september.json"
    ran = month(*SEPTEMBER, "--out", str(out))
    assert (ran.code, ran.out) == (0, "")
    assert json.loads(out.read_text()) == month(*SEPTEMBER, "--json").json
    assert out.stat().st_mode & 0o777 == 0o600
    again = month(*SEPTEMBER, "--out", str(out))
    assert (again.code, "exists already" in again.err) == (Exit.CONFLICT, True)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--month", "2026-13"), "not a month: '2026-13'"),
        (("--month", "2026-09", "--since", "24h"), "ask for two things"),
        (("--until", "2026-09-01"), "--until needs --since"),
        (("--since", "2026-09-02", "--until", "2026-09-01"), "--until is not after --since"),
        (("--tz", "Europe/Atlantis"), "no such time zone"),
        (("--by", "colour"), "cannot be grouped by 'colour'"),
        (("--out", "/nowhere/x.html"), "no such directory"),
    ],
)
def test_a_report_that_cannot_be_made_is_refused_in_a_line(month: Gwctl, words: tuple[str, ...], what: str) -> None:
    ran = month("usage", "report", *words)
    assert (ran.code, what in ran.err) == (Exit.USAGE, True), ran.err


def test_a_month_that_is_not_over_says_so_and_needs_no_unlocking(month: Gwctl) -> None:
    (month.home / "config" / "unlock.key").unlink()
    ran = month("usage", "report", "--tz", "Europe/Berlin")
    assert (ran.code, "not over yet" in ran.err) == (0, True)


def test_documents_are_for_reports_alone(gwctl: Gwctl) -> None:
    ran = gwctl("keys", "list", "-o", "html")
    assert (ran.code, "-o html is for reports" in ran.err) == (Exit.USAGE, True)
