"""The keyring's helper process: time limit, trusted backends only, and read-back of what was stored."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from keyvault.errors import Locked, Unavailable
from keyvault.vault import keyring_helper
from keyvault.vault.os_keyring import Absent, OsKeyring

SECRET = bytes(range(32))
PLAIN = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}


def helper_that(tmp_path: Path, body: str) -> OsKeyring:
    """A keyring whose helper process does something else."""
    script = tmp_path / "helper.py"
    script.write_text("import json, sys\nrequest = json.load(sys.stdin)\n" + textwrap.dedent(body))
    return OsKeyring(PLAIN, limit_seconds=5, helper=script)


def test_no_keyring_here_is_absent_for_reading_and_an_error_for_storing() -> None:
    keyring = OsKeyring({**PLAIN, "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent"})
    assert isinstance(keyring.fetch("secret-service", "account"), Absent)
    with pytest.raises(Unavailable, match="no keyring can be used here") as caught:
        keyring.store("account", SECRET)
    assert "GWCTL_PASSPHRASE_FD" in (caught.value.hint or "")


def test_a_hung_keyring_ends_at_the_limit_with_an_error_that_names_the_alternatives(tmp_path: Path) -> None:
    assert OsKeyring({}).limit_seconds == 4
    keyring = replace(helper_that(tmp_path, "import time; time.sleep(600)"), limit_seconds=0.5)
    with pytest.raises(Locked, match=r"no answer within 0\.5 seconds") as caught:
        keyring.fetch("secret-service", "account")
    assert "key file" in (caught.value.hint or "")


@pytest.mark.parametrize("ending", ["child.wait()", "sys.exit()"])
def test_the_limit_also_ends_what_the_helper_started(tmp_path: Path, ending: str) -> None:
    script = f"""
        import subprocess
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        {ending}
        """
    keyring = replace(helper_that(tmp_path, script), limit_seconds=1)
    with pytest.raises(Locked, match="no answer"):
        keyring.fetch("secret-service", "account")


@pytest.mark.parametrize("backend", ["null", "fail", "chainer", "keyrings.alt.file.PlaintextKeyring", "", "libsecret"])
def test_a_backend_off_the_list_is_never_loaded(backend: str) -> None:
    with pytest.raises(keyring_helper.Absent, match="not on the list"):
        keyring_helper.open_backend(backend)


def test_a_keyring_chosen_by_configuration_or_environment_is_not_used() -> None:
    environ = {**PLAIN, "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}
    with pytest.raises(Unavailable):
        OsKeyring({**environ, "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent"}).store("account", SECRET)


@pytest.mark.parametrize("reply", ["{}", '{"absent": "no such item"}', f'{{"secret": "{"00" * 32}"}}'])
def test_a_keyring_that_forgets_or_changes_what_it_took_is_not_trusted(tmp_path: Path, reply: str) -> None:
    keyring = helper_that(tmp_path, f"""print('{{"backend": "x"}}' if request["do"] == "set" else '{reply}')""")
    with pytest.raises(Unavailable, match="does not return it"):
        keyring.store("account", SECRET)


def test_what_was_stored_is_read_back_by_another_process(tmp_path: Path) -> None:
    keyring = helper_that(
        tmp_path,
        f"""
        import os, pathlib
        place = pathlib.Path({str(tmp_path)!r}) / "item"
        if request["do"] == "set":
            place.write_text(json.dumps([os.getpid(), request["secret"]]))
            print(json.dumps({{"backend": "x"}}))
        else:
            pid, secret = json.loads(place.read_text())
            print(json.dumps({{"absent": "same process"}} if pid == os.getpid() else {{"secret": secret}}))
        """,
    )
    assert keyring.store("account", SECRET) == "x"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise RuntimeError('sk-canary')", "failed in an unexpected way"),
        ("print('sk-canary')", "failed in an unexpected way"),
        ("""print('{"refused": "collection is locked"}')""", "collection is locked"),
        ("""print('{"secret": "sk-canary"}')""", "not an unlock secret"),
    ],
)
def test_a_broken_keyring_is_an_error_that_shows_no_secret(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(Locked, match=message) as caught:
        helper_that(tmp_path, body).fetch("x", "account")
    assert "canary" not in str(caught.value)


def test_the_vault_never_imports_the_keyring_library() -> None:
    code = (
        "import sys, keyvault.vault.vault, keyvault.vault.upstreams; "
        "print([m for m in ('keyring', 'cryptography', 'httpx', 'genai_prices') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
