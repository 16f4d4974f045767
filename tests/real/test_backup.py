"""Backups of a gateway that is serving under load, and what a restored one lets in."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsconsole.staging.simulation.profile import Profile
from opsconsole.staging.simulator import running
from tests.gateway import Gateway, serving

PROVIDER_SECRET = "sk-simulated-5b0c2f9a77e1"
QUESTION = json.dumps({"model": "sim", "messages": [{"role": "user", "content": "hello"}]})


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """A home with a simulated provider, not serving yet."""
    with running(Profile(models=("sim",), credential=PROVIDER_SECRET)) as [simulator]:
        made = Gateway(tmp_path / "home")
        made.create_upstream("sim", "openai", simulator.base_url, PROVIDER_SECRET)
        yield made


def status(gateway: Gateway, secret: str) -> int:
    """What a request with this key is answered."""
    host, _, port = gateway.origin.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    try:
        connection.request("POST", "/v1/chat/completions", QUESTION, {"Authorization": f"Bearer {secret}"})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def test_backups_taken_under_load_are_whole_and_no_request_fails(gateway: Gateway, tmp_path: Path) -> None:
    secret, seen, stop = gateway.create_key("ci-bot"), [], threading.Event()

    def ask() -> None:
        while not stop.is_set():
            seen.append(status(gateway, secret))

    with serving(gateway):
        clients = [threading.Thread(target=ask) for _ in range(4)]
        for client in clients:
            client.start()
        made = [gateway.json("backup", str(tmp_path / f"{number}.tar")) for number in range(3)]
        stop.set()
        for client in clients:
            client.join()
    assert set(seen) == {200}
    assert all(backup["records"] == 2 for backup in made)
    sizes = []
    for number in range(3):
        assert gateway.json("backup", "verify", str(tmp_path / f"{number}.tar"))["records"] == 2
        fresh = Gateway(tmp_path / f"home-{number}", empty=True)
        fresh.gwctl("restore", str(tmp_path / f"{number}.tar"))
        sizes.append(fresh.rows("SELECT count(*) AS n FROM attempts")[0]["n"])
    assert sizes == sorted(sizes)  # each one as of its own moment
    assert sizes[-1] <= len(seen)


DENIALS: dict[str, tuple[str, ...]] = {
    "revoked": ("keys", "revoke", "revoked", "--yes"),
    "suspended": ("keys", "suspend", "suspended"),
    "deleted": ("keys", "delete", "deleted", "--confirm", "deleted"),
    "of-customer": ("customers", "update", "acme", "--suspend"),
    "of-project": ("projects", "update", "beta/app", "--suspend"),
}
"""By the key that is denied."""


def test_no_backup_lets_in_what_was_denied_after_it(gateway: Gateway, tmp_path: Path) -> None:
    backup = str(tmp_path / "b.tar")
    projects = {"of-customer": "acme/app", "of-project": "beta/app"}
    denied = {key: gateway.create_key(key, "--project", projects.get(key, "own/app"), "--create") for key in DENIALS}
    other = gateway.create_key("other")
    gateway.gwctl("backup", backup)
    with serving(gateway):
        for key, denial in DENIALS.items():
            assert status(gateway, denied[key]) == 200
            gateway.gwctl(*denial)
            assert status(gateway, denied[key]) == 401, key
        refused = gateway.gwctl("restore", backup, "--accept-rollback", "--confirm", "b.tar", check=False)
        assert refused.returncode == 6  # it is being served
        gateway.stop()
    gateway.gwctl("restore", backup, "--accept-rollback", "--confirm", "b.tar")
    with serving(gateway):
        assert {key: status(gateway, secret) for key, secret in denied.items()} == dict.fromkeys(DENIALS, 401)
        assert status(gateway, other) == 200


def test_everybody_suspended_stays_so(gateway: Gateway, tmp_path: Path) -> None:
    backup, secret = str(tmp_path / "b.tar"), gateway.create_key("ci-bot")
    gateway.gwctl("backup", backup)
    gateway.gwctl("suspend", "all", "--yes")
    gateway.gwctl("restore", backup, "--accept-rollback", "--confirm", "b.tar")
    with serving(gateway):
        assert status(gateway, secret) == 503
        gateway.gwctl("resume", "all", "--yes")
        assert status(gateway, secret) == 200


def test_a_secret_that_was_rotated_away_is_not_let_in_again(gateway: Gateway, tmp_path: Path) -> None:
    backup, old = str(tmp_path / "b.tar"), gateway.create_key("ci-bot")
    gateway.gwctl("backup", backup)
    new = gateway.json("keys", "rotate", "ci-bot", "--grace", "0s")["secret"]
    gateway.gwctl("restore", backup, "--accept-rollback", "--confirm", "b.tar")
    with serving(gateway):
        assert (status(gateway, old), status(gateway, new)) == (401, 401)
