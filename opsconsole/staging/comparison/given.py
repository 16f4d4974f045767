"""The answer that a model gave to a question, as a run keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from keyvault.domain.ledger import NO_USAGE, Usage
from opsconsole.staging.asking import Answer, said
from opsconsole.staging.asking.said import ToolCall
from opsconsole.staging.comparison.expected import Spoken
from opsconsole.staging.comparison.prompts import Question

ANSWER: Final = "answer"
"""The kind of a run's record."""
_LONGEST_ERROR: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """One answer. `error`: why it is none; then nothing else about it counts."""

    prompt: str
    model: str
    nth: int
    key: str
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish: str | None = None
    error: str | None = None
    status: int | None = None
    first_content_ms: float | None = None
    """None also where the answer was no stream."""
    total_ms: float | None = None
    usage: Usage = field(default=NO_USAGE)
    cost_pico: int | None = None
    bound_pico: int | None = None
    """The most it can have cost."""
    target: str | None = None
    reused: bool = False
    """It was given to an earlier run."""

    @property
    def spoken(self) -> Spoken:
        return Spoken(self.text, self.tool_calls)

    @property
    def shown(self) -> str:
        """For whoever judges it."""
        calls = "".join(f"\n[calls {call.name}({call.arguments})]" for call in self.tool_calls)
        return (self.text + calls).strip()

    def told(self, kind: str = ANSWER) -> dict[str, Any]:
        """As a run keeps it."""
        return {"kind": kind, **msgspec.to_builtins(self)}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Given:
        return msgspec.convert({name: value for name, value in record.items() if name != "kind"}, cls)


def given(question: Question, key: str, answer: Answer) -> Given:
    """What came back for a question, without its cost."""
    heard = said(question.prompt.exchange.path, answer)
    return Given(
        prompt=question.prompt.id,
        model=question.model.name,
        nth=question.nth,
        key=key,
        text=heard.text,
        tool_calls=heard.tool_calls,
        finish=heard.finish,
        error=_error(answer, heard.complete, heard.error_code, heard.error_text),
        status=answer.status,
        first_content_ms=answer.first_content_ms if answer.streamed else None,
        total_ms=answer.total_ms,
        usage=heard.usage or NO_USAGE,
        target=answer.header("x-gateway-target"),
    )


def _error(answer: Answer, complete: bool, code: str | None, text: str | None) -> str | None:
    if code is not None:
        status = "" if answer.status is None or answer.status < 400 else f"{answer.status} "
        return f"{status}{code}: {text or 'nothing said'}"[:_LONGEST_ERROR]
    return None if complete else (answer.failure or "the answer is not whole")[:_LONGEST_ERROR]
