"""Whether the targets of rollouts can serve, and which rollouts wait for somebody."""

from __future__ import annotations

from collections.abc import Iterator

from keyvault.domain.rollouts import State as Stands
from keyvault.home import Home
from opsconsole.cli.checks.finding import Finding, State


def rollouts(home: Home) -> Iterator[Finding]:
    live = home.rollouts.live()
    serving = {upstream.name for upstream in home.upstreams.list() if not upstream.disabled}
    for rollout in live:
        of, share = f"{rollout.target} for {rollout.alias}", f"{rollout.share_ppm / 10_000:g} %"
        back = f"gwctl rollouts rollback {rollout.alias}"
        if rollout.target.upstream not in serving:
            yield Finding("rollouts", State.WARNING, f"{of}: its upstream is gone or switched off", back)
        elif rollout.state is Stands.PAUSED:
            yield Finding("rollouts", State.OK, f"{of} is paused")
        elif rollout.last_step:
            yield Finding("rollouts", State.OK, f"{of} takes {share}, its last step: finish it or roll it back")
        else:
            yield Finding("rollouts", State.OK, f"{of} takes {share}")
    if not live:
        yield Finding("rollouts", State.OK, "none")
