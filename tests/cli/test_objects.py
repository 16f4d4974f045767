"""`gwctl objects`: who owns what is stored at providers."""

from __future__ import annotations

import pytest

from keyvault.errors import Exit
from keyvault.home import Home
from tests.cli.conftest import Gwctl


@pytest.fixture
def ready(gwctl: Gwctl) -> Gwctl:
    for words in (
        ("upstreams", "create", "openai", "--provider", "openai", "--secret-stdin"),
        ("customers", "create", "acme"),
        ("projects", "create", "acme/web"),
        ("projects", "create", "acme/app"),
    ):
        ran = gwctl(*words, stdin="sk-provider-canary-0123456789\n")
        assert ran.code == 0, ran.err
    return gwctl


def test_an_object_can_be_assigned_listed_and_forgotten(ready: Gwctl) -> None:
    assert ready("objects", "list", "--json").json["objects"] == []
    ready("objects", "assign", "openai/file-abc123", "acme/web")
    [row] = ready("objects", "list", "--json").json["objects"]
    assert (row["name"], row["kind"], row["project"]) == ("openai/file-abc123", "file", "acme/web")
    assert (row["key"], row["state"]) == (None, "stored")
    ready("objects", "assign", "OpenAI/file-abc123", "acme/app")
    assert [each["project"] for each in ready("objects", "list", "--json").json["objects"]] == ["acme/app"]
    assert ready("objects", "list", "--project", "acme/web", "--json").json["objects"] == []
    assert ready("objects", "forget", "openai/file-abc123").code == Exit.OK
    assert ready("objects", "forget", "openai/file-abc123").code == Exit.NOT_FOUND


def test_a_rehearsal_assigns_nothing(ready: Gwctl) -> None:
    assert ready("objects", "assign", "openai/file-abc123", "acme/web", "--dry-run").code == Exit.OK
    assert ready("objects", "list", "--json").json["objects"] == []


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("assign", "file-abc", "acme/web"), Exit.USAGE),
        (("assign", "openai/file abc", "acme/web"), Exit.USAGE),
        (("assign", "openai/strange", "acme/web"), Exit.USAGE),
        (("assign", "openai/strange", "acme/web", "--kind", "nonsense"), Exit.USAGE),
        (("assign", "openai/file-abc", "acme/nobody"), Exit.NOT_FOUND),
        (("assign", "nobody/file-abc", "acme/web"), Exit.NOT_FOUND),
        (("list", "--project", "acme/nobody"), Exit.NOT_FOUND),
        (("forget", "openai/file-abc"), Exit.NOT_FOUND),
    ],
)
def test_what_makes_no_sense_is_said_in_one_line(ready: Gwctl, words: tuple[str, ...], code: Exit) -> None:
    ran = ready("objects", *words)
    assert ran.code == code
    assert "Traceback" not in ran.err


def test_an_id_that_tells_nothing_is_assigned_with_its_kind(ready: Gwctl) -> None:
    assert ready("objects", "assign", "openai/strange-1", "acme/web", "--kind", "file").code == Exit.OK


def test_assigning_is_audited(ready: Gwctl) -> None:
    ready("objects", "assign", "openai/file-abc123", "acme/web")
    home = Home(ready.environ, ready.clock)
    with home.database.read() as tx:
        [(scope, detail)] = tx.exec_driver_sql("SELECT scope, detail FROM audit WHERE action = 'objects.assign'")
    home.close()
    assert scope == "project:acme/web"
    assert "file-abc123" in detail
