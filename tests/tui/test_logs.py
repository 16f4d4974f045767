"""The audit log and the alerts, opened over any view."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from keyvault.domain.alerts import Alert
from opsconsole.tui.screens.live import LiveScreen
from opsconsole.tui.screens.logs import AlertsScreen
from opsconsole.tui.screens.page import Page
from opsconsole.view.logs.snapshot import AlertsQuestion, AlertsSnapshot, AuditQuestion, AuditSnapshot, Change
from opsconsole.view.snapshot import Question, Snapshot
from tests.tui import examples
from tests.tui.driving import press, running, screen_text, until
from tests.tui.examples import NOW, SETUP
from tests.tui.operating import a_home, agree, operating
from tests.tui.test_pictures import compare


def change(seq: int, action: str, scope: str, **detail: object) -> Change:
    at = NOW - timedelta(minutes=7 * (43 - seq))
    return Change(seq, at, "ops@bastion", action, scope, f"gwctl {action.replace('.', ' ')}", detail, seq != 41)


CHANGES = (
    change(42, "keys.rotate", "key:ci-bot", generation=4, grace="24h"),
    change(41, "keys.suspend", "key:old-prototype"),
    change(40, "balances.top-up", "customer:acme", amount="10.50", reason="invoice 2026-118"),
)
ALERT = Alert(7, "upstream_failing", "upstream:groq", "groq: 80 % of attempts fail", NOW - timedelta(hours=2), NOW, 31)
OVER = replace(ALERT, id=6, scope="upstream:local", text="local: cannot be reached", resolved_at=NOW)


def answer(question: Question) -> Snapshot:
    if isinstance(question, AuditQuestion):
        return AuditSnapshot(question, NOW, SETUP, workers=1, changes=CHANGES)
    if isinstance(question, AlertsQuestion):
        return AlertsSnapshot(question, NOW, SETUP, workers=1, alerts=(ALERT, OVER) if question.over else (ALERT,))
    return examples.busy()


@pytest.mark.parametrize(("name", "key"), [("audit", "A"), ("alerts", "exclamation_mark")])
@pytest.mark.parametrize("size", [(60, 15), (80, 24), (120, 30)])
async def test_a_log_opens_over_the_view_and_leaves_it_as_it_was(name: str, key: str, size: tuple[int, int]) -> None:
    async with running(answer, size=size) as (console, pilot):
        await press(pilot, "j", "j")
        chosen = console.view.rows.cursor_key
        await press(pilot, key)
        await until(pilot, lambda: name == console.view.NAME and console.view.kept)
        compare(f"{name}-{size[0]}x{size[1]}", console)
        await press(pilot, "enter")
        assert isinstance(console.screen, Page)
        await press(pilot, "escape", "escape")
        assert isinstance(console.screen, LiveScreen)
        assert console.view.rows.cursor_key == chosen


async def test_alerts_that_are_over_are_shown_when_asked_for() -> None:
    async with running(answer) as (console, pilot):
        await press(pilot, "exclamation_mark", "o")
        await until(pilot, lambda: "local: cannot be reached" in screen_text(console))
        assert "✓ over" in screen_text(console)


async def test_what_was_done_is_in_the_audit_log_and_an_alert_can_be_said_to_be_over(tmp_path: Path) -> None:
    with a_home(tmp_path) as home:
        home.upstreams.create("one", "ollama", base_url="http://127.0.0.1:9", secret=None, allow_private=True)
        home.alerts.raise_alert("upstream_failing", "upstream:one", "one: cannot be reached")
        async with operating(home, "live") as (console, pilot):
            await press(pilot, "A")
            await until(pilot, lambda: "upstreams.create" in screen_text(console))
            await press(pilot, "escape", "exclamation_mark")
            await until(pilot, lambda: "one: cannot be reached" in screen_text(console))
            await press(pilot, "x")
            await agree(console, pilot)
            assert not home.alerts.list()
            await until(pilot, lambda: "Nothing needs you." in screen_text(console))


async def test_nothing_can_be_said_to_be_over_when_only_reading() -> None:
    async with running(answer, read_only=True) as (console, pilot):
        await press(pilot, "exclamation_mark")
        await until(pilot, lambda: console.view.kept)
        await press(pilot, "x")
        assert isinstance(console.screen, AlertsScreen)
