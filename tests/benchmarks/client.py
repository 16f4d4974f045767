"""A load client of our own, for machines without wrk: `python -m tests.benchmarks.client < job.json`, JSON out.

Each connection sends its next request when the last answer has ended; just enough HTTP to see that end.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any, cast

import uvloop


class Caller(asyncio.Protocol):
    """One connection, asking again and again until `until`."""

    def __init__(self, request: bytes, until: float, latencies: list[float], failures: list[int]) -> None:
        self._request = request
        self._until = until
        self._latencies = latencies
        self._failures = failures
        self.over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.over.done():
            self._failures.append(0)
            self.over.set_result(None)

    def _ask(self) -> None:
        self._head, self._left, self._in_body = b"", 0, False
        self._asked = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self._in_body:
            data = self._read_head(data)
        self._left -= len(data)
        if self._in_body and (data.endswith(b"0\r\n\r\n") if self._chunked else self._left <= 0):
            self._answered()

    def _read_head(self, data: bytes) -> bytes:
        """What came of the body once the head is whole."""
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            return b""
        head = self._head[:end].lower()
        if b" 200 " not in head[:20]:
            self._failures.append(int(head[9:12]))
        at = head.find(b"content-length:")
        self._chunked, self._in_body = at < 0, True
        self._left = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        return self._head[end + 4 :]

    def _answered(self) -> None:
        now = time.perf_counter()
        self._latencies.append(now - self._asked)
        if now < self._until:
            self._ask()
        else:
            self.over.set_result(None)
            self._transport.close()


async def _run(job: dict[str, Any]) -> dict[str, Any]:
    body = job["body"].encode()
    lines = [f"POST {job['path']} HTTP/1.1", f"host: {job['host']}:{job['port']}", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in job["headers"].items()]
    request = "\r\n".join([*lines, "", ""]).encode() + body
    latencies: list[float] = []
    failures: list[int] = []
    began = time.perf_counter()
    loop = asyncio.get_running_loop()
    callers = [Caller(request, began + job["seconds"], latencies, failures) for _ in range(job["connections"])]
    for caller in callers:
        await loop.create_connection(lambda caller=caller: caller, job["host"], job["port"])  # type: ignore[misc]
    await asyncio.gather(*(caller.over for caller in callers))
    latencies.sort()
    return {
        "requests": len(latencies),
        "seconds": time.perf_counter() - began,
        "errors": len(failures),
        "p50_ms": 1000 * latencies[len(latencies) // 2],
        "p99_ms": 1000 * latencies[int(len(latencies) * 0.99)],
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(_run(json.load(sys.stdin)))))
