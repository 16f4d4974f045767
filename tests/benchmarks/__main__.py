"""`python -m tests.benchmarks`: the gateway with everything on, against nginx and the peers installed here, in one run.

nginx and wrk come from the system (`apt-get install nginx-light wrk`); LiteLLM's proxy is taken from `$LITELLM` or the
path, Portkey's gateway from `$PORTKEY` (its `build/start-server.js`). Whatever is absent is skipped, and said.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.benchmarks import contenders, measure
from tests.benchmarks.contenders import Contender
from tests.benchmarks.report import Report

Start = Callable[[Path, int], contextlib.AbstractContextManager[Contender]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement (default 2)")
    parser.add_argument("--rounds", type=int, default=7, help="in which the contenders take turns (default 7)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there too")
    parser.add_argument(
        "--only", default="", help="names to run, separated by commas: direct,nginx,gateway,tls,litellm,portkey"
    )
    arguments = parser.parse_args()
    _raise_file_limit()
    _say(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} (others at work make every figure worse)")
    report = _run(arguments.seconds, max(1, arguments.rounds), set(filter(None, arguments.only.split(","))))
    print(report.text())
    if arguments.json:
        report.save(arguments.json)


def _run(seconds: float, rounds: int, only: set[str]) -> Report:
    with contextlib.ExitStack() as running:

        def directory() -> Path:
            return Path(running.enter_context(tempfile.TemporaryDirectory()))

        upstream = running.enter_context(contenders.provider())
        started: list[Contender] = []
        if not only or "direct" in only:
            started.append(Contender("direct", f"http://127.0.0.1:{upstream}"))
        for name, start in _present(only).items():
            _say(f"starting {name}")
            started.append(running.enter_context(start(directory(), upstream)))
        if not only or "tls" in only:
            certificate, key = contenders.certificate(directory())
            encrypted = running.enter_context(contenders.provider(str(certificate), str(key)))
            start = partial(contenders.gateway, ca_file=certificate)
            started.append(running.enter_context(start(directory(), encrypted)))
        figures = measure.measure(started, seconds, rounds, _say)
    with tempfile.TemporaryDirectory() as home:
        return Report(figures, measure.start_up_ms(Path(home)))


def _present(only: set[str]) -> dict[str, Start]:
    """The contenders that can run here."""
    starts: dict[str, tuple[Start, str | None]] = {
        "nginx": (contenders.nginx, shutil.which("nginx")),
        "gateway": (contenders.gateway, "here"),
        "litellm": (contenders.litellm, contenders.litellm_path()),
        "portkey": (contenders.portkey, contenders.portkey_path()),
    }
    present: dict[str, Start] = {}
    for name, (start, found) in starts.items():
        if only and name not in only:
            continue
        if found:
            present[name] = start
        else:
            _say(f"skipping {name}: not installed")
    return present


def _raise_file_limit() -> None:
    """A thousand streams are two thousand sockets in one process, and as many in ours."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536) if hard > 0 else 65_536, hard))


def _say(text: str) -> None:
    print(f"benchmarks: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
