"""Tests an upstream with one real call: the smallest chat or messages request it takes, else its list of models.

The call follows the rules of all calls to providers: the sealed origin and header only, every resolved address checked,
certificates verified, the environment's proxy used, no redirect followed. Nothing shown contains the credential.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import httpx

from keyvault.clock import Clock
from keyvault.domain.endpoints import Dialect
from keyvault.domain.ledger import NO_USAGE, Usage
from keyvault.domain.outgoing import names_credential
from keyvault.domain.providers import preset
from keyvault.vault.credentials import OpenUpstream
from keyvault.vault.direct import Failure, ask

TIMEOUT_SECONDS: Final = 30.0
PROMPT: Final = "Answer with the word OK."
_NOT_CHAT: Final = (
    "embed", "whisper", "tts", "dall-e", "image", "imagen", "moderation", "audio", "realtime", "transcribe", "rerank",
    "guard", "search", "codex", "ocr", "computer-use", "sora", "veo", "live", "aqa", "davinci", "babbage", "flux",
)  # fmt: skip
_SMALL: Final = ("nano", "tiny", "lite", "mini", "flash", "haiku", "small", "instant", "8b")


@dataclass(frozen=True, slots=True)
class TestResult:
    """What came of the call. `usage` is what the provider counted; what that costs is for others to say."""

    __test__: ClassVar[bool] = False  # not a test case, whatever its name says to pytest

    ok: bool
    call: str
    """`chat`, `messages` or `models`."""
    latency_ms: int
    status: int | None = None
    """None: no answer came."""
    model: str | None = None
    usage: Usage = NO_USAGE
    error_code: str | None = None
    error_text: str | None = None

    @property
    def refuses_credential(self) -> bool:
        """The provider answered, and what it says is that it does not take the credential."""
        return self.status == httpx.codes.UNAUTHORIZED or (
            self.status == httpx.codes.FORBIDDEN and names_credential(self.error_code or "")
        )

    @property
    def failure(self) -> str:
        """Why it was not answered well."""
        return self.error_text or self.error_code or f"http status {self.status}"

    @property
    def note(self) -> str:
        """One phrase for the upstream's record, such as `chat with gpt-5-nano`."""
        return f"{self.call} with {self.model}" if self.model else "list of models"


def test_upstream(
    opened: OpenUpstream,
    model: str | None = None,
    timeout: float = TIMEOUT_SECONDS,
    *,
    environ: Mapping[str, str] = os.environ,
    clock: Clock | None = None,
) -> TestResult:
    """Call the upstream once (twice where a model has to be found first). Never raises for what the provider does."""
    calls = _Calls(opened, timeout, environ, clock or Clock())
    if model is None and preset(opened.upstream.provider).lists_models:
        listed = calls.models()
        model = pick_model(listed.names) if listed.result.ok else None
        if model is None:
            return listed.result
    if model is None or not calls.speaks:
        return calls.models().result
    return calls.complete(model)


def list_models(
    opened: OpenUpstream,
    timeout: float = TIMEOUT_SECONDS,
    *,
    environ: Mapping[str, str] = os.environ,
    clock: Clock | None = None,
) -> TestResult:
    """Ask only for the list of models, which costs nothing: does the upstream answer, and take the credential?"""
    return _Calls(opened, timeout, environ, clock or Clock()).models().result


def pick_model(names: Sequence[str]) -> str | None:
    """A model that probably chats and is probably cheap, or None."""
    chatting = [name for name in names if not any(word in name.lower() for word in _NOT_CHAT)]
    for word in _SMALL:
        for name in chatting:
            if word in re.split(r"[^a-z0-9]+", name.lower()):  # whole words: "mini" is also in "gemini"
                return name
    return chatting[0] if chatting else None


@dataclass(frozen=True, slots=True)
class _Listed:
    result: TestResult
    names: tuple[str, ...] = ()


class _Calls:
    """The calls one upstream is tested with."""

    def __init__(self, opened: OpenUpstream, timeout: float, environ: Mapping[str, str], clock: Clock) -> None:
        self._opened = opened
        self._timeout = timeout
        self._environ = environ
        self._clock = clock
        self._preset = preset(opened.upstream.provider)
        usual = Dialect(self._preset.test_call)
        others = (Dialect.CHAT, Dialect.MESSAGES)
        self.speaks = next((d for d in (usual, *others) if d in opened.upstream.dialects), None)

    def models(self) -> _Listed:
        result, content = self._ask("models", "GET", "/models", None, None)
        names = _model_names(content) if result.ok else ()
        return _Listed(result, names)

    def complete(self, model: str) -> TestResult:
        messages = [{"role": "user", "content": PROMPT}]
        if self.speaks is Dialect.MESSAGES:
            cap, path = "max_tokens", "/messages"
        else:
            cap, path = self._preset.output_cap, "/chat/completions"
        body = {"model": model, "messages": messages, cap: self._preset.test_output_tokens}
        return self._ask(str(self.speaks), "POST", path, body, model)[0]

    def _ask(
        self, call: str, method: str, path: str, body: dict[str, Any] | None, model: str | None
    ) -> tuple[TestResult, Any]:
        started = self._clock.monotonic()
        answer = ask(self._opened, method, path, body, self._timeout, self._environ)
        latency_ms = round((self._clock.monotonic() - started) * 1000)
        if isinstance(answer, Failure):
            failed = TestResult(False, call, latency_ms, None, model, error_code=answer.code, error_text=answer.text)
            return failed, None
        if answer.status != httpx.codes.OK or not isinstance(answer.content, dict):
            code, text = _error_of(answer.content)
            text = self._scrubbed(text or f"http status {answer.status}")
            return TestResult(False, call, latency_ms, answer.status, model, error_code=code, error_text=text), None
        return TestResult(True, call, latency_ms, answer.status, model, _usage(answer.content)), answer.content

    def _scrubbed(self, text: str) -> str:
        secret = self._opened.secret
        return (text.replace(secret.reveal(), "…") if secret else text)[:300]


def _model_names(content: Any) -> tuple[str, ...]:
    listed = content.get("data")
    if not isinstance(listed, list):
        return ()
    return tuple(m["id"] for m in listed if isinstance(m, dict) and isinstance(m.get("id"), str))


def _error_of(content: Any) -> tuple[str, str | None]:
    """(code, text) of an error body, whatever its shape."""
    error = content.get("error", content) if isinstance(content, dict) else None
    if isinstance(error, dict):
        code = error.get("code") or error.get("type")
        text = error.get("message")
        return str(code or "provider_error")[:64], text if isinstance(text, str) else None
    return "provider_error", error if isinstance(error, str) else None


def _usage(content: Mapping[str, Any]) -> Usage:
    """Counts of a chat or messages answer, input including what came from a cache."""
    usage = content.get("usage")
    if not isinstance(usage, dict):
        return NO_USAGE
    if "input_tokens" in usage:
        cached, written = _count(usage, "cache_read_input_tokens"), _count(usage, "cache_creation_input_tokens")
        plain = _count(usage, "input_tokens")
        total = None if plain is None else plain + (cached or 0) + (written or 0)
        return Usage(input=total, cached_input=cached, cache_write=written, output=_count(usage, "output_tokens"))
    return Usage(
        input=_count(usage, "prompt_tokens"),
        cached_input=_count(usage.get("prompt_tokens_details"), "cached_tokens"),
        output=_count(usage, "completion_tokens"),
        reasoning=_count(usage.get("completion_tokens_details"), "reasoning_tokens"),
    )


def _count(counts: Any, name: str) -> int | None:
    value = counts.get(name) if isinstance(counts, dict) else None
    return value if type(value) is int and value >= 0 else None
