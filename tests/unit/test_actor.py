"""Who is at work is told by the system: the user, the machine, and what started the process."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ASK = (
    "import sys; from pathlib import Path; from keyvault.actor import actor; "
    "print(actor({'USER': 'somebody-else', 'INVOCATION_ID': sys.argv[2]}, Path(sys.argv[1])))"
)


def told(processes: Path, invocation: str = "") -> str:
    """What a process without a terminal says, started by this one."""
    command = [sys.executable, "-c", ASK, str(processes), invocation]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    who, _, where = done.stdout.strip().partition(" ")
    assert who == f"{pwd.getpwuid(os.getuid()).pw_name}@{socket.gethostname()}"
    return where


@pytest.fixture
def processes(tmp_path: Path) -> Path:
    """A `/proc` in which this process was started by process 7."""
    stat(tmp_path, os.getpid(), "sh (the) shell", 7)
    stat(tmp_path, 7, "bash", 1)
    return tmp_path


def stat(processes: Path, pid: int, name: str, parent: int) -> None:
    (processes / str(pid)).mkdir(exist_ok=True)
    (processes / str(pid) / "stat").write_text(f"{pid} ({name}) S {parent} 0 0")


def test_without_a_terminal_it_says_so(processes: Path) -> None:
    assert told(processes) == "no-tty"


@pytest.mark.parametrize("daemon", ["cron", "crond", "anacron"])
def test_what_cron_started_says_cron_however_deep(processes: Path, daemon: str) -> None:
    stat(processes, 7, daemon, 1)
    assert told(processes) == "cron"


def test_what_systemd_started_names_its_unit(processes: Path) -> None:
    (processes / "self").mkdir()
    (processes / "self" / "cgroup").write_text("0::/system.slice/gwctl-rotate.service\n")
    assert told(processes, "8f3c") == "gwctl-rotate.service"
    assert told(processes) == "no-tty"
