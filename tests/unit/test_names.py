"""Names, tags, durations, and what an error may repeat of them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from keyvault.domain.names import check_tags, not_found, parse_duration, short_duration, shown, split_project
from keyvault.errors import UsageError


@pytest.mark.parametrize(
    ("text", "span"), [("30s", 30), ("15m", 900), ("24h", 86_400), ("90d", 7_776_000), ("2w", 1_209_600)]
)
def test_durations_are_read(text: str, span: int) -> None:
    assert parse_duration(text) == timedelta(seconds=span)


@pytest.mark.parametrize("text", ["", "h", "24", "-1h", "1.5h", "24H", "9999999d", "24h\n1"])
def test_what_is_not_a_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59.9, "59s"), (60, "1m"), (7_199, "1h"), (86_399, "23h"), (864_000, "10d")]
)
def test_spans_are_shown_in_their_largest_unit(seconds: float, text: str) -> None:
    assert short_duration(timedelta(seconds=seconds)) == text


def test_an_error_repeats_a_name_escaped_and_cut_and_never_a_secret() -> None:
    assert shown("a\x1b[31m\u202e") == r"'a\x1b[31m\u202e'"
    assert len(shown("x" * 1000)) == 72
    assert shown("sk-gw_live_abc") == "'sk-…'"
    assert shown(" SK-anything") == "'sk-…'"


def test_the_nearest_name_is_hinted_and_else_where_to_look() -> None:
    assert not_found("key", "CI_bot", ["ci-bot", "other"], otherwise="gwctl keys list").hint == "did you mean ci-bot?"
    assert not_found("key", "zzz", ["ci-bot"], otherwise="gwctl keys list").hint == "gwctl keys list"


def test_a_project_is_named_with_its_customer() -> None:
    assert split_project("acme/web") == ("acme", "web")
    for text in ("acme", "acme/", "/web", "a/b/c", "acme/web\n"):
        with pytest.raises(UsageError):
            split_project(text)


def test_tags_are_copied() -> None:
    given = {"team": "a"}
    checked = check_tags(given)
    given["team"] = "b"
    assert checked == {"team": "a"}
