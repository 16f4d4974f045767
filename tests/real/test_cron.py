"""The real cron daemon rotates a key at night, with an unlock secret that opens no provider's credential."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.gateway import GWCTL, Gateway
from tests.real.waiting import eventually

TOKEN = re.compile(r"sk-gw_(?:live|test)_[0-9A-Za-z_]+")
CRON = shutil.which("cron", path="/usr/sbin:/usr/bin:/sbin")
CRON_D = Path("/etc/cron.d")
A_MINUTE_AND_A_BIT = 73.0

pytestmark = [
    pytest.mark.skipif(CRON is None, reason="the Debian package cron is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start the cron daemon"),
    pytest.mark.timeout(150),
]


@contextmanager
def cron_at_work(crontab: str) -> Iterator[None]:
    """The daemon in the foreground, with one file in /etc/cron.d."""
    place = CRON_D / f"gwctl-test-{os.getpid()}"
    place.write_text(crontab)
    place.chmod(0o644)
    daemon = subprocess.Popen([str(CRON), "-f"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        time.sleep(0.2)  # one that cannot have its lock says so at once
        if daemon.poll() is not None:
            assert daemon.stderr is not None
            if "can't lock" not in (said := daemon.stderr.read()):
                pytest.skip(f"cron does not start here: {said.strip()}")
        yield  # where a daemon runs already, that one reads the file
    finally:
        place.unlink()
        daemon.kill()
        daemon.communicate()


def test_cron_rotates_a_key_and_can_open_nothing_else(gateway: Gateway, tmp_path: Path) -> None:
    old = gateway.create_key("nightly", "--rotate-every", "1s")
    night_key, out, mail = tmp_path / "night.key", tmp_path / "keys", tmp_path / "mail"
    out.mkdir(mode=0o700)
    gateway.gwctl("vault", "slots", "create", "file", "--scope", "keys", "--key-file", str(night_key))
    printed = gateway.gwctl(
        "rotation", "install", "--cron", "--print", "--key-file", str(night_key), "--out", f"{out}/{{name}}"
    ).stdout
    assert TOKEN.search(printed) is None
    at_every_minute, replaced = re.subn(r"(?m)^17 3 \* \* \*(.*)$", rf"* * * * *\1 >>{mail} 2>&1", printed)
    assert replaced == 1
    with cron_at_work(at_every_minute):
        eventually((out / "nightly").exists, within=A_MINUTE_AND_A_BIT)

    new = (out / "nightly").read_text().strip()
    assert TOKEN.fullmatch(new)
    assert new != old
    assert (out / "nightly").stat().st_mode & 0o777 == 0o600
    with httpx.Client(trust_env=False, verify=False) as client:
        for secret in (new, old):  # the old one is in grace
            answer = client.get(f"{gateway.base_url}/models", headers={"authorization": f"Bearer {secret}"})
            assert answer.status_code == 200
    eventually(lambda: "nightly" in mail.read_text())
    assert TOKEN.search(mail.read_text()) is None, "cron mails what is printed"
    with_the_night_key = {**gateway.environ, "GWCTL_KEY_FILE": str(night_key)}
    refused = subprocess.run(
        [GWCTL, "upstreams", "test", "sim"], env=with_the_night_key, capture_output=True, text=True
    )
    assert refused.returncode == 4, refused.stderr
