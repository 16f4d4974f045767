"""A real browser without a window, spoken to over two pipes: opens a page, counts what it asks for and complains of."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-pipe",
)  # fmt: skip


def installed() -> str | None:
    """Where a browser is, if there is one."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


class Page:
    """One page. `events` are those of the DevTools protocol, as they came."""

    def __init__(self, commands: IO[bytes], answers: IO[bytes]) -> None:
        self._commands, self._answers = commands, answers
        self._sent = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._call(f"{domain}.enable")

    def open(self, url: str, *, dark: bool = False) -> None:
        """Load a page and wait for its end."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])
        self.events.clear()
        self._call("Page.navigate", url=url)
        while not self.of("Page.loadEventFired"):
            self._take()

    def tell(self, expression: str) -> Any:
        """What a JavaScript expression is on the page."""
        return self._call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def of(self, method: str) -> list[dict[str, Any]]:
        return [event["params"] for event in self.events if event.get("method") == method]

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._sent += 1
        told: dict[str, Any] = {"id": self._sent, "method": method, "params": params}
        if self._session:
            told["sessionId"] = self._session
        self._commands.write(json.dumps(told).encode() + b"\0")
        self._commands.flush()
        while True:
            answer = self._take()
            if answer.get("id") == self._sent:
                assert "error" not in answer, answer
                found: dict[str, Any] = answer["result"]
                return found

    def _take(self) -> dict[str, Any]:
        message = bytearray()
        while (byte := self._answers.read(1)) != b"\0":
            assert byte, "the browser has gone"
            message += byte
        answer: dict[str, Any] = json.loads(message)
        self.events.append(answer)
        return answer


@contextlib.contextmanager
def browser(program: str, profile: Path) -> Iterator[Page]:
    """A new browser with a profile of its own; gone when the block ends."""
    reads, commands = os.pipe()
    answers, writes = os.pipe()
    redirected = f'exec "$@" 3<&{reads} 4>&{writes}'
    process = subprocess.Popen(
        ["bash", "-c", redirected, "bash", program, *_FLAGS, f"--user-data-dir={profile}"],
        pass_fds=(reads, writes),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "HOME": str(profile)},
        start_new_session=True,
    )
    os.close(reads)
    os.close(writes)
    try:
        with os.fdopen(commands, "wb") as to, os.fdopen(answers, "rb") as out:
            yield Page(to, out)
    finally:
        process.kill()
        process.wait()
