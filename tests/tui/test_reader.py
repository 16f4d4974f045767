"""The reader over a real home: what the ledger says is what the console shows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event

from keyvault.domain.captures import Plan
from keyvault.domain.keys import Key, KeyState
from keyvault.domain.reports import LivePoint, LiveRow, LiveSnapshot, Totals
from keyvault.domain.vault import SlotKind
from keyvault.errors import GatewayError
from keyvault.home import Home
from keyvault.secrets import Secret
from opsconsole.readers.around import Surroundings
from opsconsole.readers.home import HomeReader
from opsconsole.readers.zone import local_zone
from opsconsole.tui.app import Console
from opsconsole.view.alerts import alerts
from opsconsole.view.health import Health, health
from opsconsole.view.live import reading
from opsconsole.view.live.snapshot import GroupBy, LiveQuestion
from opsconsole.view.snapshot import WINDOWS
from opsconsole.view.text import UNICODE
from screenshots.demo import CALLERS, NOW, StandingClock, make_home
from tests.conftest import FrozenClock
from tests.tui.driving import press, screen_text, until


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = make_home(tmp_path_factory.mktemp("home"))
    yield home
    home.close()


@pytest.fixture(scope="module")
def snapshot(home: Home) -> LiveSnapshot:
    return HomeReader(home, "UTC").read(LiveQuestion())


@contextmanager
def at(home: Home, moment: datetime) -> Iterator[None]:
    """The clock stands there for a while."""
    clock = home.clock
    assert isinstance(clock, StandingClock)
    clock.moment = moment
    try:
        yield
    finally:
        clock.moment = NOW


@contextmanager
def asked(home: Home) -> Iterator[list[str]]:
    """The statements that the database is asked meanwhile."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    event.listen(home.database.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(home.database.engine, "before_cursor_execute", note)


def test_the_figures_are_the_ledgers(home: Home, snapshot: LiveSnapshot) -> None:
    since = NOW.replace(second=0) - timedelta(minutes=14)
    reported = home.reports.usage(since, NOW + timedelta(minutes=1), ("key", "model"))
    shown = {
        row.key: (row.sums.requests, row.sums.errors, row.sums.input_tokens, row.sums.cost_pico)
        for row in snapshot.rows
    }
    assert shown == {
        row.group: (row.totals.requests, row.totals.errors, row.totals.input_tokens, row.totals.known_cost_pico)
        for row in reported.rows
    }
    assert snapshot.totals.requests == reported.total.requests
    assert sum(bucket.requests for bucket in snapshot.buckets) == reported.total.requests


def test_today_is_counted_from_midnight(home: Home, snapshot: LiveSnapshot) -> None:
    day = home.reports.usage(NOW.replace(hour=0, minute=0, second=0), NOW + timedelta(minutes=1))
    assert snapshot.spending.today_pico == day.total.known_cost_pico


@pytest.mark.parametrize("by", list(GroupBy))
def test_every_grouping_adds_up_to_the_same(home: Home, snapshot: LiveSnapshot, by: GroupBy) -> None:
    grouped = HomeReader(home, "UTC").read(LiveQuestion(by=by))
    assert sum(row.sums.requests for row in grouped.rows) == snapshot.totals.requests
    assert {bool(row.model) for row in grouped.rows} == {by.splits_by_model}


@pytest.mark.parametrize("window", WINDOWS, ids=lambda window: window.label)
def test_every_window_can_be_read(home: Home, window) -> None:  # type: ignore[no-untyped-def]
    wide = HomeReader(home, "UTC").read(LiveQuestion(window))
    assert wide.buckets
    assert wide.totals.requests > 0
    assert wide.spending.hourly_pico


def test_what_needs_a_person_is_found(snapshot: LiveSnapshot) -> None:
    told = [alert.text for alert in alerts(snapshot)]
    assert told[0].startswith("groq/llama-3.3-70b-versatile: ")
    assert told[1:] == ["qwen3-32b has no price: its cost is unknown", "key ci-nightly expires in 3 days"]


def test_a_capture_that_runs_is_told(home: Home) -> None:
    bounds = Plan(most=1, max_bytes=1, keep_seconds=1)
    made = home.captures.start(None, sample_ppm=1, lasts=timedelta(hours=13), plan=bounds)
    told = [alert.text for alert in alerts(HomeReader(home, "UTC").read(LiveQuestion()))]
    home.captures.delete(made.id)
    assert any(text.startswith("capturing all for another ") for text in told)


def test_targets_workers_and_streams_are_told(snapshot: LiveSnapshot) -> None:
    states = {target.target: health(target) for target in snapshot.targets}
    assert states["groq/llama-3.3-70b-versatile"] is Health.FAILING
    assert states["openai/gpt-5"] is Health.WELL
    assert len(states) == len({caller.target for caller in CALLERS})
    assert (snapshot.workers, snapshot.open_streams) == (1, 37)
    assert snapshot.setup.listen == "127.0.0.1:8900"


def test_two_readings_of_the_same_ledger_are_the_same(home: Home) -> None:
    reader = HomeReader(home, "UTC")
    first, second = reader.read(LiveQuestion()), reader.read(LiveQuestion())
    assert replace(first, now=None) == replace(second, now=None)


def test_while_nothing_is_new_the_answer_is_the_one_of_before_and_little_is_asked(home: Home) -> None:
    reader = HomeReader(home, "UTC")
    reader.read(LiveQuestion())
    with at(home, NOW + timedelta(seconds=2)):
        first = reader.read(LiveQuestion())
    with at(home, NOW + timedelta(seconds=4)), asked(home) as statements:
        assert reader.read(LiveQuestion()) is first
    assert not [each for each in statements if "totals_" in each or "attempts" in each]


def test_a_step_that_fills_no_further_is_drawn_lower_as_time_passes(home: Home) -> None:
    reader = HomeReader(home, "UTC")
    with at(home, NOW + timedelta(seconds=2)):
        first = reader.read(LiveQuestion())
    with at(home, NOW + timedelta(seconds=14)):
        later = reader.read(LiveQuestion())
    assert later.buckets[-1].requests == first.buckets[-1].requests > 0
    assert (later.buckets[-1].seconds - first.buckets[-1].seconds) == 10
    assert max(row.trend[-1] for row in later.rows) < max(row.trend[-1] for row in first.rows)


def test_a_worker_that_fell_silent_is_no_worker(home: Home) -> None:
    with at(home, NOW + timedelta(seconds=30)):
        later = HomeReader(home, "UTC").read(LiveQuestion())
    assert later.workers == 0
    assert later.open_streams is None
    assert alerts(later)[0].text == "no worker is running: gwctl serve"


async def test_the_console_comes_alive_as_the_home_is_set_up(tmp_path: Path, clock: FrozenClock) -> None:
    home = Home({"GWCTL_HOME": str(tmp_path / "home")}, clock)
    canary = "sk-canary-upstream-secret"
    console = Console(HomeReader(home, "UTC"), clock=clock, zone=UTC, glyphs=UNICODE)
    async with console.run_test(size=(100, 24)) as pilot:
        await until(pilot, lambda: "▸ gateway   gwctl init" in screen_text(console))
        home.initialise(SlotKind.FILE)
        home.upstreams.create("openai", "openai", secret=Secret(canary))
        await press(pilot, "ctrl+r")
        await until(pilot, lambda: "✓ upstream  openai" in screen_text(console))
        home.keys.create("my-app")
        await press(pilot, "ctrl+r")
        await until(pilot, lambda: "▸ worker    gwctl serve" in screen_text(console))
        home.workers.register("127.0.0.1:8900", "127.0.0.1:8901", "0.1.0")
        await press(pilot, "ctrl+r")
        await until(pilot, lambda: "▸ request   OPENAI_BASE_URL=http://127.0.0.1:8900/v1" in screen_text(console))
        assert canary not in console.export_screenshot()
    home.close()


def test_a_home_that_cannot_be_read_is_an_error_that_says_so(tmp_path: Path, clock: FrozenClock) -> None:
    home = Home({"GWCTL_HOME": str(tmp_path / "home")}, clock)
    home.initialise(SlotKind.FILE)
    home.close()
    home.paths.database_file.unlink()
    with pytest.raises(GatewayError):
        HomeReader(Home({"GWCTL_HOME": str(tmp_path / "home")}, clock), "UTC").read(LiveQuestion())


@pytest.mark.parametrize("used", [True, False], ids=["in use", "before the first request"])
def test_a_new_key_counts_at_once_and_keys_are_read_only_then(tmp_path: Path, clock: FrozenClock, used: bool) -> None:
    home = Home({"GWCTL_HOME": str(tmp_path / "home")}, clock)
    home.initialise(SlotKind.FILE)
    around = Surroundings(home)
    around.ever_used = used
    assert around.read(clock.now(), ())["setup"].keys == 0
    home.keys.create("my-app", expires_at=clock.now() + timedelta(days=1))
    told = around.read(clock.now(), ())
    assert (told["setup"].keys, [key.name for key in told["expiring_keys"]]) == (1, ["my-app"])
    with asked(home) as statements:
        assert around.read(clock.now(), ()) == told
    assert not [each for each in statements if "upstreams." in each or "keys.name" in each]
    home.close()


# Details of the translation


def live(**changes: object) -> LiveSnapshot:
    step = timedelta(minutes=1)
    points = tuple(LivePoint(NOW - step * (3 - at), Totals()) for at in range(4))
    empty = Totals()
    picture = LiveSnapshot(
        at=NOW + timedelta(seconds=30), window=timedelta(minutes=15), by="key", step=step, change=1, points=points,
        rows=(), targets=(), total=empty, last_minute=empty, last_hour=empty, today=empty,
        unpriced_models=(), last_request_at=None,
    )  # fmt: skip
    return replace(picture, **changes)  # type: ignore[arg-type]


def test_the_newest_step_of_a_trend_is_as_high_as_it_will_be() -> None:
    row = LiveRow("k", "m", Totals(), (60, 60, 30))
    assert reading.rows(live(rows=(row,)))[0].trend == (60, 60, 60)
    begun = live(rows=(row,), at=NOW + timedelta(seconds=1))
    assert reading.rows(begun)[0].trend == (60, 60, 60)


def test_an_hours_cost_is_not_told_too_low_while_the_gateway_is_young() -> None:
    used = Totals(attempts=1, requests=1, known_cost_pico=60)
    points = (*live().points[:2], LivePoint(NOW - timedelta(minutes=1), used), live().points[3])
    young = live(points=points, total=replace(used, known_cost_pico=15), at=NOW + timedelta(seconds=30))
    assert reading.spending(young).hourly_pico == 15 * 60 / 1.5
    assert reading.spending(live()).hourly_pico == 0
    just_begun = live(points=(LivePoint(NOW, used),), total=used)
    assert reading.spending(just_begun).hourly_pico is None
    wide = live(window=timedelta(hours=6), last_hour=used)
    assert reading.spending(wide).hourly_pico == 60


def test_a_name_cannot_carry_an_escape_to_the_terminal() -> None:
    evil = LiveRow("key", "m\x1b[31m\u202e\n", Totals(), ())
    assert reading.rows(live(rows=(evil,)))[0].model == "m?[31m??"


def test_what_keys_for_tests_did_stands_in_marked_rows_of_its_own() -> None:
    both = live(rows=(LiveRow("acme", "m", Totals(), ()), LiveRow("acme", "m", Totals(), (), test=True)))
    assert [row.key for row in reading.rows(both)] == [("acme", "m"), ("acme (test)", "m")]


def test_only_keys_in_use_that_end_soon_are_told(home: Home) -> None:
    key = next(key for key in home.keys.list() if key.name == "ci-nightly")

    def ending(days: float, state: KeyState = KeyState.ACTIVE) -> Key:
        return replace(key, expires_at=NOW + timedelta(days=days), state=state)

    told = [bool(reading.expiring([ending(days)], NOW)) for days in (6.9, 7.1, -0.9, -1.1)]
    assert told == [True, False, True, False]
    assert not reading.expiring([ending(1, KeyState.REVOKED)], NOW)
    assert not reading.expiring([replace(key, expires_at=None)], NOW)


def test_the_local_zone_is_known_by_name_or_it_is_utc() -> None:
    assert local_zone({"TZ": "Europe/Berlin"}) == "Europe/Berlin"
    assert local_zone({"TZ": ":Asia/Tokyo"}) == "Asia/Tokyo"
    assert "/" in local_zone({"TZ": "CET-1CEST,nonsense"}) or local_zone({"TZ": "CET-1CEST,nonsense"}) in (
        "UTC",
        "Etc/UTC",
    )
