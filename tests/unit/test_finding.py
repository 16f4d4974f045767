"""Our tokens are found in files wherever they stand, and nothing else is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyvault.keys import finding, token
from keyvault.keys.finding import Found, Unread, scan

TOKEN = token.mint("live", "AbCdEfGhIjKl", bytes(range(32)))


def found(path: Path) -> list[tuple[str, int]]:
    return [(item.path.name, item.line) for item in scan(path) if isinstance(item, Found)]


def test_a_token_is_found_with_its_line_and_never_shown_whole(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text(f"first\nAuthorization: Bearer {TOKEN}\n")
    [item] = scan(tmp_path)
    assert isinstance(item, Found)
    assert (item.path.name, item.line, item.public_id) == ("app.log", 2, "AbCdEfGhIjKl")
    assert TOKEN not in repr(item)


@pytest.mark.parametrize("text", [f'"{TOKEN}"', f"KEY={TOKEN}", f"\n\n{TOKEN}\n", f"a/{TOKEN}?x", f"\0{TOKEN}\0"])
def test_whatever_stands_around_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "f").write_text(text)
    assert len(found(tmp_path)) == 1


@pytest.mark.parametrize(
    "text",
    [TOKEN[:-1], TOKEN + "0", "x" + TOKEN, TOKEN[:20] + ("A" if TOKEN[20] != "A" else "B") + TOKEN[21:], TOKEN.upper()],
)
def test_what_only_looks_like_one_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "f").write_text(text)
    assert found(tmp_path) == []


def test_links_pipes_and_devices_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "real").write_text(TOKEN)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert found(tmp_path) == [("real", 1)]
    assert [type(item) for item in scan(tmp_path / "pipe")] == [Unread]
    assert [type(item) for item in scan(Path("/dev/zero"))] == [Unread]


def test_a_path_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert list(scan(tmp_path / "nothing")) == [Unread(tmp_path / "nothing", "no such file or directory")]


@given(
    st.lists(st.one_of(st.just(TOKEN.encode()), st.binary(max_size=60), st.just(b"\n")), max_size=12),
    st.lists(st.integers(1, 120), min_size=1, max_size=8),
)
def test_cutting_a_file_into_pieces_changes_nothing(parts: list[bytes], sizes: list[int]) -> None:
    data = b" ".join(parts)
    pieces: list[bytes] = []
    at = 0
    while at < len(data):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(data[at : at + size])
        at += size
    whole = [(data.count(b"\n", 0, offset) + 1, masked) for offset, _, masked in finding.tokens_in(data)]
    assert [(f.line, f.masked) for f in finding.search_stream(Path("f"), iter(pieces))] == whole
