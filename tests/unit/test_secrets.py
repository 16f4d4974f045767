"""A secret shows itself nowhere but through `reveal`, and a text is scrubbed of what looks like one."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyvault.proxy.logs import scrub_event
from keyvault.secrets import Secret, is_plain, scrub

CANARY = "sk-canary-4f7a1c9e2b"


def test_it_is_masked_in_every_text() -> None:
    secret = Secret(CANARY)
    shown = f"{secret} {secret!r} {secret!s} {secret:>20} %s" % secret + str([secret]) + str({"a": secret})
    assert CANARY not in shown
    assert secret.reveal() == CANARY


@pytest.mark.parametrize("serialise", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, msgspec.json.encode])
def test_it_refuses_to_be_serialised(serialise: object) -> None:
    with pytest.raises(TypeError) as caught:
        serialise(Secret(CANARY))  # type: ignore[operator]
    assert CANARY not in str(caught.value)


def test_logging_arguments_and_tracebacks_do_not_show_it(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise KeyError(Secret(CANARY))
    except KeyError:
        logging.getLogger("test").exception("failed with %s", Secret(CANARY))
        assert CANARY not in traceback.format_exc()
    assert CANARY not in caplog.text


def test_equality_is_by_value_and_hashing_is_refused() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    with pytest.raises(TypeError):
        hash(Secret("a"))


@pytest.mark.parametrize(
    "text",
    [
        "Incorrect API key provided: sk-proj-abcdefghijklmnopqrst.",
        "Authorization: Bearer abcdefghijklmnopqrstuvwxyz",
        "key=AIzaSyA1234567890abcdefghijklmnopqrs",
        "gsk_abcdefghijklmnopqrstuv was refused",
        "sk-gw_live_8fK2abcdefgh_0123456789",
    ],
)
def test_what_looks_like_a_credential_is_scrubbed(text: str) -> None:
    scrubbed = scrub(text)
    assert "[redacted]" in scrubbed
    assert "abcdefghijklmnop" not in scrubbed


def test_ordinary_words_are_left_alone() -> None:
    text = "a task-specific-adapter_model for the monkey-business-department failed"
    assert scrub(text) == text


@pytest.mark.parametrize("made", ["chatcmpl-BXlq9", "resp_68af", "msg_01XF", "1b4e28ba-2fa1-11d2-883f-0016d3cca427"])
def test_identifiers_of_providers_are_plain(made: str) -> None:
    assert is_plain(made)


_PARTS = st.sampled_from(
    ["chatcmpl", "sk", "pk", "key", "AIza", "akia", "ASIA", "eyJ", "github_pat", "resp", "x", "-", "_", ".", "://"]
)


@given(st.lists(_PARTS | st.text("aZ09-_.@ ", max_size=24), max_size=6).map("".join))
def test_nothing_that_is_plain_could_be_a_credential(text: str) -> None:
    assert scrub(text) == text or not is_plain(text)


def test_known_secrets_are_scrubbed_whatever_they_look_like() -> None:
    assert scrub("the word hunter2 in it", ["hunter2", ""]) == "the word [redacted] in it"


def test_log_events_are_scrubbed_deeply() -> None:
    event = scrub_event(
        None, "info", {"event": CANARY + "-longer", "more": [{"x": f"Bearer {CANARY}"}], "n": 3, "b": CANARY.encode()}
    )
    assert "canary" not in str(event)
    assert event["n"] == 3
