"""A process that holds secrets leaves no core file and cannot be attached to."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import ctypes, resource
from keyvault.vault.hygiene import harden_process
hardening = harden_process()
print(hardening.no_core_file, resource.getrlimit(resource.RLIMIT_CORE) == (0, 0))
print(hardening.not_dumpable, ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))  # PR_GET_DUMPABLE
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prctl is Linux's")
def test_hardening_holds_for_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "True", "0"]
