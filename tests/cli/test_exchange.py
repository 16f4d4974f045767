"""`gwctl keys export` and `keys import`: keys as tables, from one gateway into another."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Gwctl


def written(gwctl: Gwctl, name: str, text: str) -> str:
    path = gwctl.home.parent / name
    path.write_text(text)
    return str(path)


def test_keys_move_from_one_gateway_into_another(gwctl: Gwctl, made_home: Path, tmp_path: Path) -> None:
    import shutil

    gwctl("keys", "create", "bot", "--project", "acme/web", "--create", "--models", "gpt-*", "--json")
    gwctl("keys", "create", "gone", "--json")
    gwctl("keys", "revoke", "gone", "--yes")
    table = gwctl("keys", "export", "-o", "csv").out
    assert "gone" not in table
    shutil.copytree(made_home, tmp_path / "other")
    other = Gwctl(tmp_path / "other")
    file, place = written(gwctl, "keys.csv", table), str(tmp_path / "new")
    assert other("keys", "import", file, "--out-dir", place).code == 3
    assert other("keys", "import", file, "--create", "--out-dir", place).code == 0
    assert other("keys", "export", "-o", "csv").out == table
    assert other("keys", "import", file, "--plan", "--exit-code").out == "no changes\n"
    assert (tmp_path / "new" / "bot.key").read_text().startswith("sk-gw_live_")


def test_a_table_changes_keys_and_leaves_what_it_does_not_name(gwctl: Gwctl) -> None:
    gwctl("keys", "create", "bot", "--models", "gpt-*", "--pin", "--json")
    file = written(gwctl, "keys.csv", 'name,models,expires\nbot,"claude-*",2027-01-01\n')
    assert gwctl("keys", "import", file, "--plan").out.splitlines() == [
        "~ key:bot  models gpt-* → claude-*, expires never → 2027-01-01T00:00:00.000Z"
    ]
    assert gwctl("keys", "import", file).code == 0
    assert gwctl("keys", "show", "bot", "--json").json["pin"] is True


def test_a_table_with_one_bad_row_changes_nothing(gwctl: Gwctl) -> None:
    gwctl("keys", "create", "bot", "--json")
    file = written(gwctl, "keys.csv", "name,models\nbot,gpt-*\nother,a b\n")
    refused = gwctl("keys", "import", file, "--out-dir", str(gwctl.home.parent / "new"))
    assert (refused.code, "keys.csv:3: models: not a pattern" in refused.err) == (2, True)
    assert gwctl("keys", "show", "bot", "--json").json["models"] == []


def test_what_is_exported_holds_no_secret(gwctl: Gwctl) -> None:
    secret = gwctl("keys", "create", "bot", "--json").json["secret"]
    for form in ("csv", "json", "jsonl", "table", "name"):
        shown = gwctl("keys", "export", "-o", form).out
        assert secret not in shown
        assert "sk-gw" not in shown
