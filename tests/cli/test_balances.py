"""`gwctl balances`: prepaid money put in, corrected, given back and shown, and what a restore makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keyvault.errors import Exit
from keyvault.home import Home
from keyvault.metering.examining import Examiner
from keyvault.storage.ledger import LedgerStore
from tests.attacks.conftest import write
from tests.cli.conftest import Gwctl, Ran

MONEY = ("funded", "charged", "doubt", "available")


@pytest.fixture
def acme(gwctl: Gwctl) -> Gwctl:
    gwctl("customers", "create", "acme")
    assert top_up(gwctl).code == 0
    return gwctl


def top_up(gwctl: Gwctl, usd: str = "10.50", *more: str) -> Ran:
    return gwctl("balances", "top-up", "customer:acme", usd, "--reason", "invoice 1", *more)


def show(gwctl: Gwctl, *more: str) -> Any:
    return gwctl("balances", "show", "customer:acme", "--json", *more).json


def spend(gwctl: Gwctl, charged: int, doubt: int = 0) -> None:
    """What the ledger of a serving gateway books, and the gateway remembers."""
    home = Home(gwctl.environ, gwctl.clock)
    store = LedgerStore(home.database)
    with store.transaction() as tx:
        home.spending.take(tx, {1: (charged, doubt)})
    store.close()
    examiner = Examiner(home.spending, home.remembered.read())
    examiner.look(home.database.snapshot)
    home.remembered.write(examiner.seen)
    home.close()


def test_money_is_put_in_and_told_exactly(acme: Gwctl) -> None:
    told = top_up(acme, "0.000000000001", "--json").json
    assert (told["scope"], told["env"], told["currency"]) == ("customer:acme", "live", "USD")
    assert [told[name] for name in MONEY] == ["10.500000000001", "0", "0", "10.500000000001"]
    assert told["held"] is None, "no worker runs: nobody knows"
    assert told["entry"]["number"] == 2
    assert told["booked"] is True


def test_a_cron_that_tries_again_pays_once(acme: Gwctl) -> None:
    first, again = (top_up(acme, "5", "--id", "ch_1", "--json").json for _ in range(2))
    assert (first["booked"], again["booked"]) == (True, False)
    assert again["available"] == "15.5"
    other = top_up(acme, "6", "--id", "ch_1")
    assert other.code == Exit.CONFLICT
    assert "ch_1" in other.err


def test_a_payment_is_of_one_balance(acme: Gwctl) -> None:
    acme("customers", "create", "other")
    assert top_up(acme, "5", "--id", "ch_1").code == 0
    for scope, *more in (("customer:other",), ("customer:acme", "--env", "test")):
        told = acme("balances", "top-up", scope, "5", "--reason", "invoice 1", "--id", "ch_1", *more)
        assert told.code == Exit.CONFLICT
        assert "customer:acme live" in told.err
    assert len(acme("balances", "list", "--json").json["balances"]) == 1, "none was made for it"


@pytest.mark.parametrize("words", [("-2.00", "--yes"), ("--yes", "-2.00"), ("--yes", "--", "-2.00")])
def test_a_number_below_zero_is_no_option_wherever_it_stands(acme: Gwctl, words: tuple[str, ...]) -> None:
    options, numbers = ("--reason", "booked twice", "--json"), words
    ran = acme("balances", "adjust", *options, "customer:acme", *numbers)
    assert ran.json["available"] == "8.5"
    assert ran.json["entry"]["amount"] == "-2"


def test_money_is_taken_off_and_given_back_only_with_a_yes(acme: Gwctl) -> None:
    spend(acme, 10**12, 2 * 10**12)
    for words in (("adjust", "customer:acme", "-1"), ("release", "customer:acme")):
        asked = acme("balances", *words, "--reason", "x")
        assert (asked.code, "--yes" in asked.err) == (Exit.USAGE, True)
    assert acme("balances", "adjust", "customer:acme", "1", "--reason", "up needs none").code == 0
    assert acme("balances", "release", "customer:acme", "0.5", "--reason", "x", "--yes").code == 0
    assert [show(acme)[name] for name in MONEY] == ["11.5", "1", "1.5", "9"]
    more = acme("balances", "release", "customer:acme", "1.6", "--reason", "x", "--yes")
    assert (more.code, "1.5 USD" in more.err) == (Exit.CONFLICT, True)
    older = acme("balances", "release", "customer:acme", "--older-than", "7d", "--reason", "x", "--yes", "--json")
    assert older.json["entry"]["amount"] == "1.5", "no attempt of the last week put it in doubt"


def test_a_rehearsal_books_nothing_and_meets_every_error(acme: Gwctl) -> None:
    rehearsed = top_up(acme, "1", "--dry-run", "--json").json
    assert (rehearsed["available"], rehearsed["dry_run"]) == ("11.5", True)
    assert show(acme)["available"] == "10.5"
    assert acme("balances", "adjust", "customer:acme", "-1", "--reason", "x", "--dry-run").code == 0
    assert acme("balances", "top-up", "customer:nobody", "1", "--reason", "x", "--dry-run").code == Exit.NOT_FOUND


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("top-up", "customer:acme", "1e3", "--reason", "x"), Exit.USAGE),
        (("top-up", "customer:acme", "-1", "--reason", "x"), Exit.USAGE),
        (("top-up", "customer:acme", "1"), Exit.USAGE),
        (("top-up", "key:ci-bot", "1", "--reason", "x"), Exit.USAGE),
        (("top-up", "customer:acme", "1", "--reason", "x", "--env", "prod"), Exit.USAGE),
        (("adjust", "customer:acme", "--1", "--reason", "x", "--yes"), Exit.USAGE),
        (("adjust", "customer:acme", "-x", "--reason", "x", "--yes"), Exit.USAGE),
        (("show", "customer:other"), Exit.NOT_FOUND),
        (("show", "customer:acme", "--env", "test"), Exit.NOT_FOUND),
        (("history", "customer:acme", "--before", "0"), Exit.USAGE),
    ],
)
def test_what_makes_no_sense_is_said_in_a_line(acme: Gwctl, words: tuple[str, ...], code: int) -> None:
    ran = acme("balances", *words)
    assert (ran.code, "Traceback" in ran.err) == (code, False)
    assert ran.err


def test_the_history_pages_and_the_list_shows_all(acme: Gwctl) -> None:
    top_up(acme, "1", "--env", "test")
    top_up(acme, "2", "--id", "ch_2")
    newest = acme("balances", "history", "customer:acme", "-n", "1", "--json").json
    assert [(e["number"], e["amount"], e["payment"]) for e in newest["entries"]] == [(2, "2", "ch_2")]
    older = acme("balances", "history", "customer:acme", "--before", "2", "--json").json["entries"]
    assert [e["number"] for e in older] == [1]
    listed = acme("balances", "list", "--json").json["balances"]
    assert [(b["scope"], b["env"], b["available"]) for b in listed] == [
        ("customer:acme", "live", "12.5"),
        ("customer:acme", "test", "1"),
    ]
    assert "customer:acme" in acme("balances", "list").out


def test_the_mark_of_a_low_balance_is_set_and_taken_back(acme: Gwctl) -> None:
    assert acme("balances", "update", "customer:acme", "--low", "5", "--json").json["low"] == "5"
    assert acme("balances", "update", "customer:acme", "--low", "none", "--json").json["low"] is None


def test_every_entry_is_in_the_audit_log_with_its_reason(acme: Gwctl) -> None:
    top_up(acme, "2", "--id", "ch_2")
    [*_, newest] = acme("audit", "list", "--json").json["entries"]
    assert newest["action"] == "balances.top_up"
    assert newest["detail"] | {"amount": "2", "payment": "ch_2", "reason": "invoice 1"} == newest["detail"]


def test_verify_and_doctor_name_what_something_else_changed(acme: Gwctl) -> None:
    assert acme("balances", "verify").code == 0
    write(acme.home, "UPDATE balance_entries SET amount_pico = amount_pico * 10")
    found = acme("balances", "verify")
    assert (found.code, "entries of the balance of customer:acme" in found.out) == (Exit.CHECK_FAILED, True)
    assert "covers nothing" in acme("doctor", "--offline").out
    named = ("balances", "reseal", "customer:acme", "--reason", "looked into it")
    assert acme(*named).code == Exit.USAGE, "severe: it wants the name"
    assert acme(*named, "--confirm", "customer:acme").code == 0
    assert acme("balances", "verify").code == 0


def test_what_was_taken_is_compared_with_the_attempts_on_record(acme: Gwctl) -> None:
    spend(acme, 10**12)
    ran = acme("balances", "verify", "--json")
    assert ran.code == Exit.CHECK_FAILED
    assert '"differs": "1 charged and 0 in doubt; by the attempts on record 0 charged and 0 in doubt"' in ran.out


def restored(gwctl: Gwctl, backup: Path, *more: str) -> Any:
    gwctl.clock.advance(seconds=5)  # the database that was there is put aside under the time
    return gwctl("restore", str(backup), "--confirm", backup.name, "--json", *more)


def test_a_restore_loses_no_payment_and_gives_nothing_spent_back(acme: Gwctl, tmp_path: Path) -> None:
    spend(acme, 10**12)
    backup = tmp_path / "b.tar"
    assert acme("backup", str(backup)).code == 0
    top_up(acme, "5", "--id", "ch_1")
    top_up(acme, "3", "--env", "test")
    acme("balances", "adjust", "customer:acme", "-0.5", "--reason", "x", "--yes")
    spend(acme, 2 * 10**12, 10**12)
    acme("balances", "release", "customer:acme", "0.25", "--reason", "x", "--yes")
    before, test = show(acme)["available"], show(acme, "--env", "test")["available"]
    told = restored(acme, backup, "--accept-rollback").json
    assert {change["result"] for change in told["changes"] if change["action"].startswith("balances")} == {"repeated"}
    assert (show(acme)["available"], show(acme, "--env", "test")["available"]) == (before, test)
    assert "acme" not in " ".join(told["denied"])
    assert top_up(acme, "5", "--id", "ch_1", "--json").json["booked"] is False, "the payment is known again"
    assert restored(acme, backup, "--accept-rollback").code == 0
    assert show(acme)["available"] == before, "a second time changes nothing more"


def test_what_was_spent_after_a_backup_stays_spent_though_nothing_else_changed(acme: Gwctl, tmp_path: Path) -> None:
    backup = tmp_path / "b.tar"
    assert acme("backup", str(backup)).code == 0
    spend(acme, 4 * 10**12)
    assert restored(acme, backup, "--accept-rollback").code == 0
    assert show(acme)["available"] == "6.5"
    home = Home(acme.environ, acme.clock)
    assert not Examiner(home.spending, home.remembered.read()).look(home.database.snapshot)
    home.close()


def test_a_payment_of_a_customer_that_is_gone_is_told(acme: Gwctl, tmp_path: Path) -> None:
    backup = tmp_path / "b.tar"
    assert acme("backup", str(backup)).code == 0
    acme("customers", "create", "later")
    acme("balances", "top-up", "customer:later", "7", "--reason", "card")
    told = restored(acme, backup, "--accept-rollback").json
    [lost] = [change for change in told["changes"] if change["action"] == "balances.top_up"]
    assert (lost["result"], lost["why"].partition(":")[0]) == ("lost", "7 USD were not booked again")
