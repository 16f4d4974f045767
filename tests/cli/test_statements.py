"""`gwctl statements` and `gwctl usage reprice`: months closed, shown and corrected, and what a restore makes of it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from keyvault.clock import ulid_at
from keyvault.domain.ledger import Usage
from keyvault.domain.routes import Target
from keyvault.errors import Exit
from keyvault.home import Home
from keyvault.metering.entries import Sums, settled_row
from keyvault.storage.ledger import LedgerStore
from tests.attacks.conftest import write
from tests.cli.conftest import Gwctl, Ran
from tests.ledgers import attempt, settlement

DAY_MS = 86_400_000
DOLLAR = 10**12


def served(gwctl: Gwctl, *, days_ago: int, charge: int | None, usage: Usage | None = None) -> None:
    """What a serving gateway books for a request of the key ci-bot."""
    home = Home(gwctl.environ, gwctl.clock)
    store = LedgerStore(home.database)
    one = attempt(gwctl.clock.ms - days_ago * DAY_MS, entropy=gwctl.clock.drawn, key_id=1, alias_id=7, target_id=9)
    ended = settlement(one, cost_pico=charge, charge_pico=charge, **({"usage": usage} if usage else {}))
    target, sums = Target("openai", "gpt-5"), Sums()
    sums.add(one, ended)
    with store.transaction() as tx:
        tx.add_names([(7, "fast")], [(9, target.upstream, target.model)])
        tx.settle([settled_row(one, ended)])
        tx.add_totals(*sums.rows())
    store.close()
    home.close()


@pytest.fixture
def acme(gwctl: Gwctl) -> Gwctl:
    """acme has the key ci-bot, which was served in September for 12.345 dollars."""
    gwctl("upstreams", "create", "openai", "--provider", "openai", "--secret-stdin", stdin="sk-x")
    assert gwctl("keys", "create", "ci-bot", "--project", "acme/web", "--create", "--json").code == 0
    served(gwctl, days_ago=5, charge=12_345 * DOLLAR // 1000)
    return gwctl


def create(gwctl: Gwctl, *more: str) -> Ran:
    return gwctl("statements", "create", "customer:acme", "--month", "2026-09", "--yes", *more)


def test_a_month_is_closed_and_shown_in_every_form(acme: Gwctl, tmp_path: Path) -> None:
    rehearsed = create(acme, "--dry-run", "--json").json
    assert (rehearsed["number"], rehearsed["dry_run"]) == ("2026-0001", True)
    assert acme("statements", "list", "--json").json["statements"] == []
    made = create(acme, "--json").json
    assert (made["number"], made["total"], made["exact_total"], made["due"]) == (
        "2026-0001",
        "12.34",
        "12.345",
        "12.34",
    )
    shown = acme("statements", "show", "2026-0001", "--json").json
    assert shown == {**made, "vouched": "sealed"}
    [row] = csv.DictReader(io.StringIO(acme("statements", "export", "2026-0001", "-o", "csv").out))
    assert (row["project"], row["model"], row["amount"]) == ("acme/web", "gpt-5", "12.34")
    for form in ("table", "md", "html"):
        file = tmp_path / f"s.{form}"
        assert acme("statements", "export", "2026-0001", "-o", form, "--out", str(file)).code == 0
        assert "12.34" in file.read_text()
    assert acme("statements", "list", "-o", "name").out == "2026-0001\n"


def test_closing_twice_too_early_or_for_nobody_is_refused(acme: Gwctl) -> None:
    assert create(acme).code == 0
    again = create(acme)
    assert (again.code, "gwctl statements show 2026-0001" in again.err) == (Exit.CONFLICT, True)
    present = ("statements", "create", "customer:acme", "--month", "2026-10", "--yes")
    assert acme(*present).code == Exit.CONFLICT
    assert acme(*present, "--draft", "--json").json["number"] is None
    assert acme("statements", "create", "--month", "2026-09").code == Exit.USAGE
    assert acme("statements", "create", "project:acme/web", "--month", "2026-08").code == Exit.USAGE
    assert acme("statements", "show", "2026-0009").code == Exit.NOT_FOUND
    assert acme("statements", "create", "--all", "--month", "2026-09", "--yes", "--json").json["statements"] == []


def test_a_locked_vault_shows_and_says_what_it_could_not_verify(acme: Gwctl) -> None:
    create(acme)
    key = acme.home / "config" / "unlock.key"
    key.rename(key.with_name("elsewhere"))
    shown = acme("statements", "show", "2026-0001", "--json").json
    assert (shown["total"], shown["vouched"]) == ("12.34", "not verified: vault locked")
    acme.clock.advance(days=31)
    assert acme("statements", "create", "customer:acme", "--month", "2026-10", "--yes").code == Exit.LOCKED
    assert acme("statements", "verify").code == 0


def test_an_edited_statement_is_named_by_doctor_and_not_shown(acme: Gwctl) -> None:
    create(acme)
    write(acme.home, "UPDATE statements SET content = replace(content, '1234', '9234')")
    assert acme("statements", "show", "2026-0001").code == Exit.FAILURE
    assert acme("statements", "verify").code == Exit.CHECK_FAILED
    assert "statement 2026-0001 is not what was issued" in acme("doctor", "--offline").out


def test_a_seal_shows_what_the_digest_cannot(acme: Gwctl) -> None:
    create(acme)
    write(acme.home, "UPDATE statements SET month = '2026-08'")
    assert acme("statements", "show", "2026-0001").code == Exit.FAILURE
    assert "statement 2026-0001 was changed by something else than gwctl" in acme("doctor", "--offline").out


def test_a_credit_note_is_a_document_of_its_own(acme: Gwctl) -> None:
    create(acme)
    words = ("statements", "credit", "2026-0001", "2.50", "--reason", "goodwill", "--yes")
    assert acme(*words, "--dry-run", "--json").json["number"] == "2026-0002"
    assert acme(*words, "--json").json["number"] == "2026-0002"
    assert acme("statements", "show", "2026-0001", "--json").json["credited"] == "2.50"
    assert "for statement" in acme("statements", "show", "2026-0002").out
    assert acme("statements", "credit", "2026-0001", "9.85", "--reason", "too much", "--yes").code == Exit.CONFLICT
    listed = acme("statements", "list", "--json").json["statements"]
    assert [(each["number"], each["amount"]) for each in listed] == [("2026-0001", "12.34"), ("2026-0002", "-2.50")]


def test_nothing_is_frozen_unasked_and_a_rehearsal_is_no_document(acme: Gwctl) -> None:
    words = ("statements", "create", "customer:acme", "--month", "2026-09")
    assert acme(*words).code == Exit.USAGE
    assert acme("statements", "create", "--all", "--month", "2026-09").code == Exit.USAGE
    for form in ("table", "md", "html"):
        rehearsed = acme(*words, "--dry-run", "-o", form)
        assert (rehearsed.code, "2026-0001" in rehearsed.out, "not issued" in rehearsed.out) == (0, False, True), form
    assert ", UTC" in next(line for line in create(acme).out.splitlines() if line.startswith("issued"))


def test_what_cannot_be_is_refused_before_anybody_is_asked(acme: Gwctl) -> None:
    for words in (
        ("create", "customer:nobody", "--month", "2026-09"),
        ("credit", "2026-0009", "1.00", "--reason", "x"),
        ("adjust", "customer:nobody", "1.00", "--reason", "x"),
    ):
        assert acme("statements", *words).code == Exit.NOT_FOUND, words
    assert acme("statements", "create", "customer:acme", "--month", "2026-10").code == Exit.CONFLICT


def test_the_audit_log_lists_a_statement_by_its_digest_and_shows_it_whole(acme: Gwctl) -> None:
    create(acme)
    entry = acme("audit", "list", "--json").json["entries"][-1]
    listed = acme("audit", "list").out.splitlines()[-1]
    assert entry["scope"] == "statement:2026-0001"
    assert entry["detail"]["digest"] in listed
    assert "total_cents" in str(entry["detail"]["content"])
    assert "content" not in listed
    assert "content" in acme("audit", "show", str(entry["seq"])).out


def test_a_list_marks_what_was_forged(acme: Gwctl) -> None:
    create(acme)
    assert "CHANGED" not in acme("statements", "list").out
    write(acme.home, "UPDATE statements SET amount_cents = 9")
    listed = acme("statements", "list", "--json")
    assert (listed.code, json.loads(listed.out)["statements"][0]["changed"]) == (Exit.CHECK_FAILED, True)
    assert "CHANGED" in acme("statements", "list").out
    assert acme("statements", "list", "--month", "2026-13").code == Exit.USAGE


def test_the_name_of_a_file_decides_its_form(acme: Gwctl, tmp_path: Path) -> None:
    create(acme)
    for name, begins in (("s.html", "<!DOCTYPE html>"), ("s.md", "# "), ("s.csv", "number,"), ("s.txt", "Statement")):
        assert acme("statements", "export", "2026-0001", "--out", str(tmp_path / name)).code == 0
        assert (tmp_path / name).read_text().startswith(begins), name


def test_what_is_credited_is_not_due_any_more(acme: Gwctl) -> None:
    create(acme)
    words = ("statements", "credit", "2026-0001", "12.34", "--reason", "all of it", "--yes")
    refused = acme(*words, "--to-balance")
    assert (refused.code, "acme has no balance" in refused.err) == (Exit.NOT_FOUND, True)
    assert acme(*words).code == 0
    shown = acme("statements", "show", "2026-0001", "--json").json
    assert (shown["due"], shown["due_now"]) == ("12.34", "0.00")
    assert "due now             0.00 USD" in acme("statements", "show", "2026-0001").out


def price(gwctl: Gwctl, usd: str) -> None:
    words = ("prices", "set", "openai/gpt-5", "--input", usd, "--output", "0", "--from", "2026-09-01")
    assert gwctl(*words).code == 0


def reprice(gwctl: Gwctl, *more: str) -> Any:
    return gwctl("usage", "reprice", "--from", "2026-09-01", "--yes", "--json", *more).json


def test_a_wrong_price_is_corrected_on_the_next_statement(acme: Gwctl) -> None:
    served(acme, days_ago=3, charge=2 * DOLLAR, usage=Usage(input=1_000_000, output=0))
    create(acme)
    price(acme, "3")
    told = reprice(acme, "--dry-run")
    [line] = told["differences"]
    assert (line["project"], line["attempts"], line["charge_before"]) == ("acme/web", 2, "14.345")
    assert reprice(acme)["next_statements"] == told["next_statements"]
    said = acme("usage", "reprice", "--from", "2026-09-01", "--yes")
    assert "nothing to book: 2 attempts count" in said.err
    price(acme, "1")
    said = acme("usage", "reprice", "--from", "2026-09-01", "--dry-run", "--yes")
    assert "USD less is charged" in said.err
    acme.clock.advance(days=31)
    made = acme("statements", "create", "customer:acme", "--month", "2026-10", "--yes", "--json").json
    [adjustment] = made["adjustments"]
    assert adjustment["exact"] == told["next_statements"][0]["amount"]
    assert made["total"] == adjustment["amount"]


def test_requests_under_way_are_left_out_and_said_to_be(acme: Gwctl) -> None:
    price(acme, "3")
    began = acme.clock.ms - 9 * DAY_MS
    columns = "request_id, number, started_ms, worker, key_id, generation, alias_id, target_id, dialect, stream"
    values = f"'{ulid_at(began)}', 1, {began}, 'w1', 1, 1, 7, 9, 'chat', 0"
    write(acme.home, f"INSERT INTO open_attempts ({columns}, multiplier_ppm) VALUES ({values}, 1000000)")
    told = acme("usage", "reprice", "--from", "2026-09-01", "--yes", "--json")
    found = json.loads(told.out)
    assert (told.code, found["left_out"], len(found["differences"])) == (Exit.CHECK_FAILED, 1, 1)
    assert "1 request of the span under way, left out" in told.err
    assert reprice(acme, "--model", "o3")["left_out"] == 0, "it is of another model"


def test_a_restore_brings_back_what_was_issued_and_books_nothing_twice(acme: Gwctl, tmp_path: Path) -> None:
    served(acme, days_ago=3, charge=2 * DOLLAR, usage=Usage(input=1_000_000, output=0))
    price(acme, "3")
    backup = tmp_path / "b.tar"
    assert acme("backup", str(backup)).code == 0
    reprice(acme)
    adjust = ("statements", "adjust", "customer:acme", "--reason", "x", "--yes", "--json")
    assert acme(*adjust, "-0.5").json["amount"] == "-0.5"
    assert create(acme, "--json").json["adjustments"][-1]["amount"] == "-0.50"
    assert acme(*adjust, "7").code == 0
    assert acme("statements", "credit", "2026-0001", "1", "--reason", "x", "--yes").code == 0
    before = [acme("statements", "show", number, "--json").json for number in ("2026-0001", "2026-0002")]
    acme("customers", "create", "later")
    acme.clock.advance(days=31)
    assert acme("statements", "create", "customer:later", "--month", "2026-10", "--yes").code == 0
    acme.clock.advance(seconds=5)
    told = acme("restore", str(backup), "--confirm", backup.name, "--json", "--accept-rollback").json
    results = {change["scope"]: change["result"] for change in told["changes"]}
    assert results["statement:2026-0001"] == results["credit_note:2026-0002"] == results["usage"] == "repeated"
    assert results["statement:2026-0003"] == "lost", "its customer came after the backup"
    assert [acme("statements", "show", number, "--json").json for number in ("2026-0001", "2026-0002")] == before
    assert reprice(acme)["differences"] == []
    made = acme("statements", "create", "customer:acme", "--month", "2026-10", "--yes", "--json").json
    assert made["number"] == "2026-0004", "no number is given twice"
    assert [each["exact"] for each in made["adjustments"]] == ["7"], "what waited still does, and what did not does not"


def test_an_adjustment_that_was_edited_closes_no_month(acme: Gwctl) -> None:
    price(acme, "3")
    assert reprice(acme)["next_statements"]
    write(acme.home, "UPDATE adjustments SET amount_pico = 5")
    refused = create(acme)
    assert refused.code != 0
    assert "gwctl" in refused.err
    assert "adjustment number 1 was changed" in acme("doctor", "--offline").out
