"""`gwctl doctor` finds each thing that was broken on purpose, says what to do, and exits with 7."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from keyvault.errors import Exit
from keyvault.home import Home
from keyvault.storage.engine import sqlite_module
from opsconsole.cli.checks import State
from opsconsole.cli.checks.storage import room, writing
from tests.cli.conftest import ANY_PORT, Gwctl


def examined(gwctl: Gwctl) -> tuple[int, dict[str, Any]]:
    """Exit code, and check → its worst finding."""
    import json

    ran = gwctl("doctor", "--json", environ=ANY_PORT)
    order = ("ok", "skipped", "warning", "failed")
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
    assert {"database", "writing", "space", "routes"} <= set(found)


def test_a_drill_is_told_of_while_it_runs(gwctl: Gwctl) -> None:
    assert "ok       drills     none" in gwctl("doctor", "--offline").out
    gwctl("keys", "create", "ci-bot", "--json")
    gwctl("upstreams", "create", "openai", "--provider", "openai", "--secret-stdin", stdin="sk-canary-drilled")
    assert gwctl("drill", "start", "--key", "ci-bot", "--target", "openai/gpt-5", "--fault", "hang", "--yes").code == 0
    told = gwctl("doctor", "--offline").out
    assert "warning  drills     openai/gpt-5 takes the request and never answers for key ci-bot, until 12:10:00" in told
    assert "→  gwctl drill stop 1" in told


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


def damaged_page(gwctl: Gwctl) -> None:
    file = gwctl.home / "data" / "gateway.db"
    data = bytearray(file.read_bytes())
    data[4096 * 3 :] = bytes([0xA5]) * (len(data) - 4096 * 3)
    file.write_bytes(data)


def lost_database(gwctl: Gwctl) -> None:
    (gwctl.home / "data" / "gateway.db").unlink()


def unknown_setting(gwctl: Gwctl) -> None:
    (gwctl.home / "config" / "config.toml").write_text("[serve]\nlisten_to = 'x'\n")


@pytest.mark.parametrize(
    ("broken", "check", "word"),
    [
        (readable_key, "files", "gwctl doctor --fix"),
        (lost_key, "vault", "locked"),
        (newer_schema, "database", "newer version"),
        (changed_pepper, "vault", "changed"),
        (changed_audit, "audit", "entry 1"),
        (redirected_upstream, "records", "openai"),
        (clock_gone_back, "clock", "behind"),
        (unknown_setting, "settings", "listen_to"),
        (damaged_page, "database", "gateway.db is damaged"),
        (lost_database, "database", "the database is missing"),
    ],
)
def test_what_was_broken_is_found(gwctl: Gwctl, broken: Callable[[Gwctl], None], check: str, word: str) -> None:
    broken(gwctl)
    code, found = examined(gwctl)
    assert code == Exit.CHECK_FAILED
    assert found[check]["state"] == "failed"
    assert word in f"{found[check]['text']} {found[check]['remedy']}"


@pytest.fixture
def night_job(gwctl: Gwctl, tmp_path: Path) -> Gwctl:
    """A home with an upstream, opened by a slot of scope keys."""
    create = "upstreams create openai --provider openai --secret-stdin"
    assert gwctl(*create.split(), stdin="sk-x\n").code == 0
    assert gwctl("keys", "create", "ci-bot", "--json").code == 0
    own = tmp_path / "rotate.key"
    assert gwctl("vault", "slots", "create", "file", "--scope", "keys", "--key-file", str(own)).code == 0
    gwctl.environ["GWCTL_KEY_FILE"] = str(own)
    return gwctl


def test_a_slot_of_scope_keys_checks_its_own_compartment_and_says_what_it_cannot(night_job: Gwctl) -> None:
    code, found = examined(night_job)
    assert code == 0
    assert found["vault"]["state"] == "ok"
    assert found["vault"]["text"].endswith("rotate.key opens the keys compartment only")
    assert {name for name, finding in found.items() if finding["state"] == "skipped"} == {"records", "upstreams"}
    assert {found[name]["state"] for name in ("rows", "journal", "audit")} == {"ok"}


@pytest.mark.parametrize(
    ("statement", "check"),
    [
        ("UPDATE keys SET expires_ms = 9999999999999", "rows"),
        ("DELETE FROM sealed_records WHERE id LIKE 'upstream-%'", "manifest"),
        ("UPDATE sealed_records SET blob = zeroblob(200) WHERE id = 'pepper-1'", "vault"),
    ],
)
def test_a_slot_of_scope_keys_finds_what_was_changed(night_job: Gwctl, statement: str, check: str) -> None:
    sql(night_job, statement)
    code, found = examined(night_job)
    assert code == Exit.CHECK_FAILED
    assert found[check]["state"] == "failed"


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


@pytest.mark.parametrize("broken", [damaged_page, lost_database, newer_schema, unknown_setting])
def test_what_is_broken_is_said_once_and_what_depends_on_it_is_skipped(
    gwctl: Gwctl, broken: Callable[[Gwctl], None]
) -> None:
    broken(gwctl)
    code, found = examined(gwctl)
    assert code == Exit.CHECK_FAILED
    (cause,) = [name for name, finding in found.items() if finding["state"] == "failed"]
    dependent = [found[name] for name in ("vault", "audit", "clock", "writing", "upstreams")]
    assert {(finding["state"], finding["text"]) for finding in dependent} == {("skipped", f"needs the {cause}")}


def test_other_commands_say_that_the_database_is_damaged(gwctl: Gwctl) -> None:
    damaged_page(gwctl)
    ran = gwctl("keys", "list")
    assert ran.code == Exit.FAILURE
    assert "gateway.db is damaged: " in ran.err
    assert "internal error" not in ran.err


def test_a_database_that_somebody_keeps_locked_is_found(gwctl: Gwctl) -> None:
    holder = sqlite_module().connect(str(gwctl.home / "data" / "gateway.db"), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with contextlib.closing(holder), contextlib.closing(Home(gwctl.environ, gwctl.clock)) as home:
        (finding,) = writing(home, patience_ms=20)
    assert finding.state is State.FAILED
    assert finding.text == "the database cannot be written: database is locked"


def test_a_disk_that_is_nearly_full_is_found() -> None:
    assert [room("/data", free).state for free in (10**7, 5 * 10**8, 10**10)] == ["failed", "warning", "ok"]


def test_a_data_directory_that_takes_no_file_is_found(gwctl: Gwctl) -> None:
    ran = gwctl("doctor", environ={**ANY_PORT, "GWCTL_DATABASE_URL": "sqlite:////proc/gateway.db"})
    assert ran.code == Exit.CHECK_FAILED
    assert "FAILED   space      /proc takes no file: " in ran.out
    assert "skipped  writing " in ran.out


def test_several_upstreams_and_no_route_are_a_warning_with_the_command_that_helps(gwctl: Gwctl) -> None:
    create = "upstreams create NAME --provider custom --no-secret --allow-private --base-url http://127.0.0.1:9/v1"
    warned = [gwctl(*create.replace("NAME", name).split()).err for name in ("one", "two")]
    assert "nothing is served" not in warned[0]
    assert "nothing is served; to say what serves: gwctl routes set ALIAS UPSTREAM/MODEL" in warned[1]
    line = "several upstreams, no route and no serve.default_upstream: nothing is served"
    doctor = ("doctor", "--offline")
    assert f"{line}  →  gwctl routes set ALIAS UPSTREAM/MODEL" in gwctl(*doctor, environ=ANY_PORT).out
    assert line not in gwctl(*doctor, environ={**ANY_PORT, "GWCTL_SERVE_DEFAULT_UPSTREAM": "one"}).out
    assert (
        "names no upstream (onne)" in gwctl(*doctor, environ={**ANY_PORT, "GWCTL_SERVE_DEFAULT_UPSTREAM": "onne"}).out
    )
    assert gwctl("routes", "set", "fast", "one/m").code == 0
    assert line not in gwctl(*doctor, environ=ANY_PORT).out


def test_a_misspelt_variable_is_a_warning(gwctl: Gwctl) -> None:
    ran = gwctl("doctor", environ={**ANY_PORT, "GWCTL_SERVE_LISTN": "127.0.0.1:1"})
    assert ran.code == 0
    assert "nothing reads the variable GWCTL_SERVE_LISTN  →  did you mean GWCTL_SERVE_LISTEN?" in ran.out


def test_a_live_worker_that_does_not_answer_is_found(gwctl: Gwctl) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        admin = f"127.0.0.1:{free.getsockname()[1]}"
    with contextlib.closing(Home(gwctl.environ, gwctl.clock)) as home:
        home.workers.register("127.0.0.1:8900", admin, version("opsconsole"))
    code, found = examined(gwctl)
    assert code == Exit.CHECK_FAILED
    assert f"is not ready: {admin}: connection refused" in found["worker"]["text"]
