"""`routes.toml`: what it can say, and what each thing that is wrong with one is told as, with its line."""

from __future__ import annotations

import contextlib
import re
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyvault.domain.documents import read_toml
from keyvault.domain.routes import Choice, Failure, Retries, Route, Target, Timeouts, clashing, overlap
from keyvault.errors import ConfigurationError
from keyvault.routing import described, document
from keyvault.routing.example import example

UPSTREAMS: Final = ("OpenAI", "anthropic", "groq")

FULL: Final = """\
# everything a route can say
[routes.smart]
targets = [
  { target = "openai/gpt-5", weight = 9, defaults = { temperature = 0.2, stop = ["a", "b"] } },
  { target = "anthropic/claude", weight = 0, overrides = { max_tokens = 500 }, remove = ["user"] },
]
fallbacks = [ "groq/meta/llama" ]
timeouts = { connect = 2.5, first_content = "30s", idle = "500ms", total = "2m" }
retries = { on = ["overloaded", "connect"], same_target = 2, backoff = "100ms", longest_wait = 10 }
affinity = false

[routes."gpt-*"]
targets = ["openai/*"]

[[routes.plain.targets]]
target = "groq/llama"
"""


def test_a_file_says_routes() -> None:
    pattern, plain, smart = document.read(FULL, "routes.toml", UPSTREAMS)
    assert pattern == Route("gpt-*", (Choice(Target("OpenAI", "*")),))
    assert plain == Route("plain", (Choice(Target("groq", "llama")),))
    assert smart == Route(
        "smart",
        (
            Choice(Target("OpenAI", "gpt-5"), 9, defaults={"temperature": 0.2, "stop": ["a", "b"]}),
            Choice(Target("anthropic", "claude"), 0, overrides={"max_tokens": 500, "user": None}),
        ),
        (Choice(Target("groq", "meta/llama")),),
        Timeouts(connect=2.5, first_content=30, idle=0.5, total=120),
        Retries(frozenset({Failure.OVERLOADED, Failure.CONNECT}), 2, 0.1, 10),
        affinity=False,
    )


def test_what_is_written_reads_back_as_the_same_routes() -> None:
    routes = document.read(FULL, "routes.toml", UPSTREAMS)
    written = described.write(routes)
    assert document.read(written, "written.toml", UPSTREAMS) == routes
    assert described.changes(routes, document.read(written, "written.toml", UPSTREAMS)) == ()


def test_the_example_is_a_file_with_its_examples_and_without() -> None:
    routes = document.read(FULL, "routes.toml", UPSTREAMS)
    assert document.read(example((), ()), "example.toml", UPSTREAMS) == ()
    assert document.read(example(routes, ()), "example.toml", UPSTREAMS) == routes
    uncommented = re.sub(r"(?m)^#(?=\S)", "", example((), ())).replace("UPSTREAM/*", "groq/*")
    shown = {route.alias: route for route in document.read(uncommented, "example.toml", UPSTREAMS)}
    assert shown.keys() == {"*", "careful", "fast", "gpt-*", "smart"}
    assert (shown["careful"].retries, shown["careful"].affinity) == (Retries(), True), "it says the defaults"


SYNTAX: Final = {
    "[routes.a": "1: expected ']' at the end of a table declaration",
    "\n\n[routes.a]\ntargets = [openai/x]": "4: invalid value",
    '[routes.a]\ntargets = ["openai/x"]\n[routes.a]\n': "3: cannot declare",
    "x = 1" + "0" * 5000: "nested too deeply, or a number that is too long",
    "x = " + "[" * 5000: "nested too deeply, or a number that is too long",
}


@pytest.mark.parametrize("text", SYNTAX, ids=range(len(SYNTAX)))
def test_a_text_that_is_no_toml_is_told_by_its_line(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        document.read(text, "routes.toml", UPSTREAMS)
    assert SYNTAX[text] in caught.value.message
    assert caught.value.message.startswith("routes.toml:")


GOOD: Final = 'targets = ["groq/x"]'

WRONG: Final[dict[str, str]] = {
    # the file: LINE: place: reason | hint
    "": " no [routes] | an empty [routes]",
    "[route.a]\n" + GOOD: "1: route: no such section: 'route' | did you mean routes?",
    "routes = 1": "1: routes: expected a table",
    "[routes]\na = 1": "2: routes.a: expected a table",
    f"[routes.a]\n{GOOD}\ntimeout = 1": "3: routes.a.timeout: no such field: 'timeout' | did you mean timeouts?",
    f"[routes.a]\n{GOOD}\n[routes.a.timeouts]\nfirst = 1": "4: routes.a.timeouts.first: no such field: 'first'",
    "[routes.a]\n\naffinity = true": "1: routes.a.targets: a route needs a target | targets = ",
    '[routes.a]\ntargets = "groq/x"': "2: routes.a.targets: expected a list",
    "[routes.a]\ntargets = [\n  'groq/x',\n  5,\n]": "4: routes.a.targets[1]: expected a target",
    "[routes.a]\ntargets = [\n  'groq/x',\n  'grok/x',\n]": "4: routes.a.targets[1]: no such upstream: 'grok' | groq?",
    "[routes.a]\ntargets = ['x']": "2: routes.a.targets[0]: not a target: 'x' | UPSTREAM/MODEL",
    "[routes.a]\ntargets = ['groq/a b']": "2: routes.a.targets[0]: not a valid model name",
    "[routes.a]\ntargets = [{ model = 'x' }]": "2: routes.a.targets[0].model: no such field",
    "[routes.a]\ntargets = [{ weight = 1 }]": "2: routes.a.targets[0]: which target?",
    "[[routes.a.targets]]\ntarget = 'groq/x'\n[[routes.a.targets]]\ntarget = 'groq/y'\nweight = 'x'":
        "5: routes.a.targets[1].weight: expected a whole number, not a text",
    "[routes.a]\ntargets = [{ target = 'groq/x', weight = 1.5 }]": "expected a whole number, not '1.5'",
    "[routes.a]\ntargets = [{ target = 'groq/x', weight = true }]": "expected a whole number, not true or false",
    "[routes.a]\ntargets = [{ target = 'groq/x', weight = -1 }]": "expected 0 to 1,000,000, not '-1'",
    "[routes.a]\ntargets = [{ target = 'groq/x', weight = 0 }]": "2: routes.a.targets: every weight is 0",
    "[routes.a]\ntargets = ['groq/x']\nfallbacks = [\n 'openai/y',\n 'GROQ/x']":
        "5: routes.a.fallbacks[1]: target groq/x for the second time | routes.toml:2",
    "[routes.a]\ntargets = ['groq/x']\nfallbacks = [{ target = 'groq/y', weight = 2 }]":
        "3: routes.a.fallbacks[0]: fallbacks come in order and have no weight",
    f"[routes.a]\n{GOOD}\n[routes.a.timeouts]\nconnect = 1\nidle = -1": "5: routes.a.timeouts.idle: expected 1ms to",
    f"[routes.a]\n{GOOD}\ntimeouts = {{ idle = 0 }}": "3: routes.a.timeouts.idle: expected 1ms to 24 hours, not '0'",
    f"[routes.a]\n{GOOD}\ntimeouts = {{ connect = '0.5ms' }}": "3: routes.a.timeouts.connect: expected 1ms to 24 hours",
    f"[routes.a]\n{GOOD}\ntimeouts = {{ total = '1500m' }}": "3: routes.a.timeouts.total: expected 1ms to 24 hours",
    "[routes.a]\ntargets = [{ target = 5 }]": "2: routes.a.targets[0].target: expected a text, not '5'",
    f"[routes.a]\ntargets = {[f'groq/{number}' for number in range(document.MOST_TARGETS + 1)]}":
        f"2: routes.a.targets: more than {document.MOST_TARGETS} targets",
    "[routes]\n" + "".join(f"r{number}.{GOOD}\n" for number in range(document.MOST_ROUTES + 1)):
        f" more than {document.MOST_ROUTES:,} routes",
    f"[routes.a]\n{GOOD}\ntimeouts = {{ idle = 'soon' }}": "not a duration: 'soon' | 250ms",
    f"[routes.a]\n{GOOD}\ntimeouts = {{ idle = inf }}": "not a duration",
    f"[routes.a]\n{GOOD}\ntimeouts = {{ idle = 90, total = '1m' }}": "routes.a.timeouts.idle: longer than the total",
    f"[routes.a]\n{GOOD}\nretries = {{ on = ['timeouts'] }}": "retries.on: no such failure: 'timeouts' | mean timeout?",
    f"[routes.a]\n{GOOD}\nretries = {{ on = 'timeout' }}": "retries.on: expected a list of texts",
    f"[routes.a]\n{GOOD}\nretries = {{ same_target = 99 }}": "retries.same_target: expected 0 to 10",
    f"[routes.a]\n{GOOD}\nretries = {{ longest_wait = '1h' }}": "retries.longest_wait: expected 0 to 300 seconds",
    f"[routes.a]\n{GOOD}\naffinity = 'yes'": "3: routes.a.affinity: expected true or false, not a text",
    f'[routes."a b"]\n{GOOD}': "1: routes.a b: not a name that clients could ask for: 'a b'",
    f'[routes.""]\n{GOOD}': "not a name that clients could ask for: ''",
    f'[routes."{"x*" * 60}"]\n{GOOD}': "a pattern of more than 100 characters",
    f'[routes."gpt-*"]\n{GOOD}\n[routes."*-5-m"]\n{GOOD}': "3: routes.*-5-m: as specific as 'gpt-*', and some names",
}  # fmt: skip


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_a_wrong_file_is_told_by_line_place_and_reason(text: str) -> None:
    told, _, hint = WRONG[text].partition(" | ")
    with pytest.raises(ConfigurationError) as caught:
        document.read(text, "routes.toml", UPSTREAMS)
    assert caught.value.message.startswith("routes.toml:")
    assert told in caught.value.message
    assert hint in (caught.value.hint or "")
    assert "\n" not in caught.value.message


PARAMETERS: Final = {
    "model = 'x'": "defaults.model: may not be set: the target says the model",
    "stream = true": "may not be set: how the answer comes is the client's choice",
    "api_key = 'sk-x'": "may not be set: addresses and credentials belong to the upstream",
    "Base_URL = 'x'": "may not be set: addresses and credentials belong to the upstream",
    "messages = []": "may not be set: what is asked is the client's",
    "previous_response_id = 'x'": "may not be set: it names an object",
    "'a b' = 1": "not a field of a request: 'a b'",
    "max_tokens = 0": "defaults.max_tokens: expected a whole number from 1 to 10,000,000",
    "max_tokens = 'many'": "expected a whole number from 1",
    "n = 500": "expected a whole number from 1 to 128",
    "seed = nan": "not a number that JSON has",
    "seed = 99999999999999999999": "a whole number of more than 64 bits",
    f"stop = '{'x' * 65_535}'": "defaults.stop: more than 64 kB",
    f"metadata = {'[' * 9 + ']' * 9}": "nested more than 8 deep",
    "at = 2026-01-01": "JSON has no such value: '2026-01-01' | write dates as texts",
}


@pytest.mark.parametrize("parameter", PARAMETERS, ids=range(len(PARAMETERS)))
def test_a_parameter_that_may_not_be_set_is_told(parameter: str) -> None:
    told, _, hint = PARAMETERS[parameter].partition(" | ")
    text = f"[routes.a]\ntargets = [\n\n{{ target = 'groq/x', defaults = {{ {parameter} }} }}]"
    with pytest.raises(ConfigurationError) as caught:
        document.read(text, "routes.toml", UPSTREAMS)
    assert caught.value.message.startswith("routes.toml:4: routes.a.targets[0].defaults.")
    assert told in caught.value.message
    assert hint in (caught.value.hint or "")


def test_what_is_removed_is_not_set_as_well() -> None:
    text = "[routes.a]\ntargets = [{ target = 'groq/x', defaults = { user = 'x' }, remove = ['user'] }]"
    with pytest.raises(ConfigurationError, match=r"routes\.a\.targets\[0\]\.remove\[0\]: user is set here as well"):
        document.read(text, "routes.toml", UPSTREAMS)
    with pytest.raises(ConfigurationError, match=r"remove\[1\]: may not be set: the target says the model"):
        document.read("[routes.a]\ntargets=[{target='groq/x', remove=['n', 'model']}]", "x", UPSTREAMS)


OVERLAPS: Final = [
    ("gpt-*", "*-mini", True),
    ("gpt-*", "claude-*", False),
    ("a?c", "ab*", True),
    ("a?c", "abd", False),
    ("??", "a", False),
    ("*a*", "*b*", True),
    ("x", "x", True),
]


@pytest.mark.parametrize(("one", "other", "expected"), OVERLAPS)
def test_two_patterns_overlap_where_a_name_matches_both(one: str, other: str, expected: bool) -> None:
    assert overlap(one, other) is expected
    assert overlap(other, one) is expected


@pytest.mark.parametrize("name", ["m{:04}-*", "*-{:04}", "m{:04}?", "x*{:04}"])
def test_thousands_of_patterns_that_differ_are_told_apart_at_once(name: str) -> None:
    patterns = [name.format(number) for number in range(10_000)]
    assert clashing(patterns) is None
    assert clashing([*patterns, name.format(77)]) == (name.format(77), name.format(77))


def test_the_patterns_that_clash_are_named_in_their_order() -> None:
    assert clashing(["z", "gpt-*", "a*", "*-5-m"]) == ("gpt-*", "*-5-m")
    assert clashing(["*-5-m", "gpt-*"]) == ("*-5-m", "gpt-*")
    assert clashing(["ab*x", "a*cx"]) == ("ab*x", "a*cx")
    assert clashing(["ab*x", "b*cx", "a*cy"]) is None


def test_the_place_of_everything_in_a_file_is_known() -> None:
    text = (
        "a.b = 1\n"
        "[t]\n"
        "'quoted key' = '''\n"
        "[not.a.table]\n"
        "x = 1'''\n"
        "n = 1.5 # [neither]\n"
        "l = [ # a list\n"
        "  [1, 2],\n"
        "  { k = \"}\", 'm' = [3] }, # comment ]\n"
        "]\n"
        "[[t.array]]\n"
        "x = 1\n"
        "[[t.array]]\n"
        "[t.array.inner]\n"
        "y = 2\n"
    )
    _, places = read_toml(text, "f")
    lines = {
        ("a", "b"): 1,
        ("t",): 2,
        ("t", "quoted key"): 3,
        ("t", "n"): 6,
        ("t", "l", 0, 1): 8,
        ("t", "l", 1, "m", 0): 9,
        ("t", "array", 0, "x"): 12,
        ("t", "array", 1): 13,
        ("t", "array", 1, "inner", "y"): 15,
        ("t", "n", "nothing such"): 6,
    }
    assert {path: int(places.at(path).split(":")[1]) for path in lines} == lines


@given(st.lists(st.sampled_from(["[", "]", "[[", "]]", "{", "}", "=", ",", ".", "\n", '"', "'", "a", "routes", "#"])))
def test_no_text_is_worse_than_an_error_that_says_so(pieces: list[str]) -> None:
    with contextlib.suppress(ConfigurationError):
        document.read("".join(pieces), "routes.toml", UPSTREAMS)
