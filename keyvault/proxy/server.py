"""One worker: opens the home, listens, serves until told to stop, and leaves nothing half done.

Start: one serving process a home; attempts that a dead process left open are closed before the first request is
taken. Stop (SIGTERM, SIGINT): no new connections, requests in flight are finished within the drain time, the rest are
cut and booked, the ledger is written out.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from importlib.metadata import version
from typing import Any, Final

import structlog

from keyvault.errors import ConfigurationError, GatewayError, Unavailable
from keyvault.home import Home
from keyvault.metering.ledger import Ledger
from keyvault.proxy.admin import Admin
from keyvault.proxy.affinity import Affinity, Forgetting
from keyvault.proxy.alerting import Alerting, Eyes
from keyvault.proxy.catching_up import CatchingUp
from keyvault.proxy.exclusive import only_server
from keyvault.proxy.exposition import Exposition
from keyvault.proxy.forwarded import client_address
from keyvault.proxy.gateway import Gateway
from keyvault.proxy.http1 import BodyBudget, Handler, Limits, ServerConnection
from keyvault.proxy.isolation.isolation import Isolation
from keyvault.proxy.logs import configure
from keyvault.proxy.metrics import Metrics
from keyvault.proxy.own_usage import OwnUsage
from keyvault.proxy.prepaid import Prepaid
from keyvault.proxy.purse import Purse
from keyvault.proxy.supervision import Job, Supervisor, within
from keyvault.proxy.tables import Tables
from keyvault.proxy.telling import Telling
from keyvault.proxy.timekeeper import remember, remembering
from keyvault.proxy.upkeep import Upkeep
from keyvault.proxy.upstream import Pool
from keyvault.proxy.vouching import Vouching, refusals_told
from keyvault.proxy.watch import Watch
from keyvault.settings import Settings
from keyvault.vault.hygiene import harden_process
from keyvault.webhook import Webhook

log = structlog.get_logger()

SWEEP_SECONDS: Final = 0.25
GC_THRESHOLDS: Final = (10_000, 20, 20)
"""A request leaves no cycles behind, so the collector may look more rarely: saves 2 to 3 % of the time. Commands start
with even higher ones, meant for a short life."""
CUT_SECONDS: Final = 2.0
"""For the tasks of cut connections to book what they had."""


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
    with refusals_told(home):
        tables = Tables(home, accept_clock=accept_clock)
    worker = home.workers.register(listen, admin, version("opsconsole"))
    ledger = Ledger(home.database, home.clock, worker, spending=home.spending)
    if lost := ledger.recover():
        log.warning("attempts of a dead process closed as lost", attempts=lost)
        tables.count_again()  # what they may have cost is spent
    purse = Purse(home.database, home.clock, worker, tables, home.spending)
    await asyncio.to_thread(purse)
    ledger.start(asyncio.get_running_loop())
    pool = Pool(connect_timeout=settings.connect_timeout, environ=home.environ)
    metrics = Metrics()
    isolation = Isolation(home.database, home.clock, tables, ledger, pool, worker)
    affinity = Affinity(home.database, tables, ledger)
    own_usage = OwnUsage(home.database, home.clock, tables)
    gateway = Gateway(tables, ledger, pool, settings, home.clock, metrics, isolation, affinity, own_usage)
    prepaid = Prepaid(home, tables.examiner, tables.distrust)
    draining, supervisor = asyncio.Event(), Supervisor(home.alerts)

    def not_ready() -> str | None:
        if draining.is_set() or supervisor.down:
            return "draining" if draining.is_set() else "a part of the worker is being started again"
        return None if ledger.healthy else "the ledger cannot be written"

    clients = Listener(gateway, settings, tls)
    exposition = Exposition(metrics, ledger, tables, home.clock, gateway.open_streams)
    operators = Listener(Admin(exposition, not_ready), settings, None)
    try:
        url = await clients.open(*parse_address(listen, "serve.listen"))
        admin_url = await operators.open(*loopback(admin))
        await asyncio.to_thread(home.workers.bound, worker, _address(url), _address(admin_url))
        sweep = partial(_sweep, clients, operators, pool, gateway)
        watch = Watch(
            home.workers,
            worker,
            tables,
            gateway,
            metrics,
            supervisor,
            chores={
                "uses": tables.directory.flush,
                "time": remembering(home, tables.time),
                "affinity": Forgetting(home.database, home.clock),
                "vouching": Vouching(home, tables.guard, tables.distrust),
                "balances": prepaid,
                "purse": purse,
            },
            commands={"cut": gateway.underway.cut},
        )
        jobs: dict[str, Job] = {
            "timeouts": sweep,
            "watch": watch.follow,
            "housekeeping": watch.keep_house,
            "settling": isolation.settling.follow,
            "upkeep": Upkeep(home, tables, supervisor).follow,
            "alerting": Alerting(home.alerts, home.clock, Eyes(home.clock, tables, metrics, ledger), supervisor).follow,
            "counting": CatchingUp(home.database, home.clock, tables, supervisor).follow,
            "webhook": Telling(home.alerts, home.clock, webhook).follow,
        }
        async with _beside(supervisor, jobs):
            try:
                yield url, admin_url
            finally:
                draining.set()
                await clients.drain(settings.drain_timeout)
    finally:
        await operators.drain(0)
        pool.close()
        await asyncio.to_thread(_close_books, home, worker, tables, ledger, prepaid)


def _address(url: str) -> str:
    return url.partition("://")[2]


class Listener:
    """One listening address and the connections it has accepted."""

    def __init__(self, handler: Handler, settings: Settings, tls: ssl.SSLContext | None) -> None:
        self._handler = handler
        self._limits = Limits.of(settings)
        self._bodies = BodyBudget(settings.max_bodies)
        self._tls = tls
        self._server: asyncio.Server | None = None
        self.connections: set[ServerConnection] = set()

    async def open(self, host: str, port: int) -> str:
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._connection, host, port, ssl=self._tls, backlog=1024)
        except OSError as error:
            raise Unavailable(
                f"cannot listen on {host}:{port}: {error.strerror or error}", hint="choose another with --listen"
            ) from None
        bound = self._server.sockets[0].getsockname()
        shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        return f"{'https' if self._tls else 'http'}://{shown}:{bound[1]}"

    def check(self, now: float) -> None:
        for connection in tuple(self.connections):
            connection.check(now)

    async def drain(self, seconds: float) -> None:
        """Accept no more, let requests in flight finish for so long, then cut what is left and wait for its end."""
        if self._server is not None:
            self._server.close()
        for connection in tuple(self.connections):
            connection.drain()
        await self._until_empty(seconds)
        for connection in tuple(self.connections):
            connection.cut()
        await self._until_empty(CUT_SECONDS)

    async def _until_empty(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while self.connections and loop.time() < deadline:  # noqa: ASYNC110 - a set has no event, and this is rare
            await asyncio.sleep(0.01)

    def _connection(self) -> ServerConnection:
        return ServerConnection(self._handler, self._limits, self._bodies, self.connections)


async def _sweep(clients: Listener, operators: Listener, pool: Pool, gateway: Gateway, stopping: asyncio.Event) -> None:
    """All timeouts, a few times a second, instead of a timer for each."""
    loop = asyncio.get_running_loop()
    while not await within(SWEEP_SECONDS, stopping):
        now = loop.time()
        clients.check(now)
        operators.check(now)
        pool.check(now)
        for relay in tuple(gateway.relays):
            relay.check(now)


def _close_books(home: Home, worker: str, tables: Tables, ledger: Ledger, prepaid: Prepaid) -> None:
    ledger.stop()
    try:
        prepaid.look()
        tables.directory.flush()
        remember(home, tables.time)
        home.workers.leave(worker)
    except GatewayError as error:
        log.error("could not sign off", reason=error.message)
    tables.close()


@contextlib.asynccontextmanager
async def _beside(supervisor: Supervisor, jobs: Mapping[str, Job]) -> AsyncIterator[None]:
    """Run jobs beside the block; at its end tell them to stop and wait for them."""
    stopping = asyncio.Event()
    tasks = [asyncio.create_task(supervisor.keep_up(name, job, stopping)) for name, job in jobs.items()]
    try:
        yield
    finally:
        stopping.set()
        await asyncio.gather(*tasks, return_exceptions=True)


def parse_address(text: str, what: str) -> tuple[str, int]:
    """`127.0.0.1:8900`, `[::1]:8900` → host and port; else `ConfigurationError`."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ConfigurationError(f"{what}: not an address: {text[:60]!a}", hint="write it as HOST:PORT")
    return host, int(port)


def loopback(text: str) -> tuple[str, int]:
    """An address of this machine only: the admin listener has no authentication."""
    host, port = parse_address(text, "serve.admin")
    if host not in ("127.0.0.1", "::1", "localhost"):
        raise ConfigurationError(
            f"serve.admin: {host} is not a loopback address",
            hint="the admin listener has no authentication: 127.0.0.1:8901",
        )
    return host, port


def client_tls(settings: Settings) -> ssl.SSLContext | None:
    """TLS for clients from `serve.tls_cert` and `serve.tls_key`, None when neither is set."""
    if not settings.tls_cert and not settings.tls_key:
        return None
    if not (settings.tls_cert and settings.tls_key):
        raise ConfigurationError("serve.tls_cert and serve.tls_key go together")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or "not a PEM pair"
        raise ConfigurationError(f"{settings.tls_cert}: cannot be used for TLS: {reason}") from None
    return context


def notify(message: str, environ: Any = os.environ) -> None:
    """Tell systemd, where it started us (sd_notify protocol: one datagram to `$NOTIFY_SOCKET`)."""
    address = environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.sendto(message.encode(), "\0" + address[1:] if address.startswith("@") else address)


def _raise_file_limit() -> None:
    """Ten thousand connections need as many descriptors: take what the hard limit allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
