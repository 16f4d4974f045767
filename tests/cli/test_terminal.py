"""A person at a real (pseudo-)terminal: prompts, echo, confirmation, secrets shown once, completion in bash."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

import pytest

from tests.cli.conftest import Gwctl

PROGRAM = (
    "import fcntl, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); from opsconsole.cli.main import main; main()"
)
BREAKING = PROGRAM.replace("opsconsole.cli.main", "tests.tui.breaking")
LIMIT_SECONDS = 20
TOKEN = re.compile(r"sk-gw_live_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}")


class Terminal:
    """A command on a pseudo-terminal of its own. What is typed and shown is what a person would see."""

    def __init__(self, gwctl: Gwctl, *words: str, program: str = PROGRAM) -> None:
        self._ours, theirs = pty.openpty()
        environ = {**gwctl.environ, "TERM": "xterm", "COLUMNS": "120"}
        command = [sys.executable, "-c", program, *words]
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ, start_new_session=True
        )
        os.close(theirs)
        self.screen = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def until(self, text: str) -> None:
        """Read until `text` is on the screen, past what was read before."""
        start, deadline = len(self.screen), time.monotonic() + LIMIT_SECONDS
        while text not in self.screen[start:]:
            assert time.monotonic() < deadline, self.screen
            if not self._read():
                raise AssertionError(f"ended without {text!r}: {self.screen}")

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def end(self) -> int:
        """Read to the end; the exit code."""
        while self._read():
            pass
        return self.process.wait(LIMIT_SECONDS)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._ours], [], [], LIMIT_SECONDS)
        assert ready, self.screen
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # the other side was closed
            return False
        self.screen += data.decode()
        return bool(data)


def test_setting_up_asks_once_and_shows_the_recovery_code_once(nowhere: Gwctl) -> None:
    with Terminal(nowhere, "init") as terminal:
        terminal.until("? [y/N] ")
        terminal.type("y\n")
        assert terminal.end() == 0
        codes = re.findall(r"(?:[0-9A-Z]{4}-){13}[0-9A-Z]{4}", terminal.screen)
    assert len(codes) == 1
    assert [slot["kind"] for slot in nowhere("vault", "slots", "list", "--json").json["slots"]] == ["file", "recovery"]


def test_a_new_passphrase_is_typed_twice_without_echo_and_asked_for_when_needed(nowhere: Gwctl) -> None:
    phrase = "correct horse battery staple"
    with Terminal(nowhere, "init", "--unlock", "passphrase", "--yes") as terminal:
        for prompt in ("new passphrase: ", "new passphrase, again: "):
            terminal.until(prompt)
            terminal.type(phrase + "\n")
        assert terminal.end() == 0
        assert phrase not in terminal.screen
    with Terminal(nowhere, "keys", "create", "bot") as terminal:
        terminal.until("vault passphrase or recovery code: ")
        terminal.type(phrase + "\n")
        assert terminal.end() == 0
        assert phrase not in terminal.screen
        assert len(TOKEN.findall(terminal.screen)) == 1


def test_two_different_passphrases_set_nothing_up(nowhere: Gwctl) -> None:
    with Terminal(nowhere, "init", "--unlock", "passphrase", "--yes") as terminal:
        for prompt, answer in (("passphrase: ", "one thing of words"), ("again: ", "another thing of words")):
            terminal.until(prompt)
            terminal.type(answer + "\n")
        assert terminal.end() == 2
        assert "were not the same" in terminal.screen
    assert not (nowhere.home / "config" / "config.toml").exists()


def test_a_credential_is_asked_for_without_echo(gwctl: Gwctl) -> None:
    with Terminal(gwctl, "upstreams", "create", "openai", "--provider", "openai") as terminal:
        terminal.until("credential of openai: ")
        terminal.type("sk-typed-by-hand-123\n")
        assert terminal.end() == 0
        assert "sk-typed-by-hand" not in terminal.screen


def test_a_rotation_on_a_terminal_is_delivered_by_showing_it(gwctl: Gwctl) -> None:
    gwctl("keys", "create", "bot", "--json")
    with Terminal(gwctl, "keys", "rotate", "bot", "--grace", "24h") as terminal:
        assert terminal.end() == 0
        assert len(TOKEN.findall(terminal.screen)) == 1
        assert "the old secret works until" in terminal.screen
    assert gwctl("keys", "show", "bot", "--json").json["generations"][0]["state"] == "active"


def test_revoking_asks_with_no_as_the_answer_and_ctrl_c_leaves_with_130(gwctl: Gwctl) -> None:
    gwctl("keys", "create", "bot", "--json")
    with Terminal(gwctl, "keys", "revoke", "bot") as terminal:
        terminal.until("[y/N] ")
        terminal.type("\n")
        assert terminal.end() == 1
        assert "nothing was changed" in terminal.screen
    with Terminal(gwctl, "keys", "revoke", "bot") as terminal:
        terminal.until("[y/N] ")
        terminal.type("\x03")
        assert terminal.end() == 130
        assert "Traceback" not in terminal.screen
    assert gwctl("keys", "show", "bot", "--json").json["state"] == "active"


def in_bash(gwctl: Gwctl, line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which `gwctl` is the program."""
    function = f"""gwctl() {{ "{sys.executable}" -c "from opsconsole.cli.main import main; main()" "$@"; }}; """
    return subprocess.run(
        ["bash", "-c", function + line], env=gwctl.environ, capture_output=True, text=True, check=False, timeout=60
    )


def test_a_reader_that_leaves_ends_the_command_quietly(gwctl: Gwctl) -> None:
    done = in_bash(gwctl, "gwctl prices list --json | head -n 1; exit ${PIPESTATUS[0]}")
    assert done.returncode == 1
    assert done.stderr == ""


@pytest.mark.parametrize("output", ["> /dev/full", ">&-"])
def test_a_secret_that_cannot_be_written_is_no_secret_delivered(gwctl: Gwctl, output: str) -> None:
    gwctl("keys", "create", "bot", "--json")
    done = in_bash(gwctl, f"gwctl keys rotate bot --json {output}")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "the old secret works on" in done.stderr
    assert [g["state"] for g in gwctl("keys", "show", "bot", "--json").json["generations"]] == ["abandoned", "active"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_the_bash_script_completes_names(gwctl: Gwctl, tmp_path: Path) -> None:
    gwctl("keys", "create", "ci-bot", "--json")
    (tmp_path / "completion").write_text(gwctl("completion", "bash").out)
    program = tmp_path / "gwctl"
    program.write_text(f"#!{sys.executable}\nfrom opsconsole.cli.main import main\nmain()\n")
    program.chmod(0o755)
    script = "source completion; COMP_WORDS=(gwctl keys show ci); COMP_CWORD=3; _gwctl; echo ${COMPREPLY[@]}"
    environ = {**gwctl.environ, "PATH": f"{tmp_path}:{gwctl.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "ci-bot\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_completion_script_is_valid_in_its_shell(nowhere: Gwctl, shell: str, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(nowhere("completion", shell).out)
    assert "gwctl __complete" in script.read_text()
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n", str(script)], check=True)


def test_in_a_real_terminal_a_crash_over_a_new_key_leaves_nothing_of_its_secret(gwctl: Gwctl, tmp_path: Path) -> None:
    """Neither on the terminal, where stdout and stderr go, nor in any file of the home."""
    kept = tmp_path / "secret"
    with Terminal(gwctl, str(kept), program=BREAKING) as terminal:
        terminal.until("Requests")
        terminal.type("2")
        terminal.until(" first")
        terminal.type("n")
        terminal.until("Cancel")
        terminal.type("broken-bot")
        terminal.until("broken-bot")
        terminal.type("\x13")
        terminal.until("Done")
        terminal.type("\x1b[20~")
        code = terminal.end()
    assert code == 1
    assert "stopped on an internal error: KeyError" in terminal.screen
    assert "in action_break" in terminal.screen
    secret = kept.read_text()
    assert TOKEN.fullmatch(secret)
    files = [file for file in gwctl.home.rglob("*") if file.is_file()]
    assert len(files) > 3
    for told in (terminal.screen.encode(), *(file.read_bytes() for file in files)):
        assert secret[-40:].encode() not in told
