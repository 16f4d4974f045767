"""`gwctl keys revoke|suspend|delete|restore|verify`, `suspend`, `resume` and `workers`, as an operator types them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from keyvault.errors import Exit
from keyvault.home import Home
from opsconsole.staging.simulation.profile import Profile
from opsconsole.staging.simulator import running
from tests.cli.conftest import Gwctl
from tests.gateway import Gateway, serving

# --- without a proxy ------------------------------------------------------------------------------------------------


def new_key(gwctl: Gwctl, name: str, *options: str) -> str:
    return str(gwctl("keys", "create", name, *options, "--json").json["secret"])


def state_of(gwctl: Gwctl, name: str) -> str:
    return str(gwctl("keys", "show", name, "--json").json["state"])


def test_several_keys_are_revoked_by_name(gwctl: Gwctl) -> None:
    for name in ("a", "b", "c"):
        new_key(gwctl, name)
    ran = gwctl("keys", "revoke", "a", "b", "--yes", "--json")
    assert [(key["name"], key["state"]) for key in ran.json["keys"]] == [("a", "revoked"), ("b", "revoked")]
    assert state_of(gwctl, "c") == "active"


def test_one_key_is_shown_as_one_thing(gwctl: Gwctl) -> None:
    new_key(gwctl, "a")
    assert gwctl("keys", "revoke", "a", "--yes", "--json").json["state"] == "revoked"


@pytest.mark.parametrize("option", [("--customer", "acme"), ("--project", "acme/web")])
def test_all_keys_of_a_customer_or_a_project_are_revoked(gwctl: Gwctl, option: tuple[str, str]) -> None:
    new_key(gwctl, "a", "--project", "acme/web", "--create")
    new_key(gwctl, "b", "--project", "acme/web")
    new_key(gwctl, "mine")
    assert len(gwctl("keys", "revoke", *option, "--yes", "--json").json["keys"]) == 2
    assert [state_of(gwctl, name) for name in ("a", "b", "mine")] == ["revoked", "revoked", "active"]


def test_an_unknown_customer_is_an_error_and_not_an_empty_success(gwctl: Gwctl) -> None:
    assert gwctl("keys", "revoke", "--customer", "acme", "--yes").code == Exit.NOT_FOUND


@pytest.mark.parametrize("words", [(), ("a", "--customer", "acme"), ("--customer", "x", "--project", "x/y")])
def test_which_keys_are_meant_must_be_said_in_one_way(gwctl: Gwctl, words: tuple[str, ...]) -> None:
    assert gwctl("keys", "revoke", *words, "--yes").code == Exit.USAGE


def test_nothing_is_revoked_unasked_or_rehearsed(gwctl: Gwctl) -> None:
    new_key(gwctl, "a")
    assert gwctl("keys", "revoke", "a").code == Exit.USAGE
    assert "nothing was changed" in gwctl("keys", "revoke", "a", "--dry-run", "--wait", "--cut").err
    assert state_of(gwctl, "a") == "active"


def test_a_leaked_token_revokes_its_key_and_is_never_shown(gwctl: Gwctl) -> None:
    secret = new_key(gwctl, "ci-bot")
    ran = gwctl("keys", "revoke", "--token-stdin", "--yes", stdin=secret + "\n")
    assert ran.code == 0
    assert "revoked key ci-bot" in ran.err
    assert secret not in ran.out + ran.err
    assert state_of(gwctl, "ci-bot") == "revoked"


def test_a_leaked_token_is_enough_while_the_vault_is_locked(gwctl: Gwctl) -> None:
    secret = new_key(gwctl, "ci-bot")
    (gwctl.home / "config" / "unlock.key").unlink()
    ran = gwctl("keys", "revoke", "--token-stdin", "--yes", stdin=secret)
    assert ran.code == 0, ran.err
    assert "the vault is locked, so the id in the token alone says that it is key ci-bot" in ran.err
    assert state_of(gwctl, "ci-bot") == "revoked"


def test_an_old_secret_that_opens_nothing_leaves_its_key_alone(gwctl: Gwctl) -> None:
    old = new_key(gwctl, "ci-bot")
    gwctl("keys", "rotate", "ci-bot", "--grace", "0s", "--json")
    ran = gwctl("keys", "revoke", "--token-stdin", "--yes", stdin=old)
    assert ran.code == 0
    assert "an old secret of key ci-bot, expired and refused: the key was left as it is" in ran.err
    assert state_of(gwctl, "ci-bot") == "active"


@pytest.mark.parametrize("text", ["sk-gw_live_nonsense", "hello"])
def test_a_token_of_nobody_revokes_nothing(gwctl: Gwctl, text: str) -> None:
    ran = gwctl("keys", "revoke", "--token-stdin", "--yes", stdin=text)
    assert (ran.code, text in ran.err) == (Exit.NOT_FOUND, False)


def test_everything_that_takes_access_away_works_while_the_vault_is_locked(gwctl: Gwctl) -> None:
    for name in ("a", "b", "c", "d"):
        new_key(gwctl, name, "--project", "acme/web", "--create")
    gwctl("upstreams", "create", "openai", "--provider", "openai", "--secret-stdin", stdin="sk-provider")
    (gwctl.home / "config" / "unlock.key").unlink()
    commands = [
        "keys revoke a --yes --wait --cut",
        "keys suspend b --wait",
        "keys delete c --confirm c",
        "suspend key:d",
        "suspend project:acme/web",
        "suspend customer:acme",
        "suspend upstream:openai",
        "suspend all --yes",
    ]
    for command in commands:
        ran = gwctl(*command.split())
        assert ran.code == 0, f"{command}: {ran.err}"
    assert [state_of(gwctl, name) for name in ("a", "b", "c", "d")] == ["revoked", "suspended", "deleted", "suspended"]


@pytest.mark.parametrize(
    "command", ["keys resume b", "keys restore c", "resume project:acme/web", "resume customer:acme", "resume all"]
)
def test_what_gives_access_back_needs_the_vault(gwctl: Gwctl, command: str) -> None:
    for name in ("b", "c"):
        new_key(gwctl, name, "--project", "acme/web", "--create")
    gwctl("keys", "suspend", "b")
    gwctl("keys", "delete", "c", "--confirm", "c")
    for scope in ("project:acme/web", "customer:acme", "all"):
        gwctl("suspend", scope, "--yes")
    key_file = gwctl.home / "config" / "unlock.key"
    kept = key_file.read_bytes()
    key_file.unlink()
    assert gwctl(*command.split()).code == Exit.LOCKED
    key_file.write_bytes(kept)
    key_file.chmod(0o600)
    assert gwctl(*command.split()).code == 0


@pytest.mark.parametrize("scope", ["acme", "customers:acme", "customer:", "everybody", "key"])
def test_a_scope_is_written_as_kind_and_name(gwctl: Gwctl, scope: str) -> None:
    ran = gwctl("suspend", scope, "--yes")
    assert (ran.code, "hint: customer:NAME" in ran.err) == (Exit.USAGE, True)


def test_a_suspension_above_shows_at_the_keys(gwctl: Gwctl) -> None:
    new_key(gwctl, "a", "--project", "acme/web", "--create")
    assert "SUSPENDED BY" not in gwctl("keys", "list").out
    assert gwctl("suspend", "customer:Acme", "--json").json == {"scope": "customer:acme", "suspended": True}
    listed = gwctl("keys", "list", "--json").json["keys"][0]
    assert (listed["state"], listed["suspended_by"]) == ("active", "customer:acme")
    assert "customer:acme" in gwctl("keys", "list").out
    gwctl("keys", "suspend", "a")
    assert "still refused: customer:acme is suspended" in gwctl("keys", "resume", "a").err
    gwctl("resume", "customer:acme")
    assert gwctl("keys", "list", "--json").json["keys"][0]["suspended_by"] is None


def test_everybody_is_not_suspended_by_a_slip(gwctl: Gwctl) -> None:
    assert gwctl("suspend", "all").code == Exit.USAGE
    assert gwctl("suspend", "upstream:openai", "--cut").code == Exit.USAGE


def test_a_deleted_key_is_listed_only_when_asked_for_and_can_be_restored(gwctl: Gwctl) -> None:
    new_key(gwctl, "ci-bot")
    assert gwctl("keys", "delete", "ci-bot", "--confirm", "other").code == Exit.USAGE
    assert "gwctl keys restore ci-bot" in gwctl("keys", "delete", "ci-bot", "--confirm", "ci-bot").err
    assert gwctl("keys", "list", "-o", "name").out == ""
    [deleted] = gwctl("keys", "list", "--deleted", "--json").json["keys"]
    assert (deleted["state"], deleted["restorable_until"]) == ("deleted", "2026-10-08T12:00:00.000Z")
    refused = gwctl("keys", "create", "ci-bot", "--json")
    assert (refused.code, "gwctl keys restore ci-bot" in refused.err) == (Exit.CONFLICT, True)
    assert gwctl("keys", "restore", "ci-bot", "--json").json["state"] == "active"
    gwctl("keys", "delete", "ci-bot", "--purge", "--confirm", "ci-bot")
    assert gwctl("keys", "list", "--deleted", "-o", "name").out == ""
    new_key(gwctl, "ci-bot")


def test_without_a_live_worker_there_is_nobody_to_wait_for_and_that_is_said(gwctl: Gwctl) -> None:
    new_key(gwctl, "a")
    ran = gwctl("keys", "revoke", "a", "--yes", "--wait")
    assert (ran.code, "no worker is live: nobody to wait for" in ran.err) == (0, True)
    told = gwctl("keys", "revoke", "a", "--yes", "--wait=5", "--cut", "--json").json
    assert (told["workers"], told["calls_cut"]) == (0, 0)


@pytest.mark.parametrize("limit", ["0", "99999"])
def test_a_limit_that_makes_no_sense_changes_nothing(gwctl: Gwctl, limit: str) -> None:
    new_key(gwctl, "a")
    assert gwctl("keys", "revoke", "a", "--yes", "--wait", limit).code == Exit.USAGE
    assert state_of(gwctl, "a") == "active"


def test_the_word_behind_a_bare_wait_is_a_name(gwctl: Gwctl) -> None:
    new_key(gwctl, "a")
    assert gwctl("keys", "revoke", "--wait", "a", "--yes", "--json").json["name"] == "a"


# --- beside a running proxy -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(Profile()) as [simulator]:
        gateway = Gateway(tmp_path_factory.mktemp("stopping") / "home")
        gateway.create_upstream("openai", "openai", simulator.base_url, "sk-sim")
        with serving(gateway):
            yield gateway


def verdict(gateway: Gateway, secret: str, *options: str) -> Any:
    done = gateway.gwctl("keys", "verify", "--secret-stdin", *options, "--json", stdin=secret, check=False)
    assert secret not in done.stdout + done.stderr
    return done


def test_waiting_says_how_many_workers_act_by_it(gateway: Gateway) -> None:
    gateway.create_key("waited")
    done = gateway.gwctl("keys", "revoke", "waited", "--yes", "--wait", "--cut")
    assert "gwctl: 1 of 1 workers, 0." in done.stderr
    assert "0 calls cut" in done.stderr
    told = gateway.json("keys", "revoke", "waited", "--yes", "--wait")
    assert (told["workers"], told["workers_live"]) == (1, 1)


def test_a_worker_that_does_not_follow_is_named_and_the_exit_code_says_try_again(gateway: Gateway) -> None:
    gateway.create_key("unheard")
    stranger = Home({"GWCTL_HOME": str(gateway.home)})
    worker = stranger.workers.register("10.0.0.9:8900", "127.0.0.1:8901", "0.0.1")
    done = gateway.gwctl("keys", "revoke", "unheard", "--yes", "--wait", "0.5", "--json", check=False)
    stranger.workers.leave(worker)
    stranger.close()
    assert done.returncode == Exit.UNAVAILABLE
    assert "only 1 of 2 workers act by it; not yet: " + worker in done.stderr
    assert json.loads(done.stdout)["state"] == "revoked"


def test_verify_proves_that_a_secret_is_accepted_and_then_refused(gateway: Gateway) -> None:
    secret = gateway.create_key("proved")
    accepted = verdict(gateway, secret)
    assert (accepted.returncode, json.loads(accepted.stdout)["verdict"]) == (0, "accepted")
    assert verdict(gateway, secret, "--expect", "refused").returncode == Exit.CHECK_FAILED
    gateway.gwctl("keys", "revoke", "proved", "--yes", "--wait")
    assert verdict(gateway, secret, "--expect", "refused").returncode == 0
    assert verdict(gateway, secret, "--url", f"{gateway.origin}/v1").returncode == Exit.CHECK_FAILED
    shown = gateway.json("keys", "show", "proved")
    assert shown["last_used_at"] is None  # no use, no cost, no row
    assert gateway.rows("SELECT * FROM attempts WHERE key_id = (SELECT id FROM keys WHERE name = 'proved')") == []


def test_verify_of_a_key_that_may_not_chat_proves_it_too(gateway: Gateway) -> None:
    assert verdict(gateway, gateway.create_key("embedder", "--endpoints", "embeddings")).returncode == 0


def test_verify_believes_nobody_but_a_gateway(gateway: Gateway) -> None:
    secret = gateway.create_key("suspicious")
    assert verdict(gateway, secret, "--url", gateway.admin).returncode == Exit.UNAVAILABLE
    assert verdict(gateway, secret, "--url", "http://127.0.0.1:1").returncode == Exit.UNAVAILABLE
    assert verdict(gateway, secret, "--url", "ftp://127.0.0.1").returncode == Exit.USAGE
    assert verdict(gateway, secret, "--expect", "maybe").returncode == Exit.USAGE


def test_the_switch_stops_everybody_and_verify_says_so(gateway: Gateway) -> None:
    secret = gateway.create_key("everybody")
    gateway.gwctl("suspend", "all", "--yes", "--wait")
    try:
        told = json.loads(verdict(gateway, secret, "--expect", "refused").stdout)
        assert (told["status"], told["reason"]) == (503, "everybody is suspended")
        assert gateway.json("keys", "show", "everybody")["suspended_by"] == "all"
    finally:
        gateway.gwctl("resume", "all", "--wait")
    assert verdict(gateway, secret).returncode == 0


@pytest.fixture(scope="module")
def scoped(gateway: Gateway) -> str:
    return gateway.create_key("scoped")


@pytest.mark.parametrize("scope", ["customer:default", "project:default/default", "key:scoped"])
def test_each_scope_is_refused_and_comes_back(gateway: Gateway, scoped: str, scope: str) -> None:
    gateway.gwctl("suspend", scope, "--wait", "--cut")
    assert verdict(gateway, scoped, "--expect", "refused").returncode == 0
    gateway.gwctl("resume", scope, "--wait")
    assert verdict(gateway, scoped).returncode == 0


def test_a_suspended_upstream_serves_nobody(gateway: Gateway) -> None:
    gateway.gwctl("suspend", "upstream:openai", "--wait")
    suspended = gateway.json("upstreams", "show", "openai")["state"]
    gateway.gwctl("resume", "upstream:openai", "--wait")
    assert (suspended, gateway.json("upstreams", "show", "openai")["state"]) == ("disabled", "active")


def test_the_list_of_workers_tells_which_changes_each_acts_by(gateway: Gateway) -> None:
    gateway.gwctl("keys", "create", "counted", "--json")
    gateway.gwctl("keys", "suspend", "counted", "--wait")
    told = gateway.json("workers", "list")
    [worker] = told["workers"]
    assert (worker["pid"], worker["listen"]) == (gateway.pid, gateway.origin.removeprefix("http://"))
    assert (worker["applied"], worker["current"]) == (told["epochs"], True)
    assert str(gateway.pid) in gateway.gwctl("workers", "list").stdout


def test_a_leaked_stream_is_cut_by_one_command(gateway: Gateway) -> None:
    secret = gateway.create_key("leaked")
    body = json.dumps({"model": "sim-stall", "stream": True, "messages": [{"role": "user", "content": "hi"}]})
    command = ["curl", "-sN", f"{gateway.base_url}/chat/completions", "-H", f"authorization: Bearer {secret}"]
    with subprocess.Popen([*command, "-d", body], stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        assert client.stdout.readline().startswith("data: ")
        done = gateway.gwctl("keys", "revoke", "--token-stdin", "--yes", "--cut", stdin=secret)
        rest = client.stdout.read()
    assert "1 of 1 workers" in done.stderr
    assert "1 calls cut" in done.stderr
    assert "access_withdrawn" in rest
