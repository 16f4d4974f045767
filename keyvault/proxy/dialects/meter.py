"""The door to the meters: one for a dialect's streams, one function for an answer that is no stream."""

from __future__ import annotations

from keyvault.domain.endpoints import Dialect
from keyvault.proxy.dialects.answers import read_answer
from keyvault.proxy.dialects.chat import ChatMeter
from keyvault.proxy.dialects.messages import MessagesMeter
from keyvault.proxy.dialects.metered import PASS, Metered, StreamMeter, Verdict
from keyvault.proxy.dialects.responses import ResponsesMeter
from keyvault.proxy.dialects.typed import TypedMeter

__all__ = ["PASS", "Metered", "StreamMeter", "Verdict", "read_answer", "stream_meter"]


def stream_meter(dialect: Dialect, *, drop_usage: bool = False) -> StreamMeter:
    """A meter for one stream. `drop_usage`: the usage event is there because the gateway asked for it."""
    match dialect:
        case Dialect.CHAT | Dialect.COMPLETIONS:
            return ChatMeter(dialect, drop_usage=drop_usage)
        case Dialect.RESPONSES:
            return ResponsesMeter()
        case Dialect.MESSAGES:
            return MessagesMeter()
        case _:
            return TypedMeter(dialect)
