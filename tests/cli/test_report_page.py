"""The report's page in a real browser: complete in itself, silent, and saying what the JSON says."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from keyvault.home import Home
from tests.browser import browser, installed
from tests.cli.conftest import Gwctl
from tests.finance import fill

REPORT = ("usage", "report", "--month", "2026-09", "--tz", "Europe/Berlin")
CHROMIUM = installed()

# What each chart takes up, and how high its highest bar is.
CHARTS = """[...document.querySelectorAll('svg')].map(svg => [
  svg.id, svg.getBoundingClientRect().width, svg.getBoundingClientRect().height,
  Math.max(...[...svg.querySelectorAll('rect')].map(bar => bar.getBBox().width * bar.getBBox().height)),
  svg.querySelector('title').textContent, svg.querySelector('desc').textContent.length])"""
TOTAL = "[...document.querySelectorAll('tfoot data')].map(cell => [cell.className, cell.value])"
PAPER = "getComputedStyle(document.body).backgroundColor"
WIDER = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here; apt-get install chromium")
def test_the_page_asks_for_nothing_complains_of_nothing_and_says_what_the_json_says(
    gwctl: Gwctl, tmp_path: Path
) -> None:
    with contextlib.closing(Home(gwctl.environ, gwctl.clock)) as home:
        fill(home)
    page_file = tmp_path / "report.html"
    assert gwctl(*REPORT, "--out", str(page_file)).code == 0
    total = gwctl(*REPORT, "--json").json["total"]
    assert CHROMIUM is not None
    with browser(CHROMIUM, tmp_path / "profile") as page:
        page.open(page_file.as_uri())
        assert [told["request"]["url"] for told in page.of("Network.requestWillBeSent")] == [page_file.as_uri()]
        assert [
            *page.of("Log.entryAdded"),
            *page.of("Runtime.consoleAPICalled"),
            *page.of("Runtime.exceptionThrown"),
        ] == []
        shown = dict(page.tell(TOTAL))
        assert shown == {name: str(total[name]) for name in shown}
        assert shown["cost"] == "4.000001234567"
        charts = page.tell(CHARTS)
        assert [chart[0] for chart in charts] == ["days", "models", "customers"]
        assert all(width > 200 and height > 50 and bar > 0 for _, width, height, bar, *_ in charts)
        assert all(title.startswith("Cost") and described for *_, title, described in charts)
        assert page.tell("document.querySelectorAll('#days rect').length") == 30
        assert not page.tell(WIDER)
        assert page.tell("document.querySelectorAll('b, script').length") == 0
        light = page.tell(PAPER)
        page.open(page_file.as_uri(), dark=True)
        assert page.tell(PAPER) != light == "rgb(255, 255, 255)"
