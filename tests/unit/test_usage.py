"""Counting tokens where the provider did not."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from keyvault.domain.ledger import Basis
from keyvault.metering.usage import MAX_TOKENIZED, count_text, estimate_input, estimate_text

# From article 1 of the Universal Declaration of Human Rights.
ARTICLE_1 = (
    "All human beings are born free and equal in dignity and rights. They are endowed with reason.",
    "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft begabt.",
    "Все люди рождаются свободными и равными в своем достоинстве и правах.",
    "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心。",
    "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
)


@pytest.mark.parametrize("model", ["gpt-4o-mini", "gpt-5", "o3", "gpt-oss-120b", "gpt-4", "Llama-3.3-70B", "qwen3-32b"])
def test_a_public_vocabulary_counts_as_a_tokenizer(model: str) -> None:
    count, basis = count_text("Hello world, how are you?", model)
    assert basis is Basis.TOKENIZER
    assert 6 <= count <= 8


@pytest.mark.parametrize("model", ["claude-sonnet-5", "gemini-3-pro", "some-alias", ""])
def test_a_model_without_a_public_vocabulary_is_estimated(model: str) -> None:
    assert count_text("Hello world", model)[1] is Basis.ESTIMATE


@pytest.mark.parametrize("text", ARTICLE_1)
def test_an_estimate_of_prose_is_within_a_quarter_of_the_tokenizer(text: str) -> None:
    counted, _ = count_text(text * 20, "gpt-5")
    assert estimate_text(text * 20) == pytest.approx(counted, rel=0.25)


def test_each_ascii_character_counts_the_same_beside_another_script() -> None:
    for code in range(128):
        alone, beside = estimate_text(chr(code) * 100), estimate_text((chr(code) + "é") * 100)
        assert alone == beside - estimate_text("é" * 100) > 0, chr(code)
    assert estimate_text("".join(map(chr, range(128))) * 100) == sum(estimate_text(chr(c) * 100) for c in range(128))


def test_no_text_is_no_token() -> None:
    assert count_text("", "gpt-5") == (0, Basis.TOKENIZER)
    assert estimate_text("") == 0
    assert estimate_text("a") == 1


def test_special_tokens_in_a_text_are_text() -> None:
    """Someone who writes `<|endoftext|>` was not sent one token."""
    assert count_text("<|endoftext|>", "gpt-4o")[0] > 1


def test_a_very_long_text_is_estimated_so_that_counting_takes_no_time() -> None:
    assert count_text("a" * (MAX_TOKENIZED + 1), "gpt-5")[1] is Basis.ESTIMATE


def test_any_text_can_be_counted() -> None:
    for text in ("\ud800", "\0", "\U0010ffff" * 10, "e\u0301" * 10):
        assert estimate_text(text) > 0
        assert count_text(text, "gpt-5")[0] > 0


def test_a_request_is_estimated_by_the_texts_the_model_reads() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 50_000}}
    words = {"type": "text", "text": "word " * 100}
    body = json.dumps({"model": "m" * 100, "messages": [{"role": "user", "content": [words, picture]}]}).encode()
    assert estimate_input(body) == pytest.approx(104, abs=25)


@pytest.mark.parametrize("body", [b"", b"{}", b"not json", b"\xff\xfe", b"[" * 5000 + b"]" * 5000, b'"text"', b"123"])
def test_any_body_has_an_estimate_of_at_least_one(body: bytes) -> None:
    assert estimate_input(body) >= 1


def test_without_the_extra_everything_is_estimated() -> None:
    program = (
        "import sys; sys.modules['splintr'] = None\n"
        "from keyvault.metering.usage import count_text\n"
        "print(*count_text('Hello world', 'gpt-5'))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["3", "3"]
