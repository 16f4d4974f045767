"""A stream's ceiling: where it ends a stream, whatever the pace at which text comes."""

from __future__ import annotations

import json
from functools import partial

import pytest

from keyvault.domain.endpoints import Dialect
from keyvault.metering.usage import count_text
from keyvault.proxy.ceiling import FEW, LEAST_BYTES, Ceiling
from keyvault.proxy.dialects.meter import Verdict, stream_meter


def event(text: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode() + b"\n\n"


@pytest.mark.parametrize("thin", [0, 1, 200, 900], ids="{} thin events before".format)
@pytest.mark.parametrize("dense", [" word" * 8, "語" * 30], ids=["English", "Chinese"])
def test_a_stream_is_ended_soon_after_its_tokens_however_they_come(thin: int, dense: str) -> None:
    ceiling = Ceiling(Dialect.CHAT, "unheard-of", 1_000, choices=1, asked=None)
    meter = ceiling.over(partial(stream_meter, Dialect.CHAT))()
    text = ""
    for piece in [" a"] * thin + [dense] * 300:
        text += piece
        if meter.feed(event(piece)) is Verdict.HELD:
            break
    counted, _ = count_text(text, "unheard-of")
    beyond, _ = count_text(dense * (LEAST_BYTES // len(dense.encode()) + 1), "unheard-of")
    most = 1_250 + FEW  # an estimate may be too high by a quarter
    assert most < counted <= most + beyond
    assert b'"finish_reason":"length"' in ceiling.end()
