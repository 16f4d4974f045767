"""`gwctl alerts`, and what `doctor` says of open ones."""

from __future__ import annotations

import pytest

from keyvault.errors import Exit
from keyvault.home import Home
from tests.cli.conftest import Gwctl

SECRET = "sk-provider-canary-77aa88bb"


@pytest.fixture
def alarmed(gwctl: Gwctl) -> Gwctl:
    """A home with two open alerts, one of them raised twice."""
    home = Home(gwctl.environ, gwctl.clock)
    home.alerts.raise_alert("rotation_failed", "key:ci-bot", "the rotation failed")
    gwctl.clock.advance(seconds=60)
    for _ in range(2):
        home.alerts.raise_alert("credential_refused", "upstream:openai", f"refused {SECRET}")
    home.close()
    return gwctl


def kinds(gwctl: Gwctl, *words: str) -> list[str]:
    return [alert["kind"] for alert in gwctl("alerts", "list", "--json", *words).json["alerts"]]


def test_open_alerts_are_listed_newest_first_with_how_often_and_without_secrets(alarmed: Gwctl) -> None:
    listed = alarmed("alerts", "list", "--json")
    first, second = listed.json["alerts"]
    assert (first["kind"], first["count"], first["scope"]) == ("credential_refused", 2, "upstream:openai")
    assert (second["kind"], second["count"], second["resolved_at"]) == ("rotation_failed", 1, None)
    assert SECRET not in listed.out
    assert "rotation_failed" in alarmed("alerts", "list").out


def test_a_resolved_alert_leaves_the_list_and_stays_on_record(alarmed: Gwctl) -> None:
    assert alarmed("alerts", "resolve", "rotation_failed", "key:ci-bot").code == 0
    assert kinds(alarmed) == ["credential_refused"]
    assert kinds(alarmed, "--all") == ["credential_refused", "rotation_failed"]


def test_what_is_not_open_cannot_be_resolved(alarmed: Gwctl) -> None:
    missing = alarmed("alerts", "resolve", "rotation_failed", "key:other")
    assert missing.code == Exit.NOT_FOUND
    assert "gwctl alerts list" in missing.err


def test_a_rehearsal_resolves_nothing(alarmed: Gwctl) -> None:
    assert alarmed("alerts", "resolve", "rotation_failed", "key:ci-bot", "--dry-run").code == 0
    assert len(kinds(alarmed)) == 2


def test_doctor_counts_open_alerts(alarmed: Gwctl) -> None:
    assert "2 open alerts" in alarmed("doctor", "--offline").out
    alarmed("alerts", "resolve", "rotation_failed", "key:ci-bot")
    alarmed("alerts", "resolve", "credential_refused", "upstream:openai")
    assert "none open" in alarmed("doctor", "--offline").out
