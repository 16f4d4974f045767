"""`gwctl routes`: which targets serve which name, by commands and by a file that lives in somebody's git."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyvault.errors import Exit
from tests.cli.conftest import Gwctl

FILE = """\
[routes.fast]
targets = [{ target = "openai/gpt-5-mini", weight = 3, defaults = { max_tokens = 500 } }, "groq/llama"]
timeouts = { first_content = "30s" }

[routes.smart]
targets = ["openai/gpt-5"]
fallbacks = ["groq/llama"]
"""


@pytest.fixture
def routed(gwctl: Gwctl) -> Gwctl:
    """A home with two upstreams and no routes."""
    for name in ("openai", "groq"):
        ran = gwctl("upstreams", "create", name, "--provider", name, "--secret-stdin", stdin=f"sk-{name}-0123456789")
        assert ran.code == 0, ran.err
    return gwctl


@pytest.fixture
def file(tmp_path: Path) -> Path:
    written = tmp_path / "routes.toml"
    written.write_text(FILE)
    return written


def test_a_plan_shows_what_would_change_and_changes_nothing(routed: Gwctl, file: Path) -> None:
    routed("routes", "set", "smart", "openai/gpt-4")
    routed("routes", "set", "old", "groq/llama")
    ran = routed("routes", "plan", "-f", str(file))
    assert ran.code == Exit.OK
    assert ran.out == (
        "+ route:fast\n"
        "    targets: openai/gpt-5-mini (weight 3, defaults max_tokens=500), groq/llama\n"
        "    timeouts: first_content=30\n"
        "- route:old\n"
        "~ route:smart\n"
        "    targets: openai/gpt-4\n"
        "           → openai/gpt-5\n"
        "    fallbacks: as usual\n"
        "             → groq/llama\n"
    )
    assert "1 new route, 1 changed, 1 removed; to make it so: gwctl routes apply -f" in ran.err
    told = routed("routes", "plan", "-f", str(file), "--json").json
    assert [(c["change"], c["scope"]) for c in told["changes"]] == [
        ("create", "route:fast"), ("end", "route:old"), ("change", "route:smart"),
    ]  # fmt: skip
    assert routed("routes", "plan", "-f", str(file), "--exit-code").code == Exit.CHECK_FAILED
    assert routed("routes", "history", "--json").json["revisions"][0]["revision"] == 2


def test_a_file_is_applied_once(routed: Gwctl, file: Path) -> None:
    rehearsed = routed("routes", "apply", "-f", str(file), "--dry-run", "--json").json
    assert (rehearsed["revision"], rehearsed["changed"], rehearsed["dry_run"]) == (1, False, True)
    assert routed("routes", "list", "-o", "name").out == ""
    applied = routed("routes", "apply", "-f", str(file), "--json").json
    assert (applied["revision"], applied["changed"], len(applied["changes"])) == (1, True, 2)
    again = routed("routes", "apply", "-f", str(file))
    assert (again.code, again.out, again.err) == (0, "no changes\n", "gwctl: revision 1 says the same\n")
    assert routed("routes", "plan", "-f", str(file)).out == "no changes\n"
    assert routed("routes", "plan", "-f", str(file), "--exit-code").code == Exit.OK


def test_what_runs_is_exported_as_a_file_that_changes_nothing(routed: Gwctl, file: Path) -> None:
    routed("routes", "apply", "-f", str(file))
    exported = routed("routes", "show", "-o", "toml").out
    again = routed("routes", "apply", "-f", "-", "--json", stdin=exported).json
    assert (again["revision"], again["changed"]) == (1, False)
    assert routed("routes", "show", "smart", "-o", "toml").out == (
        '[routes.smart]\ntargets = ["openai/gpt-5"]\nfallbacks = ["groq/llama"]\n'
    )
    refused = routed("routes", "list", "-o", "toml")
    assert (refused.code, "-o toml is for commands that write a file" in refused.err) == (Exit.USAGE, True)


def test_a_route_is_shown_with_each_of_its_targets(routed: Gwctl, file: Path) -> None:
    routed("routes", "apply", "-f", str(file))
    told = routed("routes", "show", "fast", "--json").json
    assert told["targets"] == ["openai/gpt-5-mini", "groq/llama"]
    assert [(c["target"], c["rank"], c["weight"], c["share"]) for c in told["choices"]] == [
        ("openai/gpt-5-mini", "primary", 3, 0.75),
        ("groq/llama", "primary", 1, 0.25),
    ]
    assert told["choices"][0]["parameters"] == {"defaults": {"max_tokens": 500}}
    assert told["timeouts"] == {"first_content": 30}
    assert "first_content=30" in routed("routes", "show", "fast").out
    missing = routed("routes", "show", "fsat")
    assert (missing.code, missing.err) == (
        Exit.NOT_FOUND, "gwctl: no such route: 'fsat'\ngwctl: hint: did you mean fast?\n",
    )  # fmt: skip


def test_a_rollback_is_a_new_revision(routed: Gwctl, file: Path) -> None:
    routed("routes", "set", "fast", "groq/llama")
    routed("routes", "apply", "-f", str(file))
    assert routed("routes", "rollback", "--dry-run", "--json").json["changed"] is False
    back = routed("routes", "rollback", "--json").json
    assert (back["revision"], back["changed"]) == (3, True)
    assert routed("routes", "list", "--json").json["routes"][0]["targets"] == ["groq/llama"]
    assert routed("routes", "rollback", "1").out == "no changes\n"
    assert routed("routes", "show", "--revision", "2", "--json").json["routes"][1]["alias"] == "smart"
    assert routed("routes", "rollback", "9").code == Exit.NOT_FOUND
    assert [r["revision"] for r in routed("routes", "history", "--json").json["revisions"]] == [3, 2, 1]
    assert routed("routes", "history", "-n", "1").out.splitlines()[1].split()[-1] == "fast"


def test_two_revisions_are_compared(routed: Gwctl, file: Path) -> None:
    routed("routes", "set", "smart", "openai/gpt-5", "groq/llama")
    routed("routes", "apply", "-f", str(file))
    assert routed("routes", "diff", "1", "2").out.startswith("+ route:fast\n")
    assert routed("routes", "diff", "1").out == routed("routes", "diff", "1", "2").out
    assert routed("routes", "diff", "2", "1").out == "- route:fast\n"
    assert routed("routes", "diff", "1", "7").code == Exit.NOT_FOUND
    assert routed("routes", "diff", "2").code == Exit.USAGE


def test_a_bad_file_says_where_and_changes_nothing(routed: Gwctl, file: Path) -> None:
    routed("routes", "apply", "-f", str(file))
    file.write_text(FILE.replace('"openai/gpt-5"', '"opnai/gpt-5"'))
    for verb in ("plan", "apply"):
        ran = routed("routes", verb, "-f", str(file))
        assert (ran.code, ran.out) == (Exit.USAGE, "")
        assert ran.err == (
            f"gwctl: {file}:6: routes.smart.targets[0]: no such upstream: 'opnai'\ngwctl: hint: did you mean openai?\n"
        )
    assert "gwctl: stdin:1: " in routed("routes", "apply", "-f", "-", stdin="[routes\n").err
    assert "gwctl: stdin: no [routes]" in routed("routes", "apply", "-f", "-").err, "a pipe that broke ends nothing"
    assert "no such file" in routed("routes", "apply", "-f", "gone.toml").err
    assert routed("routes", "apply").code == Exit.USAGE
    assert routed("routes", "history", "--json").json["revisions"][0]["revision"] == 1


def test_init_writes_a_commented_file_that_applies(routed: Gwctl, tmp_path: Path) -> None:
    new = tmp_path / "new.toml"
    assert routed("routes", "init", str(new), "--dry-run").code == 0
    assert not new.exists()
    assert routed("routes", "init", str(new), "--json").json == {"file": str(new), "written": True}
    assert routed("routes", "apply", "-f", str(new)).out == "no changes\n"
    assert routed("routes", "init", str(new)).code == Exit.CONFLICT
    routed("routes", "set", "fast", "groq/llama")
    beside = routed("routes", "init", "-").out
    assert '[routes.fast]\ntargets = ["groq/llama"]\n' in beside
    assert routed("routes", "plan", "-f", "-", stdin=beside).out == "no changes\n"


def test_a_pattern_is_set_by_a_command_too(routed: Gwctl) -> None:
    assert routed("routes", "set", "gpt-*", "openai/*", "--json").json["targets"] == ["openai/*"]
    refused = routed("routes", "set", "*-5-m", "openai/*")
    assert (refused.code, "is as specific as" in refused.err) == (Exit.USAGE, True)
    assert routed("routes", "delete", "gpt-*").code == 0


WARNING = (
    "gwctl: warning: with these first routes, model names that none of them is about are not served\n"
    "gwctl: hint: to have them served as they are: "
)
BY_COMMAND = WARNING + "gwctl routes set '*' 'openai/*'\n"
IN_FILE = WARNING + """[routes."*"] targets = ["openai/*"]\n"""


def test_who_makes_the_first_routes_is_warned_that_other_names_are_served_no_more(
    routed: Gwctl, tmp_path: Path
) -> None:
    routed("upstreams", "delete", "groq", "--confirm", "groq")
    first = tmp_path / "first.toml"
    first.write_text('[routes.fast]\ntargets = ["openai/gpt-5-mini"]\n')
    assert IN_FILE in routed("routes", "plan", "-f", str(first)).err
    assert IN_FILE in routed("routes", "apply", "-f", str(first), "--dry-run").err
    assert IN_FILE in routed("routes", "apply", "-f", str(first)).err
    assert "warning" not in routed("routes", "set", "smart", "openai/gpt-5").err  # it has been so before
    for alias in ("smart", "fast"):
        routed("routes", "delete", alias)
    assert BY_COMMAND in routed("routes", "rollback").err
    routed("routes", "rollback", "0")
    assert BY_COMMAND in routed("routes", "set", "fast", "openai/gpt-5-mini").err


def test_nobody_is_warned_where_all_names_are_served_or_none_was(routed: Gwctl) -> None:
    assert "warning" not in routed("routes", "set", "fast", "openai/gpt-5-mini").err  # which of two would have served?
    routed("routes", "delete", "fast")
    routed("upstreams", "delete", "groq", "--confirm", "groq")
    for all_names in ("*", "**"):
        assert "warning" not in routed("routes", "set", all_names, "openai/*").err
        routed("routes", "rollback", "0")
    gone = routed("routes", "set", "fast", "openai/gpt-5-mini", environ={"GWCTL_SERVE_DEFAULT_UPSTREAM": "groq"})
    assert (gone.code, "warning" in gone.err) == (Exit.OK, False)
