"""`gwctl usage reconcile`: a provider's bill beside the ledger, differences explained as far as they can be."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from keyvault.clock import to_ms
from keyvault.domain.ledger import NO_USAGE, Basis, Outcome, Usage
from keyvault.domain.routes import Target
from keyvault.errors import Exit
from keyvault.home import Home
from keyvault.metering.ledger import Ledger
from keyvault.storage.schema import prices
from tests.cli.conftest import Gwctl
from tests.finance import DOLLAR, at, golden
from tests.ledgers import attempt, settlement

HEADER = "day,model,requests,in,cached,out,usd"
COLUMNS = "date=day,model=model,requests=requests,input=in,cached=cached,output=out,cost=usd"
TOKENS = "date=day,model=model,input=in,cached=cached,output=out"

LOST = "1 attempt that nobody counted: lost, or cut off"
GUESSED = "1 attempt counted by the gateway itself"
CACHED = "900 tokens cached by the provider's count, 400 by the ledger's"
ANY_AMOUNT = "1 attempt may have come to any amount: without a price, or uncounted"
ELSEWHERE = "not through this gateway, or under another name"


@pytest.fixture
def billed(gwctl: Gwctl) -> Gwctl:
    """A deleted upstream with two requests of known cost on the first, one of each doubtful kind on later days."""
    with contextlib.closing(Home(gwctl.environ, gwctl.clock)) as home:
        asyncio.run(_traffic(home))
    return gwctl


async def _traffic(home: Home) -> None:
    ledger = Ledger(home.database, home.clock, "w1")
    ledger.start(asyncio.get_running_loop())
    usage = Usage(input=1000, cached_input=400, output=200)
    lost = {"usage": NO_USAGE, "cost_pico": None, "charge_pico": None, "basis": Basis.UNKNOWN, "outcome": Outcome.LOST}
    guess = {"basis": Basis.ESTIMATE, "outcome": Outcome.ABORTED}
    told: list[tuple[Any, str, dict[str, Any]]] = [
        (at(1), "gpt-5-2026-01-01", {}),
        (at(1), "gpt-5", {}),
        (at(2), "gpt-5", {**lost, "status": None}),
        (at(3), "gpt-5", guess),
        (at(4), "gpt-5", {"cost_pico": None, "charge_pico": None}),
        (at(5, 23, 50), "gpt-5", {}),
        (at(7), "gpt-5", {"price_id": price_id(home)}),
        (at(9), "gpt-5", {"cost_pico": None, "charge_pico": None, "bound_pico": None}),
        (at(10), "gpt-5", {**lost, "status": None, "bound_pico": None}),
    ]
    for count, (moment, model, fields) in enumerate(told):
        ids = {"alias_id": ledger.alias_id("fast"), "target_id": ledger.target_id(Target("openai", model))}
        bound = fields.pop("bound_pico", 3 * DOLLAR)
        one = attempt(to_ms(moment), entropy=count, key_id=1, **ids, bound_pico=bound)
        await ledger.open(one)
        await ledger.settle(settlement(one, **{"usage": usage, "cost_pico": 2 * DOLLAR, **fields}))
    await asyncio.to_thread(ledger.stop)


def price_id(home: Home) -> int:
    """That of gpt-5 at OpenAI: 1.25 dollars for a million tokens of input."""
    with home.database.read() as tx:
        of_model = sa.select(prices.c.id).where(prices.c.catalogue == "openai", prices.c.model == "gpt-5")
        return int(tx.execute(of_model).scalars().first() or 0)


def reconcile(gwctl: Gwctl, *lines: str, columns: str = COLUMNS, tolerance: str = "1%") -> tuple[int, Any]:
    """The exit code, and what was told."""
    words = ("usage", "reconcile", "--upstream", "openai", "--file", "-", "--columns", columns)
    ran = gwctl(*words, "--tolerance", tolerance, "--json", stdin="\n".join([HEADER, *lines]) + "\n")
    return ran.code, json.loads(ran.out)


def test_what_agrees_is_equal_whatever_the_release_is_called(billed: Gwctl) -> None:
    code, found = reconcile(billed, "2026-09-01,gpt-5,2,2000,800,400,4", tolerance="0%")
    [line] = found["lines"]
    assert code == 0
    assert (line["verdict"], line["provider"], line["ledger"], line["why"]) == ("equal", "4", "4", None)
    assert (found["unexplained_share"], found["compared"], found["currency"]) == (0.0, "cost", "USD")


@pytest.mark.parametrize(
    ("line", "columns", "verdict", "unexplained", "why"),
    [
        ("2026-09-02,gpt-5,1,900,0,90,2.5", COLUMNS, "explained", "0", f"{LOST}: 2.5"),
        ("2026-09-02,gpt-5,1,900,0,90,4", COLUMNS, "unexplained", "1", f"{LOST}: 3"),
        ("2026-09-03,gpt-5,1,1000,400,180,1.5", COLUMNS, "explained", "0", f"{GUESSED}: 0.5"),
        ("2026-09-04,gpt-5,1,1000,400,200,3", COLUMNS, "explained", "0", "1 attempt without a price: 3"),
        ("2026-09-04,gpt-5,1,1000,400,200,7", COLUMNS, "unexplained", "4", "1 attempt without a price: 3"),
        ("2026-09-07,gpt-5,1,1000,900,200,1.999375", COLUMNS, "explained", "0", f"{CACHED}: 0.000625"),
        ("2026-09-07,gpt-5,1,1000,900,200,1", COLUMNS, "unexplained", "-0.999375", f"{CACHED}: 0.000625"),
        ("2026-09-07,gpt-5,1,1000,900,200,5000", COLUMNS, "unexplained", "4998", None),
        ("2026-09-09,gpt-5,1,1000,400,200,5000", COLUMNS, "cannot tell", "5000", ANY_AMOUNT),
        ("2026-09-10,gpt-5,1,1000,400,200,5000", COLUMNS, "cannot tell", "5000", ANY_AMOUNT),
        ("2026-09-10,gpt-5,1,1000,400,200,", TOKENS, "cannot tell", 1200, ANY_AMOUNT),
        ("2026-09-07,gpt-5,1,600,0,200,", TOKENS, "explained", 0, "the provider's input leaves cached tokens out: 400"),
        ("2026-09-07,gpt-5,1,1000,400,200,2.5", COLUMNS, "unexplained", "0.5", None),
        ("2026-09-07,gpt-5,1,1000,400,200,2.0001", COLUMNS, "explained", "0", "rounding: 0.0001"),
        ("2026-09-08,o9,1,1000,400,200,1", COLUMNS, "unexplained", "1", ELSEWHERE),
    ],
)  # fmt: skip
def test_a_difference_is_explained_by_no_more_than_it_can_be(
    billed: Gwctl, line: str, columns: str, verdict: str, unexplained: object, why: str | None
) -> None:
    code, found = reconcile(billed, line, columns=columns)
    [shown] = found["lines"]
    assert (shown["verdict"], shown["unexplained"], shown["why"]) == (verdict, unexplained, why)
    assert code == (Exit.CHECK_FAILED if verdict != "explained" else 0)


def test_what_is_booked_on_the_next_day_is_no_difference(billed: Gwctl) -> None:
    code, found = reconcile(billed, "2026-09-05,gpt-5,0,0,0,0,0.0", "2026-09-06,gpt-5,1,1000,400,200,2")
    assert code == 0
    assert [line["why"] for line in found["lines"]] == [
        "began before midnight, on the provider's next day: 2",
        "began before midnight, on the ledger's day before: 2",
    ]


def test_an_export_without_models_is_compared_by_day(billed: Gwctl) -> None:
    code, found = reconcile(billed, "2026-09-01,gpt-5,2,2000,800,400,4", columns="date=day,cost=usd", tolerance="0%")
    assert (code, found["lines"][0]["model"], found["lines"][0]["verdict"]) == (0, None, "equal")


def test_a_day_that_an_export_leaves_out_is_compared_all_the_same(billed: Gwctl) -> None:
    code, found = reconcile(billed, "2026-09-04,gpt-5,1,1000,400,200,1", "2026-09-06,gpt-5,0,0,0,0,0")
    assert code == Exit.CHECK_FAILED
    assert [(line["day"], line["unexplained"]) for line in found["lines"]] == [
        ("2026-09-04", "0"),
        ("2026-09-05", "-2"),
    ]


def test_a_day_that_is_not_over_is_shown_and_not_judged(billed: Gwctl) -> None:
    code, found = reconcile(billed, "2026-10-01,gpt-5,1,10,0,10,99", "2026-09-30,gpt-5,0,0,0,0,0")
    assert (code, found["lines"][0]["verdict"], found["unexplained_share"]) == (
        Exit.CHECK_FAILED,
        "not over",
        0.0,
    )
    assert (found["first_day"], found["last_day"], found["not_over"]) == ("2026-09-30", "2026-10-01", "99")


def test_a_comparison_that_judged_nothing_does_not_pass(billed: Gwctl) -> None:
    bill = "usage_date_utc,cost_usd\n2062-10-10,5\n"
    ran = billed("usage", "reconcile", "--upstream", "openai", "--file", "-", stdin=bill)
    assert ran.code == Exit.CHECK_FAILED
    assert "nothing could be judged: 2062-10-10, 1 line, 5 USD of days that are not over" in ran.err


def test_a_month_that_was_asked_for_is_compared_as_a_whole(billed: Gwctl) -> None:
    bill = f"{HEADER}\n2026-09-07,gpt-5,1,1000,400,200,2\n"
    words = ("usage", "reconcile", "--upstream", "openai", "--file", "-", "--columns", COLUMNS)
    alone = billed(*words, stdin=bill)
    assert (alone.code, "2026-09-07, 1 line: 0.00% is not explained, 1% may be" in alone.err) == (0, True)
    whole = billed(*words, "--month", "2026-09", "--json", stdin=bill)
    found = json.loads(whole.out)
    assert (whole.code, found["first_day"], found["last_day"]) == (Exit.CHECK_FAILED, "2026-09-01", "2026-09-30")
    assert [line["day"][-2:] for line in found["lines"]] == ["01", "02", "03", "04", "05", "07", "09", "10"]
    assert found["unexplained_share"] == 0.8


def test_no_more_than_all_of_it_is_unexplained(billed: Gwctl) -> None:
    code, found = reconcile(billed, "2026-09-07,o9,1,1,0,1,3")
    assert (code, found["unexplained_share"]) == (Exit.CHECK_FAILED, 1.0)


def test_how_much_may_remain_is_what_is_asked_for(billed: Gwctl) -> None:
    line = "2026-09-07,gpt-5,1,1000,400,200,2.5"
    assert reconcile(billed, line, tolerance="20%")[0] == 0
    assert reconcile(billed, line, tolerance="0.19")[0] == Exit.CHECK_FAILED
    ran = billed("usage", "reconcile", "--upstream", "openai", "--file", "-", "--tolerance", "2")
    assert (ran.code, "--tolerance is not a share: '2'" in ran.err) == (Exit.USAGE, True)


def test_a_table_says_why_line_by_line(billed: Gwctl, tmp_path: Path) -> None:
    bill = tmp_path / "bill.csv"
    days = ("2026-09-01,gpt-5,2,2000,800,400,4", "2026-09-03,gpt-5,1,1000,400,180,1.5", "2026-09-07,o9,1,1,0,1,0.5")
    bill.write_text("\n".join([HEADER, *days]))
    ran = billed("usage", "reconcile", "--upstream", "OPENAI", "--file", str(bill), "--columns", COLUMNS)
    golden("reconcile.table", ran.out)
    assert ran.code == Exit.CHECK_FAILED
    assert "42.86% of the larger side is not explained, 1% may be" in ran.err


def test_a_bad_file_gives_its_name_line_and_reason(billed: Gwctl, tmp_path: Path) -> None:
    bill = tmp_path / "bill.csv"
    bill.write_text("usage_date_utc,cost_usd\n2026-09-01,x\n")
    ran = billed("usage", "reconcile", "--upstream", "openai", "--file", str(bill))
    assert (ran.code, ran.err) == (Exit.USAGE, f"gwctl: {bill}:2: cost_usd: not a number: 'x'\n")
    ran = billed(
        "usage", "reconcile", "--upstream", "nobody", "--file", "-", stdin="usage_date_utc,cost_usd\n2026-09-01,1\n"
    )
    assert ran.code == Exit.NOT_FOUND
