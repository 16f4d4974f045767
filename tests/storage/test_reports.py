"""Reports: sums by anything, exact in every time zone; single requests; the live picture."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa

from keyvault.clock import to_ms
from keyvault.domain.ledger import Basis, Outcome, Usage
from keyvault.domain.reports import UsageReport, add
from keyvault.domain.routes import Target
from keyvault.errors import NotFound, UsageError
from keyvault.metering.ledger import Ledger
from keyvault.metering.reports import Reports
from keyvault.storage import epochs
from keyvault.storage.engine import Database
from keyvault.storage.schema import customers, keys, projects, totals_quarter
from tests.conftest import FrozenClock
from tests.ledgers import attempt, settlement

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
SEARCH, BOT, NIGHTLY, DRILL = 1, 2, 3, 4
WEB, CI = 1, 2


@pytest.fixture
def people(database: Database) -> None:
    """acme/web has keys search, bot and drill (for tests), internal/ci has nightly; tags on each kind."""
    made = {"created_ms": 0}
    key = {"env": "live", "state": "active", "policy": "{}", "created_ms": 0, "epoch": 0}
    with database.write() as tx:
        for number, (name, tags) in enumerate((("acme", '{"tier":"gold"}'), ("internal", "{}")), 1):
            tx.execute(sa.insert(customers).values(id=number, name=name, folded=name, tags=tags, **made))
        for number, (name, tags) in enumerate((("web", '{"team":"a"}'), ("ci", "{}")), 1):
            tx.execute(
                sa.insert(projects).values(id=number, customer_id=number, name=name, folded=name, tags=tags, **made)
            )
        for number, (name, project, tags) in enumerate(
            (("search", 1, '{"team":"b"}'), ("bot", 1, "{}"), ("nightly", 2, "{}")), 1
        ):
            values = {"public_id": name, "name": name, "folded": name, "project_id": project, "tags": tags}
            tx.execute(sa.insert(keys).values(id=number, **values, **key))
        drill = {"public_id": "drill", "name": "drill", "folded": "drill", "project_id": WEB, "tags": "{}"}
        tx.execute(sa.insert(keys).values(id=DRILL, **drill, **{**key, "env": "test"}))


class Books:
    """Writes requests into a ledger, one line each."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.count = 0

    async def add(
        self,
        at: datetime,
        key: int = SEARCH,
        target: str = "openai/gpt-5",
        alias: str = "fast",
        payer: int = 0,
        tags: str | None = None,
        **fields: Any,
    ) -> str:
        self.count += 1
        ids = {"alias_id": self.ledger.alias_id(alias), "target_id": self.ledger.target_id(Target(*target.split("/")))}
        one = attempt(to_ms(at), entropy=self.count, key_id=key, project_id=payer, tags=tags, **ids)
        await self.ledger.open(one)
        await self.ledger.settle(settlement(one, **fields))
        return one.request_id


@pytest_asyncio.fixture
async def books(database: Database, clock: FrozenClock, people: None) -> AsyncIterator[Books]:
    ledger = Ledger(database, clock, "w1")
    ledger.start(asyncio.get_running_loop())
    yield Books(ledger)
    await asyncio.to_thread(ledger.stop)


@pytest.fixture
def reports(database: Database, clock: FrozenClock) -> Reports:
    return Reports(database, clock)


def requests(report: UsageReport) -> dict[tuple[str, ...], int]:
    return {row.group: row.totals.requests for row in report.rows}


HOUR = timedelta(hours=1)


async def test_usage_by_each_dimension(books: Books, reports: Reports) -> None:
    await books.add(NOON, SEARCH)
    await books.add(NOON, BOT, "anthropic/claude", "smart")
    await books.add(NOON, NIGHTLY, "openai/gpt-4")

    def by(*names: str) -> dict[tuple[str, ...], int]:
        return requests(reports.usage(NOON - HOUR, NOON + HOUR, names))

    assert by() == {(): 3}
    assert by("customer") == {("acme",): 2, ("internal",): 1}
    assert by("project") == {("acme/web",): 2, ("internal/ci",): 1}
    assert by("key") == {("search",): 1, ("bot",): 1, ("nightly",): 1}
    assert by("alias") == {("fast",): 2, ("smart",): 1}
    assert by("model") == {("gpt-5",): 1, ("claude",): 1, ("gpt-4",): 1}
    assert by("upstream") == {("openai",): 2, ("anthropic",): 1}
    assert by("target") == {("openai/gpt-5",): 1, ("anthropic/claude",): 1, ("openai/gpt-4",): 1}
    assert by("day") == {("2026-10-01",): 3}
    assert by("hour") == {("2026-10-01T12:00Z",): 3}
    assert by("customer", "upstream") == {("acme", "openai"): 1, ("acme", "anthropic"): 1, ("internal", "openai"): 1}
    assert by("hour", "key", "day")[("2026-10-01T12:00Z", "bot", "2026-10-01")] == 1


async def test_a_tag_counts_all_that_carries_it_and_the_total_counts_once(books: Books, reports: Reports) -> None:
    """The nearer tag wins: search says team=b though its project says team=a."""
    for key in (SEARCH, BOT, NIGHTLY):
        await books.add(NOON, key)
    report = reports.usage(NOON - HOUR, NOON + HOUR, ("tag",))
    assert requests(report) == {("tier=gold",): 2, ("team=a",): 1, ("team=b",): 1, ("(untagged)",): 1}
    assert report.total.requests == 3


async def test_customer_project_and_their_tags_are_those_who_pay_and_the_key_stays(
    books: Books, reports: Reports
) -> None:
    await books.add(NOON, SEARCH)
    await books.add(NOON, SEARCH, payer=CI)
    await books.add(NOON, NIGHTLY, payer=WEB)
    await books.add(NOON, 99, payer=CI)

    def by(*names: str, **filters: str) -> dict[tuple[str, ...], int]:
        return requests(reports.usage(NOON - HOUR, NOON + HOUR, names, filters=filters))

    assert by("customer") == {("acme",): 2, ("internal",): 2}
    assert by("project", "key") == {
        ("acme/web", "search"): 1,
        ("internal/ci", "search"): 1,
        ("acme/web", "nightly"): 1,
        ("internal/ci", "#99"): 1,
    }
    assert by("key") == {("search",): 2, ("nightly",): 1, ("#99",): 1}
    assert by("tag") == {("team=b",): 2, ("tier=gold",): 2, ("team=a",): 1, ("(untagged)",): 1}
    assert by("key", customer="INTERNAL") == {("search",): 1, ("#99",): 1}
    assert by("key", customer="acme", key="nightly") == {("nightly",): 1}
    assert by(tag="team=a", model="gpt-5") == {(): 1}
    assert by("customer", project="acme/none") == {}
    assert ("search", "internal", "ci") in {(line.key, line.customer, line.project) for line in reports.tail(9)}
    for group, rows in (("customer", {"acme": 2, "internal": 2}), ("key", {"search": 2, "nightly": 1, "#99": 1})):
        assert {row.group: row.totals.requests for row in reports.live(HOUR, group).rows} == rows


async def test_what_keys_for_tests_did_is_left_out_unless_it_is_asked_for(books: Books, reports: Reports) -> None:
    await books.add(NOON, SEARCH)
    await books.add(NOON, DRILL)
    await books.add(NOON, DRILL, "openai/gpt-4")

    def usage(*by: str, **filters: Any) -> UsageReport:
        return reports.usage(NOON - HOUR, NOON + HOUR, by, filters=filters)

    for by in ((), ("customer",), ("model",), ("day",), ("alias", "hour")):
        usual = usage(*by)
        assert sum(requests(usual).values()) == usual.total.requests == 1, by
        assert usual.envs == ("live",)
        assert usual.left_out is not None
        assert (usual.left_out.requests, usual.left_out.known_cost_pico) == (2, 14_000)
    assert requests(usage("model", env="test")) == {("gpt-5",): 1, ("gpt-4",): 1}
    assert requests(usage(env=("live", "test"))) == {(): 3}
    assert (usage(env=("live", "test")).left_out, usage("env").left_out) == (None, None)
    assert requests(usage("env", "model")) == {("live", "gpt-5"): 1, ("test", "gpt-5"): 1, ("test", "gpt-4"): 1}
    told = usage(model="gpt-5").left_out
    assert told is not None
    assert told.requests == 1, "only of what was asked for"
    rows = {(row.group, row.model, row.test): row.totals.requests for row in reports.live(HOUR, "project").rows}
    assert rows == {("acme/web", "gpt-5", False): 1, ("acme/web", "gpt-5", True): 1, ("acme/web", "gpt-4", True): 1}
    assert [line.env for line in reports.tail(3)] == ["live", "test", "test"]


async def test_requests_are_found_by_the_tags_they_came_with(books: Books, reports: Reports) -> None:
    await books.add(NOON, tags='{"feature": "search", "team": "web"}')
    await books.add(NOON, tags='{"team": "Web"}')
    await books.add(NOON, tags=r'{"note": "\"team\": \"web\""}')
    await books.add(NOON)

    def found(**tags: str) -> list[dict[str, str]]:
        return [dict(line.tags) for line in reports.follow(10, tags).next()]

    assert found(team="web") == [{"feature": "search", "team": "web"}]
    assert found(team="web", feature="search") == [{"feature": "search", "team": "web"}]
    assert found(team="w_b") == found(team="%") == []
    assert len(found()) == 4


async def test_sums_and_what_is_not_known(books: Books, reports: Reports) -> None:
    await books.add(NOON)
    await books.add(NOON, usage=Usage(), basis=Basis.UNKNOWN, cost_pico=None, charge_pico=None, outcome=Outcome.ABORTED)
    await books.add(NOON, BOT, cost_pico=None, charge_pico=None, outcome=Outcome.FAILED, basis=Basis.ESTIMATE)
    first, second = reports.usage(NOON - HOUR, NOON + HOUR, ("key",)).rows
    assert first.group == ("search",)
    sums = first.totals
    assert (sums.requests, sums.attempts, sums.errors, sums.unknown_cost_attempts) == (2, 2, 0, 1)
    assert (sums.input_tokens, sums.cached_input_tokens, sums.cache_write_tokens) == (1000, 400, 100)
    assert (sums.output_tokens, sums.reasoning_tokens) == (50, 20)
    assert (sums.cost_pico, sums.charge_pico, sums.basis) == (7_000, 8_000, {"provider": 1, "unknown": 1})
    assert (second.totals.cost_pico, second.totals.charge_pico, second.totals.errors) == (None, 0, 1)


NOTHING: dict[str, Any] = {"usage": Usage(input=0, output=0), "basis": Basis.PROVIDER, "cost_pico": 0, "charge_pico": 0}
"""An attempt that did not reach its provider, was refused, or asked for what is free."""
UNPRICED: dict[str, Any] = {"cost_pico": None, "charge_pico": None}


async def test_a_cost_of_failures_that_came_to_nothing_does_not_make_an_unknown_cost_zero(
    books: Books, reports: Reports
) -> None:
    await books.add(NOON, SEARCH, outcome=Outcome.FAILED, **NOTHING)
    await books.add(NOON, SEARCH, **UNPRICED)
    await books.add(NOON, BOT, outcome=Outcome.FAILED, **NOTHING)
    await books.add(NOON, NIGHTLY, cost_pico=0, charge_pico=0)
    await books.add(NOON, NIGHTLY, **UNPRICED)
    report = reports.usage(NOON - HOUR, NOON + HOUR, ("key",))
    costs = {row.group[0]: row.totals.cost_pico for row in report.rows}
    assert costs == {"search": None, "bot": 0, "nightly": 0}
    assert reports.usage(NOON - 2 * HOUR, NOON - HOUR).total.cost_pico == 0
    assert add([row.totals for row in report.rows]) == report.total


async def test_attempts_that_came_to_nothing_say_nothing_about_how_counts_are_known(
    books: Books, reports: Reports
) -> None:
    await books.add(NOON, outcome=Outcome.FAILED, **NOTHING)
    await books.add(NOON, basis=Basis.ESTIMATE)
    total = reports.usage(NOON - HOUR, NOON + HOUR).total
    assert (total.attempts, total.free_attempts, total.basis) == (2, 1, {"estimate": 1})


@pytest.mark.parametrize("limit", [-1, 10**19])
def test_a_number_of_requests_beyond_all_bounds_is_refused(reports: Reports, limit: int) -> None:
    with pytest.raises(UsageError):
        reports.tail(limit)
    with pytest.raises(UsageError):
        reports.follow(limit)


async def test_filters_narrow_by_name_without_regard_to_case(books: Books, reports: Reports) -> None:
    await books.add(NOON, SEARCH)
    await books.add(NOON, NIGHTLY, "openai/gpt-4")

    def only(**filters: Any) -> int:
        return reports.usage(NOON - HOUR, NOON + HOUR, ("key",), filters=filters).total.requests

    assert only(customer="ACME") == 1
    assert only(project="internal/ci") == 1
    assert only(model=["gpt-4", "gpt-5"]) == 2
    assert only(tag="team=b", upstream="openai") == 1
    assert only(key="search", model="gpt-4") == 0
    assert only(key="nobody") == 0


@pytest.mark.parametrize("by", [("colour",), ("key", "")])
def test_a_dimension_that_does_not_exist_is_refused(reports: Reports, by: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        reports.usage(NOON, NOON + HOUR, by)


def test_a_time_zone_that_does_not_exist_is_refused(reports: Reports) -> None:
    for zone in ("Mars/Olympus", "../../etc/passwd", "a\0b", ""):
        with pytest.raises(UsageError, match="no such time zone"):
            reports.usage(NOON, NOON + HOUR, ("day",), zone)


async def test_the_range_is_exact_to_the_minute_lately_and_to_the_quarter_before(
    books: Books, reports: Reports, clock: FrozenClock
) -> None:
    await books.add(NOON - timedelta(minutes=7))
    await books.add(NOON - timedelta(minutes=6))
    recent = reports.usage(NOON - timedelta(minutes=6), NOON + HOUR)
    assert recent.total.requests == 1
    assert recent.since == NOON - timedelta(minutes=6)
    clock.advance(days=9)
    old = reports.usage(NOON - timedelta(minutes=6), NOON + HOUR)
    assert old.total.requests == 2
    assert old.since == NOON - timedelta(minutes=15)


@pytest.mark.parametrize(
    "zone", ["UTC", "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe", "Pacific/Chatham"]
)
async def test_days_and_hours_are_those_of_the_time_zone(books: Books, reports: Reports, zone: str) -> None:
    """Kathmandu is 5:45 ahead; New York and Lord Howe (by half an hour) change their clocks in the range."""
    from zoneinfo import ZoneInfo

    begin = datetime(2026, 10, 2, tzinfo=UTC)
    moments = [begin + timedelta(hours=2 * n, minutes=(17 * n) % 60) for n in range(0, 420, 3)]
    await asyncio.gather(*(books.add(moment) for moment in moments))
    local = [moment.astimezone(ZoneInfo(zone)) for moment in moments]
    expected: dict[tuple[str, ...], int] = {}
    for moment in local:
        label = (moment.date().isoformat(),)
        expected[label] = expected.get(label, 0) + 1
    end = begin + timedelta(days=40)
    report = reports.usage(begin, end, ("day",), zone)
    assert requests(report) == expected
    assert [row.group for row in report.rows] == sorted(expected)
    hours = requests(reports.usage(begin, end, ("hour",), zone))
    assert sum(hours.values()) == len(moments)
    # A zone's hours may begin at :15, :30 or :45 UTC; each is named by the local clock.
    named = {
        moment.replace(minute=0, second=0).isoformat(timespec="minutes").replace("+00:00", "Z") for moment in local
    }
    assert {label for (label,) in hours} == named


async def test_long_ranges_add_up_from_days_quarters_and_minutes(books: Books, reports: Reports) -> None:
    moments = [NOON - timedelta(minutes=n * 337) for n in range(200)]
    await asyncio.gather(*(books.add(moment) for moment in moments))
    for back in (timedelta(minutes=61), timedelta(days=3, minutes=7), timedelta(days=7, hours=3)):
        found = reports.usage(NOON - back, NOON + timedelta(minutes=1)).total.requests
        assert found == sum(moment >= NOON - back for moment in moments)


async def test_sums_leave_64_bits_without_harm(books: Books, database: Database, reports: Reports) -> None:
    await books.add(NOON)
    with database.write() as tx:
        for key in range(10, 15):
            tx.execute(
                sa.insert(totals_quarter).values(
                    bucket=to_ms(NOON) // 900_000,
                    key_id=key,
                    alias_id=1,
                    target_id=1,
                    attempts=1,
                    cost_pico=2**63 - 1,
                    charge_pico=2**63 - 1,
                )
            )
    total = reports.usage(NOON, NOON + timedelta(minutes=15)).total
    assert total.cost_pico == 5 * (2**63 - 1) + 7_000


class TestRequests:
    async def test_the_tail_is_the_newest_requests_oldest_first(self, books: Books, reports: Reports) -> None:
        ids = [await books.add(NOON + timedelta(seconds=n)) for n in range(5)]
        assert [line.request_id for line in reports.tail(3)] == ids[2:]
        assert [line.request_id for line in reports.tail(10, after=ids[1])] == ids[2:]

    async def test_a_line_says_who_what_where_and_how_it_is_known(self, books: Books, reports: Reports) -> None:
        request_id = await books.add(NOON, status=200, error_code=None)
        (line,) = reports.tail(1)
        assert (line.request_id, line.at) == (request_id, NOON)
        assert (line.customer, line.project, line.key) == ("acme", "web", "search")
        assert (line.alias, line.model, line.target) == ("fast", "gpt-5", "openai/gpt-5")
        assert (line.status, line.outcome, line.error, line.attempts) == (200, "served", None, 1)
        assert (line.input_tokens, line.cached_input_tokens, line.cache_write_tokens) == (1000, 400, 100)
        assert (line.output_tokens, line.reasoning_tokens, line.basis) == (50, 20, "provider")
        assert (line.cost_pico, line.charge_pico) == (7_000, 8_000)
        assert (line.first_content_ms, line.total_ms) == (40, 120)

    async def test_a_request_with_a_fallback_is_one_line(self, books: Books, reports: Reports) -> None:
        first = attempt(to_ms(NOON), target_id=books.ledger.target_id(Target("a", "m")))
        second = attempt(to_ms(NOON), 2, target_id=books.ledger.target_id(Target("b", "m")))
        second.started_ms += 500
        await books.ledger.open(first)
        failed = {"outcome": Outcome.FAILED, "final": False, "status": 429, "usage": Usage(), "cost_pico": 0}
        await books.ledger.settle(settlement(first, **failed, error_code="rate_limit", charge_pico=0))
        assert reports.tail(10) == []
        await books.ledger.open(second)
        open_detail = reports.request(first.request_id)
        assert [a.outcome for a in open_detail.attempts] == ["failed", "open"]
        assert reports.cost(first.request_id) is None
        await books.ledger.settle(settlement(second))
        (line,) = reports.tail(10)
        assert (line.target, line.attempts, line.outcome, line.cost_pico) == ("b/m", 2, "served", 7_000)
        assert (line.first_content_ms, line.total_ms) == (540, 620)
        assert (reports.cost(first.request_id), reports.cost("no such request")) == (7_000, 0)
        detail = reports.request(first.request_id.lower())
        assert [(a.number, a.target, a.outcome, a.error_code) for a in detail.attempts] == [
            (1, "a/m", "failed", "rate_limit"),
            (2, "b/m", "served", None),
        ]

    async def test_following_gives_each_request_once_in_the_order_of_their_ends(
        self, books: Books, reports: Reports, clock: FrozenClock
    ) -> None:
        old = await books.add(NOON - HOUR)
        long = attempt(to_ms(NOON), entropy=77)
        await books.ledger.open(long)
        newer = await books.add(NOON + timedelta(seconds=1))
        follow = reports.follow(1)
        assert [line.request_id for line in follow.next()] == [newer]
        clock.advance(seconds=600)
        newest = await books.add(NOON + timedelta(seconds=599))
        assert [line.request_id for line in follow.next()] == [newest]
        assert follow.next() == []
        await books.ledger.settle(settlement(long))
        assert [line.request_id for line in follow.next()] == [long.request_id]
        assert follow.next() == []
        assert old not in {long.request_id, newer, newest}

    def test_a_request_that_does_not_exist(self, reports: Reports) -> None:
        for name in ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "", "\x1b[31m", "x" * 10_000):
            with pytest.raises(NotFound):
                reports.request(name)


class TestLive:
    async def test_the_picture_adds_up(self, books: Books, reports: Reports, clock: FrozenClock) -> None:
        for minute in range(10):
            at = NOON - timedelta(minutes=minute)
            await books.add(at, SEARCH, first_content_ms=150)
            await books.add(at, BOT, "anthropic/claude", cost_pico=None, charge_pico=None, outcome=Outcome.FAILED)
        snapshot = reports.live(timedelta(minutes=5))
        assert (snapshot.step, len(snapshot.points)) == (timedelta(minutes=1), 5)
        assert [point.totals.requests for point in snapshot.points] == [2] * 5
        assert snapshot.points[-1].at == NOON
        assert [(r.group, r.model, r.totals.requests, r.trend) for r in snapshot.rows] == [
            ("search", "gpt-5", 5, (1, 1, 1, 1, 1)),
            ("bot", "claude", 5, (1, 1, 1, 1, 1)),
        ]
        assert [(t.target, t.totals.failures, t.recent.attempts) for t in snapshot.targets] == [
            ("anthropic/claude", 5, 5),
            ("openai/gpt-5", 0, 5),
        ]
        assert (snapshot.total.requests, snapshot.total.errors) == (10, 5)
        assert snapshot.last_minute.requests == 2
        assert snapshot.last_hour.requests == 20
        assert snapshot.unpriced_models == ("claude",)
        assert snapshot.last_request_at == NOON
        assert snapshot.rows[0].totals.first_content_ms(0.5) == 150

    @pytest.mark.parametrize(
        ("window", "step", "points"),
        [
            (timedelta(minutes=15), timedelta(minutes=1), 15),
            (timedelta(hours=1), timedelta(minutes=1), 60),
            (timedelta(hours=6), timedelta(minutes=15), 24),
            (timedelta(days=1), timedelta(minutes=15), 96),
            (timedelta(days=7), timedelta(hours=2), 84),
            (timedelta(days=30), timedelta(days=1), 30),
        ],
    )
    async def test_every_window_ends_now_and_has_no_gaps(
        self, books: Books, reports: Reports, window: timedelta, step: timedelta, points: int
    ) -> None:
        await books.add(NOON)
        await books.add(NOON - window / 2)
        await books.add(NOON - window * 2)
        snapshot = reports.live(window)
        assert (snapshot.step, len(snapshot.points)) == (step, points)
        gaps = {b.at - a.at for a, b in zip(snapshot.points, snapshot.points[1:], strict=False)}
        assert gaps == {step}
        assert snapshot.points[-1].at <= NOON < snapshot.points[-1].at + step
        assert snapshot.total.requests == sum(p.totals.requests for p in snapshot.points) == 2
        assert sum(snapshot.rows[0].trend) == 2

    @pytest.mark.parametrize(
        ("by", "rows"),
        [
            ("key", [("bot", "claude"), ("search", "gpt-5")]),
            ("project", [("acme/web", "claude"), ("acme/web", "gpt-5")]),
            ("customer", [("acme", "claude"), ("acme", "gpt-5")]),
            ("model", [("claude", ""), ("gpt-5", "")]),
            ("target", [("anthropic/claude", ""), ("openai/gpt-5", "")]),
        ],
    )
    async def test_rows_by_each_group(
        self, books: Books, reports: Reports, by: str, rows: list[tuple[str, str]]
    ) -> None:
        await books.add(NOON, SEARCH)
        await books.add(NOON, BOT, "anthropic/claude")
        assert [(row.group, row.model) for row in reports.live(timedelta(minutes=5), by).rows] == rows

    async def test_new_requests_show_at_once_and_names_with_them(self, books: Books, reports: Reports) -> None:
        assert reports.live(timedelta(minutes=15)).rows == ()
        await books.add(NOON)
        first = reports.live(timedelta(minutes=15))
        await books.add(NOON, BOT, "groq/llama")
        second = reports.live(timedelta(minutes=15))
        assert (first.total.requests, second.total.requests) == (1, 2)
        assert {(row.group, row.model) for row in second.rows} == {("search", "gpt-5"), ("bot", "llama")}
        assert second.change > first.change

    async def test_while_nothing_is_new_the_picture_is_the_same_until_the_minute_turns(
        self, books: Books, reports: Reports, clock: FrozenClock
    ) -> None:
        await books.add(NOON)
        first = reports.live(timedelta(minutes=15))
        clock.advance(seconds=59)
        assert reports.live(timedelta(minutes=15)) is first
        clock.advance(seconds=1)
        turned = reports.live(timedelta(minutes=15))
        assert (turned.points[-1].totals.requests, turned.total.requests) == (0, 1)
        await books.add(NOON + timedelta(minutes=1))
        assert reports.live(timedelta(minutes=15)).total.requests == 2

    async def test_a_key_that_is_called_something_else_is_so_at_once(
        self, books: Books, reports: Reports, database: Database
    ) -> None:
        await books.add(NOON, SEARCH)
        assert [row.group for row in reports.live(HOUR).rows] == ["search"]
        with database.write() as tx:
            tx.execute(sa.update(keys).where(keys.c.id == SEARCH).values(name="seek"))
            epochs.bump(tx, "keys")
        assert [row.group for row in reports.live(HOUR).rows] == ["seek"]

    async def test_a_late_settlement_shows_when_the_minute_turns(
        self, books: Books, reports: Reports, clock: FrozenClock
    ) -> None:
        assert reports.live(timedelta(hours=6)).total.requests == 0
        await books.add(NOON - timedelta(hours=2))
        clock.advance(seconds=60)
        assert reports.live(timedelta(hours=6)).total.requests == 1

    async def test_today_begins_at_the_readers_midnight(self, books: Books, reports: Reports) -> None:
        """At noon UTC it is one in the morning of the next day on Tonga."""
        await books.add(NOON - timedelta(hours=3))
        await books.add(NOON)
        assert reports.live(timedelta(minutes=5)).today.requests == 2
        assert reports.live(timedelta(minutes=5), tz="Pacific/Tongatapu").today.requests == 1

    def test_rows_by_something_else_are_refused(self, reports: Reports) -> None:
        with pytest.raises(UsageError):
            reports.live(timedelta(minutes=5), "colour")


async def test_groupings_read_at_one_instant_add_up_to_the_same_in_every_zone(books: Books, reports: Reports) -> None:
    for hours, key, target in (
        (0, SEARCH, "openai/gpt-5"),
        (7, BOT, "openai/gpt-5"),
        (13, NIGHTLY, "anthropic/claude"),
    ):
        await books.add(NOON - hours * HOUR, key, target, cost_pico=10**12 + hours)
    groupings = ((), ("customer",), ("customer", "project", "model"), ("day",), ("hour", "key"))
    for tz in ("UTC", "Asia/Kathmandu", "America/St_Johns", "Pacific/Chatham", "Europe/Berlin"):
        told = reports.usages(NOON - 24 * HOUR, NOON + HOUR, groupings, tz)
        assert {add([row.totals for row in report.rows]).known_cost_pico for report in told} == {3 * 10**12 + 20}
        assert {report.total.requests for report in told} == {3}
    with pytest.raises(UsageError, match="no dimension 'colour'"):
        reports.usages(NOON - HOUR, NOON, (("key",), ("colour",)))
