"""Asking an OpenAI-compatible or Anthropic API as an application would, and keeping everything that came back.

Nothing is retried, no redirect followed and no proxy of the environment used: what is told is what one request met.
"""

from opsconsole.staging.asking.answer import Answer, Event
from opsconsole.staging.asking.asker import Asker
from opsconsole.staging.asking.place import Place
from opsconsole.staging.asking.said import Said, said, said_in

__all__ = ["Answer", "Asker", "Event", "Place", "Said", "said", "said_in"]
