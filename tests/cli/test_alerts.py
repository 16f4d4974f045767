"""`gwctl alerts`, and what `doctor` says of open ones."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from keyvault.errors import Exit
from keyvault.home import Home
from tests.cli.conftest import Gwctl

SECRET = "sk-provider-canary-77aa88bb"
TOKEN = "T0000/B0000/hook-canary-99ee"


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


def test_without_a_webhook_there_is_none_to_test(gwctl: Gwctl) -> None:
    tested = gwctl("alerts", "test")
    assert tested.code == Exit.USAGE
    assert "GWCTL_ALERTS_WEBHOOK" in tested.err


def test_a_test_tells_what_the_webhook_answered_and_never_its_token(gwctl: Gwctl) -> None:
    with answering(200, 404) as (url, bodies):
        told = gwctl("alerts", "test", "--json", environ={"GWCTL_ALERTS_WEBHOOK": url})
        assert told.json == {"webhook": "http://127.0.0.1/…", "taken": True, "status": 200, "signed": False}
        assert json.loads(bodies[0])["kind"] == "test"
        refused = gwctl("alerts", "test", environ={"GWCTL_ALERTS_WEBHOOK": url})
    assert refused.code == Exit.UNAVAILABLE
    assert "http status 404" in refused.err
    assert TOKEN not in told.out + told.err + refused.err


def test_doctor_says_whether_a_webhook_is_set_and_could_be_one(gwctl: Gwctl) -> None:
    said = gwctl("doctor", "--offline", environ={"GWCTL_ALERTS_WEBHOOK": f"https://example.com/{TOKEN}"})
    assert "alerts go to https://example.com/…" in said.out
    said = gwctl("doctor", "--offline", environ={"GWCTL_ALERTS_WEBHOOK": f"http://example.com/{TOKEN}"})
    assert said.code == Exit.CHECK_FAILED
    assert "plain http is for this machine only" in said.out
    assert TOKEN not in said.out


@contextlib.contextmanager
def answering(*statuses: int) -> Iterator[tuple[str, list[bytes]]]:
    """A webhook that answers so, one request after the other, and the bodies it was sent."""
    bodies: list[bytes] = []
    wanted = iter(statuses)

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(next(wanted))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/{TOKEN}", bodies
        server.shutdown()
        thread.join()
