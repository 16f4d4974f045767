"""Somebody writes into the rules about money: whoever a budget, a limit or a balance was about is not set free, neither
while the gateway runs nor by a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyvault.domain.budgets import Period
from keyvault.domain.limits import LimitChange
from keyvault.domain.scopes import parse_scope
from keyvault.errors import Tampered
from keyvault.home import Home
from keyvault.metering.budgets import Terms
from keyvault.proxy import sights
from keyvault.proxy.tables import Tables
from tests.attacks.conftest import write
from tests.proxy.harness import add_upstream, new_home, running
from tests.proxy.scripted import Line, Provider, Seen, completion
from tests.proxy.test_balances import until

DEFAULT = parse_scope("customer:default")
EDITS = {
    "UPDATE budgets SET scope_id = 999": 402,
    "UPDATE budgets SET model = 'zzz'": 402,
    "UPDATE budgets SET env = 'test'": 402,
    "UPDATE limits SET scope_id = 999": 503,
    "UPDATE limits SET model = 'zzz'": 503,
    "UPDATE balances SET scope_id = 999": 402,
    "UPDATE balances SET env = 'test'": 402,
}


def ruled(tmp_path: Path, edit: str) -> Home:
    """A home with the one rule that an edit is about."""
    home = new_home(tmp_path / "home")
    if "budgets" in edit:
        home.budgets.set(DEFAULT, Terms(10**12, Period.MONTH, hard=True))
    elif "limits" in edit:
        home.limits.set(DEFAULT, LimitChange(rpm=1000))
    else:
        home.balances.top_up(DEFAULT, 10**12, "invoice 1")
    return home


@pytest.mark.parametrize("edit", EDITS)
async def test_a_gateway_does_not_start_on_a_rule_that_was_edited(tmp_path: Path, edit: str) -> None:
    home = ruled(tmp_path, edit)
    write(tmp_path / "home", edit)
    with pytest.raises(Tampered, match="by something else than gwctl"):
        Tables(home)
    home.close()


@pytest.mark.parametrize("edit", EDITS)
async def test_a_rule_that_is_edited_while_the_gateway_runs_sets_nobody_free(tmp_path: Path, edit: str) -> None:
    async def answer(seen: Seen, line: Line) -> None:
        await line.answer(200, completion(model=seen.json["model"]))

    async with Provider(answer).running() as provider:
        home = ruled(tmp_path, edit)
        add_upstream(home, "up", provider.url)
        async with running(home) as gw:
            write(tmp_path / "home", edit)
            for _ in range(2):  # also at the second look
                write(tmp_path / "home", "UPDATE epochs SET money = money + 1")
                assert (await gw.chat(max_tokens=5)).status_code == EDITS[edit]
    assert not provider.seen


REMOVALS = {"DELETE FROM budgets": 402, "DELETE FROM limits": 429, "DELETE FROM balances": 402}


@pytest.mark.parametrize("removal", REMOVALS)
async def test_a_rule_that_is_removed_by_hand_while_the_gateway_runs_goes_on_and_is_an_alert(
    tmp_path: Path, removal: str
) -> None:
    async def answer(seen: Seen, line: Line) -> None:
        await line.answer(200, completion(model=seen.json["model"]))

    async with Provider(answer).running() as provider:
        home = ruled(tmp_path, removal)
        add_upstream(home, "up", provider.url)
        if "limits" in removal:
            home.limits.set(DEFAULT, LimitChange(rpm=1))
        async with running(home) as gw:
            assert (await gw.chat(max_tokens=5)).status_code == 200
            write(tmp_path / "home", removal)
            write(tmp_path / "home", "UPDATE epochs SET money = money + 1")
            for _ in range(2):
                assert (await gw.chat(max_tokens=999_999)).status_code == REMOVALS[removal]
            await until(lambda: any("removed" in alert.text for alert in gw.home.alerts.list()))


async def test_a_rule_that_was_deleted_as_it_should_be_applies_no_more(tmp_path: Path) -> None:
    async def answer(seen: Seen, line: Line) -> None:
        await line.answer(200, completion(model=seen.json["model"]))

    async with Provider(answer).running() as provider:
        home = new_home(tmp_path / "home")
        add_upstream(home, "up", provider.url)
        home.budgets.set(DEFAULT, Terms(1, Period.MONTH, hard=True))
        home.limits.set(DEFAULT, LimitChange(rpm=1))
        async with running(home) as gw:
            assert [(await gw.chat(max_tokens=5)).status_code for _ in range(2)] == [402, 429]
            home.budgets.delete(DEFAULT)
            home.limits.delete(DEFAULT)
            assert [(await gw.chat(max_tokens=5)).status_code for _ in range(2)] == [200, 200]


async def test_an_empty_balance_of_a_project_that_was_deleted_alarms_nobody(tmp_path: Path) -> None:
    home = new_home(tmp_path / "home")
    for name in ("drill", "search"):
        home.balances.top_up(
            parse_scope(f"project:{home.customers.create_project(f'default/{name}').path}"), 10**12, "1"
        )
    home.balances.adjust(parse_scope("project:default/search"), -(10**12), "spent")
    home.temporary.remove_project("default/drill")
    assert [sight.scope for sight in sights.accounts(Tables(home).accounts.every)] == ["project:default/search"]
    home.close()
