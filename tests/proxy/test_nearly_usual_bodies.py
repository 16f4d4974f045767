"""A body that is read in one pass is read as field by field.

Both readings of the same fields: a value of `seed` that is no number, and is not the one that counts, keeps a body from
being read in one pass. A thousand bodies in the suite, more by command:

    NEARLY_USUAL=1000000 python -m pytest tests/proxy/test_nearly_usual_bodies.py --timeout 0
"""

from __future__ import annotations

import json
import os
import random
from typing import Any

from keyvault.domain.endpoints import Dialect
from keyvault.errors import Refusal
from keyvault.proxy.dialects.fields import JsonBody, read_json
from keyvault.proxy.dialects.references import stored_reference
from keyvault.proxy.dialects.shape import shape_of
from keyvault.proxy.dialects.usual import read_usual

BODIES = int(os.environ.get("NEARLY_USUAL", "1000"))
ODD = [
    '"m"', '""', "null", "true", "false", "0", "-0", "-1", "1.0", "1e2", "1e400", "-1E400", "NaN", "Infinity", "128",
    "129", "10000000", "10000001", "[null]", "9" * 30, "01", ".5", "1.", "+1",
    '"\\ud800"', '"\\ud83d\\ude00"', '"\\u0000"', '"a\nb"',
    f'"{"x" * 201}"', '"fileid://x"', '"\\u0066ileid:"', "[]", "{}", "[[1,2],[3]]", '["a",1]',
    "[" * 900 + "]" * 900,
]  # fmt: skip
USUAL = {
    "max_tokens": ["5", "0", "null"], "max_completion_tokens": ["9"], "max_output_tokens": ["3"], "n": ["1", "3"],
    "temperature": ["0.5", "1"], "top_p": ["1"], "top_k": ["40"], "presence_penalty": ["0"], "frequency_penalty": ["0"],
    "stream": ["true", "false"], "user": ['"u"'], "store": ["true"], "background": ["false"], "best_of": ["2"],
    "stream_options": ['{"include_usage":true}', '{"include_usage":false,"include_usage":true}', '{"include_usage":1}',
                       '{"include\\u005fusage":true}', '{"x":1}', "null"],
    "tools": ["[]", '[{"type":"function","function":{"name":"f"}}]'], "metadata": ['{"a":"b"}'], "models": ['["x"]'],
    "api_key": ['"k"'], "Model": ['"x"'], "m\\u0061x_tokens": ["7"], "service_tier": ['"priority"'],
    "previous_response_id": ['"r"'],
}  # fmt: skip
TALK = ("messages", "input", "system", "instructions", "prompt")
CONTENTS = [
    '"hi"', "null", '[{"type":"text","text":"a"}]', '[{"type":"input_text","text":"a"}]', "[]", "{}", "5",
    '[{"type":"image_url","image_url":{"url":"http://x"}}]', '[{"type":"file","file":{"file_id":"f"}}]',
    '[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}]',
    '[{"type":"text","type":"image_url","text":"a"}]',
]  # fmt: skip
OF_MESSAGE = [
    '"name":"x"', '"tool_calls":[]', '"tool_call_id":"t"', '"cache_control":{}', '"Content":"x"', '"file_id":"f"',
    '"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]', '"audio":{"id":"x"}',
]  # fmt: skip


class Client:
    """Writes bodies that are nearly what everybody writes."""

    def __init__(self, seed: int) -> None:
        self._any = random.Random(seed)

    def fields(self) -> str:
        names = ["model", "messages", *self._any.choices([*USUAL, *TALK, "model"], k=self._any.randrange(5))]
        self._any.shuffle(names)
        return ",".join(f'"{name}":{self._value(name)}' for name in names)

    def _value(self, name: str) -> str:
        if self._any.random() < 0.08:
            return self._any.choice(ODD)
        if name in TALK:
            talk = f"[{','.join(self._message() for _ in range(self._any.randrange(3)))}]"
            return self._any.choice([talk, talk, '"hi"', self._message(), '["a"]'])
        return self._any.choice(USUAL.get(name) or ['"m"'])

    def _message(self) -> str:
        parts = [f'"role":"{self._any.choice(["user", "assistant", "tool", "function"])}"']
        parts += [f'"content":{content}' for content in self._any.choices(CONTENTS, k=self._any.choice([1, 1, 1, 2]))]
        parts += self._any.choices(OF_MESSAGE, k=self._any.choice([0, 0, 1]))
        return "{" + ",".join(parts) + "}"

    def spoilt(self, body: bytes) -> bytes:
        if self._any.random() < 0.95:
            return body
        at = self._any.randrange(len(body))
        return (
            body[:at]
            + self._any.choice([b"\xff", b"\xed\xa0\x80", b'"', b"\\", b"\0", b"{", b"\xef\xbb\xbf"])
            + body[at:]
        )


def read(dialect: Dialect, body: bytes, raw: bytes) -> Any:
    """All that is ever asked of a body; `raw`: what counts as its bytes."""
    try:
        found = read_json(dialect, body)
        assert isinstance(found, JsonBody)
        known = {name: getattr(found, name) for name in found.__struct_fields__ if name not in ("everyday", "fields")}
        fields = {name: bytes(value) for name, value in found.fields.items()}
        written = json.loads(found.rewritten("t", add_usage=True), parse_int=str, parse_float=str)
        return known, fields, written, shape_of(dialect, found, raw), stored_reference(dialect, found)
    except Refusal as refusal:
        return refusal.status, refusal.error_code, refusal.message, refusal.param


def test_a_body_that_is_nearly_usual_is_read_as_field_by_field() -> None:
    in_one_pass = 0
    for seed in range(BODIES):
        client = Client(seed)
        body = b'{%b,"seed":null}' % client.spoilt(client.fields().encode())
        by_field = body.replace(b"{", b'{"seed":"x",', 1)
        for dialect in (Dialect.CHAT, Dialect.RESPONSES, Dialect.MESSAGES, Dialect.EMBEDDINGS):
            told, told_by_field = read(dialect, body, body), read(dialect, by_field, body)
            if isinstance(told[0], int) and told[1] == "invalid_json":  # says where: a few bytes further on
                assert told_by_field[1] == "invalid_json", body
            else:
                assert told == told_by_field, body
        if isinstance(told[0], dict):
            assert read_usual(by_field) is None
            in_one_pass += read_usual(body) is not None
    assert in_one_pass > BODIES / 8
