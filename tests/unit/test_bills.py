"""Reading providers' exports: each form as its provider writes it, and what is wrong with a file said by its line."""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from keyvault.domain.bills import Sums, plain_model
from keyvault.errors import Exit, GatewayError
from keyvault.foreign.bills import columns_of, read_bill

OPENAI_TIMES = "start_time,end_time,start_time_iso,end_time_iso"
OPENAI_DAY = "1788220800,1788307200,2026-09-01T00:00:00+00:00,2026-09-02T00:00:00+00:00"
ANTHROPIC = (
    "usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,"
    "usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,"
    "usage_output_tokens,web_search_count,inference_geo,speed"
)
ANTHROPIC_COST = (
    "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type"
)
OPENROUTER = (
    "generation_id,created_at,cost_total,cost_web_search,cost_cache,cost_file_processing,byok_usage_inference,"
    "tokens_prompt,tokens_completion,tokens_reasoning,tokens_cached,model_permaslug,provider_name,variant"
)
DOLLAR = 10**12

OPENAI_USAGE = f"""\
{OPENAI_TIMES},project_id,num_model_requests,user_id,api_key_id,model,batch,input_tokens,output_tokens,input_cached_tokens
{OPENAI_DAY},p,2,,,gpt-4o-2024-08-06,,1000,50,400
{OPENAI_DAY},q,1,,,gpt-4o,,10,5,0
{OPENAI_DAY},,,,,,,,,
"""
OPENAI_COSTS = f"""\
{OPENAI_TIMES},amount_value,amount_currency,quantity,quantity_unit,line_item,user_id
{OPENAI_DAY},0.5,usd,,,"gpt-4o-2024-08-06, input",
{OPENAI_DAY},2.5e-1,usd,,,"gpt-4o-2024-08-06, output",
{OPENAI_DAY},,,,,,
"""
ANTHROPIC_USAGE = f"""\
{ANTHROPIC}
2026-09-01,claude-sonnet-4-20250514,k,Default,standard,≤ 200k,100,20,10,70,50,0,,
"""
ANTHROPIC_COSTS = f"""\
{ANTHROPIC_COST}
2026-09-01,Claude Haiku 4.5,Default,k,message,≤ 200k,output,0.02,0.02,token
"""
ACTIVITY = f"""\
{OPENROUTER}
gen-1,2026-09-01 03:46:57.713,0.0123,0,0,0,0,100,20,5,10,openai/gpt-oss-120b:free,OpenAI,free
"""
FILES = {
    "openai-usage": (OPENAI_USAGE, {("2026-09-01", "gpt-4o"): Sums(3, 1010, 400, 55, None)}),
    "openai-costs": (OPENAI_COSTS, {("2026-09-01", "gpt-4o"): Sums(cost_pico=DOLLAR * 3 // 4)}),
    "anthropic-usage": (ANTHROPIC_USAGE, {("2026-09-01", "claude-sonnet-4"): Sums(None, 200, 70, 50, None)}),
    "anthropic-costs": (ANTHROPIC_COSTS, {("2026-09-01", "claude-haiku-4-5"): Sums(cost_pico=DOLLAR // 50)}),
    "openrouter": (ACTIVITY, {("2026-09-01", "openai/gpt-oss-120b"): Sums(1, 100, 10, 20, 12_300_000_000)}),
}


@pytest.mark.parametrize("form", FILES)
def test_an_export_is_known_by_its_columns_and_added_up_by_day_and_model(form: str) -> None:
    text, lines = FILES[form]
    for asked in ("auto", form):
        bill = read_bill(text, "bill.csv", asked, None, UTC)
        assert (bill.form, bill.lines) == (form, lines)


def test_any_other_csv_is_read_by_the_columns_it_is_told() -> None:
    columns = columns_of("date=Day,model=Model,cost=USD")
    bill = read_bill(
        "Day,Model,USD\n2026-09-01,m,$1.50\n1788220800,m,-0.75\n20260901,m,.25\n", "x.csv", "auto", columns, UTC
    )
    assert bill.lines == {("2026-09-01", "m"): Sums(cost_pico=DOLLAR)}


def test_moments_fall_on_the_days_of_the_zone() -> None:
    columns = columns_of("date=at,cost=usd")
    text = "at,usd\n2026-09-01T23:30:00Z,1\n2026-09-01 21:30:00,2\n2026-09-01,4\n"
    lines = read_bill(text, "x.csv", "generic", columns, ZoneInfo("Europe/Berlin")).lines
    assert {day: sums.cost_pico for (day, _), sums in lines.items()} == {
        "2026-09-02": DOLLAR,
        "2026-09-01": 6 * DOLLAR,
    }


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a,b\n1,2\n", "bill.csv:1: not an export that is known, by its columns 'a, b'"),
        ("", "bill.csv:1: not an export that is known"),
        ("usage_date_utc,cost_usd\n2026-09-01,much\n", "bill.csv:2: cost_usd: not a number: 'much'"),
        ("usage_date_utc,cost_usd\n2026-09-01,1\nAugust,1\n", "bill.csv:3: not a date: 'August'"),
        ("usage_date_utc,cost_usd\n2026-09-01,NaN\n", "bill.csv:2: cost_usd: not a number"),
        ("usage_date_utc,cost_usd\n2026-09-01,1e999999\n", "bill.csv:2: cost_usd: not a number"),
        ('usage_date_utc,cost_usd\n"2026', "bill.csv:2: not CSV"),
        ("usage_date_utc,cost_usd\n2026-09-01,\n", "bill.csv: says nothing of any usage"),
        ("start_time_iso,amount_value,amount_currency\n2026-09-01,1,eur\n", "bill.csv:2: an amount in 'eur'"),
        ("start_time_iso,input_tokens\n2026-09-01,1.5\n", "bill.csv:2: input_tokens: not a count: '1.5'"),
        ("start_time_iso,input_tokens\n99999999999999999,1\n", "bill.csv:2: not a date"),
        ("usage_date_utc,cost_usd\n2026-09-01,1\n2026-09-02,1,50\n", "bill.csv:3: more cells than the header has"),
        ("usage_date_utc,model,cost_usd\n2026-09-01,m,1\n2026-09-0", "bill.csv:3: fewer cells than the header has"),
        ("usage_date_utc,cost_usd,cost_usd\n2026-09-01,1,2\n", "bill.csv:1: more than one column is called 'cost_usd'"),
        ("start_time_iso,input_tokens\n2026-09-01,1_000\n", "bill.csv:2: input_tokens: not a number: '1_000'"),
        ("usage_date_utc,cost_usd\n2026-09-01,٣\n", "bill.csv:2: cost_usd: not a number"),
        ("usage_date_utc,cost_usd\n20269901,1\n", "bill.csv:2: not a date: '20269901'"),
        ("usage_date_utc,cost_usd\n9999-12-31T23:59:59,1\n", "bill.csv:2: not a date of these times"),
        ("usage_date_utc,cost_usd\n9999-12-31,1\n", "bill.csv:2: not a date of these times: '9999-12-31'"),
        ("usage_date_utc,cost_usd\n0001-01-01,1\n", "bill.csv:2: not a date of these times"),
        ("usage_date_utc,cost_usd\n253402300799,1\n", "bill.csv:2: not a date of these times"),
    ],
)
def test_a_bad_file_is_refused_with_its_line_and_the_reason(text: str, what: str) -> None:
    with pytest.raises(GatewayError, match=r".") as raised:
        read_bill(text, "bill.csv", "auto", None, UTC)
    assert raised.value.message.startswith(what)
    assert raised.value.exit_code == Exit.USAGE


@pytest.mark.parametrize("columns", ["cost=c", "date=d", "date=d,date=e,cost=c", "day=d,cost=c", "date=,cost=c", ""])
def test_columns_that_say_too_little_are_refused(columns: str) -> None:
    with pytest.raises(GatewayError, match="--columns"):
        columns_of(columns)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("GPT-4o-2024-08-06", "gpt-4o"),
        ("claude-3-5-haiku-20241022", "claude-3-5-haiku"),
        ("x-latest", "x"),
        ("openai/gpt-oss-120b:free", "openai/gpt-oss-120b"),
        ("llama3:8b", "llama3:8b"),
        ("gpt-4-0613", "gpt-4-0613"),
    ],
)
def test_releases_of_a_model_are_one_model(name: str, plain: str) -> None:
    assert plain_model(name) == plain
