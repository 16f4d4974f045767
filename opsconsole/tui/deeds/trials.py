"""Deeds of drills, captures and the runs of the kit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from keyvault.domain.captures import (
    EVERYTHING,
    LONGEST,
    LONGEST_KEPT,
    MOST,
    Capture,
    Personal,
    Plan,
    parse_redactions,
    parse_share,
    parse_size,
    parse_span,
)
from keyvault.domain.drills import FAULTS, Drill, Fault, check_lasts, parse_fault
from keyvault.domain.names import parse_duration
from keyvault.domain.routes import parse_target
from keyvault.domain.scopes import Scope, parse_scope
from keyvault.errors import UsageError
from opsconsole.tui.deeds.deed import Deed, Done, Field, Severity, Typed, Values, checked
from opsconsole.tui.deeds.forms import NONE, says, warns
from opsconsole.view.staging.snapshot import Names, RunRow
from opsconsole.view.text import Line, Span, line, printable

if TYPE_CHECKING:
    from keyvault.home import Home

_FAULTS: Final = tuple(fault.value for fault in Fault)


# Drills


def start_drill(names: Names, target: str = "") -> Deed:
    """A target fails for one key, for a while."""

    def tells(values: Values) -> Sequence[Line]:
        fault = FAULTS[parse_fault(values["fault"])] if values["fault"] in _FAULTS else "fails"
        return (
            line(Span(f"For {values['key'] or 'that key'} alone {values['target'] or 'the target'}: {fault}.")),
            says("Nobody else's requests are touched, no breaker opens, and it ends by itself."),
        )

    def run(home: Home, typed: Typed) -> Done:
        wanted = parse_target(typed["target"])
        upstream = home.upstreams.get(wanted.upstream)
        drill = home.drills.start(
            typed["key"],
            wanted._replace(upstream=upstream.name),
            parse_fault(typed["fault"]),
            _lasts(typed["lasts"]),
        )
        return Done(f"{drill.target} fails for key {drill.key}", drill)

    return Deed(
        "Have a target fail for one key",
        "Start",
        run,
        fields=(
            Field("key", "for the key", "", choices=names.keys, open_ended=True, required=True),
            Field("target", "target", target, checked(parse_target), names.targets, open_ended=True, required=True),
            Field("fault", "what it does", Fault.SERVER.value, choices=_FAULTS, required=True),
            Field("lasts", "for", "10m", checked(_lasts), required=True, example="10m, at most 1h"),
        ),
        tells=tells,
        severity=Severity.MODERATE,
    )


def stop_drill(drill: Drill) -> Deed:
    def run(home: Home, _typed: Typed) -> Done:
        home.drills.end(drill.id)
        return Done(f"{drill.target} serves key {drill.key} again")

    told = line(Span(f"{drill.target} serves {drill.key} again, from its next request."))
    return Deed(
        f"End the drill of {drill.key}", "End it", run, severity=Severity.MODERATE, tells=lambda _values: (told,)
    )


# Captures


def start_capture() -> Deed:
    """Requests are kept whole, with their answers."""

    def tells(values: Values) -> Sequence[Line]:
        whole = values["redact"] in ("", NONE)
        what = f"{values['sample']} of the requests of {values['scope'] or 'whom?'}, with their answers"
        return (
            line(Span(f"Kept sealed on this machine for {values['lasts']}: {what}.")),
            warns("nothing is taken out of what is kept") if whole else says("What is found of it is taken out first."),
        )

    def run(home: Home, typed: Typed) -> Done:
        capture = home.captures.start(
            _scope(typed["scope"]),
            sample_ppm=parse_share(typed["sample"]),
            lasts=_for(typed["lasts"]),
            plan=Plan(
                most=_most(typed["most"]),
                max_bytes=parse_size(typed["size"]),
                keep_seconds=int(_keep(typed["keep"]).total_seconds()),
                redact=_redactions(typed["redact"]),
            ),
        )
        return Done(f"capturing {capture.of} as {capture.name}", capture)

    return Deed(
        "Keep real requests whole",
        "Start",
        run,
        fields=(
            Field("scope", "whose", "", checked(_scope), required=True, example="key:NAME, customer:NAME, all"),
            Field("sample", "how many of them", "10%", checked(parse_share), required=True),
            Field("lasts", "for", "24h", checked(_for), required=True),
            Field("most", "at most", "1000", checked(_most), required=True),
            Field("size", "on disk at most", "1GB", checked(parse_size), required=True),
            Field("keep", "kept after its end", "7d", checked(_keep), required=True),
            Field(
                "redact", "taken out", EVERYTHING, checked(_redactions), (EVERYTHING, NONE, *Personal), open_ended=True
            ),
        ),
        tells=tells,
        severity=Severity.MODERATE,
    )


def stop_capture(capture: Capture) -> Deed:
    def run(home: Home, _typed: Typed) -> Done:
        done = home.captures.stop(capture.id)
        return Done(f"{done.name} takes nothing more; it is deleted on {done.keep_until:%Y-%m-%d %H:%M} UTC")

    told = says("What it has stays until it is deleted.")
    return Deed(f"End {capture.name}", "End it", run, severity=Severity.MODERATE, tells=lambda _values: (told,))


def delete_capture(capture: Capture) -> Deed:
    """Destroy it and the key that opens it."""

    def run(home: Home, _typed: Typed) -> Done:
        home.captures.delete(capture.id)
        return Done(f"deleted {capture.name}")

    told = line(Span(f"{capture.taken:,} exchanges of {capture.of} are destroyed; copies of their files open no more."))
    return Deed(
        f"Delete {capture.name}",
        "Delete",
        run,
        severity=Severity.SEVERE,
        name=capture.name,
        tells=lambda _values: (told,),
    )


# Runs


def delete_run(row: RunRow) -> Deed:
    """Remove what a run of the kit kept."""

    def run(home: Home, _typed: Typed) -> Done:
        from opsconsole.staging.runs import Runs

        Runs(home.paths.state, home.clock).open(row.kind, row.id).delete()
        return Done(f"deleted {row.kind} {row.id[-8:]}")

    return Deed(
        f"Delete {row.kind} {row.id[-8:]}",
        "Delete",
        run,
        severity=Severity.SEVERE,
        name=row.id[-8:],
        tells=lambda _values: (
            line(Span(printable(row.title))),
            says("Its report is gone, with the prompts and answers it kept. The ledger keeps its requests."),
        ),
    )


def _lasts(text: str) -> timedelta:
    return check_lasts(parse_duration(text))


def _scope(text: str) -> Scope | None:
    return None if text == EVERYTHING else parse_scope(text)


def _for(text: str) -> timedelta:
    return parse_span("a capture of", text, LONGEST)


def _keep(text: str) -> timedelta:
    return parse_span("keeping it for", text, LONGEST_KEPT)


def _redactions(text: str) -> tuple[str, ...]:
    return () if text in ("", NONE) else parse_redactions((text,))


def _most(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST:
        raise UsageError(f"from 1 to {MOST:,}", hint="1000")
    return int(text)
