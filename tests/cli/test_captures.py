"""`gwctl captures`: what is kept of requests, and everything one does to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

from keyvault.errors import Exit
from opsconsole.staging.simulation.profile import Profile
from opsconsole.staging.simulator import running
from tests.cli.conftest import Gwctl
from tests.gateway import Gateway, serving

START = ("captures", "start", "--scope", "key:ci-bot")
CANARY = "a prompt that nobody may read 7f3a"


def test_a_capture_is_started_shown_stopped_and_deleted(gwctl: Gwctl) -> None:
    gwctl("keys", "create", "ci-bot", "--json")
    assert gwctl(*START, "--dry-run").code == 0
    assert gwctl("captures", "list", "--json").json == {"captures": []}

    ran = gwctl(*START, "--sample", "10%", "--for", "24h", "--max", "5000", "--redact", "email,card")
    assert "capturing 10% of key:ci-bot until 2026-10-02 12:00 UTC as capture:1" in ran.err
    made = gwctl("captures", "show", "1", "--json").json
    told = ("id", "scope", "sample", "state", "taken", "max", "max_bytes", "redact", "keep", "keep_until")
    assert [made[name] for name in told] == [
        1, "key:ci-bot", "10%", "running", 0, 5000, 10**9, ["email", "card"], "7d", "2026-10-09T12:00:00.000Z",
    ]  # fmt: skip

    ran = gwctl("doctor", "--offline")
    assert "warning  captures   capturing key:ci-bot until 2026-10-02 12:00 UTC, 0 exchanges so far" in ran.out
    assert "→  gwctl captures stop 1" in ran.out
    assert "all 2 decrypt" in ran.out

    assert gwctl("captures", "stop", "1", "--json").json["reason"] == "stopped"
    assert "none runs; 1 kept" in gwctl("doctor", "--offline").out
    assert gwctl("captures", "delete", "1").code == Exit.USAGE
    assert gwctl("captures", "delete", "1", "--confirm", "1", "--dry-run").code == 0
    assert gwctl("captures", "delete", "1", "--confirm", "1", "--json").json["deleted"] is True
    assert gwctl("captures", "show", "1").code == Exit.NOT_FOUND
    actions = [entry["action"] for entry in gwctl("audit", "list", "--json").json["entries"]]
    assert {"captures.start", "captures.stop", "captures.delete"} <= set(actions)


def test_whoever_takes_nothing_out_is_told_so(gwctl: Gwctl) -> None:
    assert "nothing is taken out of what is kept" in gwctl("captures", "start", "--scope", "all").err
    ran = gwctl("captures", "start", "--scope", "all", "--redact-pattern", "EMP-[0-9]{4}")
    assert "nothing is taken out" not in ran.err


WRONG = {
    "start": "Missing option '--scope'",
    "start --scope nope": "not a scope: 'nope'",
    "start --scope key:nope": "no such key: 'nope'",
    "start --scope all --sample 0": "not a share: '0'",
    "start --scope all --for 0h": "--for 0h is too long or nothing",
    "start --scope all --for 90d": "at most 31d",
    "start --scope all --max-bytes 1": "not a size: '1'",
    "start --scope all --redact names": "not a redaction: 'names'",
    "start --scope all --redact-pattern a+": "the pattern 'a+' must say how often",
    "start --scope all --redact-pattern (": "not a regular expression: '('",
    "stop 7": "no such capture: 7",
    "export 7": "no such capture: 7",
    "export 7 -o csv": "captures export writes -o jsonl",
}


def test_what_cannot_be_meant_is_refused_in_a_line(gwctl: Gwctl) -> None:
    for words, reason in WRONG.items():
        ran = gwctl("captures", *words.split())
        assert ran.code in (Exit.USAGE, Exit.NOT_FOUND), words
        assert reason.lower() in ran.err.lower(), (words, ran.err)
    assert gwctl("captures", "list", "--json").json == {"captures": []}


def test_a_customer_is_marked_by_create_and_update(gwctl: Gwctl) -> None:
    assert gwctl("customers", "create", "hospital", "--never-capture", "--json").json["never_capture"] is True
    ran = gwctl("captures", "start", "--scope", "customer:hospital")
    assert (ran.code, "nothing is ever captured of customer hospital" in ran.err) == (Exit.CONFLICT, True)
    assert "gwctl customers update hospital --may-capture" in ran.err
    gwctl("customers", "update", "hospital", "--may-capture")
    assert gwctl("captures", "start", "--scope", "customer:hospital").code == 0
    assert gwctl("customers", "show", "hospital", "--json").json["never_capture"] is False
    both = gwctl("customers", "update", "hospital", "--may-capture", "--never-capture")
    assert both.code == Exit.USAGE


def test_a_restore_brings_back_no_capture_that_was_ended_or_destroyed_and_no_consent(
    gwctl: Gwctl, tmp_path: Path
) -> None:
    gwctl("customers", "create", "hospital")
    for _ in range(3):
        gwctl("captures", "start", "--scope", "all")
    backup = str(tmp_path / "b.tar")
    assert gwctl("backup", backup).code == 0
    gwctl("captures", "stop", "2")
    gwctl("captures", "delete", "3", "--confirm", "3")
    gwctl("customers", "update", "hospital", "--never-capture")
    ran = gwctl("restore", backup, "--confirm", "b.tar", "--accept-rollback", "--json")
    assert [change["result"] for change in ran.json["changes"]] == ["repeated"] * 3
    states = [(each["id"], each["state"]) for each in gwctl("captures", "list", "--json").json["captures"]]
    assert states == [(1, "running"), (2, "ended")]
    assert gwctl("customers", "show", "hospital", "--json").json["never_capture"] is True
    assert "all 3 decrypt" in gwctl("doctor", "--offline").out


def test_what_a_killed_gateway_had_captured_is_still_read(tmp_path: Path) -> None:
    """Through a real process: everything that was written is there, but for an exchange it was just writing."""
    profile = Profile(models=("sim",))
    with running(profile) as [simulator]:
        gateway = Gateway(tmp_path / "home")
        gateway.create_upstream("sim", "custom", simulator.base_url, profile.credential)
        secret = gateway.create_key("ci-bot")
        gateway.run("captures", "start", "--scope", "key:ci-bot")
        with serving(gateway):
            ask(gateway, secret, 3)
            before = exported(gateway, tmp_path / "before.jsonl", at_least=3)
            gateway.kill()
            tear(gateway)
    assert exported(gateway, tmp_path / "after.jsonl", at_least=2) == before[:2]
    first: Any = before[0]
    assert first["body"]["messages"][0]["content"] == CANARY
    assert first["path"] == "/v1/chat/completions"
    assert (first["response"]["status"], first["recorded"]["target"]) == (200, "sim/sim")
    assert first["response"]["body"]["object"] == "chat.completion"
    assert first["recorded"]["usage"]["input"] > 0


def ask(gateway: Gateway, secret: str, times: int) -> None:
    body = {"model": "sim", "messages": [{"role": "user", "content": CANARY}]}
    headers = {"authorization": f"Bearer {secret}"}
    with httpx.Client(trust_env=False, headers=headers) as client:
        for _ in range(times):
            client.post(f"{gateway.base_url}/chat/completions", json=body).raise_for_status()


def exported(gateway: Gateway, path: Path, *, at_least: int) -> list[dict[str, object]]:
    """What lies there, once there is as much."""
    for _ in range(100):
        path.unlink(missing_ok=True)
        gateway.gwctl("captures", "export", "1", "--out", str(path))
        if len(lines := path.read_text().splitlines()) >= at_least:
            break
    return [json.loads(line) for line in lines]


def tear(gateway: Gateway) -> None:
    """As if the process had died in the middle of its last write."""
    (file,) = (gateway.home / "data" / "captures").glob("*/*.capture")
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size - 40)
