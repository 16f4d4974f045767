"""`gwctl limits`, and the limits that keys are made and changed with."""

from __future__ import annotations

from keyvault.errors import Exit
from tests.cli.conftest import Gwctl


def listed(gwctl: Gwctl) -> list[tuple[object, ...]]:
    found = gwctl("limits", "list", "--json").json["limits"]
    return [tuple(limit[name] for name in ("scope", "model", "rpm", "tpm", "parallel")) for limit in found]


def test_a_limit_is_set_listed_shown_changed_and_deleted(gwctl: Gwctl) -> None:
    gwctl("keys", "create", "ci-bot", "--json")
    made = gwctl("limits", "set", "key:CI-BOT", "--rpm", "60", "--tpm", "100k", "--parallel", "4", "--json").json
    assert made == {"scope": "key:ci-bot", "model": None, "rpm": 60, "tpm": 100_000, "parallel": 4}
    assert gwctl("limits", "show", "key:ci-bot", "--json").json == made
    gwctl("limits", "set", "customer:default", "--tpm", "1.5m", "--model", "gpt-5*")
    assert [line.split() for line in gwctl("limits", "list").out.splitlines()] == [
        ["SCOPE", "MODEL", "RPM", "TPM", "PARALLEL"],
        ["key:ci-bot", "all", "60", "100000", "4"],
        ["customer:default", "gpt-5*", "none", "1500000", "none"],
    ]
    ran = gwctl("limits", "set", "key:ci-bot", "--tpm", "none")
    assert "key:ci-bot is limited to 60 rpm, 4 parallel" in ran.err
    assert gwctl("limits", "list", "key:ci-bot", "--json").json["limits"][0]["tpm"] is None
    unnamed = gwctl("limits", "delete", "customer:default")
    assert (unnamed.code, len(listed(gwctl))) == (Exit.CONFLICT, 2)
    assert "hint: gwctl limits delete customer:default --model 'gpt-5*'" in unnamed.err
    ran = gwctl("limits", "delete", "customer:default", "--model", "gpt-5*")
    assert "customer:default for gpt-5* is no longer limited to 1,500,000 tpm" in ran.err
    assert listed(gwctl) == [("key:ci-bot", None, 60, None, 4)]
    assert "limits.delete" in gwctl("audit", "list").out


def test_a_rehearsal_changes_nothing(gwctl: Gwctl) -> None:
    gwctl("limits", "set", "customer:default", "--rpm", "5")
    assert gwctl("limits", "set", "customer:default", "--rpm", "6", "--dry-run", "--json").json["rpm"] == 6
    assert gwctl("limits", "delete", "customer:default", "--dry-run").code == 0
    assert listed(gwctl) == [("customer:default", None, 5, None, None)]


def test_a_key_is_made_and_changed_with_its_limits_or_not_at_all(gwctl: Gwctl) -> None:
    gwctl("keys", "create", "ci-bot", "--rpm", "60", "--parallel", "2", "--json")
    assert listed(gwctl) == [("key:ci-bot", None, 60, None, 2)]
    gwctl("keys", "update", "ci-bot", "--rpm", "none", "--tpm", "2m")
    assert listed(gwctl) == [("key:ci-bot", None, None, 2_000_000, 2)]
    assert gwctl("keys", "create", "ci-bot", "--rpm", "9", "--json").code == Exit.CONFLICT
    assert gwctl("keys", "create", "other", "--rpm", "9x", "--json").code == Exit.USAGE
    assert gwctl("keys", "show", "other").code == Exit.NOT_FOUND
    gwctl("keys", "update", "ci-bot", "--rpm", "9", "--dry-run")
    assert listed(gwctl) == [("key:ci-bot", None, None, 2_000_000, 2)]


WRONG = [
    ("set key:nope --rpm 1", Exit.NOT_FOUND, "no such key: 'nope'"),
    ("set nope --rpm 1", Exit.USAGE, "not a scope: 'nope'"),
    ("set customer:default", Exit.USAGE, "nothing to change"),
    ("set customer:default --rpm 0", Exit.USAGE, "not a limit: --rpm '0'"),
    ("set customer:default --parallel 2m", Exit.USAGE, "not a limit: --parallel '2m'"),
    ("set customer:default --rpm 1 --model a,b", Exit.USAGE, "not a pattern of model names"),
    ("show customer:default", Exit.NOT_FOUND, "customer:default has no such limit"),
    ("delete customer:default", Exit.NOT_FOUND, "gwctl limits set customer:default --rpm 60"),
]


def test_what_makes_no_sense_is_refused_with_a_hint(gwctl: Gwctl) -> None:
    for words, code, text in WRONG:
        ran = gwctl("limits", *words.split())
        assert (ran.code, text in ran.err, "hint: " in ran.err) == (code, True, True), ran.err
    assert listed(gwctl) == []
