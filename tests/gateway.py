"""A gateway in its own process on a throw-away home, set up and driven through `gwctl` as anyone would.

`Gateway` is used by the tests with real clients, the fault rounds and the benchmarks alike.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from keyvault.storage.engine import sqlite_module
from opsconsole.cli.io import Streams
from opsconsole.cli.main import run
from tests.canaries import Canaries
from tests.few_prices import made_home

GWCTL: Final = Path(sys.executable).with_name("gwctl")
_LISTENING: Final = re.compile(r"listening on (http\S+) \(admin (http\S+)\)")
_PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


class Gateway:
    """One home and the process that serves it. `origin` and `admin` are known once started."""

    def __init__(self, home: Path, *, empty: bool = False, **settings: str) -> None:
        """`settings`: more environment, such as GWCTL_TIMEOUTS_IDLE="2". `empty`: nothing is set up yet."""
        self.home = home
        self.canaries = Canaries()
        inherited = {k: v for k, v in os.environ.items() if k.lower() not in _PROXIES and not k.startswith("GWCTL_")}
        self.environ = {**inherited, "GWCTL_HOME": str(home), **settings}
        self.origin = self.admin = ""
        self.process: subprocess.Popen[str] | None = None
        if not empty:
            if settings.keys() & {"GWCTL_DATABASE_URL"}:
                self.gwctl("init", "--yes", "--unlock", "file")
            else:
                shutil.copytree(made_home(), home, dirs_exist_ok=True)
            self.canaries.add("key file", (home / "config" / "unlock.key").read_text().strip())

    @property
    def base_url(self) -> str:
        """What an OpenAI SDK takes as its base URL."""
        return f"{self.origin}/v1"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    # Commands

    def gwctl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one command, in this process: half a second less than in one of its own.

        A failure raises with what it said, and so does a secret shown a second time.
        """
        self.canaries.given(arguments, stdin or "")
        streams = Streams(io.StringIO(stdin or ""), out := io.StringIO(), err := io.StringIO())
        code = run(arguments, self.environ, streams)
        done = subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())
        assert not check or code == 0, f"gwctl {' '.join(arguments)}: {code}\n{done.stderr}"
        self._check(arguments, done.stdout + done.stderr)
        return done

    def run(self, *arguments: str) -> str:
        """What a command that changes something prints."""
        return self.gwctl(*arguments).stdout

    def _check(self, arguments: Sequence[str], said: str) -> None:
        leaked = self.canaries.in_text(said.encode())
        assert not leaked, f"gwctl {' '.join(arguments)} showed {leaked}"
        self.canaries.made(arguments, said)

    def json(self, *arguments: str, stdin: str | None = None) -> Any:
        """The JSON document that a command prints."""
        return json.loads(self.gwctl(*arguments, "--json", stdin=stdin).stdout)

    def create_upstream(self, name: str, provider: str, base_url: str, secret: str, *options: str) -> None:
        self.gwctl(
            "upstreams", "create", name, "--provider", provider, "--base-url", base_url,
            "--secret-stdin", "--allow-private", *options, stdin=secret,
        )  # fmt: skip

    def create_key(self, name: str, *options: str) -> str:
        """The new key's secret."""
        return str(self.json("keys", "create", name, *options)["secret"])

    def set_price(self, target: str, *, input_usd: str = "1", output_usd: str = "2") -> None:
        self.gwctl("prices", "set", target, "--input", input_usd, "--output", output_usd)

    def requests(self, count: int = 1000) -> list[dict[str, Any]]:
        """The newest requests in the ledger, as `usage tail` tells them."""
        done = self.gwctl("usage", "tail", "-n", str(count), "--json")
        return [json.loads(line) for line in done.stdout.splitlines()]

    # The serving process

    def start(self) -> None:
        """Serve, on the ports of last time if there was one, and wait until connections are accepted."""
        listen, admin = (origin.removeprefix("http://") or "127.0.0.1:0" for origin in (self.origin, self.admin))
        with (self.home / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(
                [GWCTL, "serve", "--listen", listen, "--admin", admin],
                env=self.environ, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, text=True,
            )  # fmt: skip
        assert self.process.stdout is not None
        said = _LISTENING.search(self.process.stdout.readline())
        assert said, f"gwctl serve did not start:\n{self.log()}"
        self.origin, self.admin = said[1], said[2]

    def stop(self) -> int:
        """End as an operator would; the exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End as a crash would."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.wait(timeout=40)

    def log(self) -> str:
        return (self.home / "serve.log").read_text(errors="replace")

    # The ledger, read beside the running process

    def rows(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Rows of the home's SQLite database."""
        driver = sqlite_module()
        connection = driver.connect(f"file:{self.home / 'data' / 'gateway.db'}?mode=ro", uri=True, timeout=10)
        with contextlib.closing(connection):
            connection.row_factory = driver.Row
            return [dict(row) for row in connection.execute(query, parameters or {})]


@contextlib.contextmanager
def serving(gateway: Gateway) -> Iterator[Gateway]:
    """Start it, and stop it at the end whatever happens; none of its secrets may lie open in its home then."""
    gateway.start()
    try:
        yield gateway
    finally:
        if gateway.process is not None and gateway.process.poll() is None:
            gateway.kill()
    leaked = gateway.canaries.below(gateway.home)
    assert not leaked, leaked
