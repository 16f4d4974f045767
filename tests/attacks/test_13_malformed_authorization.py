"""13. Authorization that is not ASCII, 0xFF, empty, with a tab, given twice, of 70 KiB, with a bare LF, folded →
400, 401 or 431, never 500, never logged."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.attacks.door import ask, guarded

MARK = b"canary-in-a-header"


async def test_a_malformed_header_is_refused_and_never_logged(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with guarded(tmp_path) as (gw, provider):
        key = gw.key.encode()
        headers = {
            "not ascii": (b"authorization: Bearer " + "ключ".encode() + MARK,),
            "0xff": (b"authorization: Bearer \xff" + MARK,),
            "empty": (b"authorization: ",),
            "scheme alone": (b"authorization: Bearer",),
            "tab between": (b"authorization: Bearer\t" + key,),
            "tab within": (b"authorization: Bearer " + key[:40] + b"\t" + key[40:],),
            "twice": (b"authorization: Bearer " + key, b"authorization: Bearer " + key),
            "two kinds": (b"authorization: Bearer " + key, b"x-api-key: " + key),
            "70 KiB": (b"authorization: Bearer " + MARK + b"a" * 70 * 1024,),
            "bare lf": (b"authorization: Bearer " + key + b"\nx: " + MARK,),
            "folded": (b"authorization: Bearer", b" " + key),
            "nul": (b"authorization: Bearer " + key + b"\0" + MARK,),
        }
        statuses = {name: (await ask(gw, *lines)).status for name, lines in headers.items()}
        assert (await ask(gw, b"authorization: Bearer " + key)).status == 200
    assert len(provider.seen) == 1
    assert set(statuses.values()) <= {400, 401, 431}, statuses
    assert (statuses["70 KiB"], statuses["twice"], statuses["bare lf"]) == (431, 401, 400)
    said = "".join(capfd.readouterr())
    assert MARK.decode() not in said
    assert gw.key not in said
