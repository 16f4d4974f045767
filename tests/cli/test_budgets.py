"""`gwctl budgets`, and the budgets that keys are made with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from keyvault.errors import Exit
from tests.cli.conftest import ANY_PORT, Gwctl


def row(gwctl: Gwctl, *words: str) -> dict[str, object]:
    return dict(gwctl("budgets", "show", *words, "--json").json)


def test_a_budget_is_set_listed_shown_and_deleted_with_exact_money(gwctl: Gwctl) -> None:
    gwctl("customers", "create", "acme")
    made = gwctl(
        "budgets", "set", "customer:acme", "10.5usd/month", "--model", "gpt-5*", "--tz", "Europe/Berlin", "--json"
    )
    listed = gwctl("budgets", "list", "--json").json
    assert listed["currency"] == "USD"
    assert listed["budgets"] == [made.json]
    assert made.json | {"created_at": None} == {
        "scope": "customer:acme",
        "period": "month",
        "model": "gpt-5*",
        "env": "live",
        "hard": True,
        "amount": "10.5",
        "currency": "USD",
        "zone": "Europe/Berlin",
        "warn_at_percent": [80, 100],
        "created_at": None,
        "spent": "0",
        "held": None,
        "remaining": "10.5",
        "percent": 0,
        "since": "2026-09-30T22:00:00.000Z",
        "until": "2026-10-31T23:00:00.000Z",
    }
    unnamed = gwctl("budgets", "delete", "customer:acme")
    assert (unnamed.code, len(gwctl("budgets", "list", "--json").json["budgets"])) == (Exit.CONFLICT, 1)
    assert "hint: gwctl budgets delete customer:acme month --model 'gpt-5*'" in unnamed.err
    assert gwctl("budgets", "delete", "customer:acme", "--model", "gpt-5*").code == 0
    assert gwctl("budgets", "list", "--json").json["budgets"] == []
    assert "budgets.delete" in gwctl("audit", "list").out


def test_of_a_deleted_budget_is_told_that_it_was_for_all_models(gwctl: Gwctl) -> None:
    gwctl("customers", "create", "acme")
    gwctl("budgets", "set", "customer:acme", "10usd/month")
    assert re.search(r"^model +all$", gwctl("budgets", "delete", "customer:acme").out, re.MULTILINE)


def test_setting_again_changes_what_is_given_and_leaves_the_rest(gwctl: Gwctl) -> None:
    gwctl("customers", "create", "acme")
    gwctl("budgets", "set", "customer:acme", "10usd/day", "--soft", "--warn", "50,90%", "--tz", "Asia/Tokyo")
    changed = gwctl("budgets", "set", "customer:acme", "20usd/day")
    assert "is 20 USD a day, only to warn (was 10 USD), nothing of it spent yet" in changed.err
    now = row(gwctl, "customer:acme")
    assert (now["amount"], now["hard"], now["warn_at_percent"], now["zone"]) == ("20", False, [50, 90], "Asia/Tokyo")
    changed = gwctl("budgets", "set", "customer:acme", "20usd/day", "--hard", "--warn", "none")
    assert "is 20 USD a day (was only to warn), nothing" in changed.err
    assert "(was" not in gwctl("budgets", "set", "customer:acme", "20usd/day").err
    softened = gwctl("budgets", "set", "customer:acme", "30usd/day", "--soft", "--dry-run")
    assert "is 30 USD a day, only to warn (was 20 USD, hard), nothing" in softened.err
    now = row(gwctl, "customer:acme")
    assert (now["hard"], now["warn_at_percent"]) == (True, [])


def test_a_scope_has_one_budget_for_each_period_and_which_is_meant_must_be_said(gwctl: Gwctl) -> None:
    gwctl("keys", "create", "ci-bot", "--budget", "10usd/month", "--soft-budget", "1usd/day", "--json")
    assert [(b["period"], b["hard"]) for b in gwctl("budgets", "list", "key:ci-bot", "--json").json["budgets"]] == [
        ("month", True),
        ("day", False),
    ]
    several = gwctl("budgets", "show", "key:ci-bot")
    assert several.code == Exit.CONFLICT
    assert "say which" in several.err
    assert row(gwctl, "key:ci-bot", "day")["amount"] == "1"


def test_a_test_keys_budget_is_of_the_test_environment(gwctl: Gwctl) -> None:
    gwctl("keys", "create", "probe", "--env", "test", "--budget", "1usd/day", "--json")
    assert row(gwctl, "key:probe")["env"] == "test"
    refused = gwctl("budgets", "set", "key:probe", "1usd/day", "--env", "live")
    assert refused.code == Exit.USAGE
    assert "--env test" in refused.err


def test_a_key_is_not_made_where_its_budget_cannot_be(gwctl: Gwctl) -> None:
    for words in (
        ["--budget", "10usd/year"],
        ["--budget", "0usd/day"],
        ["--budget", "1usd/day", "--soft-budget", "2usd/day"],
    ):
        assert gwctl("keys", "create", "ci-bot", *words, "--json").code == Exit.USAGE
    assert gwctl("keys", "list", "--json").json["keys"] == []


def test_a_rehearsal_sets_nothing(gwctl: Gwctl) -> None:
    gwctl("customers", "create", "acme")
    assert gwctl("budgets", "set", "customer:acme", "10usd/day", "--dry-run").code == 0
    assert gwctl("budgets", "list", "--json").json["budgets"] == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["customer:nobody", "10usd/day"], Exit.NOT_FOUND, "no such customer"),
        (["acme", "10usd/day"], Exit.USAGE, "customer:NAME"),
        (["upstream:openai", "10usd/day"], Exit.USAGE, "customer:NAME"),
        (["customer:acme", "10usd"], Exit.USAGE, "10usd/month"),
        (["customer:acme", "-1usd/day"], Exit.USAGE, ""),
        (["customer:acme", "5000000usd/day"], Exit.USAGE, "too large"),
        (["customer:acme", "10usd/day", "--tz", "Mars/Olympus"], Exit.USAGE, "no such time zone"),
        (["customer:acme", "10usd/day", "--warn", "80,0"], Exit.USAGE, "percent"),
        (["customer:acme", "10usd/day", "--warn", "lots"], Exit.USAGE, "--warn"),
        (["customer:acme", "10usd/day", "--env", "prod"], Exit.USAGE, "live or test"),
        (["customer:acme", "10usd/day", "--model", "a b"], Exit.USAGE, "pattern"),
    ],
)
def test_bad_budgets_are_refused_in_one_line(gwctl: Gwctl, words: list[str], code: int, said: str) -> None:
    gwctl("customers", "create", "acme")
    refused = gwctl("budgets", "set", *words)
    assert refused.code == code
    assert said in refused.err
    assert gwctl("budgets", "list", "--json").json["budgets"] == []


def test_a_restore_keeps_what_was_set_after_the_backup_by_the_lower_amount(gwctl: Gwctl, tmp_path: Path) -> None:
    gwctl("customers", "create", "acme")
    gwctl("budgets", "set", "customer:acme", "10usd/month", "--soft")
    backup = str(tmp_path / "b.tar")
    assert gwctl("backup", backup).code == 0
    gwctl("budgets", "set", "customer:acme", "20usd/month", "--hard")
    gwctl("budgets", "set", "customer:acme", "3usd/day", "--tz", "Asia/Tokyo", "--warn", "50")
    ran = gwctl("restore", backup, "--confirm", "b.tar", "--accept-rollback", "--json")
    assert [change["result"] for change in ran.json["changes"]] == ["repeated"]
    month, day = gwctl("budgets", "list", "--json").json["budgets"]
    assert (month["period"], month["amount"], month["hard"]) == ("month", "10", True)
    assert (day["amount"], day["zone"], day["warn_at_percent"]) == ("3", "Asia/Tokyo", [50])
    assert gwctl("doctor", "--offline", environ=ANY_PORT).code == 0
