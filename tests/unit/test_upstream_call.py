"""`upstreams test`: one real call over real sockets, that obeys the address rules and never shows the credential."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from keyvault.clock import from_ms
from keyvault.domain.ledger import Usage
from keyvault.domain.providers import preset
from keyvault.domain.vault import Upstream
from keyvault.vault import testing
from keyvault.vault.upstreams import OpenUpstream
from tests import upstreams

SECRET = "sk-canary-93"
CHAT = {"usage": {"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 4}}}
MESSAGES = {"usage": {"input_tokens": 5, "output_tokens": 1, "cache_read_input_tokens": 4}}


@dataclass
class Provider:
    """A provider on loopback that answers as told and remembers what it was asked."""

    url: str = ""
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    headers: list[tuple[str, str]] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)


def _serve(provider: Provider, context: ssl.SSLContext | None) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("content-length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            headers = {name.lower(): value for name, value in self.headers.items()}
            provider.asked.append((self.command, self.path, headers, body))
            status, content = provider.answers.get(self.path, (404, {"error": {"message": "no such path"}}))
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in provider.headers:
                self.send_header(name, value)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET  # noqa: N815 - the name the server looks for

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()
    server = _serve(provider, None)
    provider.url = f"http://127.0.0.1:{server.server_port}/v1"
    yield provider
    server.shutdown()
    server.server_close()


def opened(url: str, name: str = "openai", **changes: Any) -> OpenUpstream:
    chosen = preset(name)
    upstream = Upstream(
        id=1,
        name="up",
        provider=name,
        base_url=url,
        dialects=chosen.dialects,
        auth_header=chosen.auth_header,
        auth_scheme=chosen.auth_scheme,
        stream_usage=True,
        catalogue=None,
        created_at=from_ms(0),
        allow_private=True,
        extra_headers=dict(chosen.extra_headers),
    )
    return upstreams.opened(replace(upstream, **changes), SECRET)


def call(upstream: OpenUpstream, model: str | None = None, **environ: str) -> testing.TestResult:
    return testing.test_upstream(upstream, model, 5.0, environ=environ)


def test_a_chat_call_asks_for_little_and_reports_what_was_counted(provider: Provider) -> None:
    provider.answers["/v1/chat/completions"] = (200, CHAT)
    result = call(opened(provider.url), "gpt-5-nano")
    assert (result.ok, result.call, result.status, result.note) == (True, "chat", 200, "chat with gpt-5-nano")
    assert result.usage == Usage(input=9, cached_input=4, output=1)
    [(method, path, headers, body)] = provider.asked
    assert (method, path, headers["authorization"]) == ("POST", "/v1/chat/completions", f"Bearer {SECRET}")
    assert body["max_completion_tokens"] == 16


def test_a_messages_call_carries_its_own_header_and_version(provider: Provider) -> None:
    provider.answers["/v1/messages"] = (200, MESSAGES)
    result = call(opened(provider.url, "anthropic"), "claude-haiku-4-5")
    assert result.call == "messages"
    assert result.usage == Usage(input=9, cached_input=4, output=1)
    [(_, _, headers, body)] = provider.asked
    assert headers["x-api-key"] == SECRET
    assert headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in headers
    assert body["max_tokens"] == 1


def test_without_a_model_a_small_one_is_picked_from_the_list(provider: Provider) -> None:
    names = ["text-embedding-3-small", "gpt-5", "gpt-5-mini", "gpt-4o-mini-tts"]
    provider.answers["/v1/models"] = (200, {"data": [{"id": name} for name in names]})
    provider.answers["/v1/chat/completions"] = (200, CHAT)
    assert call(opened(provider.url)).model == "gpt-5-mini"


def test_where_no_model_can_be_picked_the_list_is_the_test(provider: Provider) -> None:
    provider.answers["/v1/models"] = (200, {"data": [{"id": "whisper-1"}]})
    result = call(opened(provider.url))
    assert (result.ok, result.call, result.note) == (True, "models", "list of models")


def test_the_list_alone_costs_no_completion(provider: Provider) -> None:
    provider.answers["/v1/models"] = (200, {"data": [{"id": "gpt-5-mini"}]})
    assert testing.list_models(opened(provider.url), 5.0, environ={}).ok
    assert [(method, path) for method, path, _, _ in provider.asked] == [("GET", "/v1/models")]


@pytest.mark.parametrize("content", [{}, {"data": 7}, {"data": [7, {}, {"id": 7}]}, b"<html>", b"[]"], ids=str)
def test_an_odd_list_is_no_crash(provider: Provider, content: Any) -> None:
    provider.answers["/v1/models"] = (200, content)
    assert call(opened(provider.url)).call == "models"


def test_azure_lists_models_that_cannot_be_called_so_none_is_picked(provider: Provider) -> None:
    provider.answers["/v1/models"] = (200, {"data": [{"id": "gpt-4o-mini"}]})
    assert call(opened(provider.url, "azure")).call == "models"


def test_an_error_that_echoes_the_credential_is_scrubbed(provider: Provider) -> None:
    error = {"error": {"message": f"Incorrect API key provided: {SECRET}.", "code": "invalid_api_key"}}
    provider.answers["/v1/chat/completions"] = (401, error)
    result = call(opened(provider.url), "gpt-5-nano")
    assert (result.ok, result.status, result.error_code) == (False, 401, "invalid_api_key")
    assert result.error_text == "Incorrect API key provided: …."
    assert SECRET not in repr(result)


@pytest.mark.parametrize(
    "content", [b"", b"<html>", [], {"error": "plain"}, {"error": {"message": 7}}, {"a": 1}], ids=str
)
def test_every_shape_of_error_has_a_text(provider: Provider, content: Any) -> None:
    provider.answers["/v1/chat/completions"] = (500, content)
    result = call(opened(provider.url), "gpt-5-nano")
    assert not result.ok
    assert result.error_text


def test_a_redirect_is_not_followed(provider: Provider) -> None:
    provider.headers.append(("location", provider.url + "/elsewhere"))
    provider.answers["/v1/chat/completions"] = (302, {})
    result = call(opened(provider.url), "gpt-5-nano")
    assert (result.ok, result.status) == (False, 302)
    assert len(provider.asked) == 1


def test_a_private_address_is_refused_before_anything_is_sent(provider: Provider) -> None:
    result = call(opened(provider.url, allow_private=False), "gpt-5-nano")
    assert (result.ok, result.error_code) == (False, "private_address")
    by_name = provider.url.replace("127.0.0.1", "localhost")
    assert call(opened(by_name, allow_private=False), "gpt-5-nano").error_code == "private_address"
    assert provider.asked == []


def test_a_refused_connection_and_an_unknown_host_are_told_apart() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        refused = call(opened(f"http://127.0.0.1:{taken.getsockname()[1]}/v1"), "m")
    assert (refused.status, refused.error_code) == (None, "connect_refused")
    assert call(opened("http://no-such-host.invalid/v1"), "m").error_code == "dns_failure"


def test_a_silent_provider_is_a_timeout() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        upstream = opened(f"http://127.0.0.1:{silent.getsockname()[1]}/v1")
        result = testing.test_upstream(upstream, "m", 0.2, environ={})
    assert (result.ok, result.error_code) == (False, "timeout")


def test_the_environments_proxy_is_used_unless_excepted(provider: Provider) -> None:
    target = "http://llm.example.com/v1/chat/completions"
    provider.answers[target] = (200, CHAT)
    proxy = provider.url.removesuffix("/v1")
    assert call(opened("http://llm.example.com/v1"), "m", http_proxy=proxy).ok
    assert provider.asked[0][1] == target
    excepted = call(opened("http://llm.example.invalid/v1"), "m", http_proxy=proxy, no_proxy="example.invalid")
    assert excepted.error_code == "dns_failure"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for `localhost`, key and certificate in one file."""
    return _make_certificate(tmp_path_factory.mktemp("tls") / "both.pem")


def _make_certificate(path: Path) -> Path:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def tls_provider(certificate: Path) -> Iterator[Provider]:
    provider = Provider()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = _serve(provider, context)
    provider.url = f"https://localhost:{server.server_port}/v1"
    yield provider
    server.shutdown()
    server.server_close()


def test_an_own_ca_is_trusted_and_the_host_still_verified(tls_provider: Provider, certificate: Path) -> None:
    tls_provider.answers["/v1/chat/completions"] = (200, CHAT)
    assert call(opened(tls_provider.url, ca_file=str(certificate)), "m").ok
    unknown = call(opened(tls_provider.url), "m")
    assert unknown.error_code == "tls_error"
    assert "self" in (unknown.error_text or "")
    by_address = tls_provider.url.replace("localhost", "127.0.0.1")
    assert call(opened(by_address, ca_file=str(certificate)), "m").error_code == "tls_error"


@pytest.mark.parametrize(
    ("names", "picked"),
    [
        ([], None),
        (["text-embedding-3-large"], None),
        (["big-model"], "big-model"),
        (["gpt-5", "gpt-5-nano", "gpt-5-mini"], "gpt-5-nano"),
        (["claude-opus-4-1", "claude-haiku-4-5"], "claude-haiku-4-5"),
        (["models/imagen-4", "models/gemini-2.5-pro", "models/gemini-2.5-flash"], "models/gemini-2.5-flash"),
    ],
)
def test_the_picked_model_chats_and_is_cheap(names: list[str], picked: str | None) -> None:
    assert testing.pick_model(names) == picked
