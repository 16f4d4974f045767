"""Sending requests of the past again, and telling what came out otherwise."""

from opsconsole.staging.replaying.beside import Beside, beside
from opsconsole.staging.replaying.judging import Finding, judge
from opsconsole.staging.replaying.replay import Options, Replay
from opsconsole.staging.replaying.report import Report, report_of

__all__ = ["Beside", "Finding", "Options", "Replay", "Report", "beside", "judge", "report_of"]
