"""One worker: opens the home, listens, serves until told to stop, and leaves nothing half done.

Start: one serving process a home; attempts that a dead process left open are closed before the first request is
taken. Stop (SIGTERM, SIGINT): no new connections, requests in flight are finished within the drain time, the rest are
cut and booked, the ledger is written out.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import os
import resource
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any, Final

import structlog

from keyvault.home import Home
from keyvault.proxy.admin import Admin
from keyvault.proxy.exclusive import only_server
from keyvault.proxy.forwarded import client_address
from keyvault.proxy.listening import Listener, client_tls, loopback, parse_address
from keyvault.proxy.logs import configure
from keyvault.proxy.supervision import Job, Stopping, Supervisor
from keyvault.proxy.worker import Worker
from keyvault.vault.hygiene import harden_process
from keyvault.webhook import Webhook

log = structlog.get_logger()

SWEEP_SECONDS: Final = 0.25
APART_SECONDS: Final = 0.07
JOBS_BEGUN_SECONDS: Final = 1.6
"""Until each job beside the server has done its first round."""
GC_THRESHOLDS: Final = (10_000, 20, 20)
"""A request leaves no cycles behind, so the collector may look more rarely: saves 2 to 3 % of the time. Commands start
with even higher ones, meant for a short life."""


def run(home: Home, *, listen: str, admin: str, ready: Callable[[str], None], accept_clock: bool = False) -> None:
    """Serve until SIGTERM or SIGINT. `ready` gets one line once connections are accepted."""
    import uvloop

    configure(home.settings)
    harden_process()
    _raise_file_limit()
    with only_server(home):
        uvloop.run(_main(home, listen, admin, ready, accept_clock))


async def _main(home: Home, listen: str, admin: str, ready: Callable[[str], None], accept_clock: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serving(home, listen, admin, accept_clock=accept_clock) as (url, admin_url):
        gc.collect()
        gc.freeze()  # what lives as long as the process need not be looked at again and again
        gc.set_threshold(*GC_THRESHOLDS)
        _give_back_memory()
        loop.call_later(JOBS_BEGUN_SECONDS, _give_back_memory)
        ready(f"listening on {url} (admin {admin_url})")
        notify("READY=1")
        await stop.wait()
        notify("STOPPING=1")


@contextlib.asynccontextmanager
async def serving(home: Home, listen: str, admin: str, *, accept_clock: bool = False) -> AsyncIterator[tuple[str, str]]:
    """Serve while the block runs; yields the URLs of the gateway and of its admin listener."""
    settings = home.settings
    tls = client_tls(settings)
    client_address(settings.trusted_proxies)  # a bad list is an error before anything is started
    webhook = Webhook.of(settings, home.environ)
    worker = Worker(home, listen, admin, accept_clock=accept_clock)
    await worker.start()
    clients = Listener(worker.gateway, settings, tls)
    operators = Listener(Admin(worker.exposition, worker.not_ready), settings, None)
    try:
        url = await clients.open(*parse_address(listen, "serve.listen"))
        admin_url = await operators.open(*loopback(admin))
        await asyncio.to_thread(home.workers.bound, worker.id, _address(url), _address(admin_url))
        jobs: dict[str, Job] = {**worker.jobs(webhook), "timeouts": partial(_sweep, clients, operators, worker)}
        async with _beside(worker.supervisor, jobs):
            try:
                yield url, admin_url
            finally:
                worker.draining.set()
                await clients.drain(settings.drain_timeout)
    finally:
        await operators.drain(0)
        worker.pool.close()
        await asyncio.to_thread(worker.close_books)


def _address(url: str) -> str:
    return url.partition("://")[2]


async def _sweep(clients: Listener, operators: Listener, worker: Worker, stopping: Stopping) -> None:
    """All timeouts, a few times a second, instead of a timer for each."""
    loop = asyncio.get_running_loop()
    while not await stopping.within(SWEEP_SECONDS):
        now = loop.time()
        clients.check(now)
        operators.check(now)
        worker.pool.check(now)
        for relay in tuple(worker.gateway.relays):
            relay.check(now)


@contextlib.asynccontextmanager
async def _beside(supervisor: Supervisor, jobs: Mapping[str, Job]) -> AsyncIterator[None]:
    """Run jobs beside the block; at its end tell them to stop and wait for them. They begin one after the other: those
    that come to something each second then do so apart, with one thread and one connection where they took four."""
    stopping = Stopping()
    tasks = [
        asyncio.create_task(supervisor.keep_up(name, job, stopping, after=number * APART_SECONDS))
        for number, (name, job) in enumerate(jobs.items())
    ]
    try:
        yield
    finally:
        stopping.set()
        await asyncio.gather(*tasks, return_exceptions=True)


def notify(message: str, environ: Any = os.environ) -> None:
    """Tell systemd, where it started us (sd_notify protocol: one datagram to `$NOTIFY_SOCKET`)."""
    address = environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.sendto(message.encode(), "\0" + address[1:] if address.startswith("@") else address)


def _give_back_memory() -> None:
    """What only the start, or the first round of the jobs, needed goes back to the system; glibc would keep it, other
    libraries have no such call."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _raise_file_limit() -> None:
    """Ten thousand connections need as many descriptors: take what the hard limit allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
