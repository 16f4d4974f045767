"""`gwctl doctor` finds each thing that was broken on purpose, says what to do, and exits with 7."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keyvault.errors import Exit
from tests.cli.conftest import Gwctl

ANY_PORT = {"GWCTL_SERVE_LISTEN": "127.0.0.1:0", "GWCTL_SERVE_ADMIN": "127.0.0.1:0"}


def examined(gwctl: Gwctl) -> tuple[int, dict[str, Any]]:
    """Exit code, and check → its worst finding."""
    import json

    ran = gwctl("doctor", "--json", environ=ANY_PORT)
    order = ("ok", "warning", "failed")
    worst: dict[str, Any] = {}
    for finding in json.loads(ran.out)["checks"]:
        assert set(finding) == {"check", "state", "text", "remedy"}
        if finding["check"] not in worst or order.index(finding["state"]) > order.index(
            worst[finding["check"]]["state"]
        ):
            worst[finding["check"]] = finding
    return ran.code, worst


def test_a_healthy_home_passes_and_says_that_the_key_lies_beside_the_database(gwctl: Gwctl) -> None:
    code, found = examined(gwctl)
    assert code == 0
    assert {name for name, finding in found.items() if finding["state"] == "failed"} == set()
    assert found["key file"]["state"] == "warning"
    assert {"settings", "files", "schema", "sqlite", "vault", "records", "audit", "clock", "port"} <= set(found)


def test_where_nothing_is_set_up_it_says_only_that(nowhere: Gwctl) -> None:
    code, found = examined(nowhere)
    assert code == Exit.CHECK_FAILED
    assert found == {
        "home": {"check": "home", "state": "failed", "text": "no gateway is set up here", "remedy": "gwctl init"}
    }


def sql(gwctl: Gwctl, statement: str) -> None:
    with sqlite3.connect(gwctl.home / "data" / "gateway.db") as connection:
        connection.execute(statement)
    connection.close()


def readable_key(gwctl: Gwctl) -> None:
    (gwctl.home / "config" / "unlock.key").chmod(0o644)


def lost_key(gwctl: Gwctl) -> None:
    (gwctl.home / "config" / "unlock.key").unlink()


def newer_schema(gwctl: Gwctl) -> None:
    sql(gwctl, "UPDATE alembic_version SET version_num = '9999'")


def changed_pepper(gwctl: Gwctl) -> None:
    sql(gwctl, "UPDATE sealed_records SET blob = zeroblob(200)")


def changed_audit(gwctl: Gwctl) -> None:
    sql(gwctl, "UPDATE audit SET scope = 'key:other' WHERE seq = 1")


def redirected_upstream(gwctl: Gwctl) -> None:
    create = "upstreams create openai --provider openai --secret-stdin"
    assert gwctl(*create.split(), stdin="sk-x\n").code == 0
    sql(gwctl, "UPDATE upstreams SET base_url = 'https://evil.example/v1', disabled = 1")


def clock_gone_back(gwctl: Gwctl) -> None:
    gwctl.clock.advance(days=-1)


def unknown_setting(gwctl: Gwctl) -> None:
    (gwctl.home / "config" / "config.toml").write_text("[serve]\nlisten_to = 'x'\n")


@pytest.mark.parametrize(
    ("broken", "check", "word"),
    [
        (readable_key, "files", "chmod go="),
        (lost_key, "vault", "locked"),
        (newer_schema, "database", "newer version"),
        (changed_pepper, "vault", "changed"),
        (changed_audit, "audit", "entry 1"),
        (redirected_upstream, "records", "openai"),
        (clock_gone_back, "clock", "behind"),
        (unknown_setting, "settings", "listen_to"),
    ],
)
def test_what_was_broken_is_found(gwctl: Gwctl, broken: Callable[[Gwctl], None], check: str, word: str) -> None:
    broken(gwctl)
    code, found = examined(gwctl)
    assert code == Exit.CHECK_FAILED
    assert found[check]["state"] == "failed"
    assert word in f"{found[check]['text']} {found[check]['remedy']}"


def test_a_taken_port_is_found(gwctl: Gwctl) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = gwctl("doctor", environ={**ANY_PORT, "GWCTL_SERVE_LISTEN": f"127.0.0.1:{port}"})
    assert ran.code == Exit.CHECK_FAILED
    assert f"127.0.0.1:{port}: address already in use  →  gwctl serve --listen HOST:PORT" in ran.out


def test_an_upstream_that_does_not_answer_is_found_unless_offline(gwctl: Gwctl) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    create = "upstreams create local --provider custom --no-secret --allow-private --base-url"
    assert gwctl(*create.split(), url).code == 0
    ran = gwctl("doctor", environ=ANY_PORT)
    assert ran.code == Exit.CHECK_FAILED
    assert "FAILED   upstream   local: " in ran.out
    assert gwctl("doctor", "--offline", environ=ANY_PORT).code == 0


def test_it_changes_nothing(gwctl: Gwctl) -> None:
    def content() -> dict[Path, bytes]:
        return {
            p: p.read_bytes() for p in gwctl.home.rglob("*") if p.is_file() and p.suffix not in (".db-shm", ".db-wal")
        }

    before = content()
    gwctl("doctor", environ=ANY_PORT)
    assert content() == before
