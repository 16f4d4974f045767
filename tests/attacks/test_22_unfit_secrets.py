"""22. A secret with a newline, a space or a non-ASCII character → refused where it is stored, without showing it."""

from __future__ import annotations

import pytest

from keyvault.errors import Exit
from tests.cli.conftest import Gwctl

UNFIT = ["sk-canary-77\r\nx-evil: 1", "sk canary 77", "sk-canary-77\u00e9", "sk-canary-77\u200b", "\x00canary", ""]
COMMANDS = [
    ["create", "second", "--provider", "openai"],
    ["rotate", "first", "--no-test"],
    ["credentials", "create", "first", "--label", "other", "--no-test"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
@pytest.mark.parametrize("secret", UNFIT, ids=ascii)
def test_what_can_be_no_secret_is_refused_and_not_shown(gwctl: Gwctl, words: list[str], secret: str) -> None:
    assert gwctl("upstreams", "create", "first", "--provider", "openai", "--secret-stdin", stdin="sk-1").code == 0
    before = gwctl("upstreams", "credentials", "list", "first", "--json").json
    refused = gwctl("upstreams", *words, "--secret-stdin", stdin=secret)
    assert refused.code == Exit.USAGE
    assert "canary" not in refused.out + refused.err
    assert "evil" not in refused.out + refused.err
    assert gwctl("upstreams", "credentials", "list", "first", "--json").json == before
    assert len(gwctl("upstreams", "list", "--json").json["upstreams"]) == 1
