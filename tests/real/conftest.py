"""A simulated provider and a gateway in its own process in front of it, once for all tests with real clients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import anthropic
import openai
import pytest

from opsconsole.staging.simulation.profile import Profile
from opsconsole.staging.simulator import Simulator, running
from tests.gateway import Gateway, serving

PROFILE: Final = Profile(models=("sim",))


@dataclass(frozen=True, slots=True)
class Sides:
    """The same SDK twice: asking the provider directly, and asking it through the gateway."""

    direct: Any
    gateway: Any

    def both(self, ask: Callable[[Any], Any]) -> tuple[Any, Any]:
        """What the call brings on either side: its result, or the error it raises."""
        return outcome(ask, self.direct), outcome(ask, self.gateway)


def outcome(ask: Callable[[Any], Any], client: Any) -> Any:
    """The result, or what an SDK's user can see of the error."""
    try:
        return ask(client)
    except (openai.APIStatusError, anthropic.APIStatusError) as error:
        body = error.body
        if isinstance(body, dict):
            body = {name: value for name, value in body.items() if name != "request_id"}
        return type(error), error.status_code, body
    except (openai.APIError, anthropic.APIError) as error:
        return type(error), error.message


@pytest.fixture(scope="session")
def simulator() -> Iterator[Simulator]:
    with running(PROFILE) as [simulator]:
        yield simulator


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory, simulator: Simulator) -> Iterator[Gateway]:
    """Serves every model of the simulator under its own name: one upstream, no routes."""
    gateway = Gateway(tmp_path_factory.mktemp("gateway"))
    gateway.create_upstream("sim", "custom", simulator.base_url, PROFILE.credential)
    with serving(gateway):
        yield gateway


@pytest.fixture(scope="session")
def secret(gateway: Gateway) -> str:
    return gateway.create_key("sdk")


@pytest.fixture(scope="session")
def openai_sides(simulator: Simulator, gateway: Gateway, secret: str) -> Iterator[Sides]:
    with (
        openai.OpenAI(base_url=simulator.base_url, api_key=PROFILE.credential, max_retries=0, timeout=20) as direct,
        openai.OpenAI(base_url=gateway.base_url, api_key=secret, max_retries=0, timeout=20) as through,
    ):
        yield Sides(direct, through)


@pytest.fixture(scope="session")
def anthropic_sides(simulator: Simulator, gateway: Gateway, secret: str) -> Iterator[Sides]:
    with (
        anthropic.Anthropic(base_url=simulator.origin, api_key=PROFILE.credential, max_retries=0, timeout=20) as direct,
        anthropic.Anthropic(base_url=gateway.origin, api_key=secret, max_retries=0, timeout=20) as through,
    ):
        yield Sides(direct, through)


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The origin of a real llama.cpp server."""
    pytest.importorskip("xllamacpp", reason="xllamacpp is not installed here")
    from tests.real.tiny_llama import running_llama

    with running_llama(tmp_path_factory.mktemp("llama")) as origin:
        yield origin
