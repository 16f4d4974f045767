"""Settings are read once, checked, and know where they came from; a name that nothing reads is found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from keyvault.errors import ConfigurationError
from keyvault.settings import VARIABLES, Paths, Settings, unknown_variables, variable_of
from opsconsole.cli.topics import text


def load(home: Path, toml: str = "", **environ: str) -> Settings:
    paths = Paths.find({"GWCTL_HOME": str(home)})
    paths.make()
    paths.config_file.write_text(toml)
    return Settings.load(paths, environ)


def test_the_environment_comes_before_the_file_and_the_file_before_the_default(tmp_path: Path) -> None:
    settings = load(tmp_path, "[log]\nlevel = 'debug'\nformat = 'json'\n", GWCTL_LOG_LEVEL="error")
    assert (settings.log_level, settings.log_format, settings.durability) == ("error", "json", "process")
    assert settings.sources["log.level"] == "GWCTL_LOG_LEVEL"
    assert settings.sources["log.format"].endswith("config.toml")
    assert settings.sources["database.durability"] == "default"


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("log.level", "debug, info, warning, error"),
        ("log.format", "json, console, auto"),
        ("database.durability", "process, power"),
    ],
)
def test_a_word_that_is_no_choice_is_refused_wherever_it_was_written(tmp_path: Path, setting: str, words: str) -> None:
    section, name = setting.split(".")
    with pytest.raises(ConfigurationError, match=f"{variable_of(setting)}: no such choice: 'loud'") as in_environment:
        load(tmp_path, **{variable_of(setting): "loud"})
    with pytest.raises(ConfigurationError, match=rf"config.toml: {setting}: no such choice: 'loud'"):
        load(tmp_path, f"[{section}]\n{name} = 'loud'\n")
    assert in_environment.value.hint == f"one of {words}"


def test_every_default_is_a_choice_there_is(tmp_path: Path) -> None:
    for name, default, _ in Settings.documented():
        if isinstance(default, str) and default:
            load(tmp_path, **{variable_of(name): default})


def test_a_misspelt_variable_is_found_with_what_was_meant(tmp_path: Path) -> None:
    environ = {"GWCTL_SERVE_LISTN": "127.0.0.1:1", "GWCTL_ZZZ": "1", "GWCTL_HOME": "/x", "OTHER": "1"}
    assert unknown_variables(environ) == [("GWCTL_SERVE_LISTN", "GWCTL_SERVE_LISTEN"), ("GWCTL_ZZZ", None)]


def test_every_documented_variable_is_known_and_every_known_one_documented() -> None:
    documented = set(re.findall(r"GWCTL_[A-Z_]+", text("environment")))
    assert documented == {*VARIABLES, "GWCTL_SERVE_LISTEN"}
    assert unknown_variables(dict.fromkeys(documented, "1")) == []
