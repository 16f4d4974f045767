"""The README's commands, typed as they stand there, against a simulated provider."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from opsconsole.staging.simulation.profile import Profile
from opsconsole.staging.simulator import running
from tests.gateway import GWCTL

README: Final = (Path(__file__).parents[2] / "README.md").read_text()
ELSEWHERE: Final = {
    "gwctl serve": "every test in tests/real starts it",
}
TAKES_A_SECRET: Final = "gwctl upstreams create openai"
SHOWS_A_SECRET: Final = "gwctl keys create ci-bot"


def commands() -> list[str]:
    """Every command of the README's console blocks, in order, without its comment."""
    blocks = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    lines = [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    return [line.split("  #")[0].strip() for line in lines]


@pytest.fixture
def provider() -> Iterator[str]:
    """The base URL of a simulated OpenAI."""
    with running(Profile()) as [simulator]:
        yield simulator.base_url


def test_every_command_of_the_readme_works(tmp_path: Path, provider: str) -> None:
    environ = {"GWCTL_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    typed = commands()
    assert len(typed) > 20
    for command in typed:
        if command in ELSEWHERE:
            continue
        words, secret = shlex.split(command), ""
        if command.startswith(
            TAKES_A_SECRET
        ):  # on a terminal it asks; and the test's provider is not at api.openai.com
            words += ["--secret-stdin", "--base-url", provider, "--allow-private"]
            secret = "sk-sim"
        if command.startswith(SHOWS_A_SECRET):  # to a pipe a secret goes only when asked for
            words += ["-o", "secret"]
        done = subprocess.run(
            [GWCTL, *words[1:]], env=environ, cwd=tmp_path, input=secret, text=True, capture_output=True
        )
        assert words[0] == "gwctl"
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def test_the_two_commands_are_there_and_run_by_ci() -> None:
    indented = [line.strip() for line in README.splitlines() if line.startswith("    ") and "venv" in line]
    assert [line for line in indented if line.startswith("python3 -m venv .venv") and line.endswith("gwctl demo")]
    assert [line for line in indented if "'.[test]'" in line and "pytest" in line]
