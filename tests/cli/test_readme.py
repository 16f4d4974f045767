"""The README's commands, typed as they stand there, against a simulated provider."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import pytest

from opsconsole.cli.io import Streams
from opsconsole.cli.main import run
from opsconsole.staging.simulation.profile import Profile
from opsconsole.staging.simulator import running
from tests.few_prices import made_home
from tests.gateway import GWCTL, Gateway, serving

ROOT: Final = Path(__file__).parents[2]
README: Final = (ROOT / "README.md").read_text()
PAGES: Final = sorted((ROOT / "docs").glob("*.md"))
ELSEWHERE: Final = {
    "gwctl console --read-only": "tests/tui; it needs a terminal",
    "gwctl serve": "every test in tests/real starts it",
    "gwctl db migrate": "tests/storage/test_migrations.py, on PostgreSQL",
}
TAKES_A_SECRET: Final = "gwctl upstreams create openai"
SHOWS_A_SECRET: Final = ("gwctl keys create", "gwctl keys rotate")
GIVES_IT_ELSEWHERE: Final = ("--out", "--env-file", "--exec", "--json", "--dry-run")


class Newcomer:
    """Types commands as they stand there, one after the other, in a home and a directory of their own."""

    def __init__(self, directory: Path, provider: str) -> None:
        self.directory = directory
        self.provider = provider
        self.environ = {
            "GWCTL_HOME": str(directory / "home"),
            "PATH": f"{GWCTL.parent}:/usr/bin:/bin",
            "HOME": str(directory),
        }

    def type(self, command: str) -> None:
        """Run one; a failure says what it said."""
        if command in ELSEWHERE:
            return
        words, secret = shlex.split(command), ""
        assert words[0] == "gwctl"
        if command.startswith(TAKES_A_SECRET) and "--secret-stdin" not in words:
            words += ["--secret-stdin", "--base-url", self.provider, "--allow-private"]  # on a terminal it asks
        if "--secret-stdin" in words:
            secret = "sk-sim"
        if command.startswith(SHOWS_A_SECRET) and not any(option in words for option in GIVES_IT_ELSEWHERE):
            words += ["-o", "secret"]  # to a pipe a secret goes only when asked for
        streams = Streams(io.StringIO(secret), out := io.StringIO(), err := io.StringIO())
        with contextlib.chdir(self.directory):
            code = run(words[1:], self.environ, streams)
        assert code == 0, f"{command}\n{out.getvalue()}{err.getvalue()}"

    def serving(self) -> AbstractContextManager[Gateway]:
        """The gateway of their home runs, and requests that it once got are logged."""
        (self.directory / "requests.jsonl").write_text("".join(map(logged, ASKED)))
        return serving(Gateway(self.directory / "home", empty=True))


def commands(text: str) -> list[str]:
    """Every command of a page's console blocks, in order, without its comment."""
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    lines = [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    return [line.split("  #")[0].strip() for line in lines]


SERVED: Final = frozenset({"check", "compare", "drills", "readiness", "replay", "rollouts"})
"""Pages whose commands ask the gateway that runs, and have logged requests at hand."""
MODELS: Final = ("sim", "gpt-5", "gpt-5-mini", "gpt-5-nano", "text-embedding-3-small")
ASKED: Final = [f"What is {i} plus {i}?" for i in range(1, 6)]


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with running(Profile(models=MODELS)) as [simulator]:
        yield simulator.base_url


@pytest.fixture
def newcomer(tmp_path: Path, provider: str) -> Newcomer:
    """Somebody who has a simulated OpenAI."""
    return Newcomer(tmp_path, provider)


def test_every_command_of_the_readme_works(newcomer: Newcomer) -> None:
    typed = commands(README)
    assert len(typed) > 20
    with contextlib.ExitStack() as stack:
        for command in typed:
            if command == "gwctl serve":
                stack.enter_context(newcomer.serving())
            newcomer.type(command)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_page_works(page: Path, newcomer: Newcomer) -> None:
    shutil.copytree(made_home(), newcomer.directory / "home")
    newcomer.type("gwctl upstreams create openai --provider openai")
    newcomer.type("gwctl keys create ci-bot --project acme/web --create")
    with contextlib.ExitStack() as stack:
        if page.stem in SERVED:
            stack.enter_context(newcomer.serving())
        for command in commands(page.read_text()):
            newcomer.type(command)


def logged(text: str) -> str:
    """A line of a log of requests."""
    asked = {"model": "fast", "max_tokens": 9, "messages": [{"role": "user", "content": text}]}
    return json.dumps({"task": "sums", "expected": {"regex": "."}, "body": asked}) + "\n"


def test_every_page_is_linked_from_the_readme() -> None:
    assert [page.name for page in PAGES if f"(docs/{page.name})" not in README] == []


def test_the_two_commands_are_there_and_run_by_ci() -> None:
    indented = [line.strip() for line in README.splitlines() if line.startswith("    ") and "venv" in line]
    assert [line for line in indented if line.startswith("python3 -m venv .venv") and line.endswith("gwctl demo")]
    assert [line for line in indented if "'.[test]'" in line and "pytest" in line]
