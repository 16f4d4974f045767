"""What the parts of the hot path cost, each alone: `python -m tests.benchmarks.parts`.

Best of many short rounds, in microseconds, with a plain loop beside them to judge the machine by.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from keyvault.domain.endpoints import ENDPOINTS, Dialect
from keyvault.proxy.dialects.body import read_body
from keyvault.proxy.dialects.meter import stream_meter
from keyvault.proxy.dialects.sse import SseFramer
from keyvault.proxy.headers import to_provider

EVENT = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,'
    b'"delta":{"content":" hello"},"finish_reason":null}],"usage":null}\n\n'
)
DELTA = (
    b"event: content_block_delta\n"
    b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}\n\n'
)
HEADERS = [(b"content-type", b"application/json"), (b"accept", b"*/*"), (b"user-agent", b"OpenAI/Python 3.0")]


def main() -> None:
    parts: list[tuple[str, Callable[[], object]]] = [
        ("a loop of 100 additions", lambda: sum(range(100))),
        ("request body, 1 kB", _body(1_000)),
        ("request body, 400 kB", _body(400_000)),
        ("head for the provider", _head),
        ("chat event: framer and meter", _event(Dialect.CHAT, EVENT)),
        ("messages event: framer and meter", _event(Dialect.MESSAGES, DELTA)),
    ]
    for name, part in parts:
        print(f"{name:34} {_best_us(part):8.2f} µs")


def _body(size: int) -> Callable[[], object]:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * size}], "stream": True}).encode()
    endpoint = ENDPOINTS["/chat/completions"]
    return lambda: read_body(endpoint, b"application/json", body).rewritten("t", add_usage=True)


def _head() -> bytes:
    auth = [(b"authorization", b"Bearer k")]
    return to_provider("POST", "/v1/x", HEADERS, host=b"h", auth=auth, extra={}, request_id="0" * 28, content_length=1)


def _event(dialect: Dialect, event: bytes) -> Callable[[], object]:
    meter, framer = stream_meter(dialect, drop_usage=True), SseFramer()
    meter.feed(event)

    def one() -> None:
        for whole in framer.feed(event):
            meter.feed(whole)

    return one


def _best_us(part: Callable[[], object], rounds: int = 50) -> float:
    part()
    began = time.perf_counter()
    part()
    times = max(1, min(2000, int(0.002 / max(time.perf_counter() - began, 1e-7))))
    best = float("inf")
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(times):
            part()
        best = min(best, (time.perf_counter() - began) / times)
    return best * 1e6


if __name__ == "__main__":
    main()
