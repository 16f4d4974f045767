"""4. A whole older database put back → rolled back: the journal outside it has seen more, and nothing is served."""

from __future__ import annotations

import shutil

from keyvault.errors import Exit
from tests.cli.conftest import Gwctl


def database_put_back(gwctl: Gwctl) -> None:
    """Revoke a key, then put the database back as it was before."""
    data = gwctl.home / "data"
    assert gwctl("keys", "create", "ci-bot", "--json").code == 0
    shutil.copytree(data, gwctl.home / "old")
    assert gwctl("keys", "revoke", "ci-bot", "--yes").code == 0
    shutil.rmtree(data)
    (gwctl.home / "old").rename(data)
    gwctl.clock.advance(seconds=60)


def test_the_vault_does_not_open_over_it_and_says_how_far_it_is_behind(gwctl: Gwctl) -> None:
    database_put_back(gwctl)
    ran = gwctl("keys", "create", "another", "--json")
    assert ran.code == Exit.CONFLICT
    assert "an older database was put back: it is 1 audit entry behind" in ran.err
    assert "--accept-rollback" in ran.err


def test_the_proxy_does_not_start_on_it(gwctl: Gwctl) -> None:
    database_put_back(gwctl)
    ran = gwctl("serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
    assert ran.code == Exit.CONFLICT
    assert "an older database was put back" in ran.err


def test_doctor_names_it(gwctl: Gwctl) -> None:
    database_put_back(gwctl)
    ran = gwctl("doctor", "--offline")
    assert ran.code == Exit.CHECK_FAILED
    assert "FAILED   journal    an older database was put back" in ran.out


def test_what_takes_access_away_still_works_and_a_person_may_accept_it(gwctl: Gwctl) -> None:
    database_put_back(gwctl)
    assert gwctl("keys", "revoke", "ci-bot", "--yes").code == 0
    preview = gwctl("vault", "reseal", "--dry-run", "--json").json
    assert [row["problem"].partition(":")[0] for row in preview["problems"]] == ["an older database was put back"]
    assert gwctl("vault", "reseal", "--confirm", preview["vault_id"]).code == 0
    assert gwctl("keys", "create", "another", "--json").code == 0
    assert list((gwctl.home / "state").glob("journal.jsonl.aside-*"))
