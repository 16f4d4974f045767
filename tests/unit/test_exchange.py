"""Keys written as CSV, JSON or TOML read back as they were, whatever is in them."""

from __future__ import annotations

import csv
import io
from dataclasses import fields
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyvault.domain.keys import ATTRIBUTIONS, Customer, Key, KeyState, Policy, PolicyChange, Project, check_policy
from keyvault.errors import ConfigurationError
from keyvault.tenants import described, document
from keyvault.tenants.exchange import read_keys
from keyvault.tenants.wanted import Wanted, WantedKey
from opsconsole.cli.output import Column, Format, Listing, render

NOW = datetime(2026, 10, 1, tzinfo=UTC)

names = st.from_regex(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,20}[A-Za-z0-9])?", fullmatch=True)
globs = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=","), min_size=1, max_size=20)
values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)
tags = st.dictionaries(names, values, max_size=3)
networks = st.ip_addresses().map(str)

policies = st.builds(
    Policy,
    models=st.lists(globs, max_size=4).map(tuple),
    endpoints=st.lists(st.sampled_from(["default", "all", "chat", "embeddings"]), min_size=1, max_size=3).map(tuple),
    expose=st.booleans(),
    pin=st.booleans(),
    addresses=st.lists(networks, max_size=3).map(tuple),
    isolation=st.booleans(),
    rotate_every_s=st.none() | st.integers(1, 999_999),
    attribute=st.sampled_from(ATTRIBUTIONS),
    clamp=st.booleans(),
    bound_pico=st.none() | st.integers(1, 10**16),
    free_aborts=st.booleans(),
).map(check_policy)

moments = st.integers(0, 10**12).map(lambda ms: NOW + timedelta(milliseconds=ms))


@st.composite
def keys(draw: st.DrawFn) -> Key:
    return Key(
        id=1,
        public_id="0" * 12,
        name=draw(names),
        project_id=1,
        customer=draw(names),
        project=draw(names),
        env=draw(st.sampled_from(["live", "test"])),
        state=draw(st.sampled_from([KeyState.ACTIVE, KeyState.SUSPENDED])),
        policy=draw(policies),
        tags=draw(tags),
        created_at=NOW,
        expires_at=draw(st.none() | moments),
    )


many_keys = st.lists(keys(), min_size=1, max_size=4, unique_by=lambda key: key.name.casefold())


def exported(found: list[Key], form: Format) -> str:
    rows = [{"name": key.name, **described.key(key)} for key in found]
    return render(Listing("keys", rows, [Column("name")]), form)


def is_wanted(key: Key, wanted: WantedKey) -> bool:
    whole = PolicyChange(**{part.name: getattr(key.policy, part.name) for part in fields(Policy)})
    return (
        wanted.name == key.name
        and wanted.project == f"{key.customer}/{key.project}"
        and wanted.env == key.env
        and wanted.suspended is (key.state is KeyState.SUSPENDED)
        and wanted.change.policy == whole
        and wanted.change.expires_at == key.expires_at
        and wanted.change.tags == key.tags
    )


def all_wanted(found: list[Key], wanted: Wanted) -> bool:
    return all(is_wanted(key, one) for key, one in zip(found, wanted.keys, strict=True))


@given(many_keys)
def test_exported_keys_read_back_as_they_were(found: list[Key]) -> None:
    for form in (Format.CSV, Format.JSON):
        assert all_wanted(found, read_keys(exported(found, form), "keys", makes_projects=True))


@given(many_keys)
def test_a_spreadsheet_runs_nothing_that_was_exported(found: list[Key]) -> None:
    for row in csv.reader(io.StringIO(exported(found, Format.CSV))):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)


@given(many_keys, st.lists(names, max_size=3, unique_by=str.casefold), tags)
def test_what_is_written_as_toml_reads_back_as_it_was(found: list[Key], customers: list[str], marks: dict) -> None:  # type: ignore[type-arg]
    text = document.write(
        [Customer(1, name, NOW, multiplier_ppm=1_150_001, tags=marks) for name in customers],
        [Project(1, 1, name, name, NOW, suspended=True, tags=marks) for name in customers],
        found,
    )
    wanted = document.read(text, "tenants.toml")
    assert all_wanted(found, wanted)
    assert [(c.name, c.multiplier_ppm, c.tags) for c in wanted.customers] == [(n, 1_150_001, marks) for n in customers]
    assert [(p.path, p.suspended, p.tags) for p in wanted.projects] == [(f"{n}/{n}", True, marks) for n in customers]


def test_lists_may_be_written_with_commas_and_cells_left_empty() -> None:
    [key] = read_keys('name,models,tags,pin\nbot,"gpt-*, claude-*",,TRUE\n', "k.csv", makes_projects=False).keys
    assert key.change.policy == PolicyChange(models=("gpt-*", "claude-*"), pin=True)
    assert key == WantedKey("bot", "k.csv:2", change=key.change)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "k:1: expected each column once"),
        ("models\n", "k:1: expected each column once"),
        ("name,name\n", "k:1: expected each column once"),
        ("name,modles\na,b\n", "k:1: no such column: 'modles'"),
        ("name,env\na\n", "k:2: 1 cells under 2 columns"),
        ("name,env\na,prod\n", "k:2: env: no such choice: 'prod'"),
        ("name,tags\na,{\n", "k:2: tags: not JSON"),
        ("name,tags\na,5\n", "k:2: tags: expected a table of texts"),
        ("name\na\nA\n", "k:3: key A for the second time"),
        ('name\n"a', "k:2: unexpected end of data"),
        ("name,pin\na,maybe\n", "k:2: pin: expected true or false"),
        ("name\n\n\n=a\n", "k:4: not a valid key name: '=a'"),
        (f"name\n{'x' * 200_000}\n", "k:2: field larger than field limit"),
        ("{}", "k: expected a list of keys"),
        ("[1]", r"k: keys\[0\]: expected an object"),
        ('[{"name": 5}]', r"k: keys\[0\]: a key without a name"),
        ('[{"name": "a", "secret": "x"}]', r"k: keys\[0\]: secret: no such field"),
        ("[" * 100_000, "k: nested too deeply"),
        ("{", "k: expecting property name"),
    ],
)
def test_a_table_with_a_mistake_says_where(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_keys(text, "k", makes_projects=False)
