"""5. Origin, provider, header or any other column of an upstream or a credential edited → tampered, nothing sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from keyvault.secrets import Secret
from keyvault.storage.schema import credentials, upstreams
from tests.attacks.conftest import read, write
from tests.proxy.harness import UPSTREAM_SECRET, add_upstream, new_home, running
from tests.proxy.scripted import Line, Provider, Seen, completion

SECOND: Final = "sk-upstream-canary-second-31"
TELLS: Final = frozenset(
    ["upstreams.verified_ms", "upstreams.verified_note", "upstreams.created_ms"]
    + [f"credentials.{name}" for name in ("created_ms", "changed_ms", "tested_ms", "test_note")]
    + ["credentials.aside_ms", "credentials.aside_note"]
)
"""Columns that tell people something and decide nothing about where and how a secret is sent."""

FORGED: Final[dict[str, Any]] = {
    "upstreams.id": 99,
    "upstreams.name": "evil",
    "upstreams.folded": "evil",
    "upstreams.provider": "custom",
    "upstreams.base_url": "",  # the evil provider's, once it listens
    "upstreams.dialects": "chat,messages",
    "upstreams.auth_header": "x-forwarded-for",
    "upstreams.auth_scheme": "",
    "upstreams.stream_usage": 0,
    "upstreams.catalogue": "anthropic",
    "upstreams.extra_headers": '{"x-original-url": "/evil"}',
    "upstreams.disabled": 0,  # of an upstream that was stopped: see the last test
    "upstreams.allow_private": 0,
    "upstreams.ca_file": "/tmp/evil.pem",
    "upstreams.verified_ms": 1,
    "upstreams.verified_note": "chat with evil",
    "upstreams.created_ms": 1,
    "upstreams.version": 99,
    "upstreams.seal": b"forged",
    "credentials.id": 99,
    "credentials.upstream_id": 99,
    "credentials.label": "other",
    "credentials.state": "retired",
    "credentials.weight": 7,
    "credentials.record_id": "pepper-1",
    "credentials.created_ms": 1,
    "credentials.changed_ms": 1,
    "credentials.until_ms": 1,
    "credentials.tested_ms": 1,
    "credentials.test_note": "chat with evil",
    "credentials.aside_ms": 1,
    "credentials.aside_note": "evil",
    "credentials.version": 99,
    "credentials.seal": b"forged",
}


async def answer(seen: Seen, line: Line) -> None:
    await line.answer(200, completion())


def forge(home: Path, column: str, value: Any) -> Any:
    """Edit a column behind the gateway's back and have it look; what stood there."""
    table, _, name = column.partition(".")
    [(before,)] = read(home, f"SELECT {name} FROM {table}")
    write(home, f"UPDATE {table} SET {name} = ?", value)
    write(home, "UPDATE epochs SET upstreams = upstreams + 1")
    return before


def test_every_column_is_thought_of() -> None:
    known = {f"{table.name}.{column.name}" for table in (upstreams, credentials) for column in table.columns}
    assert set(FORGED) == known


async def test_no_edited_column_sends_the_secret_elsewhere_or_otherwise(tmp_path: Path) -> None:
    async with Provider(answer).running() as honest, Provider(answer).running() as evil:
        home = new_home(tmp_path / "home")
        add_upstream(home, "openai", honest.url)
        async with running(home) as gw:
            for column, value in FORGED.items():
                if column == "upstreams.disabled":
                    continue
                forged = f"{evil.url}/v1" if column == "upstreams.base_url" else value
                before, sent = forge(tmp_path / "home", column, forged), len(honest.seen)
                status = (await gw.chat()).status_code
                if column in TELLS:
                    assert (column, status, len(honest.seen)) == (column, 200, sent + 1)
                    assert honest.seen[-1].header("authorization") == f"Bearer {UPSTREAM_SECRET}"
                else:
                    assert (column, status, len(honest.seen)) == (column, 503, sent)
                forge(tmp_path / "home", column, before)
                assert (column, (await gw.chat()).status_code) == (column, 200)
        assert evil.seen == []


async def refused(tmp_path: Path, *statements: str) -> None:
    """With a current credential and a previous one, these statements leave the upstream without service."""
    async with Provider(answer).running() as honest:
        home = new_home(tmp_path / "home")
        add_upstream(home, "openai", honest.url)
        home.credentials.stage("openai", Secret(SECOND))
        home.credentials.promote("openai")
        async with running(home) as gw:
            assert (await gw.chat()).status_code == 200
            for statement in [*statements, "UPDATE epochs SET upstreams = upstreams + 1"]:
                write(tmp_path / "home", statement)
            assert (await gw.chat()).status_code == 503
        assert [s.header("authorization") for s in honest.seen] == [f"Bearer {SECOND}"]


async def test_a_replaced_secret_cannot_be_made_current_again(tmp_path: Path) -> None:
    await refused(
        tmp_path,
        "UPDATE credentials SET state = 'x' WHERE state = 'current'",
        "UPDATE credentials SET state = 'current', until_ms = NULL WHERE state = 'previous'",
        "UPDATE credentials SET state = 'previous', until_ms = 9999999999999 WHERE state = 'x'",
    )


async def test_an_overlap_cannot_be_made_longer(tmp_path: Path) -> None:
    await refused(tmp_path, "UPDATE credentials SET until_ms = until_ms + 86400000 WHERE state = 'previous'")


async def test_the_secrets_of_two_credentials_cannot_be_exchanged(tmp_path: Path) -> None:
    await refused(
        tmp_path,
        "UPDATE credentials SET record_id = 'aside-' || record_id",
        "UPDATE credentials SET record_id = substr((SELECT c.record_id FROM credentials c WHERE c.id <> credentials.id)"
        ", 7) WHERE state = 'current'",
        "UPDATE credentials SET record_id = 'gone' WHERE state = 'previous'",
    )


async def test_a_stopped_upstream_cannot_be_started_again(tmp_path: Path) -> None:
    async with Provider(answer).running() as honest:
        home = new_home(tmp_path / "home")
        add_upstream(home, "openai", honest.url)
        async with running(home) as gw:
            home.upstreams.disable("openai")
            assert (await gw.chat()).status_code == 503
            forge(tmp_path / "home", "upstreams.disabled", FORGED["upstreams.disabled"])
            assert (await gw.chat()).status_code == 503
        assert honest.seen == []
