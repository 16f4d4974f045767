"""`gwctl import`: what another gateway's files come to here, what does not come along, and why."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.conftest import Gwctl

LITELLM = """\
model_list:
  - model_name: smart            # two deployments share the traffic
    litellm_params: &azure
      model: azure/gpt-5-eu
      api_base: https://contoso.openai.azure.com/
      api_key: azure-key-0123456789abcdef
      api_version: "2025-01-01"
      rpm: 100
  - model_name: smart
    litellm_params: {model: openai/gpt-5, api_key: os.environ/OPENAI_API_KEY}
  - model_name: cheap
    litellm_params: {model: groq/llama-3.3-70b, api_key: gsk_0123456789abcdef}
  - model_name: local
    litellm_params: {model: ollama/llama3, api_base: "http://127.0.0.1:11434"}
  - model_name: claude
    litellm_params: {model: bedrock/anthropic.claude-v2, aws_region_name: eu-west-1}
  - model_name: "openai/*"
    litellm_params: {model: "openai/*", api_key: os.environ/OPENAI_API_KEY}
router_settings:
  routing_strategy: least-busy
  fallbacks: [{smart: [cheap]}, {smart: [gone]}]
  model_group_alias: {gpt-4: smart}
general_settings:
  master_key: sk-master-0123456789
environment_variables:
  OPENAI_API_KEY: sk-env-0123456789
"""
SECRETS = ("azure-key-0123456789abcdef", "gsk_0123456789abcdef", "sk-master-0123456789", "sk-env-0123456789")

FOREIGN = "Fq7RtY2mZx9LbV4cKp1sWdGh6JnQ3eTu8aBi5oXyMrUvCzEl"


def run(gwctl: Gwctl, kind: str, name: str, text: str, *words: str) -> Any:
    path = gwctl.home.parent / name
    path.write_text(text)
    return gwctl("import", kind, str(path), *words)


def upstreams(gwctl: Gwctl) -> dict[str, tuple[str, str]]:
    return {u["name"]: (u["provider"], u["base_url"]) for u in gwctl("upstreams", "list", "--json").json["upstreams"]}


def left_out(document: Any) -> dict[str, str]:
    return {left["what"]: left["why"] for left in document["left_out"]}


def test_a_plan_changes_nothing_and_shows_no_secret(gwctl: Gwctl) -> None:
    for words in (("--plan",), ("--plan", "--json"), ("--dry-run",)):
        ran = run(gwctl, "litellm", "config.yaml", LITELLM, *words)
        assert ran.code == 0
        assert not any(secret in ran.out + ran.err for secret in SECRETS)
    assert gwctl("upstreams", "list", "-o", "name").out == ""
    assert gwctl("routes", "list", "-o", "name").out == ""


def test_a_litellm_configuration_becomes_upstreams_and_routes(gwctl: Gwctl) -> None:
    done = run(gwctl, "litellm", "config.yaml", LITELLM, "--allow-private", "--json").json
    upstreams = {
        u["name"]: (u["provider"], u["base_url"]) for u in gwctl("upstreams", "list", "--json").json["upstreams"]
    }
    assert upstreams == {
        "azure": ("azure", "https://contoso.openai.azure.com/openai/v1"),
        "groq": ("groq", "https://api.groq.com/openai/v1"),
        "ollama": ("ollama", "http://127.0.0.1:11434/v1"),
    }
    routes = {r["alias"]: r["targets"] for r in gwctl("routes", "list", "--json").json["routes"]}
    assert routes == {
        "smart": ["azure/gpt-5-eu", "groq/llama-3.3-70b"],
        "gpt-4": ["azure/gpt-5-eu"],
        "cheap": ["groq/llama-3.3-70b"],
        "local": ["ollama/llama3"],
    }
    left = left_out(done)
    assert left["upstream openai"] == (
        "its credential is a reference, which is not looked up; "
        "make it, then import again: gwctl upstreams create openai --provider openai"
    )
    assert left["target openai/gpt-5 of route smart"] == "its upstream is left out"
    assert left["model 'claude'"] == "there is no preset for 'bedrock/anthropic.claude-v2'"
    assert "patterns of model names" in left["model 'openai/*'"]
    assert left["fallback 'smart' → 'gone'"] == "one of the two was not carried over"
    assert left["litellm_params 'rpm' (1×)"] == "rate limits are not carried over"
    assert left["general_settings.master_key"] == "keys here are made with gwctl keys create"
    assert "not read" in left["'environment_variables'"]


SHARED = """\
model_list:
  - {model_name: m, litellm_params: {model: groq/a, api_key: gsk_0123456789abcdef, weight: 0.7}}
  - {model_name: m, litellm_params: {model: groq/b, api_key: gsk_0123456789abcdef, weight: 0.3}}
  - {model_name: m, litellm_params: {model: groq/c, api_key: gsk_0123456789abcdef, order: 2}}
  - {model_name: n, litellm_params: {model: groq/d, api_key: gsk_0123456789abcdef}}
  - {model_name: n, litellm_params: {model: groq/e, api_key: gsk_0123456789abcdef}}
router_settings: {fallbacks: [{m: [n]}]}
"""


def test_deployments_share_the_traffic_by_weight_before_their_fallbacks(gwctl: Gwctl) -> None:
    run(gwctl, "litellm", "config.yaml", SHARED)
    assert gwctl("routes", "show", "m", "-o", "toml").out == (
        "[routes.m]\n"
        'targets = [\n  { target = "groq/a", weight = 70 },\n  { target = "groq/b", weight = 30 },\n]\n'
        'fallbacks = ["groq/c", "groq/d", "groq/e"]\n'
    )
    assert gwctl("routes", "show", "n", "-o", "toml").out == '[routes.n]\ntargets = ["groq/d", "groq/e"]\n'


def test_a_second_import_goes_on_where_the_first_one_could_not(gwctl: Gwctl) -> None:
    run(gwctl, "litellm", "config.yaml", LITELLM, "--allow-private")
    gwctl("upstreams", "create", "openai", "--provider", "openai", "--secret-stdin", stdin="sk-0123456789abcdef")
    again = run(gwctl, "litellm", "config.yaml", LITELLM, "--allow-private", "--json").json
    assert [change["scope"] for change in again["changes"]] == ["route:smart", "route:gpt-4"]
    assert run(gwctl, "litellm", "config.yaml", LITELLM, "--allow-private", "--json").json["changes"] == []


def test_private_upstreams_need_leave(gwctl: Gwctl) -> None:
    plan = run(gwctl, "litellm", "config.yaml", LITELLM, "--plan", "--json").json
    assert "--allow-private if that is meant" in left_out(plan)["upstream ollama"]


def test_credentials_can_be_left_behind(gwctl: Gwctl) -> None:
    plan = run(gwctl, "litellm", "config.yaml", LITELLM, "--without-secrets", "--plan", "--json").json
    assert "credentials were left out as asked" in left_out(plan)["upstream groq"]


KEYS = {
    "keys": [
        {
            "token": "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b",
            "key_alias": "checkout bot",
            "team_id": "web",
            "models": ["smart"],
            "expires": "2027-01-01T00:00:00+00:00",
            "metadata": {"owner": "anna", "n": 5},
            "max_budget": 10.0,
        },
        {"key_alias": "all", "models": ["all-proxy-models"], "blocked": True, "expires": None},
        {"key_alias": "old", "models": [], "expires": "2020-01-01T00:00:00Z"},
        {"key_alias": "none", "models": ["no-default-models"]},
        {"key_alias": "odd", "models": ["a b"]},
        {"models": []},
    ]
}


def test_litellm_keys_get_new_secrets_which_is_said(gwctl: Gwctl) -> None:
    refused = run(gwctl, "litellm", "keys.json", json.dumps(KEYS))
    assert (refused.code, "3 new keys need a place" in refused.err) == (2, True)
    done = run(gwctl, "litellm", "keys.json", json.dumps(KEYS), "--out-dir", str(gwctl.home.parent / "new"), "--json")
    left = left_out(done.json)
    assert left["the secrets of all keys"] == "LiteLLM stores only hashes; every key gets a new secret"
    assert left["key name 'checkout bot'"] == "is checkout-bot here"
    assert left["key checkout-bot: max_budget"] == "budgets, limits and routes of keys are not carried over"
    assert left["key old"] == "has expired"
    assert left["key none"] == "may use no model"
    assert "not a pattern of model names" in left["key odd"]
    keys = {key["name"]: key for key in gwctl("keys", "export", "--json").json["keys"]}
    assert keys.keys() == {"checkout-bot", "all", "litellm-6"}
    bot = keys["checkout-bot"]
    assert (bot["project"], bot["models"], bot["tags"]) == ("web/default", ["smart"], {"owner": "anna"})
    assert bot["expires"] == "2027-01-01T00:00:00.000Z"
    assert (keys["all"]["state"], keys["all"]["models"]) == ("suspended", [])
    assert sorted(file.name for file in (gwctl.home.parent / "new").iterdir()) == sorted(f"{n}.key" for n in keys)


def test_the_table_of_litellm_keys_is_read_as_postgresql_exports_it(gwctl: Gwctl) -> None:
    text = 'token,key_alias,team_id,models,expires,metadata,blocked\nabc,bot,,"{gpt-5,""x/y""}",,"{""a"":""1""}",t\n'
    plan = run(gwctl, "litellm", "keys.csv", text, "--plan", "--json").json
    [key] = [c for c in plan["changes"] if c["scope"] == "key:bot"]
    fields = {d["field"]: d["new"] for d in key["differences"]}
    assert (fields["models"], fields["tags"], fields["state"]) == (["gpt-5", "x/y"], {"a": "1"}, "suspended")


CHANNELS = [
    {"id": 1, "type": 1, "name": "Main!", "key": "sk-0123456789abcdef", "models": "gpt-5,gpt-5-mini", "priority": 1},
    {"id": 2, "type": 3, "name": "az", "key": "azure0123456789abcdef", "base_url": "https://c.openai.azure.com",
     "models": "gpt-5", "model_mapping": '{"gpt-5": "my-deployment"}', "priority": 9},
    {"id": 3, "type": 25, "name": "moon", "key": "moon0123456789abcdef", "models": "kimi"},
    {"id": 4, "type": 15, "name": "baidu", "key": "x", "models": "ernie"},
    {"id": 5, "type": 1, "name": "off", "status": 2, "key": "x", "models": "gpt-5"},
]  # fmt: skip
TOKENS = [
    {"id": 1, "user_id": 7, "name": "mobile", "key": FOREIGN, "status": 1, "expired_time": -1, "remain_quota": 5,
     "models": "gpt-5", "subnet": "10.0.0.0/8,192.0.2.7"},
    {"id": 2, "user_id": 7, "name": "spent", "key": FOREIGN[::-1], "status": 4},
    {"id": 3, "user_id": 7, "name": "weak", "key": "a" * 48, "status": 1},
    {"id": 4, "user_id": 7, "name": "open", "key": FOREIGN[::-1], "status": 1, "subnet": "10.0.0.1/8"},
]  # fmt: skip


def test_one_api_channels_become_upstreams_and_routes(gwctl: Gwctl) -> None:
    done = run(gwctl, "one-api", "channels.json", json.dumps({"success": True, "data": CHANNELS}), "--json")
    upstreams = {
        u["name"]: (u["provider"], u["base_url"]) for u in gwctl("upstreams", "list", "--json").json["upstreams"]
    }
    assert upstreams == {
        "Main": ("openai", "https://api.openai.com/v1"),
        "az": ("azure", "https://c.openai.azure.com/openai/v1"),
        "moon": ("custom", "https://api.moonshot.cn/v1"),
    }
    routes = {r["alias"]: r["targets"] for r in gwctl("routes", "list", "--json").json["routes"]}
    assert routes == {
        "gpt-5": ["az/my-deployment", "Main/gpt-5"],
        "gpt-5-mini": ["Main/gpt-5-mini"],
        "kimi": ["moon/kimi"],
    }
    left = left_out(done.json)
    assert (left["channel 'baidu'"], left["channel 'off'"]) == ("there is no preset for type 15", "is disabled there")
    assert not any(channel["key"] in done.out for channel in CHANNELS if len(str(channel["key"])) > 5)


def test_one_api_tokens_go_on_working(gwctl: Gwctl) -> None:
    done = run(gwctl, "one-api", "tokens.json", json.dumps(TOKENS), "--json")
    assert FOREIGN not in done.out + done.err
    key = gwctl("keys", "show", "mobile", "--json").json
    assert (key["project"], key["models"], key["addresses"]) == (
        "user-7/default",
        ["gpt-5"],
        ["10.0.0.0/8", "192.0.2.7"],
    )
    assert [generation["adopted"] for generation in key["generations"]] == [True]
    left = left_out(done.json)
    assert left["key mobile: remain_quota"] == "quotas are not carried over"
    assert left["key spent"] == "its quota is used up"
    assert "could be guessed" in left["key weak"]
    assert "not the beginning of a network" in left["key open"]
    assert gwctl("keys", "list", "-o", "name").out == "mobile\n"
    assert run(gwctl, "one-api", "tokens.json", json.dumps(TOKENS), "--json").json["changes"] == []


def test_both_tables_may_be_in_one_file_and_tables_may_be_csv(gwctl: Gwctl) -> None:
    both = json.dumps({"channels": CHANNELS[:1], "tokens": TOKENS[:1]})
    plan = run(gwctl, "one-api", "all.json", both, "--plan", "--json").json
    assert [c["scope"] for c in plan["changes"]] == [
        "upstream:Main", "route:gpt-5", "route:gpt-5-mini", "customer:user-7", "project:user-7/default", "key:mobile",
    ]  # fmt: skip
    text = f"id,user_id,key,status,name,expired_time\n1,3,{FOREIGN},1,from-csv,1900000000\n"
    plan = run(gwctl, "one-api", "tokens.csv", text, "--plan", "--json").json
    assert plan["new_secrets"] == 0
    assert plan["changes"][-1]["scope"] == "key:from-csv"


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("litellm", "model_list: [", "f.yaml:1: not YAML"),
        ("litellm", "a: &a [*a]\nmodel_list: 5", "f.yaml: no model_list"),
        ("litellm", "!!python/object/apply:os.system [id]", "f.yaml:1: not YAML"),
        ("litellm", "x", "f.yaml: no model_list"),
        ("litellm", "", "f.yaml: no model_list"),
        ("litellm", '{"keys": ["88dc28d0f030c5"]}', "only hashes of keys"),
        ("litellm", "- " * 5000, "nested too deeply"),
        ("one-api", "[" * 100_000, "nested too deeply"),
        ("one-api", '{"success": false}', "no channels and no tokens"),
        ("one-api", "\x00", "no channels and no tokens"),
        ("one-api", 'a\n"b', "unexpected end of data"),
    ],
)
def test_a_file_that_is_something_else_is_one_line(gwctl: Gwctl, kind: str, text: str, message: str) -> None:
    refused = run(gwctl, kind, "f.yaml", text)
    assert refused.code == 2, refused.err
    assert message in refused.err
    assert "internal error" not in refused.err
