"""33. Unique secrets of every kind, through a gateway that serves: 0 hits outside sealed records and files asked for.

The same is looked for at the end of every test that serves (`tests.gateway`), and after a run of the whole suite, in
all that it leaves behind, by `python -m tests.canary`.
"""

from __future__ import annotations

import http.client
import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsconsole.staging.simulation.profile import Profile
from opsconsole.staging.simulator import running
from tests.canaries import files
from tests.canary import leaks
from tests.gateway import Gateway, serving


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """A home with a secret of every kind: provider's, key's, passphrase, recovery code, key file."""
    provider = f"sk-canary-{secrets.token_hex(16)}"
    with running(Profile(models=("sim",), credential=provider)) as [simulator]:
        made = Gateway(tmp_path / "home")
        made.create_upstream("sim", "openai", simulator.base_url, provider)
        made.gwctl("vault", "slots", "create", "passphrase", "--secret-stdin", stdin=f"canary {secrets.token_hex(16)}")
        made.gwctl("vault", "slots", "create", "recovery", "--recovery-out", str(tmp_path / "recovery.txt"))
        yield made


def ask(gateway: Gateway, token: str, *, path: str = "/v1/chat/completions") -> int:
    host, _, port = gateway.origin.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    question = json.dumps({"model": "sim", "messages": [{"role": "user", "content": "hello"}]})
    try:
        connection.request("POST", path, question, {"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def test_no_secret_of_any_kind_lies_open_anywhere(gateway: Gateway, tmp_path: Path) -> None:
    """`serving` looks through the home at its end; here what was written beside it too."""
    token = gateway.create_key("ci-bot")
    with serving(gateway):
        assert ask(gateway, token) == 200
        assert ask(gateway, token[:-1] + ("y" if token.endswith("x") else "x")) == 401
        assert ask(gateway, token, path=f"/v1/chat/completions?api_key={token}") in (200, 400)
        gateway.gwctl("keys", "rotate", "ci-bot", "--out", str(tmp_path / "new.key"))
        assert ask(gateway, (tmp_path / "new.key").read_text().strip()) == 200
        gateway.gwctl("keys", "revoke", "ci-bot", "--yes")
        assert ask(gateway, token) == 401
        gateway.gwctl("backup", str(tmp_path / "b.tar"))
        gateway.gwctl("usage", "tail", "-n", "10", "--json")
        gateway.gwctl("doctor", "--offline", check=False)
    asked = {tmp_path / "recovery.txt", tmp_path / "new.key"}
    assert [where for where, data in files(tmp_path, asked) if gateway.canaries.in_text(data)] == []
    assert len(list(files(tmp_path, asked))) >= 5


def test_the_search_finds_what_leaks(gateway: Gateway) -> None:
    """Each kind, leaked on purpose, is found; so the search above means something."""
    token, home = gateway.create_key("ci-bot"), gateway.home
    kinds = {"key file", "recovery code", "secret from stdin", "token"}
    known = {what: form for form, what in gateway.canaries.known}
    assert set(known) == kinds
    for what, form in known.items():
        leak = home / "state" / "leak"
        leak.write_bytes(b"before " + form + b" after")
        assert gateway.canaries.below(home) == [f"{what}: {leak}"]
        leak.unlink()
    with pytest.raises(AssertionError, match="token"):
        gateway.gwctl("customers", "create", "acme", "--tag", f"note={token}", "--dry-run", "--json")


def test_a_run_of_the_whole_suite_is_told_of_a_leak_in_any_home(tmp_path: Path) -> None:
    home, noted, said = tmp_path / "kept" / "a_test" / "home", tmp_path / "noted.jsonl", tmp_path / "said.txt"
    (home / "config").mkdir(parents=True)
    (home / "config" / "config.toml").touch()
    noted.write_text(json.dumps({"what": "token", "secret": "sk-canary-0123456789abcdef"}) + "\n")
    said.write_text("1 passed")
    assert leaks(noted, tmp_path / "kept", said) == []
    (home / "serve.log").write_text("request by sk-canary-0123456789abcdef")
    said.write_text("printed: sk-canary-0123456789abcdef")
    assert leaks(noted, tmp_path / "kept", said) == [
        f"token: {home / 'serve.log'}: 'request by [here]'",
        f"token: {said}: 'printed: [here]'",
    ]
