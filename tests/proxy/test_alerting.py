"""What a worker sees becomes alerts, ends by itself, and reaches a webhook once, however often that fails."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from keyvault.alerts import Alerts
from keyvault.errors import ConfigurationError, Unavailable
from keyvault.proxy.alerting import Alerting
from keyvault.proxy.sights import PRICE_MISSING, Sight
from keyvault.proxy.telling import Telling
from keyvault.settings import Settings
from keyvault.storage.engine import Database
from keyvault.webhook import Webhook
from tests.conftest import FrozenClock
from tests.proxy.certificates import Authority

TOKEN = "T0000/B0000/webhook-canary-4f2a9c"
UNPRICED = Sight(PRICE_MISSING, "target:openai/gpt-9", "openai/gpt-9 has no price")
DATED = Sight("budget_threshold", "key:ci-bot month 80%", "80% spent", once_since_ms=0)


@dataclass
class Eyes:
    """Sees what a test says."""

    sights: list[Sight] = field(default_factory=list)
    events: dict[tuple[str, str], str] = field(default_factory=dict)

    def look(self) -> list[Sight]:
        return list(self.sights)

    def accounts(self) -> list[Sight]:
        return []

    def noticed(self) -> Mapping[tuple[str, str], str]:
        taken, self.events = self.events, {}
        return taken


@dataclass
class Receiver:
    """A webhook that answers with the statuses it is given, then with 200."""

    statuses: list[int] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    @property
    def messages(self) -> list[dict[str, object]]:
        return [json.loads(body) for body in self.bodies]

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        self.bodies.append(await reader.readexactly(int(headers["content-length"])))
        self.headers.append(headers | {"path": head[0].split()[1]})
        status = self.statuses.pop(0) if self.statuses else 200
        writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def receiving(*statuses: int) -> AsyncIterator[Receiver]:
    receiver = Receiver(list(statuses))
    server = await asyncio.start_server(receiver, "127.0.0.1", 0)
    async with server:
        receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/services/{TOKEN}"
        yield receiver


def webhook(url: str, **settings: Any) -> Webhook:
    made = Webhook.of(Settings(webhook=url, **settings), {})
    assert made is not None
    return made


@pytest.fixture
def alerts(database: Database, clock: FrozenClock) -> Alerts:
    return Alerts(database, clock)


def watching(alerts: Alerts, clock: FrozenClock, eyes: Eyes) -> Alerting:
    return Alerting(alerts, clock, eyes)


def open_ones(alerts: Alerts) -> list[tuple[str, int]]:
    return sorted((alert.kind, alert.count) for alert in alerts.list())


async def test_what_is_seen_is_raised_once_and_over_when_it_is_seen_no_more(alerts: Alerts, clock: FrozenClock) -> None:
    eyes = Eyes([UNPRICED])
    alerting = watching(alerts, clock, eyes)
    for _ in range(3):
        alerting.look()()
    assert open_ones(alerts) == [(PRICE_MISSING, 1)]
    eyes.sights = []
    alerting.look()()
    assert open_ones(alerts) == []
    eyes.sights = [UNPRICED]
    alerting.look()()
    assert len(alerts.list(resolved=True)) == 2


async def test_a_new_worker_neither_repeats_what_is_open_nor_forgets_to_end_it(
    alerts: Alerts, clock: FrozenClock
) -> None:
    watching(alerts, clock, Eyes([UNPRICED])).look()()
    watching(alerts, clock, Eyes([UNPRICED])).look()()
    assert open_ones(alerts) == [(PRICE_MISSING, 1)]
    alerts.raise_alert("rotation_failed", "key:ci-bot", "not of this kind")
    watching(alerts, clock, Eyes()).look()()
    assert open_ones(alerts) == [("rotation_failed", 1)]


async def test_a_threshold_that_somebody_dealt_with_is_not_told_again_by_a_restart_in_its_period(
    alerts: Alerts, clock: FrozenClock
) -> None:
    eyes = Eyes([DATED])
    alerting = watching(alerts, clock, eyes)
    alerting.look()()
    alerts.resolve(*DATED.of)
    alerting.look()()
    watching(alerts, clock, Eyes([DATED])).look()()
    assert len(alerts.list(resolved=True)) == 1
    clock.advance(days=1)
    watching(alerts, clock, Eyes([Sight(*DATED.of, "next period", once_since_ms=clock.ms)])).look()()
    assert len(alerts.list(resolved=True)) == 2


async def test_an_event_is_counted_and_over_after_a_quiet_day(alerts: Alerts, clock: FrozenClock) -> None:
    eyes = Eyes()
    alerting = watching(alerts, clock, eyes)
    for _ in range(2):
        eyes.events = {("cost_beyond_hold", "key:ci-bot"): "it cost more than was held"}
        alerting.look()()
    assert open_ones(alerts) == [("cost_beyond_hold", 2)]
    clock.advance(days=0.9)
    alerting.look()()
    assert open_ones(alerts) == [("cost_beyond_hold", 2)]
    clock.advance(days=0.2)
    alerting.look()()
    assert open_ones(alerts) == []


async def test_a_webhook_that_fails_twice_is_told_once_and_later_that_it_is_over(
    alerts: Alerts, clock: FrozenClock
) -> None:
    async with receiving(500, 302) as receiver:
        hook = webhook(receiver.url)
        alerts.raise_alert("upstream_failing", "upstream:openai", "openai fails")
        told = []
        for _ in range(30):
            told.append(await Telling(alerts, clock, hook).once(hook))  # as after a restart: nothing is in memory
            clock.advance(seconds=1)
        assert told.count(True) == 1
        assert [m["state"] for m in receiver.messages] == ["open"] * 3
        assert (alerts.list()[0].tries, alerts.list()[0].sent_at is None) == (3, False)
        alerts.resolve("upstream_failing", "upstream:openai")
        assert await Telling(alerts, clock, hook).once(hook)
        assert not await Telling(alerts, clock, hook).once(hook)
        assert receiver.messages[-1]["state"] == "resolved"
        assert len(receiver.messages) == 4
        assert receiver.headers[-1]["path"] == f"/services/{TOKEN}"


async def test_an_alert_that_is_over_before_it_could_be_told_is_told_once(alerts: Alerts, clock: FrozenClock) -> None:
    async with receiving(500) as receiver:
        hook = webhook(receiver.url)
        alerts.raise_alert("writer_stalled", "ledger", "stalled")
        assert not await Telling(alerts, clock, hook).once(hook)
        alerts.resolve("writer_stalled", "ledger")
        assert await Telling(alerts, clock, hook).once(hook)
        clock.advance(days=0.5)
        assert not await Telling(alerts, clock, hook).once(hook)
        assert [m["state"] for m in receiver.messages] == ["open", "resolved"]


async def test_what_nobody_took_for_a_day_is_given_up(alerts: Alerts, clock: FrozenClock) -> None:
    async with receiving() as receiver:
        hook = webhook(receiver.url)
        alerts.raise_alert("price_missing", "target:openai/gpt-9", "no price")
        clock.advance(days=1.01)
        assert not await Telling(alerts, clock, hook).once(hook)
        assert receiver.bodies == []


def test_tries_are_twice_as_far_apart_each_time_and_an_hour_at_most(alerts: Alerts, clock: FrozenClock) -> None:
    alerts.raise_alert("price_missing", "target:openai/gpt-9", "no price")
    for gap in (5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600):
        assert alerts.next_due() is not None
        clock.advance(seconds=gap - 1)
        assert alerts.next_due() is None
        clock.advance(seconds=1)


async def test_messages_are_signed_with_the_secret_of_a_file(
    alerts: Alerts, clock: FrozenClock, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    async with receiving() as receiver:
        hook = webhook(receiver.url, webhook_secret_file=str(tmp_path / "secret"))
        alerts.raise_alert("price_missing", "target:openai/gpt-9", "no price")
        await Telling(alerts, clock, hook).once(hook)
    at, _, made = receiver.headers[0]["x-gateway-signature"].partition(",v1=")
    signed = f"{at.removeprefix('t=')}.".encode() + receiver.bodies[0]
    assert hmac.compare_digest(made, hmac.new(b"s3cret", signed, "sha256").hexdigest())


async def test_slack_gets_a_line_of_text_in_which_nothing_is_a_command(alerts: Alerts, clock: FrozenClock) -> None:
    async with receiving() as receiver:
        hook = webhook(receiver.url, webhook_format="slack")
        alerts.raise_alert("price_missing", "target:openai/<!channel>", "no price")
        await Telling(alerts, clock, hook).once(hook)
    text = str(receiver.messages[0]["text"])
    assert "no price" in text
    assert "&lt;!channel&gt;" in text


async def test_nothing_that_goes_wrong_shows_the_token_in_the_url(
    alerts: Alerts, clock: FrozenClock, unused_port: int
) -> None:
    alerts.raise_alert("price_missing", "target:openai/gpt-9", "no price")
    alert = alerts.list()[0]
    async with receiving(403) as receiver:
        for url in (receiver.url, f"http://127.0.0.1:{unused_port}/{TOKEN}"):
            with pytest.raises(Unavailable) as caught:
                await webhook(url).tell(alert, clock)
            assert TOKEN not in str(caught.value) + repr(webhook(url)) + repr(Settings(webhook=url))
            assert "http://127.0.0.1/…" in caught.value.message


async def test_a_webhook_whose_certificate_is_not_trusted_is_told_nothing(
    alerts: Alerts, clock: FrozenClock, tmp_path: Path
) -> None:
    alerts.raise_alert("price_missing", "target:openai/gpt-9", "no price")
    receiver = Receiver()
    tls = Authority(tmp_path).server("127.0.0.1")
    async with await asyncio.start_server(receiver, "127.0.0.1", 0, ssl=tls) as server:
        port = server.sockets[0].getsockname()[1]
        for scheme in ("https", "HTTPS"):
            with pytest.raises(Unavailable, match="certificate is not trusted"):
                await webhook(f"{scheme}://127.0.0.1:{port}/{TOKEN}").tell(alerts.list()[0], clock)
    assert receiver.bodies == []


@pytest.mark.parametrize(
    "url",
    ["ftp://example.com/x", "example.com/x", "https://", "http://hooks.example.com/x", "https://a b/", "https://[::"],
)
def test_what_cannot_be_a_webhook_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Webhook.of(Settings(webhook=url), {})
    assert url not in str(caught.value)
    assert Webhook.of(Settings(), {}) is None


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
