"""The life of a rollout, on both databases: begun, watched, advanced, taken out, finished; a look is made once."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from keyvault import audit
from keyvault.alerts import Alerts
from keyvault.clock import to_ms, ulid_at
from keyvault.domain.endpoints import Dialect
from keyvault.domain.ledger import Outcome
from keyvault.domain.rollouts import Plan, Rollout, State, Verdict, guards_of
from keyvault.domain.routes import Choice, Route, Target
from keyvault.domain.vault import Upstream
from keyvault.errors import Conflict, NotFound, UsageError
from keyvault.routing.ending import ALERT
from keyvault.routing.rollouts import Rollouts
from keyvault.routing.routes import Routes
from keyvault.routing.watching import KEPT_MS, Watching
from keyvault.storage import epochs, upstreams
from keyvault.storage.engine import Database
from keyvault.storage.rollout_arms import arms
from keyvault.storage.schema import aliases, attempts, rollout_requests, targets
from tests.conftest import FrozenClock

OLD, NEW, SPARE = Target("old", "m"), Target("new", "m"), Target("old", "spare")
PLAN = Plan(steps=(50_000, 500_000), automatic=True, guards=guards_of(["error_rate < +1%", "p95 < 2x"]))
IDS = {OLD: 1, NEW: 2}
ALIAS = 7
HOUR = 3_600


@pytest.fixture
def rollouts(database: Database, clock: FrozenClock) -> Rollouts:
    with database.write() as tx:
        for name in ("old", "new"):
            upstreams.insert(
                tx,
                Upstream(
                    id=0,
                    name=name,
                    provider="custom",
                    base_url="https://api.example.com/v1",
                    dialects=frozenset({Dialect.CHAT}),
                    auth_header="",
                    auth_scheme="",
                    stream_usage=True,
                    catalogue=None,
                    created_at=clock.now(),
                ),
            )
        tx.execute(sa.insert(aliases).values(id=ALIAS, name="fast"))
        for target, number in IDS.items():
            tx.execute(sa.insert(targets).values(id=number, upstream=target.upstream, model=target.model))
    routes = Routes(database, clock)
    routes.put(Route("fast", (Choice(OLD),), (Choice(SPARE),)))
    return Rollouts(database, clock, routes)


@pytest.fixture
def watching(database: Database, clock: FrozenClock, rollouts: Rollouts) -> Watching:
    return Watching(database, clock, rollouts.live)


class Traffic:
    """Puts requests on record as the ledger does."""

    def __init__(self, database: Database, clock: FrozenClock) -> None:
        self.database, self.clock, self.sent = database, clock, 0

    def __call__(
        self,
        rollout: Rollout | None,
        arm: int,
        count: int,
        outcome: Outcome = Outcome.SERVED,
        *,
        ms: int = 100,
        at: Target | None = None,
        unit: int | None = None,
        cost: int | None = 2 * 10**9,
    ) -> None:
        now = self.clock.now_ms()
        settled, drawn = [], []
        for _ in range(count):
            self.sent += 1
            request = ulid_at(now, self.sent)
            row = {"request_id": request, "number": 1, "started_ms": now, "key_id": 1, "generation": 1, "final": 1}
            row |= {"alias_id": ALIAS, "target_id": IDS[at or (OLD, NEW)[arm]], "dialect": "chat", "stream": 0}
            row |= {"outcome": int(outcome), "basis": 1, "total_ms": ms, "first_content_ms": ms // 2, "cost_pico": cost}
            settled.append(row)
            if rollout is not None:
                drawn.append({"rollout_id": rollout.id, "request_id": request, "arm": arm, "unit": unit})
        with self.database.write() as tx:
            tx.execute(sa.insert(attempts), settled)
            if drawn:
                tx.execute(sa.insert(rollout_requests), drawn)


@pytest.fixture
def send(database: Database, clock: FrozenClock) -> Traffic:
    return Traffic(database, clock)


def entries(database: Database) -> list[str]:
    with database.read() as tx:
        return [entry.action for entry in reversed(audit.newest(tx, 100)) if entry.action.startswith("rollouts")]


def epoch(database: Database) -> int:
    with database.read() as tx:
        return epochs.current(tx)[2]


def test_it_begins_at_its_first_step_and_leaves_the_routes_as_they_are(database: Database, rollouts: Rollouts) -> None:
    before = epoch(database)
    begun = rollouts.start("fast", NEW, PLAN).rollout
    assert (begun.alias, begun.target, begun.state, begun.share_ppm) == ("fast", NEW, State.RUNNING, 50_000)
    assert begun.plan == PLAN
    assert rollouts.live() == [begun]
    assert (epoch(database) > before, entries(database)) == (True, ["rollouts.start"])
    assert Routes(database, FrozenClock()).current().number == 1


def test_each_change_has_its_audit_entry_and_is_known_at_once(database: Database, rollouts: Rollouts) -> None:
    begun = rollouts.start("fast", NEW, PLAN).rollout
    seen = [epoch(database)]
    for change, share in ((rollouts.pause, 0), (rollouts.resume, 50_000), (rollouts.advance, 500_000)):
        assert change("fast").share_ppm == share
        seen.append(epoch(database))
    ended = rollouts.rollback(str(begun.id), "too terse")
    assert (ended.state, ended.reason, ended.share_ppm) == (State.ROLLED_BACK, "too terse", 0)
    assert seen == sorted(set(seen))
    assert entries(database) == [f"rollouts.{verb}" for verb in ("start", "pause", "resume", "advance", "rollback")]


def test_to_finish_is_a_revision_that_can_be_rolled_back(database: Database, rollouts: Rollouts) -> None:
    routes = Routes(database, FrozenClock())
    rollouts.start("fast", NEW, PLAN)
    with pytest.raises(Conflict, match="at step 1 of 2"):
        rollouts.finish("fast")
    rollouts.advance("fast")
    finished, revision = rollouts.finish("fast")
    assert (finished.state, revision.routes[0].primary, revision.number) == (State.FINISHED, (Choice(NEW),), 2)
    assert revision.routes[0].fallbacks == (Choice(SPARE),)
    assert routes.rollback().revision.routes[0].primary == (Choice(OLD),)
    rollouts.start("fast", NEW, PLAN)
    _, kept = rollouts.finish("fast", now=True, keep=True)
    assert kept.routes[0].targets == (NEW, OLD, SPARE)


def test_what_makes_no_sense_is_refused(rollouts: Rollouts) -> None:
    with pytest.raises(NotFound, match="no such route"):
        rollouts.start("slow", NEW, PLAN)
    with pytest.raises(NotFound, match="no such upstream"):
        rollouts.start("fast", Target("nobody", "m"), PLAN)
    with pytest.raises(UsageError, match="serves fast already"):
        rollouts.start("fast", OLD, PLAN)
    with pytest.raises(UsageError, match="has no price"):
        rollouts.start("fast", NEW, Plan(guards=guards_of(["cost_per_request < 2x"])))
    with pytest.raises(NotFound, match="no such rollout"):
        rollouts.rollback("fast")
    rollouts.start("fast", NEW, PLAN)
    with pytest.raises(Conflict, match="is running"):
        rollouts.start("fast", SPARE, PLAN)
    rollouts.rollback("fast")
    with pytest.raises(NotFound, match="has ended: rolled back"):
        rollouts.advance("fast")


def test_a_change_of_its_route_ends_it_and_says_why(database: Database, rollouts: Rollouts, clock: FrozenClock) -> None:
    routes = Routes(database, clock)
    rollouts.start("fast", NEW, PLAN)
    routes.set("other", [OLD])
    assert len(rollouts.live()) == 1
    routes.set("fast", [SPARE])
    assert not rollouts.live()
    assert rollouts.list()[0].reason == "revision 3 changed its route"


def test_what_came_of_each_arm_is_summed_from_the_ledger(
    database: Database, rollouts: Rollouts, send: Traffic, clock: FrozenClock
) -> None:
    begun = rollouts.start("fast", NEW, PLAN).rollout
    send(begun, 0, 5)
    send(begun, 0, 1, Outcome.FAILED)
    send(begun, 1, 2, ms=300, unit=11)
    send(begun, 1, 1, ms=500, unit=12, cost=None)
    send(begun, 1, 1, Outcome.ABORTED, ms=9_000, unit=12)
    send(begun, 1, 1, Outcome.LOST)
    send(begun, 1, 3, at=OLD)
    send(None, 0, 4)
    clock.advance(seconds=1)
    with database.read() as tx:
        baseline, arm = arms(tx, begun, to_ms(begun.created_at), clock.now_ms())
    assert (baseline.tally.served, baseline.tally.failed, baseline.units) == (5, 1, ())
    assert baseline.tally.total_ms == {100: 5}, "a failure has no time"
    assert (arm.tally.served, arm.tally.left, arm.tally.failed) == (3, 1, 0), "what was lost is nobody's fault"
    assert arm.tally.total_ms == {300: 2, 500: 1, 9_000: 1}
    assert arm.tally.first_ms == {150: 2, 250: 1, 4_500: 1}
    assert (arm.tally.costs, arm.tally.cost) == (2, pytest.approx(0.004))
    assert arm.tally.cost_squares == pytest.approx(2 * 0.002**2)
    assert sorted(unit.requests for unit in arm.units) == [2, 2]
    assert arm.elsewhere == 3, "drawn for the target, and served elsewhere since it was not well"


def test_a_target_that_only_fails_is_out_after_its_first_requests(
    database: Database, rollouts: Rollouts, watching: Watching, send: Traffic, clock: FrozenClock
) -> None:
    begun = rollouts.start("fast", NEW, PLAN).rollout
    send(begun, 0, 190)
    send(begun, 1, 9, Outcome.FAILED)
    clock.advance(seconds=5)
    watching()
    assert rollouts.live() == [begun], "the early look waits for ten"
    send(begun, 1, 1, Outcome.FAILED)
    clock.advance(seconds=1)
    watching()
    [ended] = rollouts.list()
    assert (ended.state, ended.share_ppm) == (State.ROLLED_BACK, 0)
    assert ended.reason == ("error_rate 100.00 % beside 0.00 %, at most 1.00 % allowed (10 requests, look 1 of step 1)")
    [alert] = Alerts(database, clock).list()
    assert (alert.kind, alert.scope) == (ALERT, "route:fast")
    assert entries(database) == ["rollouts.start", "rollouts.rollback"]
    [look] = rollouts.status("fast").looks
    assert (look.index, look.verdict, look.requests) == (0, Verdict.BREACHED, (190, 10))
    rollouts.start("fast", NEW, PLAN)
    assert not Alerts(database, clock).list(), "somebody has looked into it"


def test_a_step_whose_guards_held_is_followed_by_the_next_one_by_itself(
    rollouts: Rollouts, watching: Watching, send: Traffic, clock: FrozenClock, database: Database
) -> None:
    begun = rollouts.start("fast", NEW, PLAN).rollout
    send(begun, 0, 950)
    send(begun, 1, 60)
    clock.advance(seconds=HOUR)
    watching()
    [now] = rollouts.live()
    assert (now.step, now.share_ppm, now.step_started_at) == (1, 500_000, clock.now())
    assert entries(database) == ["rollouts.start", "rollouts.advance"]
    send(now, 0, 60)
    send(now, 1, 60)
    clock.advance(seconds=HOUR)
    watching()
    assert rollouts.live() == [now], "the last step waits for somebody to finish it"
    assert [look.verdict for look in rollouts.status("fast").looks] == [Verdict.HOLDS, Verdict.HOLDS]


def test_with_too_little_data_it_says_so_and_waits(
    rollouts: Rollouts, watching: Watching, send: Traffic, clock: FrozenClock
) -> None:
    begun = rollouts.start("fast", NEW, PLAN).rollout
    send(begun, 0, 950)
    send(begun, 1, 20)
    clock.advance(seconds=HOUR)
    watching()
    assert rollouts.live() == [begun]
    assert rollouts.status("fast").looks[0].verdict is Verdict.TOO_LITTLE
    send(begun, 0, 950)
    send(begun, 1, 40)
    clock.advance(seconds=HOUR)
    watching()
    assert rollouts.live()[0].step == 1, "a later look has what the step came to in all"


def test_one_that_runs_for_longer_is_looked_at_again_each_time(
    rollouts: Rollouts, watching: Watching, send: Traffic, clock: FrozenClock
) -> None:
    """What breaks after a step's length is found by the requests of the last one alone."""
    begun = rollouts.start("fast", NEW, Plan(steps=(500_000,), guards=PLAN.guards)).rollout
    for _ in range(3):
        send(begun, 0, 2_000)
        send(begun, 1, 2_000)
        clock.advance(seconds=HOUR)
        watching()
    send(begun, 0, 200)
    send(begun, 1, 160)
    send(begun, 1, 40, Outcome.FAILED)
    clock.advance(seconds=HOUR)
    watching()
    [ended] = rollouts.list()
    assert ended.state is State.ROLLED_BACK
    assert ended.reason is not None
    assert ended.reason.endswith("a look after its time of step 1)")


def test_of_two_workers_one_makes_a_look(
    database: Database, rollouts: Rollouts, send: Traffic, clock: FrozenClock
) -> None:
    begun = rollouts.start("fast", NEW, PLAN).rollout
    send(begun, 0, 950)
    send(begun, 1, 60)
    clock.advance(seconds=HOUR)
    known = rollouts.live()
    for _ in range(2):
        Watching(database, clock, lambda: known)()
    assert rollouts.live()[0].step == 1
    assert entries(database).count("rollouts.advance") == 1


def test_what_somebody_has_done_meanwhile_comes_before_what_a_look_would_do(
    database: Database, rollouts: Rollouts, send: Traffic, clock: FrozenClock
) -> None:
    begun = rollouts.start("fast", NEW, PLAN).rollout
    send(begun, 0, 190)
    send(begun, 1, 60, Outcome.FAILED)
    clock.advance(seconds=HOUR)
    known = rollouts.live()
    rollouts.finish("fast", now=True)
    Watching(database, clock, lambda: known)()
    status = rollouts.status("fast")
    assert (status.rollout.state, status.looks) == (State.FINISHED, [])


def test_a_paused_one_is_not_looked_at_and_begins_its_step_anew(
    rollouts: Rollouts, watching: Watching, send: Traffic, clock: FrozenClock
) -> None:
    begun = rollouts.start("fast", NEW, PLAN).rollout
    send(begun, 0, 950)
    send(begun, 1, 60)
    rollouts.pause("fast")
    clock.advance(seconds=HOUR)
    watching()
    assert not rollouts.status("fast").looks
    assert rollouts.resume("fast").step_started_at == clock.now()


def test_one_that_goes_on_after_a_pause_is_looked_at_as_before(
    rollouts: Rollouts, watching: Watching, send: Traffic, clock: FrozenClock
) -> None:
    """Though each of the step's own looks has been made; what they spent of the rate of false alarms is spent."""
    begun = rollouts.start("fast", NEW, Plan(steps=(500_000,), guards=PLAN.guards)).rollout
    for _ in range(5):
        send(begun, 0, 200)
        send(begun, 1, 200)
        clock.advance(seconds=HOUR)
        watching()
    rollouts.pause("fast")
    clock.advance(seconds=1)
    resumed = rollouts.resume("fast")
    send(resumed, 0, 50)
    send(resumed, 1, 50, Outcome.FAILED)
    clock.advance(seconds=1)
    watching()
    status = rollouts.status("fast")
    assert status.rollout.state is State.ROLLED_BACK
    assert status.looks[0].index > status.looks[1].index
    assert status.looks[0].judgements[0].level < status.looks[1].judgements[0].level


def test_which_requests_belonged_to_it_is_forgotten_a_month_after_its_end(
    database: Database, rollouts: Rollouts, send: Traffic, clock: FrozenClock
) -> None:
    begun = rollouts.start("fast", NEW, PLAN).rollout
    send(begun, 0, 5)
    rollouts.rollback("fast")

    def left() -> int:
        with database.read() as tx:
            return tx.execute(sa.select(sa.func.count()).select_from(rollout_requests)).scalar_one()

    Watching(database, clock, rollouts.live)()
    assert left() == 5
    clock.advance(seconds=KEPT_MS / 1000 + 1)
    Watching(database, clock, rollouts.live)()
    assert left() == 0


def test_to_start_says_what_the_traffic_of_the_last_day_lets_it_find(
    rollouts: Rollouts, send: Traffic, clock: FrozenClock
) -> None:
    send(None, 0, 1_000)
    clock.advance(days=2)
    send(None, 0, 4_750)
    send(None, 0, 50, Outcome.FAILED)
    started = rollouts.start("fast", NEW, PLAN)
    assert (started.recent.requests, started.recent.sample.failed) == (4_800, 50)
    [[first, _], [second, _]] = [step.detectable for step in started.foreseen]
    assert first.least is not None
    assert second.least is not None
    assert first.least > second.least > 50 / 4_800 + 0.01
