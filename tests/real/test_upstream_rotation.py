"""Rotating a provider's secret under a running `gwctl serve` that is under load: no request fails at any step."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.gateway import Gateway, serving
from tests.provider import Accounts, provider

OLD, NEW = "sk-provider-canary-old-3301", "sk-provider-canary-new-3302"
CLIENTS = 4
TIMEOUT = 60.0


class Load:
    """Clients that ask one question after the other until told to stop."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._headers = {"authorization": f"Bearer {key}"}
        self._stopped = threading.Event()
        self._changed = threading.Condition()
        self.statuses: Counter[int] = Counter()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def more(self, count: int = 40) -> None:
        """Wait until so many more requests have been answered."""
        with self._changed:
            goal = self.statuses.total() + count
            assert self._changed.wait_for(lambda: self.statuses.total() >= goal, TIMEOUT)

    def _ask(self) -> None:
        body = {"model": "tiny-chat", "messages": [{"role": "user", "content": "hi"}]}
        with httpx.Client(trust_env=False, verify=False, timeout=TIMEOUT) as client:
            while not self._stopped.is_set():
                status = client.post(f"{self._url}/chat/completions", json=body, headers=self._headers).status_code
                with self._changed:
                    self.statuses[status] += 1
                    self._changed.notify_all()


@pytest.fixture
def accounts() -> Iterator[Accounts]:
    with provider(OLD) as running:
        yield running


@pytest.fixture
def gateway(tmp_path: Path, accounts: Accounts) -> Iterator[Gateway]:
    made = Gateway(tmp_path / "home")
    made.create_upstream("local", "custom", accounts.url, OLD)
    with serving(made):
        yield made


def test_no_request_fails_while_a_secret_is_staged_tested_promoted_undone_and_retired(
    gateway: Gateway, accounts: Accounts
) -> None:
    def rotate(*words: str, stdin: str = "", check: bool = True) -> int:
        return gateway.gwctl("upstreams", "rotate", "local", *words, stdin=stdin, check=check).returncode

    with Load(gateway.base_url, gateway.create_key("app")) as load:
        load.more()
        assert rotate("--secret-stdin", stdin=NEW, check=False) == 7  # the provider does not know it yet
        load.more()
        assert accounts.asked[NEW] == 0
        accounts.taken.add(NEW)
        rotate("--secret-stdin", stdin=NEW)
        asked_old = _settled(load, accounts, OLD)
        rotate("--undo")
        load.more()
        assert accounts.asked[OLD] > asked_old
        rotate("--undo")
        _settled(load, accounts, OLD)
        gateway.gwctl("upstreams", "retire", "local", "--yes")
        load.more()
        accounts.taken.discard(OLD)
        load.more()
    assert set(load.statuses) == {200}, load.statuses
    assert accounts.refused == {NEW: 1} or set(accounts.refused) == {NEW}
    [retired] = gateway.rows("SELECT record_id FROM credentials WHERE state = 'retired'")
    assert gateway.rows("SELECT id FROM sealed_records WHERE id = :record_id", retired) == []
    assert OLD not in gateway.log()
    assert NEW not in gateway.log()


def _settled(load: Load, accounts: Accounts, secret: str) -> int:
    """How often a secret was used, once requests that were under way at the change have ended."""
    load.more()
    used = accounts.asked[secret]
    load.more()
    assert accounts.asked[secret] == used, "the old secret is still used"
    return used


def test_a_secret_revoked_at_the_provider_costs_no_request_where_another_account_exists(
    gateway: Gateway, accounts: Accounts
) -> None:
    accounts.taken.add(NEW)
    words = ["credentials", "create", "local", "--label", "second", "--secret-stdin"]
    gateway.gwctl("upstreams", *words, stdin=NEW)
    with Load(gateway.base_url, gateway.create_key("app")) as load:
        load.more()
        accounts.taken.discard(OLD)
        _until(load, lambda: "credential_refused" in str(gateway.json("alerts", "list")))
        _until(load, lambda: "credential_refused" in gateway.log())
        load.more()
    assert set(load.statuses) == {200}, load.statuses
    alerts = {alert["kind"]: alert for alert in gateway.json("alerts", "list")["alerts"]}
    assert alerts.keys() <= {"credential_refused", "price_missing"}
    alert = alerts["credential_refused"]
    assert (alert["kind"], alert["scope"]) == ("credential_refused", "upstream:local")
    listed = gateway.json("upstreams", "credentials", "list", "local")["credentials"]
    assert {each["label"]: each["aside_at"] is not None for each in listed} == {"main": True, "second": False}


def _until(load: Load, told: Callable[[], object]) -> None:
    """Let the load go on until something is told of in the database."""
    for _ in range(200):
        if told():
            return
        load.more(5)
    raise AssertionError("never told")
