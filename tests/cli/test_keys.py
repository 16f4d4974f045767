"""`gwctl keys`, `customers` and `projects`: the contracts other programs rely on, and what a person sees."""

from __future__ import annotations

import io
import re

import pytest

from keyvault.errors import Exit
from opsconsole.cli.io import Streams
from opsconsole.cli.main import run
from tests.cli.conftest import Gwctl

TOKEN = re.compile(r"sk-gw_live_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}")

KEY = {
    "id",
    "name",
    "masked",
    "state",
    "customer",
    "project",
    "env",
    "models",
    "endpoints",
    "addresses",
    "rotate_every",
    "rotation_due_at",
    "isolation",
    "expose",
    "pin",
    "attribute",
    "clamp",
    "bound",
    "abort",
    "tags",
} | {
    "created_at",
    "suspended_by",
    "deleted_at",
    "restorable_until",
    "expires_at",
    "last_used_at",
}


def test_creating_a_key_gives_its_secret_once(gwctl: Gwctl) -> None:
    ran = gwctl("keys", "create", "ci-bot", "--expires", "90d", "--tag", "team=web", "--json")
    made = ran.json
    assert set(made) == KEY | {"secret"}
    assert TOKEN.fullmatch(made["secret"])
    assert made["name"] == "ci-bot"
    assert made["state"] == "active"
    assert (made["customer"], made["project"]) == ("default", "default/default")
    assert made["created_at"] == "2026-10-01T12:00:00.000Z"
    assert made["expires_at"] == "2026-12-30T12:00:00.000Z"
    assert made["tags"] == {"team": "web"}
    assert made["secret"] not in ran.err
    assert made["masked"].startswith(made["secret"][:14])
    listed = gwctl("keys", "list", "--json")
    assert set(listed.json["keys"][0]) == KEY
    assert not TOKEN.search(listed.out + gwctl("keys", "show", "ci-bot").out)


def test_the_policy_is_what_was_asked_for(gwctl: Gwctl) -> None:
    words = "keys create bot --models gpt-5*,claude-* --endpoints all --expose --pin --env test --json"
    made = gwctl(*words.split()).json
    assert made["models"] == ["gpt-5*", "claude-*"]
    assert made["endpoints"] == ["all"]
    assert (made["expose"], made["pin"], made["env"]) == (True, True, "test")
    changed = gwctl("keys", "update", "bot", "--models", "*", "--no-pin", "--expires", "never", "--json").json
    assert (changed["models"], changed["endpoints"], changed["pin"], changed["expose"]) == ([], ["all"], False, True)


def test_whom_a_key_may_name_as_a_payer_is_part_of_what_it_may_do(gwctl: Gwctl) -> None:
    assert gwctl("keys", "create", "app", "--attribute", "customers", "--json").json["attribute"] == "customers"
    assert gwctl("keys", "update", "app", "--attribute", "projects", "--json").json["attribute"] == "projects"
    assert gwctl("keys", "update", "app", "--pin", "--json").json["attribute"] == "projects"
    assert gwctl("keys", "export", "-o", "json").json["keys"][0]["attribute"] == "projects"
    assert gwctl("keys", "update", "app", "--attribute", "none", "--json").json["attribute"] is None
    for wrong in ("everybody", ""):
        refused = gwctl("keys", "create", "bot", "--attribute", wrong)
        assert (refused.code, "customers, projects or none" in refused.err) == (Exit.USAGE, True)


@pytest.mark.parametrize("nothing", ["", ",", " , "])
@pytest.mark.parametrize("option", ["--models", "--endpoints"])
def test_a_list_of_nothing_never_opens_everything(gwctl: Gwctl, option: str, nothing: str) -> None:
    refused = gwctl("keys", "create", "bot", option, nothing, "--json")
    assert (refused.code, refused.out) == (Exit.USAGE, "")
    assert f"gwctl: {option} names nothing\ngwctl: hint: leave the option out" in refused.err
    assert gwctl("keys", "list", "-o", "name").out == ""
    gwctl("keys", "create", "bot", "--models", "gpt-5*", "--endpoints", "chat", "--json")
    assert gwctl("keys", "update", "bot", option, nothing).code == Exit.USAGE
    kept = gwctl("keys", "show", "bot", "--json").json
    assert (kept["models"], kept["endpoints"]) == (["gpt-5*"], ["chat"])


def test_an_update_of_nothing_does_not_claim_to_have_updated(gwctl: Gwctl) -> None:
    gwctl("keys", "create", "bot", "--expose", "--json")
    ran = gwctl("keys", "update", "bot")
    assert ran.code == Exit.USAGE
    assert "nothing to change" in ran.err
    assert "updated" not in ran.err
    assert gwctl("keys", "update", "bot", "--no-expose", "--json").json["expose"] is False


def test_an_unknown_project_is_an_error_with_a_hint_unless_created(gwctl: Gwctl) -> None:
    ran = gwctl("keys", "create", "bot", "--project", "acme/web", "--json")
    assert ran.code == Exit.NOT_FOUND
    assert "--create" in ran.err
    made = gwctl("keys", "create", "bot", "--project", "acme/web", "--create", "--json").json
    assert (made["customer"], made["project"]) == ("acme", "acme/web")


def test_a_name_in_use_is_a_conflict(gwctl: Gwctl) -> None:
    assert gwctl("keys", "create", "bot", "--json").code == 0
    assert gwctl("keys", "create", "BOT", "--json").code == Exit.CONFLICT


def test_a_secret_goes_to_a_pipe_only_when_asked_for(gwctl: Gwctl) -> None:
    for words in ([], ["-o", "table"], ["-o", "csv"], ["-o", "name"]):
        assert gwctl("keys", "create", "bot", *words).code == Exit.USAGE
    assert gwctl("keys", "list", "-o", "name").out == ""
    alone = gwctl("keys", "create", "bot", "-o", "secret")
    assert TOKEN.fullmatch(alone.out.strip())


def test_a_terminal_shows_the_secret_once(gwctl: Gwctl) -> None:
    ran = gwctl("keys", "create", "bot", terminal=True)
    assert len(TOKEN.findall(ran.out)) == 1
    assert "only time" in ran.err


def test_rotating_gives_a_new_secret_and_acknowledges_its_delivery(gwctl: Gwctl) -> None:
    first = gwctl("keys", "create", "bot", "--json").json["secret"]
    rotated = gwctl("keys", "rotate", "bot", "--grace", "24h", "--json").json
    assert set(rotated) == {"changed", "name", "secret", "generation", "previous", "reason", "delivered_to", "in_place"}
    assert rotated["changed"] is True
    assert TOKEN.fullmatch(rotated["secret"])
    assert rotated["secret"] != first
    assert rotated["generation"] == 2
    assert rotated["previous"] == {"generation": 1, "valid_until": None}
    new, old = gwctl("keys", "show", "bot", "--json").json["generations"]
    assert (new["generation"], new["state"]) == (2, "active")
    assert (old["state"], old["valid_until"]) == ("grace", "2026-10-02T12:00:00.000Z")


def test_a_second_rotation_under_way_is_a_conflict_but_one_that_is_too_early_is_not(gwctl: Gwctl) -> None:
    gwctl("keys", "create", "bot", "--json")
    gwctl("keys", "rotate", "bot", "--json")
    assert gwctl("keys", "rotate", "bot", "--json").code == Exit.CONFLICT
    early = gwctl("keys", "rotate", "bot", "--if-older-than", "30d", "--json").json
    assert (early["changed"], early["secret"], early["generation"]) == (False, None, 2)
    assert early["previous"] == {"generation": 1, "valid_until": "2026-10-02T12:00:00.000Z"}
    assert early["reason"]


class ClosedPipe(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_secret_that_could_not_be_written_is_dropped_and_the_old_one_stays(gwctl: Gwctl) -> None:
    gwctl("keys", "create", "bot", "--json")
    streams = Streams(io.StringIO(), ClosedPipe(), io.StringIO())
    assert run(["keys", "rotate", "bot", "--json"], gwctl.environ, streams, gwctl.clock) == Exit.FAILURE
    new, old = gwctl("keys", "show", "bot", "--json").json["generations"]
    assert (new["state"], old["state"]) == ("abandoned", "active")
    assert gwctl("keys", "rotate", "bot", "--json").json["generation"] == 3


def test_revoking_needs_a_yes(gwctl: Gwctl) -> None:
    gwctl("keys", "create", "bot", "--json")
    refused = gwctl("keys", "revoke", "bot")
    assert refused.code == Exit.USAGE
    assert "--yes required when not interactive" in refused.err
    assert gwctl("keys", "revoke", "bot", terminal=True, stdin="\n").code == Exit.FAILURE
    assert gwctl("keys", "revoke", "bot", "--no-input", terminal=True, stdin="y\n").code == Exit.USAGE
    assert gwctl("keys", "show", "bot", "--json").json["state"] == "active"
    assert gwctl("keys", "revoke", "bot", "--yes", "--json").json["state"] == "revoked"
    assert gwctl("keys", "resume", "bot").code == Exit.CONFLICT


def test_suspending_and_resuming(gwctl: Gwctl) -> None:
    gwctl("keys", "create", "bot", "--json")
    assert gwctl("keys", "suspend", "bot", "--json").json["state"] == "suspended"
    assert gwctl("keys", "resume", "bot", "--json").json["state"] == "active"


def test_taking_access_away_works_while_the_vault_is_locked(gwctl: Gwctl) -> None:
    gwctl("keys", "create", "bot", "--json")
    (gwctl.home / "config" / "unlock.key").unlink()
    assert gwctl("keys", "rotate", "bot", "--json").code == Exit.LOCKED
    assert gwctl("keys", "suspend", "bot").code == 0
    assert gwctl("keys", "revoke", "bot", "--yes").code == 0


@pytest.mark.parametrize(
    "line",
    [
        "keys create new --json",
        "keys create new --project x/y --create --json",
        "keys update bot --models x --json",
        "keys rotate bot --json",
        "keys revoke bot --json",
        "keys suspend bot --json",
        "customers create acme --json",
        "customers update default --suspend --json",
        "projects create default/web --json",
        "projects update default/default --suspend --json",
    ],
)
def test_a_dry_run_meets_every_check_and_changes_nothing(gwctl: Gwctl, line: str) -> None:
    gwctl("keys", "create", "bot", "--json")

    def everything() -> list[str]:
        shown = ["keys list", "keys show bot", "customers list", "projects list", "vault status"]
        return [gwctl(*words.split(), "--json").out for words in shown]

    before = everything()
    ran = gwctl(*line.split(), "--dry-run")
    assert ran.json["dry_run"] is True
    assert not TOKEN.search(ran.out)
    assert "nothing was changed" in ran.err
    assert everything() == before


def test_a_dry_run_fails_as_the_real_run_would(gwctl: Gwctl) -> None:
    gwctl("keys", "create", "bot", "--json")
    assert gwctl("keys", "create", "bot", "--json", "--dry-run").code == Exit.CONFLICT
    assert gwctl("keys", "show", "nobody", "--json").code == Exit.NOT_FOUND


def test_customers_and_projects(gwctl: Gwctl) -> None:
    acme = gwctl("customers", "create", "acme", "--multiplier", "1.15", "--tag", "tier=gold", "--json").json
    assert set(acme) == {"name", "suspended", "multiplier", "never_capture", "tags", "created_at"}
    assert (acme["multiplier"], acme["tags"]) == ("1.15", {"tier": "gold"})
    web = gwctl("projects", "create", "acme/web", "--json").json
    assert set(web) == {"path", "customer", "name", "suspended", "tags", "created_at"}
    assert gwctl("projects", "list", "--customer", "acme", "-o", "name").out == "acme/web\n"
    assert gwctl("customers", "show", "ACME", "--json").json["projects"] == [{"name": "acme/web"}]
    assert gwctl("customers", "update", "acme", "--suspend", "--json").json["suspended"] is True
    assert gwctl("customers", "update", "acme", "--resume", "--json").json["multiplier"] == "1.15"
    free = gwctl("customers", "update", "acme", "--multiplier", "0", "--json")
    assert (free.json["multiplier"], "acme is charged nothing" in free.err) == ("0", True)
    assert "charged nothing" not in gwctl("customers", "update", "acme", "--resume").err
    assert gwctl("customers", "list", "--json").json["customers"][0]["name"] == "acme"


def test_names_complete(gwctl: Gwctl) -> None:
    gwctl("keys", "create", "ci-bot", "--json")
    assert gwctl("__complete", "keys", "show", "ci").out == "ci-bot\t\n"
    assert gwctl("__complete", "keys", "list", "--project", "").out == "default/default\t\n"
    assert gwctl("__complete", "keys", "revoke", "ci-bot", "--y").out.startswith("--yes\t")
    assert gwctl("__complete", "keys", "crea").out.startswith("create\t")
    assert gwctl("__complete", "keys", "show", "zzz").out == ""
