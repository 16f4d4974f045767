"""`gwctl usage` and `gwctl prices`: exact numbers out of a real ledger, in the shape other programs rely on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from keyvault.clock import ulid_at
from keyvault.domain.ledger import NO_USAGE, Basis, OpenAttempt, Outcome, Settlement, Usage
from keyvault.domain.routes import Target
from keyvault.errors import Exit
from keyvault.home import Home
from keyvault.metering.ledger import Ledger
from tests.cli.conftest import Gwctl
from tests.ledgers import attempt, book

SUMS = {
    "requests",
    "attempts",
    "errors",
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "output_tokens",
} | {
    "reasoning_tokens",
    "cost",
    "charge",
    "in_doubt",
    "unknown_cost_attempts",
    "basis",
}
LINE = {"request_id", "at", "customer", "project", "key", "alias", "model", "target", "status", "outcome", "error"} | {
    "attempts",
    "stream",
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost",
    "charge",
    "basis",
    "first_content_ms",
    "total_ms",
    "env",
    "tags",
}
DECIMAL = re.compile(r"[0-9]+(\.[0-9]*[1-9])?")


@pytest.fixture
def used(gwctl: Gwctl) -> Gwctl:
    """One request served by its second target, and one that failed at an unpriced model."""
    gwctl("keys", "create", "ci-bot", "--json")
    with contextlib.closing(Home(gwctl.environ, gwctl.clock)) as home:
        asyncio.run(record(home, gwctl.clock.now_ms()))
    gwctl.clock.advance(seconds=60)
    return gwctl


async def record(home: Home, now_ms: int) -> None:
    key_id = home.keys.get("ci-bot").id
    ledger = Ledger(home.database, home.clock, "w1")
    ledger.start(asyncio.get_running_loop())
    alias = ledger.alias_id("fast")

    async def attempt(request: str, number: int, target: Target, settlement: Settlement) -> None:
        opened = OpenAttempt(request, number, now_ms, key_id, 1, alias, ledger.target_id(target), "chat", False, None)
        await ledger.open(opened)
        await ledger.settle(settlement)

    first, second = ulid_at(now_ms, 1), ulid_at(now_ms, 2)
    failed = Settlement(
        first, 1, Outcome.FAILED, False, 500, NO_USAGE, Basis.UNKNOWN, 40, charge_pico=0, error_code="server_error"
    )
    served = Settlement(
        *(first, 2, Outcome.SERVED, True, 200, Usage(input=1000, cached_input=200, output=50), Basis.PROVIDER, 300),
        first_content_ms=250,
        cost_pico=1_234_500_000,
        charge_pico=1_357_950_000,
        provider_request_id="prov-1",
    )
    await attempt(first, 1, Target("openai", "gpt-5"), failed)
    await attempt(first, 2, Target("groq", "llama"), served)
    refused = Settlement(
        *(second, 1, Outcome.FAILED, True, 429, NO_USAGE, Basis.UNKNOWN, 12),
        charge_pico=0,
        error_code="rate_limited",
        error_text="slow \x1b[31mdown",
    )
    await attempt(second, 1, Target("openai", "gpt-5"), refused)
    await asyncio.to_thread(ledger.stop)


def test_usage_by_key_and_model_is_exact(used: Gwctl) -> None:
    report = used("usage", "show", "--since", "24h", "--by", "key,model", "--json").json
    assert report["currency"] == "USD"
    rows = {row["model"]: row for row in report["rows"]}
    assert all(set(row) == SUMS | {"key", "model"} for row in rows.values())
    assert set(report["total"]) == SUMS
    llama = rows["llama"]
    assert llama["key"] == "ci-bot"
    assert (llama["requests"], llama["attempts"], llama["errors"]) == (1, 1, 0)
    assert (llama["input_tokens"], llama["cached_input_tokens"], llama["output_tokens"]) == (1000, 200, 50)
    assert (llama["cost"], llama["charge"]) == ("0.0012345", "0.00135795")
    assert llama["basis"] == {"provider": 1}
    assert rows["gpt-5"]["cost"] is None
    assert rows["gpt-5"]["unknown_cost_attempts"] == 2
    assert report["total"]["requests"] == 2
    assert DECIMAL.fullmatch(report["total"]["cost"])


@pytest.mark.parametrize(
    "by", ["customer", "project", "key", "tag", "env", "alias", "model", "upstream", "target", "day", "hour"]
)
def test_usage_can_be_grouped_by_anything_promised(used: Gwctl, by: str) -> None:
    report = used("usage", "show", "--by", by, "--tz", "Europe/Berlin", "--json").json
    assert report["rows"]
    assert set(report["rows"][0]) == SUMS | {by}


@pytest.fixture
def attributed(used: Gwctl) -> Gwctl:
    """Beside `used`, a request that acme paid, with tags, and one of a key for tests."""
    used("customers", "create", "acme")
    used("projects", "create", "acme/web")
    used("keys", "create", "drill", "--env", "test", "--json")
    with contextlib.closing(Home(used.environ, used.clock)) as home:
        asyncio.run(record_attributed(home, used.clock.now_ms() - 1_000))
    return used


async def record_attributed(home: Home, now_ms: int) -> None:
    ledger = Ledger(home.database, home.clock, "w1")
    ledger.start(asyncio.get_running_loop())
    ids = {"alias_id": ledger.alias_id("fast"), "target_id": ledger.target_id(Target("groq", "llama"))}
    acme = {"project_id": home.customers.get_project("acme/web").id, "tags": '{"feature": "search"}'}
    for number, (key, more) in enumerate((("ci-bot", acme), ("drill", {})), start=7):
        one = attempt(now_ms, entropy=number, key_id=home.keys.get(key).id, **ids, **more)
        await book(ledger, one, cost_pico=10**12, charge_pico=2 * 10**12)
    await asyncio.to_thread(ledger.stop)


def test_usage_says_who_pays_and_leaves_keys_for_tests_out_and_says_so(attributed: Gwctl) -> None:
    ran = attributed("usage", "show", "--by", "customer,key", "-o", "csv")
    rows = [line.split(",")[:3] for line in ran.out.splitlines()[1:]]
    assert rows == [["acme", "ci-bot", "1"], ["default", "ci-bot", "2"]]
    assert ran.err == "gwctl: left out: 1 request of keys for tests, 1 USD; with it: --env all\n"
    report = attributed("usage", "show", "--by", "customer", "--json").json
    assert (report["env"], report["left_out"]["requests"], report["left_out"]["charge"]) == ("live", 1, "2")
    assert report["total"]["requests"] == 3


@pytest.mark.parametrize(
    ("options", "env", "requests"),
    [(("--env", "all"), "all", 4), (("--env", "test"), "test", 1), (("--by", "env"), "all", 4)],
)
def test_keys_for_tests_are_reported_where_it_is_asked_for(
    attributed: Gwctl, options: tuple[str, ...], env: str, requests: int
) -> None:
    ran = attributed("usage", "show", *options)
    assert "left out" not in ran.err
    report = attributed("usage", "show", *options, "--json").json
    assert (report["env"], report["total"]["requests"]) == (env, requests)


def test_an_environment_that_does_not_exist_is_refused(used: Gwctl) -> None:
    ran = used("usage", "show", "--env", "staging")
    assert (ran.code, "no such environment: 'staging'" in ran.err) == (Exit.USAGE, True)


def test_the_tail_tells_who_paid_marks_tests_and_finds_tags(attributed: Gwctl) -> None:
    [tagged] = attributed("usage", "tail", "--tag", "feature=search", "--json").lines
    assert (tagged["customer"], tagged["project"], tagged["key"]) == ("acme", "acme/web", "ci-bot")
    assert tagged["tags"] == {"feature": "search"}
    assert attributed("usage", "tail", "--tag", "feature=else", "--json").out == ""
    table = attributed("usage", "tail").out
    assert ("drill (test)" in table, "ci-bot (test)" in table) == (True, False)
    assert [line["env"] for line in attributed("usage", "tail", "-n", "2", "--json").lines] == ["live", "test"]
    shown = attributed("usage", "request", tagged["request_id"]).out
    assert "feature=search" in shown
    assert "acme/web" in shown


def test_the_tail_is_of_one_environment_where_it_is_asked_for(attributed: Gwctl) -> None:
    def keys(*options: str) -> set[str]:
        return {line["key"] for line in attributed("usage", "tail", *options, "--json").lines}

    assert keys("--env", "test") == {"drill"}
    assert keys("--env", "live") == {"ci-bot"}
    assert keys("--env", "all") == keys() == {"ci-bot", "drill"}
    assert attributed("usage", "tail", "--env", "staging").code == Exit.USAGE


def test_usage_of_a_tag_is_that_of_the_keys_projects_and_customers_that_have_it(attributed: Gwctl) -> None:
    attributed("projects", "update", "acme/web", "--tag", "team=web")

    def shown(*options: str) -> Any:
        return attributed("usage", "show", *options, "--json").json

    assert shown("--tag", "team=web")["total"]["requests"] == 1
    assert shown("--tag", "team=else")["rows"] == []
    attributed("keys", "update", "ci-bot", "--tag", "team=core")
    assert shown("--tag", "team=core", "--by", "customer")["total"]["requests"] == 3
    assert attributed("usage", "show", "--tag", "team").code == Exit.USAGE


def test_usage_needs_no_unlocking_and_reads_as_a_table(used: Gwctl) -> None:
    (used.home / "config" / "unlock.key").unlink()
    ran = used("usage", "show", "--by", "target")
    assert ran.out.splitlines()[0].split()[:3] == ["TARGET", "REQUESTS", "ERRORS"]
    assert ran.out.splitlines()[-1].startswith("total")
    assert "2 of 3 attempts have no known cost: no price was known (gwctl prices set), or how" in ran.err


def test_a_terminal_says_that_a_cost_is_only_the_known_part_of_it(used: Gwctl) -> None:
    rows = {line.split()[0]: line for line in used("usage", "show", "--by", "model", terminal=True).out.splitlines()}
    assert "≥ 0.001234" in rows["total"]
    assert "≥" not in rows["llama"]
    assert "0.001234" in rows["llama"]
    assert "–" in rows["gpt-5"]
    report = used("usage", "show", "--by", "model", "--json").json
    assert report["total"]["cost"] == "0.0012345"


def test_a_span_without_traffic_is_said_in_a_sentence(used: Gwctl) -> None:
    ran = used("usage", "show", "--since", "2020-01-01", "--until", "2020-02-01")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == "gwctl: there was no traffic between 2020-01-01 00:00 UTC and 2020-02-01 00:00 UTC\n"
    assert used("usage", "show", "--since", "2020-01-01", "--until", "2020-02-01", "--json").err == ""


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--since", "2026-09-02", "--until", "2026-09-01"), "--until is not after --since"),
        (("--since", "2099-01-01"), "--since is not over yet"),
    ],
)
@pytest.mark.parametrize("verb", [("show",), ("report",), ("export", "--raw", "-o", "csv")])
def test_a_span_that_ends_before_it_begins_is_refused(
    gwctl: Gwctl, verb: tuple[str, ...], words: tuple[str, ...], what: str
) -> None:
    ran = gwctl("usage", *verb, *words)
    assert (ran.code, ran.out, what in ran.err) == (Exit.USAGE, "", True), ran.err


@pytest.mark.parametrize(("by", "what"), [("", "names nothing to group by"), ("key,key", "names key twice")])
def test_a_grouping_that_makes_no_table_is_refused_with_what_there_is(used: Gwctl, by: str, what: str) -> None:
    ran = used("usage", "show", "--by", by)
    assert ran.code == Exit.USAGE
    assert f"--by {what}\ngwctl: hint: any of customer,project,key,tag," in ran.err


def test_an_empty_ledger_is_an_empty_report(gwctl: Gwctl) -> None:
    report = gwctl("usage", "show", "--json").json
    assert report["rows"] == []
    assert report["total"]["requests"] == 0
    assert gwctl("usage", "tail", "--json").out == ""


def test_the_tail_is_one_object_a_line_oldest_first(used: Gwctl) -> None:
    lines = used("usage", "tail", "-n", "20", "--json").lines
    assert all(set(line) >= LINE for line in lines)
    assert [line["outcome"] for line in lines] == ["served", "failed"]
    assert (lines[0]["attempts"], lines[0]["target"], lines[0]["charge"]) == (2, "groq/llama", "0.00135795")
    assert (lines[1]["status"], lines[1]["cost"], lines[1]["basis"]) == (429, None, "unknown")
    assert used("usage", "tail", "-n", "1", "--json").lines == lines[1:]
    assert "rate_limited" not in used("usage", "tail", "-n", "1", "-o", "name").out


def test_following_goes_on_with_requests_as_they_end_until_interrupted(used: Gwctl) -> None:
    command = [sys.executable, "-c", "from opsconsole.cli.main import main; main()"]
    process = subprocess.Popen(
        [*command, "usage", "tail", "--follow", "--json"], env=used.environ, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        first = [json.loads(process.stdout.readline())["request_id"] for _ in range(2)]
        with contextlib.closing(Home(used.environ, used.clock)) as home:
            asyncio.run(record(home, time.time_ns() // 1_000_000))
        later = [json.loads(process.stdout.readline())["request_id"] for _ in range(2)]
        assert sorted({*first, *later}) == first + later
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == Exit.INTERRUPTED
    finally:
        process.kill()
        process.communicate()


def test_a_request_shows_all_its_attempts(used: Gwctl) -> None:
    lines = used("usage", "tail", "--json").lines
    shown = used("usage", "request", lines[0]["request_id"], "--json").json
    assert [attempt["number"] for attempt in shown["attempts"]] == [1, 2]
    assert shown["attempts"][0]["error_code"] == "server_error"
    assert shown["attempts"][1]["provider_request_id"] == "prov-1"
    text = used("usage", "request", lines[1]["request_id"]).out
    assert "slow" in text
    assert "\x1b" not in text


def test_an_own_price_counts_from_its_date_on(gwctl: Gwctl) -> None:
    create = "upstreams create local --provider custom --no-secret --allow-private --base-url http://127.0.0.1:9/v1"
    assert gwctl(*create.split()).code == 0
    words = (
        "prices set local/m --input 0.10 --output 0.40 --cached-input 0.01 --per-call 0.002 --from 2026-09-01 --json"
    )
    price = gwctl(*words.split()).json
    assert (price["input"], price["cached_input"], price["output"], price["per_call"]) == (
        "0.1",
        "0.01",
        "0.4",
        "0.002",
    )
    assert price["cache_write"] is None
    assert price["effective_from"] == "2026-09-01T00:00:00.000Z"
    assert gwctl("prices", "show", "local/m", "--json").json["id"] == price["id"]
    assert [p["model"] for p in gwctl("prices", "list", "--own", "--json").json["prices"]] == ["m"]


def test_updating_prices_twice_adds_nothing(gwctl: Gwctl) -> None:
    assert gwctl("prices", "update").code == 0
    again = gwctl("prices", "update", "--json").json
    assert again["added"] == 0
    assert again["unchanged"] > 100
    assert "genai-prices" in again["source"]


def test_the_list_price_of_a_well_known_model_is_there(gwctl: Gwctl) -> None:
    create = "upstreams create openai --provider openai --secret-stdin"
    assert gwctl(*create.split(), stdin="sk-x\n").code == 0
    price = gwctl("prices", "show", "openai/gpt-4o-mini", "--json").json
    assert DECIMAL.fullmatch(price["input"])
    assert gwctl("prices", "show", "openai/no-such-model").code == Exit.NOT_FOUND


def test_a_price_without_a_beginning_shows_none_in_a_table_and_its_time_in_json(gwctl: Gwctl) -> None:
    create = "upstreams create openai --provider openai --secret-stdin"
    assert gwctl(*create.split(), stdin="sk-x\n").code == 0
    shown = gwctl("prices", "show", "openai/gpt-4o-mini")
    assert shown.code == 0
    assert "1970" not in shown.out
    assert "effective from  –" in shown.out
    assert gwctl("prices", "show", "openai/gpt-4o-mini", "--json").json["effective_from"] == "1970-01-01T00:00:00.000Z"
