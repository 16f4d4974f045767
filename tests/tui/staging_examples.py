"""A gateway with something on trial, for pictures of the Staging screen."""

from __future__ import annotations

from datetime import timedelta

from keyvault.domain.arms import Arm, Tally
from keyvault.domain.captures import Capture
from keyvault.domain.captures import Plan as CapturePlan
from keyvault.domain.drills import Drill, Fault
from keyvault.domain.rollouts import Judgement, Look, Plan, Rollout, State, Verdict, guards_of
from keyvault.domain.routes import Target
from keyvault.routing.rollouts import Status
from opsconsole.view.staging.snapshot import Names, RunRow, StagingQuestion, StagingSnapshot
from tests.tui.examples import NOW, SETUP

LLAMA = Target("groq", "llama-3.3-70b")
PLAN = Plan(
    steps=(50_000, 250_000, 1_000_000),
    automatic=True,
    guards=guards_of(("error_rate < +1%", "p95 < 1.5x", "cost_per_request < 2x")),
)


def rollout(number: int = 7, alias: str = "fast", state: State = State.RUNNING, reason: str | None = None) -> Rollout:
    began = NOW - timedelta(hours=number)
    ended = None if state in (State.RUNNING, State.PAUSED) else NOW - timedelta(hours=1)
    return Rollout(number, alias, LLAMA, state, PLAN, "salt", 0, began, began, ended, reason)


def tally(served: int, failed: int, ms: int, cost: float) -> Tally:
    times = {ms: served - served // 10, 3 * ms: served // 10}
    return Tally(served, failed, 0, times, {ms // 3: served}, served, served * cost, served * cost * cost)


def judged(guard: str, verdict: Verdict, arm: float, baseline: float, limit: float) -> Judgement:
    return Judgement(guard, verdict, arm, baseline, limit, 0.4, 0.004)


def status(of: Rollout, errors: int = 2, verdict: Verdict = Verdict.HOLDS) -> Status:
    rate = errors / 502
    now = (
        judged("error_rate < +1%", verdict, rate, 0.002, 0.012),
        judged("p95 < 1.5x", Verdict.HOLDS, 1_140, 1_230, 1_845),
        judged("cost_per_request < 2x", Verdict.TOO_LITTLE, 0.000_71, 0.004_1, 0.008_2),
    )
    look = Look(of.id, 0, 2, NOW - timedelta(minutes=9), verdict, (9_310, 512), now)
    baseline, arm = Arm(tally(9_291, 19, 410, 0.0041)), Arm(tally(502 - errors, errors, 380, 0.00071), elsewhere=3)
    return Status(of, baseline, arm, now, (look,), NOW + timedelta(minutes=12) if of.live else None)


def run(kind: str, hours: float, title: str, verdict: str | None, items: int) -> RunRow:
    began = NOW - timedelta(hours=hours)
    run_id = f"01m81s2t8rgkmz0c5y8b{int(hours * 10):06}"
    return RunRow(kind, run_id, title, began, began + timedelta(minutes=3) if verdict else None, verdict, items)


RUNS = (
    run("readiness", 0.4, "fast", "not ready", 8),
    run("compare", 2, "gpt-5-mini, groq/llama-3.3-70b on prompts.jsonl", "best: gpt-5-mini", 96),
    run("replay", 3, "/home/ops/requests.jsonl", None, 118),
    run("drill", 26, "fast: openai/gpt-5-mini answers 500", "passed", 0),
    run("check", 50, "http://127.0.0.1:8900/v1", "passed", 41),
)
DRILL = Drill(3, 1, "staging-app", Target("openai", "gpt-5-mini"), Fault.HANG, NOW, NOW + timedelta(minutes=8))
CAPTURE = Capture(
    2, None, 100_000, CapturePlan(5_000, 10**9, 604_800, ("email", "phone", "card")), "capture-x",
    NOW - timedelta(hours=3), NOW + timedelta(hours=21), ended=False, ended_at=None, reason=None,
    taken=1_204, dropped=3, bytes=48_300_000,
)  # fmt: skip


def busy(question: StagingQuestion, *trials: Status) -> StagingSnapshot:
    """`trials`: the rollouts; one that goes well unless told otherwise."""
    ended = rollout(4, "smart", State.ROLLED_BACK, "p95 3,100 ms beside 1,200 ms, at most 1,800 ms allowed")
    return StagingSnapshot(
        question,
        NOW,
        SETUP,
        workers=1,
        trials=trials or (status(rollout()),),
        ended=(ended,),
        drills=(DRILL,),
        taken=(CAPTURE,),
        runs=RUNS,
        names=Names(("fast", "smart"), ("openai/gpt-5-mini", "groq/llama-3.3-70b"), ("ci-bot",)),
    )
