"""The file that `gwctl readiness init` writes: every step, with what it can be told.

Lines that begin with `#` and no space are examples: without the `#` they are part of the file.
"""

from __future__ import annotations

from keyvault.domain.documents import toml_value

_TEXT = """\
# What has to hold before production traffic goes to this alias. Keep this file in git.
#
#     gwctl readiness run -f staging.toml --dry-run     what would be done, and about what it would cost
#     gwctl readiness run -f staging.toml               do it; exit code 7 where it is not ready
#
# A section that is left out is a step that is not run, and the verdict says so. What stands behind # without a space
# is an example. Files are named from where this file is.

[alias]
name = ALIAS
# How the steps' own requests speak: chat, responses or messages.
#dialect = "chat"
# The application's key: check, replay and keys may do what it may do. Its secret is not used, nor its quota.
#key = "ci-bot"

# 1. Does the gateway behave like the API behind it?
[check]
#only = ["chat*"]
#ignore = ["header x-*"]
#tolerate = 0
# Who asks: httpx, or the official SDKs (sdk), which is the default where they are installed.
#client = "httpx"
# With the API itself beside it, every answer is compared. `model`: what it calls the alias.
#direct = { url = "https://api.openai.com/v1", key_file = "openai.key", model = "gpt-5-mini" }

# 1. Do real requests go through? And, without the gateway, back? They cost real money.
#[replay]
#file = "requests.jsonl"
# The most that the way through the gateway may cost; the way back, without it, costs about as much again.
#max_cost = "2usd"
#limit = 200
#concurrency = 4
#tolerate = 0
# At most so many times as slow (95th percentile) and as dear as the requests were when they were recorded.
#slower = 1.5
#dearer = 1.2
#direct = { url = "https://api.openai.com/v1", key_file = "openai.key", model = "gpt-5-mini" }

# 2. Are the answers as good as those of the model it replaces? 20 to 50 real prompts.
#[compare]
#prompts = "prompts.jsonl"
#models = ["openai/gpt-5"]
# What the alias may not be worse than, and by how many points it may; needs `expected` in the prompts, or a judge.
#baseline = "openai/gpt-5"
#margin = 5
#judge = "openai/gpt-5"
#least = 20
#max_cost = "2usd"

# 3. Does another target serve when the first one breaks? Only for a key made for it.
[drill]
#faults = ["refuse", "429", "500"]
#target = "openai/gpt-5-mini"
#requests = 6
#for = "60s"

# 4. Do limits, budgets and balances bite? And does what was spent add up?
[quota]
[spend]
#requests = 4

# 5. Is an old secret refused, and a revoked key?
[keys]
#within = "5s"

# 6. Does a little traffic go to another target, and back, without a failed request? On an alias made for it.
#[rollout]
#to = "groq/llama-3.3-70b"
#percent = 5
#guards = ["error_rate < +1%", "p95 < 1.5x"]
#requests = 60
#tolerate = 0
"""


def example(alias: str | None) -> str:
    """A file about an alias that runs as it stands."""
    return _TEXT.replace("ALIAS", toml_value(alias or "fast"), 1)
