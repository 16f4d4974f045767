"""`gwctl rollouts`: from start to finish, or back."""

from __future__ import annotations

import pytest

from keyvault.errors import Exit
from tests.cli.conftest import Gwctl


@pytest.fixture
def routed(gwctl: Gwctl) -> Gwctl:
    """A home whose alias `fast` is served by openai, with groq beside it."""
    for name in ("openai", "groq"):
        gwctl("upstreams", "create", name, "--provider", name, "--secret-stdin", stdin="sk-canary-91f4")
    gwctl("routes", "set", "fast", "openai/gpt-5-mini")
    return gwctl


def test_a_rollout_is_started_shown_advanced_and_finished(routed: Gwctl) -> None:
    words = ("start", "fast", "--to", "GROQ/llama-3.3-70b", "--steps", "5,50", "--guard", "error_rate < +1%")
    made = routed("rollouts", *words, "--json").json
    assert (made["id"], made["alias"], made["target"], made["percent"]) == (1, "fast", "groq/llama-3.3-70b", 5.0)
    assert (made["steps"], made["automatic"], made["requests_last_day"]) == ([5.0, 50.0], False, 0)
    assert [each["guard"] for each in made["guards"]] == ["error_rate < +1%"]
    [listed] = routed("rollouts", "list", "--json").json["rollouts"]
    assert (listed["state"], listed["by"]) == ("running", "request")
    status = routed("rollouts", "status", "--json").json
    assert [arm["arm"] for arm in status["arms"]] == ["baseline", "groq/llama-3.3-70b"]
    assert (status["guards"][0]["verdict"], status["looks"], status["arms"][0]["error_rate"]) == (None, [], None)
    assert status["next_look_at"] is not None
    assert "groq/llama-3.3-70b takes 50 % of fast" in routed("rollouts", "advance", "fast").err
    at_its_end = routed("rollouts", "advance", "fast")
    assert (at_its_end.code, "hint: gwctl rollouts finish fast" in at_its_end.err) == (Exit.CONFLICT, True)
    assert routed("rollouts", "finish", "fast").code == Exit.USAGE, "nobody can be asked"
    assert routed("rollouts", "finish", "fast", "--yes", "--json").json["revision"] == 2
    assert routed("routes", "show", "fast", "--json").json["targets"] == ["groq/llama-3.3-70b"]
    routed("routes", "rollback")
    assert routed("routes", "show", "fast", "--json").json["targets"] == ["openai/gpt-5-mini"]


def test_one_command_goes_back_and_scripts_are_told(routed: Gwctl) -> None:
    routed("rollouts", "start", "fast", "--to", "groq/llama-3.3-70b")
    assert routed("rollouts", "status", "fast", "--exit-code").code == Exit.OK
    assert "groq/llama-3.3-70b for fast takes 5 %, its last step" in routed("doctor", "--offline").out
    for verb, share in (("pause", "0 %"), ("resume", "5 %")):
        assert f"{share} of the requests" in routed("rollouts", verb, "fast").out
    gone = routed("rollouts", "rollback", "fast", "--reason", "too terse")
    assert "groq/llama-3.3-70b is out of fast" in gone.err
    ended = routed("rollouts", "status", "fast", "--exit-code")
    assert ended.code == Exit.CHECK_FAILED
    assert "too terse" in ended.out


def test_going_back_works_while_the_vault_is_locked_and_giving_more_does_not(routed: Gwctl) -> None:
    routed("rollouts", "start", "fast", "--to", "groq/llama-3.3-70b", "--steps", "5,50")
    (routed.home / "config" / "unlock.key").unlink()
    assert routed("rollouts", "advance", "fast").code == Exit.OK, "what was agreed on at the start"
    assert routed("rollouts", "pause", "fast").code == Exit.OK
    assert routed("rollouts", "resume", "fast").code == Exit.LOCKED
    assert routed("rollouts", "rollback", "fast").code == Exit.OK
    assert routed("rollouts", "start", "fast", "--to", "groq/llama-3.3-70b").code == Exit.LOCKED


def test_a_rehearsal_changes_nothing(routed: Gwctl) -> None:
    assert routed("rollouts", "start", "fast", "--to", "groq/llama-3.3-70b", "--dry-run").code == Exit.OK
    assert routed("rollouts", "list", "--json").json["rollouts"] == []
    routed("rollouts", "start", "fast", "--to", "groq/llama-3.3-70b")
    routed("rollouts", "rollback", "fast", "--dry-run")
    assert routed("rollouts", "list", "--json").json["rollouts"][0]["state"] == "running"


WRONG = [
    ("start fast --to nobody/m", Exit.NOT_FOUND, "no such upstream: 'nobody'"),
    ("start slow --to groq/m", Exit.NOT_FOUND, "no such route: 'slow'"),
    ("start fast --to openai/gpt-5-mini", Exit.USAGE, "openai/gpt-5-mini serves fast already"),
    ("start fast --to groq/m --percent 0", Exit.USAGE, "not a percentage from above 0 to 100: '0'"),
    ("start fast --to groq/m --percent 5 --steps 5,10", Exit.USAGE, "--percent and --steps ask for two things"),
    ("start fast --to groq/m --steps 10,5", Exit.USAGE, "steps must grow"),
    ("start fast --to groq/m --percent 100", Exit.USAGE, "with 100 % at once there is nothing to compare with"),
    ("start fast --to groq/m --by colour", Exit.USAGE, "nothing is drawn by 'colour'"),
    ("start fast --to groq/m --guard speed<2x", Exit.USAGE, "nothing is measured as 'speed'"),
    ("start fast --to groq/m --guard cost_per_request<2x", Exit.USAGE, "groq/m has no price"),
    ("start fast --to groq/m --alpha 2", Exit.USAGE, "the rate of false alarms is from 0.0001 to 0.5"),
    ("start fast --to groq/m --every 1s", Exit.USAGE, "a step takes from 10 seconds to 30 days"),
    ("status", Exit.NOT_FOUND, "there was no rollout yet"),
    ("status fast", Exit.NOT_FOUND, "no such rollout: 'fast'"),
    ("rollback 7", Exit.NOT_FOUND, "no such rollout: '7'"),
]


def test_what_makes_no_sense_is_refused_with_a_hint(routed: Gwctl) -> None:
    for words, code, text in WRONG:
        ran = routed("rollouts", *words.split())
        assert (ran.code, text in ran.err, "hint: " in ran.err) == (code, True, True), (words, ran.err)
    assert routed("rollouts", "list", "--json").json["rollouts"] == []
