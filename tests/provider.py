"""A provider on this machine that takes the secrets a test says, for tests in which `gwctl` calls it."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMPLETION: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "tiny-chat",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "OK"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 12, "completion_tokens": 1, "total_tokens": 13},
}


@dataclass
class Accounts:
    """Which secrets the provider takes, and what it was asked with them."""

    taken: set[str]
    url: str = ""
    asked: Counter[str] = field(default_factory=Counter)
    """Chat calls by secret."""
    refused: Counter[str] = field(default_factory=Counter)
    status: int = 200
    """What it answers to those it takes."""


@contextlib.contextmanager
def provider(*taken: str) -> Iterator[Accounts]:
    """Lists one model and answers chat calls, for whoever knows one of the secrets."""
    accounts = Accounts(set(taken))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer({"data": [{"id": "tiny-chat"}]})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            if self._secret in accounts.taken:
                accounts.asked[self._secret] += 1
            self._answer(COMPLETION)

        @property
        def _secret(self) -> str:
            return (self.headers["authorization"] or "").removeprefix("Bearer ")

        def _answer(self, content: dict[str, Any]) -> None:
            status = accounts.status
            if self._secret not in accounts.taken:
                accounts.refused[self._secret] += 1
                status, content = 401, {"error": {"message": f"bad key {self._secret}", "code": "invalid_api_key"}}
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    accounts.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield accounts
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
