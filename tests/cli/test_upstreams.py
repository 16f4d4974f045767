"""`gwctl upstreams` and `gwctl routes`, against a real server on this machine where one is called."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import sqlalchemy as sa

from keyvault.errors import Exit
from tests.cli.conftest import Gwctl

SECRET = "sk-provider-canary-0123456789"

UPSTREAM = {
    "name",
    "provider",
    "base_url",
    "state",
    "dialects",
    "has_secret",
    "auth_header",
    "allow_private",
    "ca_file",
} | {
    "stream_usage",
    "catalogue",
    "verified_at",
    "verified_note",
    "rotated_at",
    "created_at",
}


class Provider(BaseHTTPRequestHandler):
    """Lists one model and answers a chat call, for whoever knows the secret."""

    calls: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self) -> None:
        self.answer({"data": [{"id": "tiny-chat"}]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        usage = {"prompt_tokens": 12, "completion_tokens": 1}
        self.answer({"choices": [{"message": {"content": "OK"}}], "usage": usage})

    def answer(self, content: dict[str, Any]) -> None:
        good = self.headers["authorization"] == f"Bearer {SECRET}"
        body = json.dumps(
            content if good else {"error": {"message": f"wrong key {SECRET}", "code": "bad_key"}}
        ).encode()
        self.calls.append((self.command, self.path))
        self.send_response(200 if good else 401)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def provider() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


def create(gwctl: Gwctl, url: str, *words: str, secret: str = SECRET) -> Any:
    return gwctl(
        *["upstreams", "create", "local", "--provider", "custom", "--allow-private", "--secret-stdin", "--base-url"],
        url,
        *words,
        stdin=secret + "\n",
    )


def test_creating_listing_and_showing_an_upstream_without_its_credential(gwctl: Gwctl, provider: str) -> None:
    made = create(gwctl, provider, "--json")
    assert set(made.json) == UPSTREAM | {"credentials"}
    assert made.json["state"] == "active"
    assert made.json["has_secret"] is True
    assert made.json["verified_at"] is None
    everything = (
        made.out + made.err + gwctl("upstreams", "list", "--json").out + gwctl("upstreams", "show", "LOCAL").out
    )
    assert SECRET not in everything
    assert set(gwctl("upstreams", "list", "--json").json["upstreams"][0]) == UPSTREAM


def test_an_upstream_that_was_never_tested_says_so(gwctl: Gwctl, provider: str) -> None:
    assert "verified at    untried\n" in create(gwctl, provider).out
    for shown in (gwctl("upstreams", "list").out, gwctl("upstreams", "show", "local").out):
        assert "untried" in shown
    assert gwctl("upstreams", "show", "local", "--json").json["verified_at"] is None
    gwctl("upstreams", "test", "local")
    for shown in (gwctl("upstreams", "list").out, gwctl("upstreams", "show", "local").out):
        assert "untried" not in shown


def test_the_credential_may_come_from_a_file(gwctl: Gwctl, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    assert gwctl("upstreams", "create", "openai", "--provider", "openai", "--secret-file", str(file)).code == 0
    missing = gwctl("upstreams", "create", "o2", "--provider", "openai", "--secret-file", str(tmp_path / "none"))
    assert missing.code == Exit.USAGE
    assert "no such file or directory\ngwctl: hint: name a file" in missing.err


@pytest.mark.parametrize("secret", ["", "two words", "line\nbreak", "ümlaut"])
def test_what_can_be_no_credential_is_refused_without_showing_it(gwctl: Gwctl, provider: str, secret: str) -> None:
    ran = create(gwctl, provider, secret=secret)
    assert ran.code == Exit.USAGE
    assert not secret or secret not in ran.err
    assert gwctl("upstreams", "list", "-o", "name").out == ""


def test_a_test_makes_a_real_call_and_says_what_it_cost(gwctl: Gwctl, provider: str) -> None:
    create(gwctl, provider)
    gwctl("prices", "set", "local/tiny-chat", "--input", "2", "--output", "8")
    tested = gwctl("upstreams", "test", "local", "--json").json
    assert tested | {"latency_ms": 0} == {
        "label": "main",
        "name": "local",
        "ok": True,
        "call": "chat",
        "model": "tiny-chat",
        "status": 200,
        "latency_ms": 0,
        "input_tokens": 12,
        "output_tokens": 1,
        "cost": "0.000032",
        "currency": "USD",
        "error_code": None,
        "error_text": None,
    }
    shown = gwctl("upstreams", "show", "local", "--json").json
    assert shown["verified_at"] == "2026-10-01T12:00:00.000Z"
    assert shown["verified_note"] == "chat with tiny-chat"


def test_a_call_without_a_price_has_an_unknown_cost(gwctl: Gwctl, provider: str) -> None:
    create(gwctl, provider)
    assert gwctl("upstreams", "test", "local", "--json").json["cost"] is None


def test_a_wrong_credential_fails_the_test_and_is_not_shown(gwctl: Gwctl, provider: str) -> None:
    create(gwctl, provider, secret="sk-wrong-secret-value")
    ran = gwctl("upstreams", "test", "local", "--json")
    assert ran.code == Exit.CHECK_FAILED
    assert json.loads(ran.out)["status"] == 401
    assert "sk-wrong-secret-value" not in ran.out + ran.err


def test_deleting_needs_the_name(gwctl: Gwctl, provider: str) -> None:
    create(gwctl, provider)
    assert "--confirm local required when not interactive" in gwctl("upstreams", "delete", "local", "--yes").err
    assert gwctl("upstreams", "delete", "local", "--confirm", "other").code == Exit.USAGE
    assert gwctl("upstreams", "delete", "local", terminal=True, stdin="yes\n").code == Exit.FAILURE
    assert gwctl("upstreams", "delete", "local", "--dry-run").code == 0
    assert gwctl("upstreams", "list", "-o", "name").out == "local\n"
    assert gwctl("upstreams", "delete", "local", terminal=True, stdin="local\n").code == 0
    assert gwctl("upstreams", "list", "-o", "name").out == ""


def test_disabling_and_enabling(gwctl: Gwctl, provider: str) -> None:
    create(gwctl, provider)
    assert gwctl("upstreams", "disable", "local", "--json").json["state"] == "disabled"
    assert gwctl("upstreams", "enable", "local", "--json").json["state"] == "active"


def test_the_presets_say_openly_what_was_never_tried(gwctl: Gwctl) -> None:
    presets = {preset["name"]: preset for preset in gwctl("upstreams", "presets", "--json").json["presets"]}
    known = "openai azure anthropic gemini mistral groq deepseek together fireworks openrouter xai"
    own = "ollama vllm llamacpp custom"
    assert set(f"{known} {own}".split()) <= set(presets)
    assert all(preset["verified"] for preset in presets.values())
    assert "untried" in gwctl("upstreams", "presets").out


def test_routes_are_numbered_revisions(gwctl: Gwctl, provider: str) -> None:
    create(gwctl, provider)
    assert gwctl("routes", "list", "--json").json == {"revision": 0, "routes": []}
    made = gwctl("routes", "set", "fast", "local/tiny-chat", "local/other", "--json").json
    assert made["targets"] == ["local/tiny-chat", "local/other"]
    assert (made["alias"], made["revision"]) == ("fast", 1)
    assert gwctl("routes", "show", "fast", "--json").json == made
    assert gwctl("__complete", "routes", "show", "").out == "fast\t\n"
    assert gwctl("routes", "delete", "fast", "--json").json == {"alias": "fast", "deleted": True, "revision": 2}
    history = gwctl("routes", "history", "--json").json["revisions"]
    assert [entry["revision"] for entry in history][:2] == [2, 1]
    [route] = history[1]["routes"]
    assert (route["alias"], route["targets"]) == ("fast", made["targets"])


@contextlib.contextmanager
def counted() -> Iterator[list[str]]:
    """Every statement that any database is asked meanwhile."""
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


def test_listing_many_upstreams_asks_the_database_as_often_as_listing_one(gwctl: Gwctl) -> None:
    counts = []
    for number in range(3):
        made = gwctl("upstreams", "create", f"u{number}", "--provider", "openai", "--secret-stdin", stdin=SECRET)
        assert made.code == 0, made.err
        with counted() as asked:
            assert len(gwctl("upstreams", "list", "--json").json["upstreams"]) == number + 1
        counts.append(len(asked))
    assert counts[0] > 0
    assert len(set(counts)) == 1
