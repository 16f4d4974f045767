"""What follows an attempt: the answer to the client, another try at the same target, or the next target.

Until the first content every failure that the route names may be tried again, within the route's time over all
attempts: the same target as often as the route says, after a pause that doubles, with full jitter, or after the time
that the provider itself asked for where that is not too long; then the next target at once. A failure that speaks of
the request and not of the target (a client's 400, a refusal of what was asked) is the answer.

Where everything failed the client gets the last error that a provider answered with, else one of the gateway's own.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from msgspec import Struct

from keyvault.domain.routes import Failure, Retries, Route, Timeouts
from keyvault.proxy.admission import Call
from keyvault.proxy.attempt import Attempt
from keyvault.proxy.ending import Ending, Patience
from keyvault.proxy.headers import Headers
from keyvault.proxy.tables import ServingUpstream, Tables
from keyvault.routing.planner import Planned
from keyvault.settings import Settings

_KINDS: Final[Mapping[str, Failure]] = {
    **dict.fromkeys(("dns_failure", "private_address", "connect_refused", "connect_failed"), Failure.CONNECT),
    **dict.fromkeys(("tls_error", "proxy_error"), Failure.CONNECT),
    **dict.fromkeys(("connect_timeout", "first_content_timeout", "idle_timeout", "total_timeout"), Failure.TIMEOUT),
}
"""By the code of what the gateway itself noticed; else the answer was broken."""
_STATUSES: Final[Mapping[int, Failure]] = {
    **dict.fromkeys((401, 402, 403), Failure.REFUSED),
    **dict.fromkeys((408, 409, 429, 529), Failure.OVERLOADED),
}
_LATER: Final = ("overload", "rate_limit", "throttl", "too_many", "quota", "capacity")
_ABOUT_REQUEST: Final = ("invalid_", "content_", "context_", "unsupported_", "not_found", "moderation")
"""Words of a provider's error event: it wants to be asked later; it will never do this."""
_NOT_OF_TARGET: Final = frozenset({401, 403, 409})
"""Refusals that say nothing of how a target is: of the credential, which has tests of its own, or of a conflict."""


class Course(Struct):
    """What is left to try of one request's plan."""

    pending: list[Planned]
    patience: Patience
    retries: Retries
    deadline: float
    """Loop time."""
    tries: int = 0
    """At the present target, after the first."""
    answer: tuple[Attempt, Ending] | None = None
    """The last error that a provider answered with, and the attempt that brought it."""

    def best(self, attempt: Attempt, ending: Ending) -> tuple[Attempt, Ending]:
        """What the client gets when the last attempt ended so."""
        if self.answer is None or ending.committed or ending.cut or _can_be_shown(ending) or not _failed(ending):
            return attempt, ending
        return self.answer


class Step(Struct):
    """What is tried next."""

    planned: Planned
    serving: ServingUpstream | None = None
    """The credential it must go with."""
    fresh: bool = False
    second: bool = False
    wait: float = 0.0
    """Seconds until then."""


class Failover:
    """Decides, and tells the worker's health what it learned of each target."""

    def __init__(
        self,
        tables: Tables,
        settings: Settings,
        time: Callable[[], float],
        now_ms: Callable[[], int],
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`draw`: the next number from 0 to 1, for the jitter."""
        self._tables = tables
        self._settings = settings
        self._patient = Timeouts(), patience(Timeouts(), settings)
        """The times of the route that was asked for last: most requests are for the same."""
        self._health = tables.health
        self._time = time
        self._now_ms = now_ms
        self._draw = draw

    def course(self, call: Call, plan: tuple[Planned, ...]) -> Course:
        route = plan[0].route
        timeouts, found = self._patient
        if timeouts is not route.timeouts:
            found = self._patience(route)
        return Course([*plan], found, route.retries, call.started + found.total)

    def first(self, course: Course) -> Step:
        return Step(course.pending.pop(0))

    def learn(self, attempt: Attempt, ending: Ending) -> None:
        """Tell what an attempt's ending says of its target: nothing, where it was made to fail."""
        health, target = self._health, attempt.planned.target
        if attempt.fault is not None:
            health.abandoned(target)
            return
        kind = failure_of(ending)
        left_midway = ending.cancelled and ending.first_content_at is not None
        if left_midway or (kind is None and not ending.cut and not ending.cancelled):
            if health.known:
                health.succeeded(target, attempt.began)
        elif kind is not None and speaks_of_target(ending):
            code, text = reason_of(ending)
            asked = retry_after(ending.headers, self._now_ms()) if ending.status in (429, 503, 529) else None
            health.failed(target, attempt.began, f"{code}: {text}" if text else code, asked)
        else:
            health.abandoned(target)

    def next(self, call: Call, course: Course, attempt: Attempt, ending: Ending) -> Step | None:
        """What follows; None when what there is must be the client's answer."""
        if ending.committed or call.withdrawn is not None or self._time() >= course.deadline:
            return None
        if ending.stale_connection and not attempt.fresh:
            return Step(attempt.planned, attempt.upstream, fresh=True)
        if ending.refuses_credential and (other := self._other_credential(call, attempt)) is not None:
            return Step(attempt.planned, other, second=True)
        kind = failure_of(ending)
        if kind is None or kind not in course.retries.on:
            return self._elsewhere(course) if attempt.planned.trial and _failed(ending) else None
        if _can_be_shown(ending):
            course.answer = attempt, ending
        return self._again(course, attempt, ending, kind) or self._elsewhere(course)

    def after_pause(self, course: Course, step: Step) -> Step | None:
        """The step that was waited for; another where its target is gone meanwhile."""
        return self._elsewhere(course) if self._gone(step.planned) else step

    def instead(self, course: Course, step: Step) -> Step | None:
        """Another target than the one that the money does not cover; none for a try that is the target's own."""
        return None if step.fresh or step.second else self._elsewhere(course)

    def _patience(self, route: Route) -> Patience:
        self._patient = route.timeouts, patience(route.timeouts, self._settings)
        return self._patient[1]

    def _other_credential(self, call: Call, attempt: Attempt) -> ServingUpstream | None:
        """Another credential of the same upstream for a request whose first was refused; the first is looked into."""
        refused = attempt.upstream
        self._tables.refused[refused.credential_id] = refused
        chooser = self._tables.upstreams.get(attempt.planned.upstream.name)
        if chooser is None or attempt.second or call.credential_id is not None:
            return None
        return chooser.instead_of(refused.credential_id)

    def _again(self, course: Course, attempt: Attempt, ending: Ending, kind: Failure) -> Step | None:
        """The same target once more, unless it has been asked often enough or should be left alone."""
        retries, planned = course.retries, attempt.planned
        if course.tries >= retries.same_target or kind is Failure.REFUSED:
            return None
        if course.pending and planned.target in self._health.opened:
            return None
        wait = self._draw() * min(retries.longest_wait, retries.backoff * 2**course.tries)
        wait = max(wait, retry_after(ending.headers, self._now_ms()) or 0.0)
        if wait > retries.longest_wait or self._time() + wait >= course.deadline or self._gone(planned):
            return None
        course.tries += 1
        return Step(planned, wait=wait)

    def _elsewhere(self, course: Course) -> Step | None:
        """The next target of the plan that is well; else the next."""
        course.tries = 0
        course.pending = [planned for planned in course.pending if not self._gone(planned)]
        if not course.pending:
            return None
        well = (at for at, planned in enumerate(course.pending) if self._health.available(planned.target))
        return Step(course.pending.pop(next(well, 0)))

    def _gone(self, planned: Planned) -> bool:
        """Deleted or switched off in the meantime."""
        return planned.upstream.name not in self._tables.upstreams


def patience(timeouts: Timeouts, settings: Settings) -> Patience:
    """A route's own times, and the settings' for the others."""
    return Patience(
        connect=timeouts.connect or settings.connect_timeout,
        first_content=timeouts.first_content or settings.first_content_timeout,
        idle=timeouts.idle or settings.idle_timeout,
        total=timeouts.total or settings.total_timeout,
    )


def failure_of(ending: Ending) -> Failure | None:
    """What kind of failure an ending is; None where there is none, or where it speaks of the request alone."""
    if ending.cut or ending.cancelled:
        return None
    if ending.failure is not None:
        code = ending.failure[0]
        return _told(code) if ending.told else _KINDS.get(code, Failure.BROKEN)
    status = ending.status or 0
    if status < 300:
        error = ending.read.error if ending.read is not None else None
        return None if error is None else _told(error[0])
    if status < 400:
        return Failure.BROKEN  # a redirect, which is never followed
    return _STATUSES.get(status) or (Failure.SERVER if status >= 500 else None)


def _told(code: str) -> Failure | None:
    """Of an error that came with a status of 200."""
    code = code.lower()
    if any(word in code for word in _LATER):
        return Failure.OVERLOADED
    return None if any(word in code for word in _ABOUT_REQUEST) else Failure.SERVER


def _failed(ending: Ending) -> bool:
    return ending.failure is not None or ending.refused


def _can_be_shown(ending: Ending) -> bool:
    """Whether an ending is a provider's error that a client may see: not one about the gateway's own account."""
    return ending.failure is None and 403 <= (ending.status or 0) < 600


def speaks_of_target(ending: Ending) -> bool:
    """Whether a failure says how its target is."""
    if ending.status in _NOT_OF_TARGET and ending.failure is None:
        return False
    if ending.stale_connection:
        return False
    if ending.failure is not None and ending.failure[0] == "total_timeout":
        return ending.first_content_at is None
    return True


def reason_of(ending: Ending) -> tuple[str, str]:
    """Code and text of a failure."""
    error = ending.failure or (ending.read.error if ending.read is not None else None) or ("", "")
    return error[0] or f"http_{ending.status}", error[1]


def retry_after(headers: Headers, now_ms: int) -> float | None:
    """The seconds a provider asks to be left alone for: `retry-after-ms`, or `Retry-After` in seconds or as a date."""
    values = dict(headers)
    try:
        if (exact := values.get(b"retry-after-ms")) is not None:
            return _bounded(float(exact) / 1000)
        if (value := values.get(b"retry-after")) is None:
            return None
        text = value.decode("ascii")
        if text[:1].isdigit():
            return _bounded(float(text))
        date = parsedate_to_datetime(text)
        return _bounded((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now_ms / 1000)
    except (ValueError, OverflowError):
        return None


def _bounded(seconds: float) -> float | None:
    """None for what is no number of seconds; a day at most."""
    return None if math.isnan(seconds) else min(max(0.0, seconds), 86_400.0)
