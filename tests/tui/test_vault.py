"""The Vault view: what it shows of upstreams and their credentials, and every change made from it on a real home."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from keyvault.domain.endpoints import Dialect
from keyvault.domain.vault import Compartment, Credential, CredentialState, DataKey, Slot, SlotKind, SlotScope, Upstream
from keyvault.home import Home
from keyvault.secrets import Secret
from opsconsole.readers.vault import by_upstream
from opsconsole.tui.dialogs.deed_dialog import DeedDialog
from opsconsole.tui.screens.vault import VAULT_ACTIONS
from opsconsole.view.snapshot import TargetTraffic
from opsconsole.view.text import plain
from opsconsole.view.vault.beside import beside
from opsconsole.view.vault.rows import table
from opsconsole.view.vault.snapshot import Account, VaultFacts, VaultQuestion, VaultSnapshot, state_of
from tests.provider import provider
from tests.tui.driving import press, running, screen_text, until
from tests.tui.examples import NOW, SETUP
from tests.tui.operating import a_home, agree, fill, operating, refusal
from tests.tui.test_pictures import compare

OLD, NEW, SECOND = "sk-old-0001", "sk-new-0002", "sk-second-0003"


def credential(state: CredentialState = CredentialState.CURRENT, label: str = "main", **more: object) -> Credential:
    made = Credential(
        1,
        1,
        label,
        state,
        1,
        "r",
        NOW - timedelta(days=40),
        NOW - timedelta(days=9),
        tested_at=NOW - timedelta(hours=3),
    )
    return replace(made, **more)  # type: ignore[arg-type]


def account(name: str, found: Credential | None, provider: str = "openai", **more: object) -> Account:
    upstream = Upstream(
        1, name, provider, f"https://api.{name}.example/v1", frozenset({Dialect.CHAT}), "authorization", "Bearer", True,
        None, NOW,
    )  # fmt: skip
    upstream = replace(upstream, **more)  # type: ignore[arg-type]
    traffic = TargetTraffic(name, 812, 3, 2.7, 310.0) if name == "openai" else None
    return Account(upstream, found, state_of(upstream, found, NOW), traffic)


ACCOUNTS = (
    account("openai", credential(test_note="chat with gpt-5-nano", weight=3)),
    account("openai", credential(label="second", tested_at=None)),
    account(
        "openai", credential(CredentialState.PREVIOUS, label="second", until=NOW + timedelta(hours=20), tested_at=None)
    ),
    account("anthropic", credential(aside_at=NOW - timedelta(minutes=4), aside_note="401 invalid key"), "anthropic"),
    account("groq", credential(CredentialState.STAGED, tested_at=None), "groq"),
    account("old-azure", credential(), "azure", disabled=True),
    account("local", None, "ollama", has_secret=False),
)
FACTS = VaultFacts(
    "01J9GW7QK",
    (Slot("file", SlotKind.FILE, SlotScope.ALL, NOW), Slot("recovery", SlotKind.RECOVERY, SlotScope.ALL, NOW)),
    (DataKey(3, Compartment.UPSTREAM, "primary", NOW - timedelta(days=80)),),
    5,
    2,
    17,
    {"rotated_data_keys": NOW - timedelta(days=80), "tested_recovery": None},
)


def busy(question: object) -> VaultSnapshot:
    return VaultSnapshot(VaultQuestion(), NOW, SETUP, workers=1, accounts=ACCOUNTS, vault=FACTS)


def nothing(question: object) -> VaultSnapshot:
    return VaultSnapshot(VaultQuestion(), NOW, replace(SETUP, upstreams=()), workers=1, vault=FACTS)


# What it shows


def test_each_account_has_a_line_that_keeps_its_identity() -> None:
    keys = [row.key for row in table(busy(None)).rows]
    assert len(keys) == len(set(keys)) == len(ACCOUNTS)


def test_trouble_has_a_word_and_a_symbol() -> None:
    written = {row.key: [span.text for span in row.cells] for row in table(busy(None)).rows}
    assert "✖ refused" in written[("anthropic", "main", "current")]
    assert "‖ disabled" in written[("old-azure", "main", "current")]
    assert "○ staged" in written[("groq", "main", "staged")]


def test_the_pane_says_why_and_since_when_a_credential_is_refused() -> None:
    told = "\n".join(plain(each) for each in beside(busy(None), ACCOUNTS[3]))
    assert "401 invalid key" in told
    assert "17 tokens still need an old one" in told


def test_the_targets_of_an_upstream_add_up() -> None:
    traffic = by_upstream(
        (TargetTraffic("a/x", 1, 1, 0.5, 90.0), TargetTraffic("a/y", 9, 0, 4.5, 40.0), TargetTraffic("b/x", 2, 0, 1.0))
    )
    assert traffic["a"] == TargetTraffic("a", 10, 1, 5.0, 40.0)


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (120, 36), (200, 60)])
async def test_it_looks_as_designed(size: tuple[int, int]) -> None:
    async with running(busy, size=size) as (console, pilot):
        await press(pilot, "3")
        await until(pilot, lambda: console.view.kept)
        compare(f"vault-{size[0]}x{size[1]}", console)


@pytest.mark.parametrize(
    ("name", "keys"),
    [("new", "n"), ("rotate", "r"), ("delete", "D"), ("disable", "x"), ("opened", "enter"), ("data-keys", "K")],
)
async def test_its_dialogs_look_as_designed(name: str, keys: str) -> None:
    async with running(busy) as (console, pilot):
        await press(pilot, "3")
        await until(pilot, lambda: console.view.kept)
        await press(pilot, keys)
        compare(f"vault-{name}", console)


async def test_an_empty_vault_says_what_to_do() -> None:
    async with running(nothing) as (console, pilot):
        await press(pilot, "3")
        await until(pilot, lambda: console.view.kept)
        compare("vault-empty", console)


async def test_nothing_can_be_changed_when_only_reading() -> None:
    async with running(busy, read_only=True) as (console, pilot):
        await press(pilot, "3")
        await until(pilot, lambda: console.view.kept)
        for action in VAULT_ACTIONS:
            if action.changes:
                await press(pilot, action.keys[0])
                assert len(console.screen_stack) == 1, action.id
        assert "rotate" not in screen_text(console)


# What it does, on a real home


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with a_home(tmp_path) as home:
        yield home


async def test_an_upstream_from_its_creation_to_its_end(home: Home) -> None:
    with provider(OLD, NEW, SECOND) as accounts:
        async with operating(home, "vault") as (console, pilot):
            await press(pilot, "n")
            await fill(
                console, pilot, name="local", provider="openai", base_url=accounts.url, secret=OLD, private="yes"
            )
            await agree(console, pilot)
            await until(pilot, lambda: console.view.account)
            assert home.upstreams.get("local").base_url == accounts.url

            await press(pilot, "t")
            await fill(console, pilot, model="tiny-chat")
            await agree(console, pilot)
            assert accounts.asked[OLD] == 1

            await press(pilot, "r")
            await fill(console, pilot, secret=NEW, overlap="2h", test="no")
            await agree(console, pilot)
            states = {each.state for each in home.credentials.of("local")}
            assert states == {CredentialState.CURRENT, CredentialState.PREVIOUS}

            await press(pilot, "u")
            await agree(console, pilot)
            await press(pilot, "R")
            await agree(console, pilot)
            assert {each.state for each in home.credentials.of("local")} == {
                CredentialState.CURRENT,
                CredentialState.RETIRED,
            }

            await press(pilot, "a")
            await fill(console, pilot, label="second", weight="2", secret=SECOND, test="no")
            await agree(console, pilot)
            assert {each.label for each in home.credentials.of("local") if each.weight} == {"main", "second"}

            await press(pilot, "x")
            await agree(console, pilot)
            assert home.upstreams.get("local").disabled
            await until(pilot, lambda: console.view.account.state == "disabled")
            await press(pilot, "x")
            await agree(console, pilot)
            assert not home.upstreams.get("local").disabled

            await press(pilot, "K")
            await agree(console, pilot)
            assert min(key.number for key in home.vault.status().data_keys if key.state == "primary") > 2


async def test_a_deletion_wants_the_name_typed(home: Home) -> None:
    home.upstreams.create("local", "ollama", base_url="http://127.0.0.1:9", secret=None, allow_private=True)
    async with operating(home, "vault") as (console, pilot):
        await until(pilot, lambda: console.view.account)
        await press(pilot, "D")
        await fill(console, pilot, **{"typed-name": "loca"})
        assert console.screen.query_one("#do").disabled
        await fill(console, pilot, **{"typed-name": "local"})
        await agree(console, pilot)
        assert home.upstreams.list() == []


async def test_a_refusal_leaves_the_form_as_it_was_filled(home: Home) -> None:
    home.upstreams.create("local", "ollama", base_url="http://127.0.0.1:9", secret=None, allow_private=True)
    async with operating(home, "vault") as (console, pilot):
        await press(pilot, "n")
        await fill(console, pilot, name="local", provider="openai", secret=OLD)
        await agree(console, pilot)
        assert isinstance(console.screen, DeedDialog)
        assert "local" in refusal(console)
        assert console.screen.query_one("#field-name").value == "local"
        assert OLD not in screen_text(console)


async def test_a_secret_that_the_provider_does_not_take_stays_staged(home: Home) -> None:
    with provider(OLD) as accounts:
        home.upstreams.create("local", "openai", base_url=accounts.url, secret=Secret(OLD), allow_private=True)
        async with operating(home, "vault") as (console, pilot):
            await until(pilot, lambda: console.view.account)
            await press(pilot, "r")
            await fill(console, pilot, secret="sk-wrong-0009")
            await agree(console, pilot)
            assert "stays staged" in refusal(console)
            assert "sk-wrong" not in screen_text(console)
        states = [each.state for each in home.credentials.of("local")]
        assert sorted(states) == [CredentialState.CURRENT, CredentialState.STAGED]
