"""The Keys view: what it shows of keys, projects and customers, and every change made from it on a real home."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from keyvault.domain.balances import Balance
from keyvault.domain.budgets import Budget, Period
from keyvault.domain.keys import Generation, GenerationState, Key, KeyState, Policy
from keyvault.domain.limits import Limit, parse_change
from keyvault.domain.scopes import ScopeKind, ScopeRef, parse_scope
from keyvault.home import Home
from keyvault.keys.defaults import Defaults
from keyvault.metering.budgets import Terms
from keyvault.secrets import Secret
from opsconsole.readers.first import FirstRequests
from opsconsole.readers.home import HomeReader
from opsconsole.tui.app import Console
from opsconsole.tui.deeds.keys import Fresh
from opsconsole.tui.dialogs.deed_dialog import DeedDialog
from opsconsole.tui.dialogs.new_secret import NewSecret
from opsconsole.view.keys.rows import table
from opsconsole.view.keys.snapshot import (
    Awaited,
    Cap,
    FirstRequest,
    GroupRow,
    KeyRow,
    KeysBy,
    KeysQuestion,
    KeysSnapshot,
    Money,
    Row,
    Usage,
)
from opsconsole.view.table import Sort
from tests.tui.driving import RecordingConsole, press, running, screen_text, until
from tests.tui.examples import DOLLAR, NOW, SETUP, wave
from tests.tui.operating import a_home, agree, fill, operating, refusal
from tests.tui.test_pictures import compare

CANARY = "sk-gw_live_CanaryCanar_abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
ACME = ScopeRef(ScopeKind.CUSTOMER, 1, "acme")


def generation(number: int = 1, state: GenerationState = GenerationState.ACTIVE, **more: object) -> Generation:
    made = Generation(
        number, state, "sk-gw_live_8fK2…q7Zb", NOW - timedelta(days=20), activated_at=NOW - timedelta(days=19),
        last_used_at=NOW - timedelta(seconds=2), last_client="openai-python/3.3", last_address="10.2.4.17",
    )  # fmt: skip
    return replace(made, **more)  # type: ignore[arg-type]


def key(name: str, project: str = "acme/helpdesk", *generations: Generation, **more: object) -> Key:
    customer, _, own = project.partition("/")
    made = Key(
        1, "8fK2AbCdEfGh", name, 1, customer, own, "live", KeyState.ACTIVE, Policy(), {}, NOW - timedelta(days=90),
        None, generations or (generation(),),
    )  # fmt: skip
    return replace(made, **more)  # type: ignore[arg-type]


def cap(spent: float, amount: int, scope: ScopeRef, period: Period = Period.MONTH, *, hard: bool = True) -> Cap:
    budget = Budget(1, scope, "", "live", period, "UTC", amount * DOLLAR, hard, (80, 100), NOW)
    return Cap(budget, round(spent * DOLLAR), 0, NOW + timedelta(days=30))


def of(name: str) -> ScopeRef:
    return ScopeRef(ScopeKind.KEY, 1, name)


def row(of: Key, state: KeyState | None = None, **more: object) -> KeyRow:
    made = KeyRow(of.name, Usage(), (), (), (), of, state or of.state)
    return replace(made, **more)  # type: ignore[arg-type]


PURSE = Money(Balance(1, ACME, "live", 200 * DOLLAR, 79 * DOLLAR, DOLLAR, None, NOW), 2 * DOLLAR)
BUSY = Usage(1_204, 2, round(4.12 * DOLLAR), round(61.2 * DOLLAR), hours=tuple(map(int, wave(24, 0, 40))))
ROWS: tuple[Row, ...] = (
    row(
        key(
            "support-bot", "acme/helpdesk", generation(3),
            generation(2, GenerationState.GRACE, valid_until=NOW + timedelta(hours=1),
                       last_used_at=NOW - timedelta(minutes=4)),
            policy=Policy(models=("gpt-5*", "claude-*"), addresses=("10.2.0.0/16",), rotate_every_s=30 * 86_400),
            expires_at=NOW + timedelta(days=120),
        ),
        used=BUSY, rotating=True, caps=(cap(61.2, 100, of("support-bot")), cap(300, 2_000, ACME)),
        limits=(Limit(1, of("support-bot"), "", 60, 200_000, None),), balances=(PURSE,),
    ),
    row(key("ci-nightly", "internal/ci", env="test", expires_at=NOW + timedelta(days=3)),
        used=Usage(310, 12, DOLLAR, round(46 * DOLLAR)), caps=(cap(46, 50, of("ci-nightly")),)),
    row(key("search-indexer", "acme/search"), used=Usage(9_310, 0, DOLLAR, round(12.44 * DOLLAR), hours=(1, 2, 3)),
        balances=(PURSE,)),
    row(key("old-prototype", "internal/lab", state=KeyState.SUSPENDED)),
    row(key("partner-x", "partner/api", generation(state=GenerationState.REVOKED), state=KeyState.REVOKED)),
    row(key("trial", "globex/app", expires_at=NOW - timedelta(days=2)), KeyState.EXPIRED),
    row(key("web", "globex/app", suspended_by="customer:globex"), caps=(cap(5, 5, of("web"), Period.DAY),)),
)  # fmt: skip
CUSTOMERS: tuple[Row, ...] = (
    GroupRow("acme", BUSY, (cap(300, 2_000, ACME),), (), (PURSE,), ScopeKind.CUSTOMER, 4, 4, False,
             multiplier_ppm=1_150_000, last_used_at=NOW, projects=3),
    GroupRow("globex", Usage(), (), (), (), ScopeKind.CUSTOMER, 2, 0, True, multiplier_ppm=1_000_000, projects=1),
)  # fmt: skip
PROJECTS: tuple[Row, ...] = (
    GroupRow("acme/helpdesk", BUSY, (cap(300, 2_000, ACME),), (), (PURSE,), ScopeKind.PROJECT, 2, 2, False),
    GroupRow("acme/search", Usage(), (), (), (PURSE,), ScopeKind.PROJECT, 2, 2, False),
)
DELETED: tuple[Row, ...] = (
    row(key("gone", "acme/search", state=KeyState.DELETED, deleted_at=NOW - timedelta(days=1)), KeyState.DELETED),
)
SHOWN = {KeysBy.KEY: ROWS, KeysBy.PROJECT: PROJECTS, KeysBy.CUSTOMER: CUSTOMERS, KeysBy.DELETED: DELETED}


def busy(question: object) -> KeysSnapshot:
    asked = question if isinstance(question, KeysQuestion) else KeysQuestion()
    return KeysSnapshot(
        asked, NOW, SETUP, 1, rows=SHOWN[asked.by], usual=Defaults(Policy(), "live", None, timedelta(hours=24)),
        names=tuple(each.name for each in ROWS), projects=("acme/helpdesk", "acme/search", "default/default"),
        customers=("acme", "globex"), models=("fast", "smart"),
    )  # fmt: skip


def bare(question: object) -> KeysSnapshot:
    return replace(busy(question), rows=())


def long_names(question: object) -> KeysSnapshot:
    """A key whose project and customer have names that fill a line."""
    return replace(busy(question), rows=(row(key("bot", "international-operations/customer-support-assistants")),))


# What it looks like

STATES = {
    "keys-60x15": (busy, (60, 15), ()),
    "keys-80x24": (busy, (80, 24), ()),
    "keys-120x36": (busy, (120, 36), ("j", "j", "j", "j", "j")),
    "keys-200x60": (busy, (200, 60), ("j",)),
    "keys-empty": (bare, (80, 24), ()),
    "keys-filtered": (busy, (80, 24), ("slash", *"suspend")),
    "keys-opened": (busy, (80, 24), ("G", "k", "k", "enter")),
    "keys-customers": (busy, (120, 36), ("g", "c")),
    "keys-projects": (busy, (80, 24), ("g", "p")),
    "keys-deleted": (busy, (80, 24), ("g", "d")),
    "keys-new": (busy, (80, 24), ("n",)),
    "keys-revoke": (busy, (80, 24), ("D",)),
    "keys-budget": (busy, (80, 24), ("b",)),
    "keys-top-up": (long_names, (80, 24), ("t",)),
}


@pytest.mark.parametrize("name", STATES)
async def test_a_state_looks_as_designed(name: str) -> None:
    answer, size, keys = STATES[name]
    async with running(answer, size=size) as (console, pilot):
        await on_keys(console, pilot)
        for each in keys:
            await press(pilot, each)
            await until(pilot, lambda: asked(console))
        compare(name, console)


async def on_keys(console: RecordingConsole, pilot) -> None:  # type: ignore[no-untyped-def]
    await press(pilot, "2")
    await until(pilot, lambda: console.view.NAME == "keys" and console.view.kept is not None)


def asked(console: Console) -> bool:
    """Whether the answer to the newest question is on the screen."""
    return console.view.kept is not None and console.view.kept.question == console.view.question


async def test_nothing_that_changes_is_offered_when_only_reading() -> None:
    async with running(busy, read_only=True) as (console, pilot):
        await on_keys(console, pilot)
        await press(pilot, "n", "D", "b", "x")
        assert not isinstance(console.screen, DeedDialog)
        assert "D revoke" not in screen_text(console)


def test_the_order_by_spending_begins_with_the_budget_that_is_nearest_its_end() -> None:
    written = table(busy(None), Sort("spent"))
    assert [each.key[0] for each in written.rows[:3]] == ["web", "ci-nightly", "support-bot"]


async def test_a_customer_opens_into_its_projects_and_escape_comes_back_to_its_row() -> None:
    async with running(busy) as (console, pilot):
        await on_keys(console, pilot)
        await press(pilot, "g", "c")
        await until(pilot, lambda: asked(console))
        await press(pilot, "j", "enter")
        assert console.view.question == KeysQuestion(KeysBy.PROJECT, "globex")
        await press(pilot, "escape")
        assert console.view.rows.cursor_key == ("globex",)


async def test_a_key_opens_into_what_it_used_and_its_requests_are_a_key_away(home: Home) -> None:
    home.keys.create("bot")
    async with operating(home, "keys") as (console, pilot):
        await press(pilot, "enter")
        await until(pilot, lambda: console.view.NAME == "usage" and asked(console))
        assert console.view.question.asked.only == (("key", "bot"),)
        await press(pilot, "escape", "v")
        await until(pilot, lambda: console.view.NAME == "requests" and asked(console))
        assert console.view.question.narrowing.key == "bot"
        await press(pilot, "escape")
        assert console.view.rows.cursor_key == ("bot",)


# The new secret


def first(request: FirstRequest | None):  # type: ignore[no-untyped-def]
    def answer(question: object) -> KeysSnapshot:
        snapshot = busy(question)
        return replace(snapshot, first=request if snapshot.question.awaited else None)

    return answer


@pytest.fixture
def fresh() -> Fresh:
    return Fresh("Key “mobile-app” created for acme/app", "", Awaited("mobile-app", 1), Secret(CANARY))


async def test_a_new_secret_is_masked_shown_copied_and_gone(fresh: Fresh) -> None:
    copied = []
    async with running(first(None), size=(120, 36)) as (console, pilot):
        console.copy_to_clipboard = copied.append  # type: ignore[method-assign]
        await on_keys(console, pilot)
        console.view._hand_out(type("Done", (), {"result": fresh})())
        await until(pilot, lambda: isinstance(console.screen, NewSecret))
        assert CANARY not in screen_text(console)
        compare("keys-secret", console)
        await press(pilot, "escape")
        assert "nobody has seen it yet" in screen_text(console)
        await press(pilot, "y")
        assert copied == [CANARY]
        assert console.clipboard == ""
        assert "sent to the terminal's clipboard" in screen_text(console)
        await press(pilot, "escape")
        assert isinstance(console.screen, NewSecret), "a terminal may have done nothing with it"
        await press(pilot, "v")
        assert CANARY in screen_text(console)
        assert "nobody has seen it yet" not in screen_text(console)
        await press(pilot, "escape")
        assert not isinstance(console.screen, NewSecret)
        assert CANARY not in screen_text(console)
        assert CANARY not in console.export_screenshot()
        assert not any(CANARY in repr(vars(each)) for each in console.screen.walk_children())


def test_a_crash_beneath_the_dialog_prints_no_secret(fresh: Fresh, capfd: pytest.CaptureFixture[str]) -> None:
    async def break_it(pilot) -> None:  # type: ignore[no-untyped-def]
        console = pilot.app
        await on_keys(console, pilot)
        console.view._hand_out(type("Done", (), {"result": fresh})())
        await until(pilot, lambda: isinstance(console.screen, NewSecret))
        await press(pilot, "v")
        console.screen._draw = None  # what the next key calls
        await pilot.press("y")

    out, err = io.StringIO(), io.StringIO()
    console = RecordingConsole(first(None))
    with redirect_stdout(out), redirect_stderr(err):
        console.run(headless=True, auto_pilot=break_it, size=(120, 36))
    printed = out.getvalue() + err.getvalue() + "".join(capfd.readouterr())
    assert "TypeError" in printed
    assert CANARY not in printed


SERVED = FirstRequest("gpt-5", 200, "served", 412, NOW)
REFUSED = FirstRequest("gpt-5", 401, "error", 90, NOW - timedelta(minutes=4), "upstream_auth")


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (SERVED, "● first request just now: gpt-5, 200, 412 ms"),
        (REFUSED, "▲ newest request 4 min ago: gpt-5, 401; upstream_auth: the provider refused the gateway's account"),
    ],
)
async def test_the_dialog_says_what_came_of_the_first_request(fresh: Fresh, request_: FirstRequest, told: str) -> None:
    async with running(first(request_), size=(120, 36)) as (console, pilot):
        await on_keys(console, pilot)
        console.view._hand_out(type("Done", (), {"result": fresh})())
        await until(pilot, lambda: told in " ".join(screen_text(console).split()))
        await press(pilot, "enter")
        assert console.view.question.awaited is None


def test_a_refused_request_is_watched_past_until_one_is_served() -> None:
    def ended(status: int, outcome: str) -> SimpleNamespace:
        return SimpleNamespace(request_id="r", key="bot", model="m", status=status, outcome=outcome, total_ms=1,
                               at=NOW, error=None)  # fmt: skip

    arriving = [[ended(401, "error")], [], [ended(200, "served")], [ended(500, "error")]]
    reports = SimpleNamespace(
        follow=lambda: SimpleNamespace(next=lambda: arriving.pop(0)), request=lambda _id: SimpleNamespace(generation=1)
    )
    watched = FirstRequests(reports)  # type: ignore[arg-type]
    assert [watched.of(Awaited("bot", 1)).status for _ in range(4)] == [401, 401, 200, 200]


@pytest.mark.parametrize(("name", "keys"), [("keys-secret-60x15", ()), ("keys-secret-shown-60x15", ("v",))])
async def test_a_new_secret_is_seen_whole_on_a_small_terminal(fresh: Fresh, name: str, keys: tuple[str, ...]) -> None:
    async with running(first(None), size=(60, 15)) as (console, pilot):
        await on_keys(console, pilot)
        console.view._hand_out(type("Done", (), {"result": fresh})())
        await until(pilot, lambda: isinstance(console.screen, NewSecret))
        await press(pilot, *keys)
        shown = screen_text(console)
        assert "Done" in shown
        assert "waiting for its first request" in shown
        compare(name, console)


# Reading, and changes, on a real home


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with a_home(tmp_path) as home:
        yield home


def test_a_reader_that_kept_its_rows_says_what_a_new_one_says(home: Home) -> None:
    changes = (
        lambda: home.keys.create("bot", project="acme/app", create_missing=True),
        lambda: home.budgets.set(parse_scope("key:bot"), Terms(DOLLAR, Period.DAY)),
        lambda: home.budgets.set(parse_scope("customer:acme"), Terms(9 * DOLLAR, Period.MONTH)),
        lambda: home.limits.set(parse_scope("project:acme/app"), parse_change("60", None, None)),
        lambda: home.balances.top_up(parse_scope("customer:acme"), DOLLAR, "invoice 1"),
        lambda: home.balances.top_up(parse_scope("customer:acme"), DOLLAR, "invoice 2"),
        lambda: home.keys.rotate("bot", timedelta(hours=1)),
        lambda: home.keys.acknowledge("bot", 2),
        lambda: home.customers.update("acme", suspended=True),
        lambda: home.budgets.delete(parse_scope("key:bot")),
        lambda: home.stops.delete("bot"),
        lambda: home.stops.delete("bot", purge=True),
    )
    kept = HomeReader(home, "UTC")
    for change in changes:
        change()
        for by in KeysBy:
            assert kept.read(KeysQuestion(by)).rows == HomeReader(home, "UTC").read(KeysQuestion(by)).rows
        assert kept.read(KeysQuestion()).rows is kept.read(KeysQuestion()).rows
    assert kept.read(KeysQuestion()).rows == ()


async def do(console: Console, pilot, key: str, **values: str) -> None:  # type: ignore[no-untyped-def]
    """Press a key of the view, fill its form and agree."""
    await press(pilot, key)
    await until(pilot, lambda: isinstance(console.screen, DeedDialog))
    await fill(console, pilot, **values)
    await agree(console, pilot)


async def fresh_figures(console: Console, pilot, condition) -> None:  # type: ignore[no-untyped-def]
    console.action_read_now()
    await until(pilot, condition)


async def test_a_key_is_made_with_all_that_the_form_asks_for(home: Home) -> None:
    async with operating(home, "keys") as (console, pilot):
        await do(
            console, pilot, "n", name="mobile", project="acme/app", models="gpt-5*", expires="90d",
            rotate_every_s="30d", budget="10usd/month", rpm="60", tpm="100k", parallel="4",
        )  # fmt: skip
        await until(pilot, lambda: isinstance(console.screen, NewSecret))
        made = home.keys.get("mobile")
        assert (made.customer, made.project, made.policy.models) == ("acme", "app", ("gpt-5*",))
        assert made.policy.rotate_every_s == 30 * 86_400
        assert made.expires_at is not None
        [standing] = home.budgets.list()
        assert (standing.budget.amount_pico, standing.budget.period) == (10 * DOLLAR, Period.MONTH)
        [limit] = home.limits.list()
        assert (limit.rpm, limit.tpm, limit.parallel) == (60, 100_000, 4)
        await press(pilot, "v", "escape")
        await fresh_figures(console, pilot, lambda: "mobile" in screen_text(console))


async def test_a_key_goes_through_its_life(home: Home) -> None:
    home.keys.create("bot")
    async with operating(home, "keys") as (console, pilot):
        await do(console, pilot, "e", models="fast")
        assert home.keys.get("bot").policy.models == ("fast",)
        await do(console, pilot, "r", grace="1h")
        await until(pilot, lambda: isinstance(console.screen, NewSecret))
        assert home.keys.get("bot").generations[0].state is GenerationState.PENDING
        await press(pilot, "v", "escape")
        await fresh_figures(console, pilot, lambda: "rotating" in screen_text(console))
        await do(console, pilot, "r", do="finish")
        assert [each.state for each in home.keys.get("bot").generations] == ["active", "grace"]
        await fresh_figures(console, pilot, lambda: "grace" in screen_text(console))
        await do(console, pilot, "r", do="end")
        assert [each.state for each in home.keys.get("bot").generations] == ["active", "expired"]
        await do(console, pilot, "x", cut="yes")
        assert home.keys.get("bot").state is KeyState.SUSPENDED
        await fresh_figures(console, pilot, lambda: "‖ suspended" in screen_text(console))
        await do(console, pilot, "x")
        assert home.keys.get("bot").state is KeyState.ACTIVE
        await do(console, pilot, "D")
        assert home.keys.get("bot").state is KeyState.REVOKED


async def test_a_deleted_key_is_restored_or_goes_for_good(home: Home) -> None:
    home.keys.create("bot")
    async with operating(home, "keys") as (console, pilot):
        await do(console, pilot, "X", **{"typed-name": "bot"})
        assert home.keys.list() == []
        await press(pilot, "g", "d")
        await until(pilot, lambda: asked(console) and console.view.chosen is not None)
        await do(console, pilot, "u")
        assert home.keys.get("bot").state is KeyState.ACTIVE
        home.stops.delete("bot")
        await fresh_figures(console, pilot, lambda: console.view.chosen is not None)
        await do(console, pilot, "D", **{"typed-name": "bot"})
        assert home.keys.list(deleted=True) == []


async def test_a_pending_rotation_is_dropped(home: Home) -> None:
    home.keys.create("bot")
    home.keys.rotate("bot", timedelta(hours=1))
    async with operating(home, "keys") as (console, pilot):
        await do(console, pilot, "r", do="abort")
        assert [each.state for each in home.keys.get("bot").generations] == ["abandoned", "active"]


async def test_money_is_set_per_row_of_any_grouping(home: Home) -> None:
    async with operating(home, "keys") as (console, pilot):
        await press(pilot, "g", "c")
        await until(pilot, lambda: asked(console) and console.view.chosen is not None)
        await do(console, pilot, "n", name="acme", multiplier="1.15")
        await fresh_figures(console, pilot, lambda: console.view.kept.row("acme"))
        console.view.select(("acme",))
        await do(console, pilot, "b", budget="5usd/day", when="warn")
        [standing] = home.budgets.list()
        assert (str(standing.budget.scope), standing.budget.hard) == ("customer:acme", False)
        await do(console, pilot, "L", rpm="30")
        assert home.limits.list()[0].rpm == 30
        await do(console, pilot, "t", amount="10.50", reason="invoice 7")
        assert home.balances.list()[0].available_pico == round(10.5 * DOLLAR)
        await fresh_figures(console, pilot, lambda: console.view.kept.row("acme").balances)
        await do(console, pilot, "C", amount="-0.50", reason="booked twice")
        assert home.balances.list()[0].available_pico == 10 * DOLLAR
        await do(console, pilot, "B")
        assert home.budgets.list() == []
        await do(console, pilot, "e", multiplier="2")
        assert home.customers.get("acme").multiplier_ppm == 2_000_000
        await do(console, pilot, "x")
        assert home.customers.get("acme").suspended
        await fresh_figures(console, pilot, lambda: console.view.kept.row("acme").suspended)
        await do(console, pilot, "x")
        assert not home.customers.get("acme").suspended


async def test_a_project_is_made_and_suspended(home: Home) -> None:
    async with operating(home, "keys") as (console, pilot):
        await press(pilot, "g", "p")
        await until(pilot, lambda: asked(console) and console.view.chosen is not None)
        await do(console, pilot, "n", path="default/web")
        await fresh_figures(console, pilot, lambda: console.view.kept.row("default/web"))
        console.view.select(("default/web",))
        await do(console, pilot, "e", tags="team=web")
        await do(console, pilot, "x")
        found = home.customers.get_project("default/web")
        assert (found.suspended, found.tags) == (True, {"team": "web"})


async def test_a_form_says_what_is_wrong_as_one_types_and_a_refusal_keeps_what_was_typed(home: Home) -> None:
    home.keys.create("bot")
    async with operating(home, "keys") as (console, pilot):
        await press(pilot, "n")
        await until(pilot, lambda: isinstance(console.screen, DeedDialog))
        await fill(console, pilot, name="BOT", budget="ten")
        shown = screen_text(console)
        assert "there is such a key already" in shown
        assert "not a budget: 'ten'" in shown
        await press(pilot, "escape")
        await press(pilot, "r")
        home.keys.revoke("bot")
        await agree(console, pilot)
        assert "key bot is revoked" in refusal(console)
