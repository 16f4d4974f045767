"""12. A token altered by a character, a swap, a newline, full-width digits, another environment → the same 401 for all,
body and headers alike."""

from __future__ import annotations

from pathlib import Path

from keyvault.keys import token
from tests.attacks.door import ask, guarded


def bearer(text: bytes) -> bytes:
    return b"authorization: Bearer " + text


async def test_every_altered_token_gets_the_same_answer(tmp_path: Path) -> None:
    async with guarded(tmp_path) as (gw, provider):
        good = gw.key.encode()
        assert (await ask(gw, bearer(good))).status == 200
        changed = b"A" if good[30:31] != b"A" else b"B"
        first = next(i for i in range(30, 60) if good[i] != good[i + 1])
        swapped = good[:first] + good[first + 1 : first + 2] + good[first : first + 1] + good[first + 2 :]
        full_width = "".join(chr(ord(c) + 0xFEE0) if c.isdigit() else c for c in gw.key)
        parts = gw.key.split("_")
        resealed = token.mint("live", parts[2], b"\x07" * 32).encode()  # right form, right id, right checksum
        tokens = {
            "one character": good[:30] + changed + good[31:],
            "two swapped": swapped,
            "newline escaped": good + b"%0a",
            "full-width digits": full_width.encode(),
            "other environment": good.replace(b"sk-gw_live_", b"sk-gw_test_"),
            "another secret with a right checksum": resealed,
            "unknown id": token.mint("live", "0" * 12, b"\x07" * 32).encode(),
            "nothing like a token": b"sk-proj-abc",
        }
        answers = {name: await ask(gw, bearer(text)) for name, text in tokens.items()}
        control = await ask(gw, bearer(good + b"\x0b"))
        folded = await ask(gw, bearer(good) + b"\n")  # a bare newline never gets as far as being a token
    assert len(provider.seen) == 1
    assert len(set(answers.values())) == 1, answers
    assert answers["two swapped"].status == 401
    assert (control.status, folded.status) == (400, 400)
