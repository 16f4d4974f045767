"""`gwctl upstreams rotate|promote|retire` and `upstreams credentials`, against a real server on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from keyvault.errors import Exit
from tests.cli.conftest import Gwctl, Ran
from tests.provider import Accounts, provider

OLD, NEW = "sk-provider-canary-old-0001", "sk-provider-canary-new-0002"


@pytest.fixture
def accounts() -> Iterator[Accounts]:
    with provider(OLD, NEW) as running:
        yield running


@pytest.fixture
def local(gwctl: Gwctl, accounts: Accounts) -> Gwctl:
    """A home with the upstream `local`, which goes with the old secret."""
    words = ["--provider", "custom", "--allow-private", "--base-url", accounts.url, "--secret-stdin"]
    made = gwctl("upstreams", "create", "local", *words, stdin=OLD)
    assert made.code == 0, made.err
    return gwctl


def rotate(gwctl: Gwctl, *words: str, secret: str = NEW) -> Ran:
    return gwctl("upstreams", "rotate", "local", "--secret-stdin", *words, stdin=secret)


def states(gwctl: Gwctl, *words: str) -> list[tuple[str, str]]:
    listed = gwctl("upstreams", "credentials", "list", "local", "--json", *words).json["credentials"]
    return [(each["label"], each["state"]) for each in listed]


def test_a_rotation_tests_the_new_secret_with_a_real_call_and_keeps_the_old_one_usable(
    local: Gwctl, accounts: Accounts
) -> None:
    done = rotate(local, "--overlap", "2h", "--json").json
    assert (done["label"], done["state"], accounts.asked[NEW]) == ("main", "current", 1)
    assert done["test_note"] == "chat with tiny-chat"
    assert done["previous"]["until"] == "2026-10-01T14:00:00.000Z"
    assert states(local) == [("main", "previous"), ("main", "current")]


def test_a_secret_that_fails_its_test_stays_staged_and_changes_nothing(local: Gwctl, accounts: Accounts) -> None:
    accounts.taken.remove(NEW)
    failed = rotate(local)
    assert failed.code == Exit.CHECK_FAILED
    assert "keeps its old credential" in failed.err
    assert "bad key" in failed.err
    assert NEW not in failed.err + failed.out
    assert states(local) == [("main", "current"), ("main", "staged")]
    accounts.taken.add(NEW)
    assert local("upstreams", "promote", "local").code == 0
    assert states(local) == [("main", "previous"), ("main", "current")]


def test_a_staged_secret_waits_for_its_promotion(local: Gwctl, accounts: Accounts) -> None:
    assert rotate(local, "--stage-only", "--json").json["state"] == "staged"
    assert accounts.asked[NEW] == 0
    assert states(local) == [("main", "current"), ("main", "staged")]
    assert local("upstreams", "promote", "local", "--json").json["state"] == "current"
    assert accounts.asked[NEW] == 1


def test_an_undone_rotation_goes_back_to_the_old_secret_until_that_is_retired(local: Gwctl) -> None:
    rotate(local)
    first, second = (each["id"] for each in listed(local))
    undone = local("upstreams", "rotate", "local", "--undo", "--json").json
    assert (undone["id"], undone["previous"]["id"]) == (first, second)
    assert local("upstreams", "rotate", "local", "--undo").code == 0
    assert local("upstreams", "retire", "local", "--yes", "--json").json["changed"] is True
    again = local("upstreams", "rotate", "local", "--undo")
    assert again.code == Exit.CONFLICT
    assert "no previous credential" in again.err


def test_retiring_asks_first_and_finding_nothing_to_retire_is_no_error(local: Gwctl) -> None:
    rotate(local)
    assert local("upstreams", "retire", "local").code == Exit.USAGE
    assert states(local)[0] == ("main", "previous")
    assert local("upstreams", "retire", "local", "--yes").code == 0
    assert states(local) == [("main", "current")]
    assert states(local, "--all") == [("main", "retired"), ("main", "current")]
    assert local("upstreams", "retire", "local", "--yes", "--json").json["changed"] is False


def test_a_second_rotation_during_the_overlap_is_refused_and_after_it_the_old_secret_is_destroyed(local: Gwctl) -> None:
    rotate(local, "--overlap", "1h")
    busy = rotate(local)
    assert busy.code == Exit.CONFLICT
    assert "gwctl upstreams retire local" in busy.err
    local.clock.advance(seconds=3601)
    assert rotate(local).code == 0
    assert states(local, "--all") == [("main", "retired"), ("main", "previous"), ("main", "current")]


def test_an_overlap_that_is_over_reads_as_retired_before_anybody_destroyed_the_secret(local: Gwctl) -> None:
    rotate(local, "--overlap", "1h")
    local.clock.advance(seconds=3601)
    assert states(local, "--all") == [("main", "retired"), ("main", "current")]


def test_a_rehearsed_rotation_changes_nothing(local: Gwctl, accounts: Accounts) -> None:
    rehearsed = rotate(local, "--dry-run")
    assert rehearsed.code == 0, rehearsed.err
    assert states(local) == [("main", "current")]
    assert accounts.asked[NEW] == 0


def test_several_accounts_have_weights_and_rotate_each_for_itself(local: Gwctl, accounts: Accounts) -> None:
    words = ["--label", "second", "--weight", "2", "--secret-stdin"]
    made = local("upstreams", "credentials", "create", "local", *words, "--json", stdin=NEW).json
    assert (made["label"], made["state"], made["weight"]) == ("second", "current", 2)
    assert states(local) == [("main", "current"), ("second", "current")]
    unclear = rotate(local)
    assert unclear.code == Exit.USAGE
    assert "main, second" in unclear.err
    accounts.taken.add("sk-provider-canary-third")
    assert rotate(local, "--label", "second", secret="sk-provider-canary-third").code == 0
    assert states(local) == [("main", "current"), ("second", "previous"), ("second", "current")]
    changed = local("upstreams", "credentials", "update", "local", "--label", "second", "--weight", "5", "--json").json
    assert changed["weight"] == 5
    assert local("upstreams", "credentials", "update", "local", "--label", "x", "--weight", "1").code == Exit.NOT_FOUND
    assert local("upstreams", "credentials", "update", "local", "--label", "main", "--weight", "101").code == Exit.USAGE


def test_deleting_an_account_asks_for_its_name_and_the_last_one_stays(local: Gwctl) -> None:
    words = ["--label", "second", "--secret-stdin"]
    assert local("upstreams", "credentials", "create", "local", *words, stdin=NEW).code == 0
    assert local("upstreams", "credentials", "create", "local", *words, stdin=NEW).code == Exit.CONFLICT
    delete = ["upstreams", "credentials", "delete", "local", "--label", "second"]
    assert local(*delete).code == Exit.USAGE
    assert local(*delete, "--confirm", "main").code == Exit.USAGE
    assert local(*delete, "--confirm", "second").code == 0
    last = local("upstreams", "credentials", "delete", "local", "--label", "main", "--confirm", "main")
    assert last.code == Exit.CONFLICT
    assert states(local) == [("main", "current")]


def test_no_secret_is_shown_anywhere_and_an_upstream_shows_its_credentials(local: Gwctl) -> None:
    said = rotate(local)
    shown = local("upstreams", "show", "local")
    everything = said.out + said.err + shown.out + local("upstreams", "list").out
    assert NEW not in everything
    assert OLD not in everything
    assert "previous" in shown.out
    assert local("upstreams", "show", "local", "--json").json["rotated_at"] == "2026-10-01T12:00:00.000Z"


def listed(gwctl: Gwctl) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = gwctl("upstreams", "credentials", "list", "local", "--json").json["credentials"]
    return found
