"""The official SDKs asking a gateway, and what they see: the answer's text, an error, or one and then the other."""

from __future__ import annotations

import time
from typing import Any, Final

from tests.proxy.harness import Running

QUESTION: Final[Any] = [{"role": "user", "content": "hi"}]
UNREADABLE: Final = (ValueError, TypeError, AttributeError, IndexError)
"""What the SDKs, or those who use what they return, run into where an answer is none."""


class Clients:
    """The official SDKs, without retries of their own."""

    def __init__(self, gateway: Running) -> None:
        import anthropic
        import openai

        terms: Any = {"api_key": gateway.key, "max_retries": 0, "timeout": 20}
        self._openai = openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", **terms)
        self._anthropic = anthropic.AsyncAnthropic(base_url=gateway.url, **terms)
        self._ways = {"chat": self._chat, "messages": self._messages, "responses": self._responses}
        self._errors: Final = (openai.OpenAIError, anthropic.AnthropicError, *UNREADABLE)

    async def ask(self, dialect: str, model: str, stream: bool) -> tuple[str, float]:
        """What the SDK saw, and after how many seconds it was over."""
        began, said = time.monotonic(), list[str]()
        try:
            await self._ways[dialect](model, stream, said)
        except self._errors as error:
            code = getattr(error, "code", None)
            said.append(f"{', then ' if said else ''}{type(error).__name__}{f' {code}' if code else ''}")
        return "".join(said), time.monotonic() - began

    async def aclose(self) -> None:
        await self._openai.close()
        await self._anthropic.close()

    async def _chat(self, model: str, stream: bool, said: list[str]) -> None:
        asked: Any = {"model": model, "messages": QUESTION, "max_tokens": 50}
        if not stream:
            said.append(str((await self._openai.chat.completions.create(**asked)).choices[0].message.content))
            return
        async with await self._openai.chat.completions.create(**asked, stream=True) as chunks:
            async for chunk in chunks:
                content = chunk.choices[0].delta.content if chunk.choices else None
                said.append((content or "").rstrip("."))  # of what has no end the beginning is enough

    async def _messages(self, model: str, stream: bool, said: list[str]) -> None:
        asked: Any = {"model": model, "messages": QUESTION, "max_tokens": 50}
        if not stream:
            said.append(str((await self._anthropic.messages.create(**asked)).content[0].text))
            return
        async with self._anthropic.messages.stream(**asked) as events:
            async for text in events.text_stream:
                said.append(text)  # noqa: PERF401 - what came before an error counts

    async def _responses(self, model: str, stream: bool, said: list[str]) -> None:
        if not stream:
            said.append(
                (await self._openai.responses.create(model=model, input="hi", max_output_tokens=50)).output_text
            )
            return
        async with await self._openai.responses.create(
            model=model, input="hi", max_output_tokens=50, stream=True
        ) as events:
            async for event in events:
                if event.type == "response.output_text.delta":
                    said.append(event.delta)  # noqa: PERF401 - what came before an error counts
