"""Breaking something on purpose, for one key, and telling what came of it."""

from opsconsole.staging.drilling.failing import FailingPlan, fail
from opsconsole.staging.drilling.outcome import Check, Drilled, Tried
from opsconsole.staging.drilling.quota import QuotaPlan, exhaust

__all__ = ["Check", "Drilled", "FailingPlan", "QuotaPlan", "Tried", "exhaust", "fail"]
