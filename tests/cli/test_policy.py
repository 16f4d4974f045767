"""What a key may do, as it is said on the command line and in the settings."""

from __future__ import annotations

import pytest

from keyvault.clock import rfc3339
from tests.cli.conftest import Gwctl

FOREIGN = "sk-Fq7RtY2mZx9LbV4cKp1sWdGh6JnQ3eTu8aBi5oXyMrUvCzEl"


def settings(gwctl: Gwctl, toml: str) -> None:
    (gwctl.home / "config" / "config.toml").write_text(toml)


def test_addresses_are_kept_in_one_form_and_cleared_by_any(gwctl: Gwctl) -> None:
    made = gwctl("keys", "create", "bot", "--addresses", "10.0.0.0/8, 192.0.2.7/32", "--json").json
    assert made["addresses"] == ["10.0.0.0/8", "192.0.2.7"]
    assert gwctl("keys", "update", "bot", "--addresses", "any", "--json").json["addresses"] == []


@pytest.mark.parametrize("addresses", ["10.0.0.1/8", "example.com", " , ", "any,10.0.0.0/8"])
def test_a_list_of_addresses_that_says_nothing_clear_changes_nothing(gwctl: Gwctl, addresses: str) -> None:
    gwctl("keys", "create", "bot", "--addresses", "192.0.2.7", "--json")
    refused = gwctl("keys", "update", "bot", "--addresses", addresses)
    assert refused.code == 2
    assert gwctl("keys", "show", "bot", "--json").json["addresses"] == ["192.0.2.7"]


def test_an_update_touches_only_what_it_names(gwctl: Gwctl) -> None:
    words = "keys create bot --models gpt-* --endpoints chat --addresses 192.0.2.7 --rotate-every 36h --pin --json"
    before = gwctl(*words.split()).json
    after = gwctl("keys", "update", "bot", "--isolation", "off", "--json").json
    same = ("models", "endpoints", "addresses", "rotate_every", "pin", "expose", "expires_at")
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert (before["isolation"], after["isolation"], after["rotate_every"]) == (True, False, "36h")


def test_what_is_done_about_money_that_runs_out_and_clients_that_leave_is_the_keys_choice(gwctl: Gwctl) -> None:
    usual = {"abort": "charge", "clamp": False, "bound": None}
    chosen = {"abort": "free", "clamp": True, "bound": "0.5"}
    made = gwctl("keys", "create", "bot", "--json").json
    assert {name: made[name] for name in usual} == usual
    gwctl("keys", "update", "bot", "--abort", "free", "--clamp", "on", "--bound", "0.50")
    shown = gwctl("keys", "show", "bot", "--json").json
    assert {name: shown[name] for name in chosen} == chosen
    refused = gwctl("keys", "update", "bot", "--abort", "sometimes")
    assert (refused.code, "free or charge" in refused.err) == (2, True)
    back = gwctl("keys", "update", "bot", "--abort", "charge", "--clamp", "off", "--bound", "none", "--json").json
    assert {name: back[name] for name in usual} == usual


def test_restrictions_are_taken_away_by_name(gwctl: Gwctl) -> None:
    words = "keys create bot --models gpt-* --addresses 192.0.2.7 --rotate-every 30d --expires 90d --json"
    gwctl(*words.split())
    words = "keys update bot --models * --addresses any --rotate-every never --expires never --json"
    cleared = gwctl(*words.split()).json
    assert (cleared["models"], cleared["addresses"]) == ([], [])
    assert (cleared["rotate_every"], cleared["expires_at"]) == (None, None)


def test_keys_are_listed_by_environment(gwctl: Gwctl) -> None:
    gwctl("keys", "create", "real", "--json")
    gwctl("keys", "create", "trial", "--env", "test", "--json")
    assert gwctl("keys", "list", "--env", "test", "-o", "name").out == "trial\n"
    assert gwctl("keys", "list", "--env", "prod").code == 2


def test_the_settings_say_what_a_new_key_may_do_and_a_person_is_told(gwctl: Gwctl) -> None:
    settings(gwctl, '[keys]\nmodels = ["gpt-5*"]\naddresses = ["10.0.0.0/8"]\nexpires = "90d"\nrotate_every = "30d"\n')
    ran = gwctl("keys", "create", "bot", "--json")
    assert (ran.json["models"], ran.json["addresses"], ran.json["rotate_every"]) == (["gpt-5*"], ["10.0.0.0/8"], "30d")
    gwctl.clock.advance(days=90)
    assert ran.json["expires_at"] == rfc3339(gwctl.clock.now())
    assert "from the settings: models gpt-5*, addresses 10.0.0.0/8, expires 90d, rotate_every 30d" in ran.err


def test_what_is_asked_for_comes_before_the_settings(gwctl: Gwctl) -> None:
    settings(gwctl, '[keys]\nmodels = ["gpt-5*"]\nexpires = "90d"\nenv = "test"\naddresses = ["10.0.0.0/8"]\n')
    words = "keys create bot --models * --expires never --env live --addresses any --json"
    ran = gwctl(*words.split())
    assert (ran.json["models"], ran.json["expires_at"], ran.json["env"], ran.json["addresses"]) == (
        [],
        None,
        "live",
        [],
    )
    assert "from the settings" not in ran.err


def test_a_default_that_makes_no_sense_names_its_setting(gwctl: Gwctl) -> None:
    settings(gwctl, '[keys]\naddresses = ["10.0.0.1/8"]\n')
    refused = gwctl("keys", "create", "bot", "--json")
    assert refused.code == 2
    assert "keys.addresses: not the beginning of a network" in refused.err


def test_an_adopted_token_is_marked_masked_and_never_shown(gwctl: Gwctl) -> None:
    ran = gwctl("keys", "adopt", "mobile", "--secret-stdin", "--json", stdin=FOREIGN + "\n")
    [generation] = ran.json["generations"]
    assert (generation["adopted"], generation["masked"], generation["state"]) == (True, "sk-…El", "active")
    assert FOREIGN not in ran.out + ran.err + gwctl("keys", "show", "mobile").out
    again = gwctl("keys", "adopt", "other", "--secret-stdin", stdin=FOREIGN)
    assert (again.code, "in use already, by key mobile" in again.err) == (6, True)


@pytest.mark.parametrize(
    ("token", "why"),
    [
        ("short", "has 5 characters, not 16 to 200"),
        ("k" * 201, "has 201 characters"),
        ("aaaaaaaaaaaaaaaabbbb", "could be guessed"),
        ("a token with some spaces", "has a space"),
        ("tökenmitumlautxyz123", "not plain ASCII"),
        ("sk-ant-api03-Fq7RtY2mZx9LbV4cKp1s", "looks like a provider's credential"),
        ("sk-proj-Fq7RtY2mZx9LbV4cKp1s", "looks like a provider's credential"),
        ("sk-gw_live_Fq7RtY2mZx9LbV4cKp1s", "has the form of a key of this gateway"),
    ],
    ids=["short", "long", "guessable", "spaced", "umlaut", "anthropic", "openai", "ours"],
)
def test_a_token_that_should_not_be_adopted_is_refused_without_showing_it(gwctl: Gwctl, token: str, why: str) -> None:
    refused = gwctl("keys", "adopt", "mobile", "--secret-stdin", stdin=token)
    assert refused.code == 2
    assert why in refused.err
    assert token not in refused.err
    assert gwctl("keys", "list", "-o", "name").out == ""


def test_a_provider_looking_token_is_adopted_by_force(gwctl: Gwctl) -> None:
    words = ("keys", "adopt", "mobile", "--secret-stdin", "--force", "--json")
    assert gwctl(*words, stdin="sk-proj-Fq7RtY2mZx9LbV4cKp1s").json["name"] == "mobile"


def test_an_adopted_key_is_rotated_into_our_own_form(gwctl: Gwctl) -> None:
    gwctl("keys", "adopt", "mobile", "--secret-stdin", stdin=FOREIGN)
    assert gwctl("keys", "rotate", "mobile", "--json").json["secret"].startswith("sk-gw_live_")


def test_an_adopted_key_is_due_for_rotation_at_once(gwctl: Gwctl) -> None:
    gwctl("keys", "adopt", "mobile", "--secret-stdin", stdin=FOREIGN)
    gwctl("keys", "create", "ours", "--json")
    rotated = gwctl("keys", "rotate", "--due", "--json").json
    assert [key["name"] for key in rotated["results"]] == ["mobile"]


def test_the_grace_of_a_rotation_is_the_settings_unless_said(gwctl: Gwctl) -> None:
    settings(gwctl, '[keys]\ngrace = "2h"\n')
    gwctl("keys", "create", "bot", "--json")
    gwctl("keys", "rotate", "bot", "--json")
    old = gwctl("keys", "show", "bot", "--json").json["generations"][1]
    gwctl.clock.advance(seconds=7200)
    assert old["valid_until"] == rfc3339(gwctl.clock.now())
