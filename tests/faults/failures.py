"""`python -m tests.faults.failures`: what becomes of a request when its provider fails, one row for each way to fail.

A real gateway with two providers: the route's target, which breaks in one certain way, and its fallback, which is
sound. The official SDKs ask, without retries of their own, all rows at once. Each row has written down what is right:
who must serve and what the SDK must see. For all of them: at most one attempt of a request is charged, the one that
served, at the sound provider's count. Exits 7 when a row is not as it should be.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

from keyvault.domain.ledger import Outcome
from keyvault.domain.prices import Rates, flat
from keyvault.domain.routes import Target
from keyvault.home import Home
from keyvault.money import format_usd
from keyvault.secrets import Secret
from tests.faults import breaking
from tests.faults.asking import Clients
from tests.faults.breaking import SOUND, WORD, model_of
from tests.faults.speech import USED
from tests.proxy.harness import DOLLAR_PER_MILLION, UPSTREAM_SECRET, Running, new_home, running
from tests.proxy.scripted import Provider

DIFFERS: Final = 7
SHORT: Final = {
    "GWCTL_TIMEOUTS_CONNECT": "1",
    "GWCTL_TIMEOUTS_FIRST_CONTENT": "1.5",
    "GWCTL_TIMEOUTS_IDLE": "2",
    "GWCTL_TIMEOUTS_TOTAL": "4",
}
RATES: Final = Rates(input=flat(DOLLAR_PER_MILLION), output=flat(2 * DOLLAR_PER_MILLION))
CHARGED: Final = (USED[0] + 2 * USED[1]) * DOLLAR_PER_MILLION // 1_000_000
"""What an answer of the sound provider costs."""


@dataclass(frozen=True, slots=True)
class Case:
    """One way to fail, and what is right then."""

    fault: str
    stream: bool
    saw: str = SOUND
    """What the SDK must see: the answer's text, the error it must raise, or one and then the other."""
    serves: str | None = "sound"
    dialect: str = "chat"
    alone: bool = False
    """There is no fallback."""

    @property
    def alias(self) -> str:
        return model_of(self.fault, self.stream, f"{self.dialect}{'-alone' if self.alone else ''}")

    @property
    def targets(self) -> list[Target]:
        """Of its route: what fails, and what serves then."""
        sound = Target("sound", "m")
        if self.fault == NOTHING:
            return [sound]
        at = self.fault if self.fault in PLACES else "broken"
        broken = Target(upstream(at), self.alias)
        return [broken] if self.alone else [broken, sound]


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one request."""

    fault: str
    dialect: str
    stream: bool
    alone: bool
    """There was no fallback."""
    served: str | None
    """The upstream whose answer the ledger has as served."""
    saw: str
    seconds: float
    attempts: tuple[str, ...]
    charged_pico: int
    doubt_pico: int
    problems: tuple[str, ...]


NOTHING: Final = "nothing"
PLACES: Final = ("connect refused", "black hole", "TLS error")
_ALIKE: Final = tuple(
    fault
    for fault in (*PLACES, *breaking.FAULTS)
    if fault not in ("stalled after content", "reset after content", "truncated SSE", "endless", "529")
)
"""What shows before any content, streaming or not: the fallback serves, and the client sees nothing of it."""
_IN_THE_MIDDLE: Final = {
    "stalled after content": "idle_timeout",
    "reset after content": "connection_lost",
    "truncated SSE": "stream_ended_early",
    "endless": "total_timeout",
}
"""What shows after content: in a stream an error of the dialect ends it. Whole answers are collected, so that the
fallback can still serve."""
_OTHER_DIALECTS: Final = ("529", "reset before content", "truncated JSON", "empty event, then death")
_ALONE: Final = {
    "connect refused": "InternalServerError connect_refused",
    "black hole": "InternalServerError connect_timeout",
    "TLS error": "InternalServerError tls_error",
    "slow headers": "InternalServerError first_content_timeout",
    "truncated JSON": "InternalServerError malformed_answer",
    "429 with Retry-After": "RateLimitError said_429",
    "503": "InternalServerError said_503",
}
"""What the SDK raises where there is no fallback: the provider's own error if it gave one, else the gateway's."""


def _broken_off(fault: str, dialect: str, code: str) -> Case:
    """A stream that ends after its first word, as the dialect's SDK tells it: Anthropic's has no codes."""
    error = f"APIError {code}" if dialect != "messages" else "APIStatusError"
    return Case(fault, True, f"{WORD}, then {error}", None, dialect)


CASES: Final = (
    *(Case(NOTHING, stream) for stream in (False, True)),
    *(Case(fault, stream) for fault, stream in product(_ALIKE, (False, True))),
    *(Case(fault, stream, saw, None, alone=True) for (fault, saw), stream in product(_ALONE.items(), (False, True))),
    *(Case(fault, stream=False) for fault in _IN_THE_MIDDLE),
    *(_broken_off(fault, "chat", code) for fault, code in _IN_THE_MIDDLE.items()),
    *(
        Case(fault, stream, dialect=dialect)
        for dialect, fault, stream in product(("messages", "responses"), _OTHER_DIALECTS, (False, True))
    ),
    *(
        _broken_off(fault, dialect, _IN_THE_MIDDLE[fault])
        for dialect in ("messages", "responses")
        for fault in ("reset after content", "truncated SSE")
    ),
)


@contextlib.asynccontextmanager
async def gateway(cases: Iterable[Case], directory: Path) -> AsyncIterator[tuple[Running, Provider]]:
    """A gateway with a route for each case: what breaks, then what is sound. And the sound provider."""
    async with contextlib.AsyncExitStack() as stack:
        broken, sound = await stack.enter_async_context(breaking.providers())
        origins = {
            "broken": broken.url,
            "sound": sound.url,
            "connect refused": stack.enter_context(breaking.refusing_port()),
            "black hole": stack.enter_context(breaking.black_hole()),
            "TLS error": await stack.enter_async_context(breaking.untrusted(directory)),
        }
        home = new_home(directory / "home", SHORT)
        prepare(home, origins, cases)
        yield await stack.enter_async_context(running(home)), sound


def prepare(home: Home, origins: Mapping[str, str], cases: Iterable[Case]) -> None:
    """Upstreams, prices and routes."""
    for name, url in origins.items():
        secret = Secret(UPSTREAM_SECRET)
        home.upstreams.create(upstream(name), "custom", base_url=f"{url}/v1", secret=secret, allow_private=True)
    for target in sorted({target for case in cases for target in case.targets}):
        home.prices.set_own(target.upstream, target.model, RATES)
    home.routes.apply("\n".join(map(_route, cases)), "routes.toml")


def _route(case: Case) -> str:
    first, *others = map(str, case.targets)
    return f"[routes.{json.dumps(case.alias)}]\ntargets = {json.dumps([first])}\nfallbacks = {json.dumps(others)}\n"


def upstream(place: str) -> str:
    """The name of the upstream at a place."""
    return place.lower().replace(" ", "-")


async def rows(gateway: Running, sound: Provider, cases: Sequence[Case]) -> list[Row]:
    """Ask for every case and compare what comes with what is right: first where nothing fails, then all others at once,
    so that none of them waits for what the SDKs do at their first request."""
    calm, failing = ([case for case in cases if (case.fault == NOTHING) is is_calm] for is_calm in (True, False))
    async with contextlib.aclosing(Clients(gateway)) as clients:
        asked = [await clients.ask(case.dialect, case.alias, case.stream) for case in calm]
        asked += await asyncio.gather(*(clients.ask(case.dialect, case.alias, case.stream) for case in failing))
    cases = [*calm, *failing]
    booked = _booked(gateway.home)
    found = [_row(case, *seen, booked.get(case.alias, [])) for case, seen in zip(cases, asked, strict=True)]
    charged = sum(row.charged_pico for row in found)
    told = f"{len(sound.seen)} answers of the sound provider, charged {charged}"
    assert charged == len(sound.seen) * CHARGED or any(row.problems for row in found), told  # else the table tells more
    return found


def _booked(home: Home) -> dict[str, list[dict[str, Any]]]:
    """Alias → its attempts as the ledger has them, in order."""
    query = """
        SELECT a.*, aliases.name AS alias, targets.upstream FROM attempts AS a
        JOIN aliases ON aliases.id = a.alias_id JOIN targets ON targets.id = a.target_id ORDER BY request_id, number
    """
    booked: dict[str, list[dict[str, Any]]] = {}
    with home.database.read() as tx:
        for row in tx.exec_driver_sql(query).mappings():
            booked.setdefault(row["alias"], []).append(dict(row))
    return booked


def _row(case: Case, saw: str, seconds: float, attempts: Sequence[Mapping[str, Any]]) -> Row:
    served = [each for each in attempts if each["outcome"] == Outcome.SERVED]
    return Row(
        fault=case.fault,
        dialect=case.dialect,
        stream=case.stream,
        alone=case.alone,
        served=served[0]["upstream"] if served else None,
        saw=saw,
        seconds=seconds,
        attempts=tuple(_told(each) for each in attempts),
        charged_pico=sum(each["charge_pico"] or 0 for each in attempts),
        doubt_pico=sum(each["doubt_pico"] or 0 for each in attempts),
        problems=tuple(_problems(case, saw, attempts, served)),
    )


def _told(attempt: Mapping[str, Any]) -> str:
    """What an attempt came to: served, or the reason why not."""
    if attempt["outcome"] == Outcome.SERVED:
        return "served"
    status = attempt["status"] or 0
    return str(status) if status >= 400 else str(attempt["error_code"] or Outcome(attempt["outcome"]).label)


def _problems(
    case: Case, saw: str, attempts: Sequence[Mapping[str, Any]], served: Sequence[Mapping[str, Any]]
) -> Iterable[str]:
    """What is not as it should be."""
    if saw != case.saw:
        yield f"the SDK must see {case.saw!r}"
    if [each["upstream"] for each in served] != ([case.serves] if case.serves else []):
        yield f"{case.serves or 'nobody'} must serve"
    finals = [each["number"] for each in attempts if each["final"]]
    if len({each["request_id"] for each in attempts}) != 1 or finals != [len(attempts)]:
        yield "there must be one request, whose last attempt is final"
    charges = [each["charge_pico"] for each in attempts if each["charge_pico"]]
    if charges != ([CHARGED] if case.serves else []):
        yield f"charged must be {CHARGED if case.serves else 'nothing'}, once"
    if any(each["outcome"] != Outcome.FAILED for each in attempts if each not in served):
        yield "what did not serve must be on record as failed"


async def table(cases: Sequence[Case] = CASES) -> list[Row]:
    """The whole of it, in a home of its own."""
    with tempfile.TemporaryDirectory(prefix="failures-") as directory:
        async with gateway(cases, Path(directory)) as (serving, sound):
            return await rows(serving, sound, cases)


def show(found: Sequence[Row]) -> str:
    """The table for people."""
    head = ("failure", "asked", "served", "SDK saw", "took", "attempts", "charged", "in doubt", "")
    lines: list[tuple[str, ...]] = [head]
    for row in found:
        asked = ("stream" if row.stream else "whole") + ("" if row.dialect == "chat" else f", {row.dialect}")
        asked += ", no fallback" if row.alone else ""
        money = tuple(format_usd(pico) if pico else "-" for pico in (row.charged_pico, row.doubt_pico))
        attempts, verdict = " → ".join(row.attempts), "; ".join(row.problems) or "as it should be"
        took = f"{row.seconds:.2f} s"
        lines.append((row.fault, asked, row.served or "nobody", row.saw, took, attempts, *money, verdict))
    widths = [max(len(line[column]) for line in lines) for column in range(len(head) - 1)]
    return "\n".join(
        "  ".join(word.ljust(width) for word, width in zip(line, [*widths, 0], strict=True)).rstrip() for line in lines
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.failures", description=__doc__)
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    arguments = parser.parse_args()
    began = time.monotonic()
    found = asyncio.run(table())
    wrong = sum(bool(row.problems) for row in found)
    if arguments.output == "json":
        print(json.dumps([asdict(row) for row in found], indent=2))
    else:
        print(show(found))
        print(f"{len(found)} rows in {time.monotonic() - began:.1f} s, {wrong} not as they should be")
    return DIFFERS if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
