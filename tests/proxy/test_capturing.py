"""Captures as clients and operators see them: what is kept of a request, and of whom nothing is."""

from __future__ import annotations

import asyncio
import json
import threading
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from keyvault.captures.captured import Captured
from keyvault.captures.files import CaptureFile
from keyvault.domain.captures import Capture, Ended, Plan
from keyvault.domain.keys import PolicyChange
from keyvault.domain.scopes import parse_scope
from keyvault.errors import Conflict, NotFound
from keyvault.proxy.capturing.kept import Kept, Room
from keyvault.proxy.capturing.recorder import Recorder, Recording
from keyvault.proxy.capturing.sample import LARGEST_EXCHANGE, Taken
from keyvault.proxy.capturing.tapped import Tapped
from keyvault.proxy.http1 import Exchange, Request
from keyvault.storage import vault as vault_rows
from tests.proxy.harness import UPSTREAM_SECRET, Running, add_upstream, new_home, running
from tests.proxy.scripted import Line, Provider, Seen, completion

CANARY = "a prompt that nobody may read 7f3a"


async def answer(seen: Seen, line: Line) -> None:
    if not seen.json.get("stream"):
        await line.answer(200, completion(CANARY))
        return
    await line.begin_stream()
    for word in ("mail me: joe.d", "oe@exam", "ple.com", " soon"):
        await line.event({"id": "c", "choices": [{"index": 0, "delta": {"content": word}}]})
    await line.event({"id": "c", "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}})
    await line.event("[DONE]")
    await line.end_stream()


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with Provider(answer).running() as listening:
        yield listening


@pytest.fixture
async def gw(tmp_path: Path, provider: Provider) -> AsyncIterator[Running]:
    home = new_home(tmp_path / "home")
    add_upstream(home, "up", provider.url)
    async with running(home) as serving:
        yield serving


def start(gw: Running, scope: str | None = "key:tester", **plan: object) -> Capture:
    bounds = {"most": 100, "max_bytes": 10**9, "keep_seconds": 3600, **plan}
    named = None if scope is None else parse_scope(scope)
    return gw.home.captures.start(named, sample_ppm=10**6, lasts=timedelta(hours=1), plan=Plan(**bounds))  # type: ignore[arg-type]


async def captured(gw: Running, capture: Capture, count: int) -> list[Captured]:
    """What lies on disk, once there is as much."""
    for _ in range(500):
        found = await asyncio.to_thread(lambda: list(gw.home.captures.export(capture.id)))
        if len(found) >= count:
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(f"{len(found)} exchanges, not {count}")


async def test_an_exchange_is_kept_whole_without_anybodys_credential(gw: Running, provider: Provider) -> None:
    capture = start(gw)
    said = await gw.chat(messages=[{"role": "user", "content": CANARY}])
    (found,) = await captured(gw, capture, 1)

    assert found.body is not None
    assert json.loads(found.body)["messages"][0]["content"] == CANARY
    assert found.answer is not None
    assert found.answer.body == said.content
    assert found.answer.whole
    assert (found.id, found.model, found.target) == (said.headers["x-request-id"], "m", "up/m")
    assert (found.outcome, found.usage and found.usage.output, found.cost_pico) == ("served", 3, 13_000_000)
    assert (found.key, found.customer, found.project) == ("tester", "default", "default")
    assert found.total_ms is not None
    assert found.first_content_ms is not None
    assert not found.redacted
    assert not found.cut
    everything = repr(found)
    assert gw.key not in everything
    assert UPSTREAM_SECRET not in everything
    assert "authorization" not in everything


async def test_a_stream_is_kept_as_it_was_sent(gw: Running) -> None:
    capture = start(gw)
    said = await gw.chat(stream=True)
    (found,) = await captured(gw, capture, 1)
    assert found.answer is not None
    assert (found.answer.body, found.answer.streamed, found.answer.whole) == (said.content, True, True)
    assert said.text.endswith("data: [DONE]\n\n")


async def test_personal_data_is_taken_out_before_anything_is_written(gw: Running) -> None:
    capture = start(gw, redact=("email", "phone"), patterns=(r"EMP-[0-9]{4,8}",))
    said = await gw.chat(stream=True, messages=[{"role": "user", "content": "EMP-12345, +49 151 23456789"}])
    assert "oe@exam" in said.text  # the client gets everything
    (found,) = await captured(gw, capture, 1)
    assert found.body is not None
    assert json.loads(found.body)["messages"][0]["content"] == "[redacted], [phone]"
    assert found.answer is not None
    assert b"mail me: [email]" in found.answer.body
    assert b"oe@exam" not in found.answer.body
    assert found.redacted


async def test_nothing_is_captured_unless_somebody_asked_for_it(gw: Running) -> None:
    await gw.chat()
    assert not gw.home.paths.captures.exists()
    gw.new_key("other")
    start(gw, "key:other")
    await gw.chat()
    await gw.rows(2)
    assert not gw.home.paths.captures.exists()


async def test_a_capture_takes_whoever_its_scope_is_about(gw: Running) -> None:
    gw.home.customers.create("acme")
    gw.home.customers.create_project("acme/web")
    web = gw.home.keys.create("web", project="acme/web").secret.reveal()
    of_customer, of_project, of_all = start(gw, "customer:acme"), start(gw, "project:acme/web"), start(gw, None)
    await gw.chat()
    await gw.chat(key=web)
    assert [found.key for found in await captured(gw, of_all, 2)] == ["tester", "web"]
    for capture in (of_customer, of_project):
        assert [found.key for found in await captured(gw, capture, 1)] == ["web"]


async def test_a_share_of_the_requests_is_drawn_by_their_ids(gw: Running) -> None:
    named = parse_scope("key:tester")
    bounds = Plan(most=100, max_bytes=10**9, keep_seconds=60)
    half = gw.home.captures.start(named, sample_ppm=500_000, lasts=timedelta(hours=1), plan=bounds)
    ids = [(await gw.chat()).headers["x-request-id"] for _ in range(40)]
    expected = [each for each in ids if zlib.crc32(each.encode(), half.id) % 10**6 < 500_000]
    assert 0 < len(expected) < 40
    assert [found.id for found in await captured(gw, half, len(expected))] == expected


async def test_of_a_marked_customer_nothing_is_captured_whoever_names_it(gw: Running) -> None:
    """By its own key, or as the payer that a key of somebody else's names; also what is under way at that moment."""
    for name in ("hospital", "acme"):
        gw.home.customers.create(name, never_capture=name == "hospital")
        gw.home.customers.create_project(f"{name}/web")
    own = gw.home.keys.create("own", project="hospital/web").secret.reveal()
    seller = gw.home.keys.create("seller", project="acme/web").secret.reveal()
    gw.home.keys.update("seller", policy=PolicyChange(attribute="customers"))
    capture = start(gw, None)
    await gw.chat(key=own)
    for named in ("hospital", "acme"):
        headers = {"authorization": f"Bearer {seller}", "x-gateway-customer": named}
        await gw.client.post("/v1/chat/completions", json={"model": "m", "messages": []}, headers=headers)
    assert [found.customer for found in await captured(gw, capture, 1)] == ["acme"]

    gw.home.customers.update("acme", never_capture=True)
    await gw.chat(key=seller)
    gw.home.customers.update("acme", never_capture=False)
    await gw.chat(key=seller)
    await gw.chat()
    assert [found.customer for found in await captured(gw, capture, 3)] == ["acme", "acme", "default"]


async def test_a_mark_or_a_stop_counts_for_what_is_under_way(gw: Running, provider: Provider) -> None:
    arrived, go_on = asyncio.Semaphore(0), asyncio.Event()

    async def wait(seen: Seen, line: Line) -> None:
        arrived.release()
        await go_on.wait()
        await line.answer(200, completion())

    provider.script = wait
    gw.home.customers.create("acme")
    gw.home.customers.create_project("acme/web")
    secret = gw.home.keys.create("web", project="acme/web").secret.reveal()
    stopped, going_on = start(gw, "key:tester"), start(gw, None)
    asked = [asyncio.create_task(gw.chat()), asyncio.create_task(gw.chat(key=secret))]
    for _ in asked:
        await arrived.acquire()
    gw.home.customers.update("acme", never_capture=True)
    gw.home.captures.stop(stopped.id)
    await gw.client.get("/gateway/v1/usage", headers=gw.headers())  # whatever comes next has everything renewed
    go_on.set()
    assert [answer.status_code for answer in await asyncio.gather(*asked)] == [200, 200]
    assert [found.key for found in await captured(gw, going_on, 1)] == ["tester"]
    assert not list(gw.home.captures.export(stopped.id))


async def test_no_capture_of_a_marked_customer_can_be_started(gw: Running) -> None:
    gw.home.customers.create("hospital", never_capture=True)
    gw.home.customers.create_project("hospital/web")
    gw.home.keys.create("own", project="hospital/web")
    for scope in ("customer:hospital", "project:hospital/web", "key:own"):
        with pytest.raises(Conflict, match="nothing is ever captured of customer hospital"):
            start(gw, scope)


async def test_what_is_captured_can_be_read_in_no_file(gw: Running) -> None:
    capture = start(gw)
    await gw.chat(messages=[{"role": "user", "content": CANARY}], stream=True)
    await gw.chat(messages=[{"role": "user", "content": CANARY}])
    assert CANARY in str(await captured(gw, capture, 2))
    for path in (path for path in gw.home.paths.config.parent.rglob("*") if path.is_file()):
        assert CANARY.encode() not in path.read_bytes(), path
        assert path.stat().st_mode & 0o077 == 0, path


async def test_a_capture_ends_by_itself_when_it_has_enough(gw: Running) -> None:
    capture = start(gw, most=2)
    for _ in range(4):
        assert (await gw.chat()).status_code == 200
    assert len(await captured(gw, capture, 2)) == 2
    for _ in range(1000):
        if (now := gw.home.captures.show(capture.id)).ended:
            break
        await asyncio.sleep(0.01)
    assert (now.taken, now.dropped, now.reason) == (2, 0, Ended.COUNT)
    assert now.bytes > 0


async def test_stopping_counts_for_the_next_request(gw: Running) -> None:
    capture = start(gw)
    await gw.chat()
    await captured(gw, capture, 1)
    gw.home.captures.stop(capture.id)
    await gw.chat()
    await gw.rows(2)
    assert len(await captured(gw, capture, 1)) == 1


async def test_deleting_destroys_the_key_and_the_files(gw: Running) -> None:
    capture = start(gw)
    await gw.chat()
    await captured(gw, capture, 1)
    place = gw.home.captures.place(capture)
    gw.home.captures.delete(capture.id)
    assert not place.exists()
    with gw.home.database.read() as tx:
        assert capture.record_id not in {row[0] for row in vault_rows.every_record(tx)}
    with pytest.raises(NotFound, match="no such capture"):
        gw.home.captures.export(capture.id)
    assert (await gw.chat()).status_code == 200


async def test_a_disk_that_takes_nothing_harms_no_request_and_is_told(gw: Running) -> None:
    gw.home.paths.captures.write_text("in the way")
    capture = start(gw)
    for _ in range(3):
        assert (await gw.chat()).status_code == 200
    for _ in range(1000):
        now, raised = gw.home.captures.show(capture.id), gw.home.alerts.list()
        if now.dropped == 3 and raised:
            break
        await asyncio.sleep(0.01)
    assert (now.taken, now.dropped) == (0, 3)
    (alert,) = raised
    assert (alert.kind, alert.scope) == ("capture_failing", capture.name)


async def test_a_request_that_a_provider_refused_is_kept_with_its_error(gw: Running, provider: Provider) -> None:
    async def refuse(seen: Seen, line: Line) -> None:
        await line.answer(400, {"error": {"message": f"no, {UPSTREAM_SECRET}", "code": "bad_thing"}})

    provider.script = refuse
    capture = start(gw)
    assert (await gw.chat()).status_code == 400
    (found,) = await captured(gw, capture, 1)
    assert found.answer is not None
    assert (found.outcome, found.answer.status, found.error_code) == ("failed", 400, "bad_thing")
    assert UPSTREAM_SECRET not in repr(found)


async def test_a_credential_that_a_provider_echoes_is_not_kept(gw: Running, provider: Provider) -> None:
    async def echo(seen: Seen, line: Line) -> None:
        await line.answer(200, completion(f"you sent {UPSTREAM_SECRET}"))

    provider.script = echo
    capture = start(gw)
    await gw.chat()
    (found,) = await captured(gw, capture, 1)
    assert found.answer is not None
    assert b"you sent ***" in found.answer.body


async def test_a_refusal_of_the_gateways_own_is_kept_too(gw: Running, provider: Provider) -> None:
    async def cut(seen: Seen, line: Line) -> None:
        line.cut()

    provider.script = cut
    capture = start(gw)
    assert (await gw.chat()).status_code == 502
    (found,) = await captured(gw, capture, 1)
    assert found.answer is not None
    assert (found.outcome, found.answer.status, found.target) == ("failed", 502, "up/m")


async def test_a_client_that_leaves_leaves_half_an_answer(gw: Running, provider: Provider) -> None:
    async def hang(seen: Seen, line: Line) -> None:
        await line.begin_stream()
        await line.event({"id": "c", "choices": [{"index": 0, "delta": {"content": "half"}}]})
        await line.left()

    provider.script = hang
    capture = start(gw)
    body = {"model": "m", "stream": True, "messages": []}
    async with gw.client.stream("POST", "/v1/chat/completions", json=body, headers=gw.headers()) as response:
        async for _ in response.aiter_bytes():
            break
    (found,) = await captured(gw, capture, 1)
    assert found.answer is not None
    assert (found.outcome, found.answer.whole) == ("aborted", False)
    assert b"half" in found.answer.body


async def test_more_than_is_kept_of_one_exchange_is_left_out_and_said(gw: Running) -> None:
    capture = start(gw)
    large = "x" * (LARGEST_EXCHANGE + 1)
    assert (await gw.chat(messages=[{"role": "user", "content": large}])).status_code == 200
    (found,) = await captured(gw, capture, 1)
    assert (found.body, found.cut, found.replayable) == (None, True, False)
    assert found.answer is not None
    assert not found.answer.whole


async def test_a_row_or_a_mark_that_somebody_changed_captures_nothing(gw: Running) -> None:
    capture = start(gw)
    await gw.chat()
    await captured(gw, capture, 1)
    size = sum(len(each.read_bytes()) for each in gw.home.captures.place(capture).iterdir())
    gw.home.customers.create("hospital", never_capture=True)
    changes = ("UPDATE captures SET sample_ppm = 999999", "UPDATE captures SET sample_ppm = 1000000, until_ms = 0")
    for statement in ("UPDATE uncaptured SET customer_id = 99", *changes, "DELETE FROM uncaptured"):
        with gw.home.database.engine.connect().execution_options(gw_write=True) as connection, connection.begin():
            connection.exec_driver_sql(statement)
            connection.exec_driver_sql("UPDATE epochs SET routes = routes + 1")
        assert (await gw.chat()).status_code == 200
    await gw.rows(5)
    await asyncio.to_thread(gw.home.captures.keep)
    place = gw.home.captures.place(capture)
    assert [len(each.read_bytes()) for each in place.iterdir()] == [size]


# The recorder: what waits is bounded


class Stuck(CaptureFile):
    """A disk that takes its time, until it is told to go on."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.written = 0

    def append(self, content: bytes) -> int:
        assert self.go_on.wait(10)
        self.written += 1
        return len(content)

    def close(self) -> None:
        pass


def waiting(recording: Recording, body: bytes = b"{}") -> Taken:
    return Taken(
        (recording,), Request(method="POST"), "01", "/v1/x", "", 0, body, Kept(100, Room()), "m", None, None, None, 1,
        "k", "c", "p", None, (),
    )  # fmt: skip


@pytest.mark.parametrize(("most", "most_bytes"), [(3, 10**6), (1000, 3 * 2)])
def test_what_finds_no_room_in_memory_is_dropped_and_counted_and_nobody_waits(most: int, most_bytes: int) -> None:
    plan, now = Plan(most=100, max_bytes=10**9, keep_seconds=1), datetime(2026, 10, 1, tzinfo=UTC)
    capture = Capture(
        7, None, 1, plan, "r", now, now, ended=False, ended_at=None, reason=None, taken=0, dropped=0, bytes=0
    )
    disk = Stuck()
    recorder, recording = Recorder(most_waiting=most, most_bytes=most_bytes), Recording(capture, disk)
    for _ in range(10):
        recorder.put(waiting(recording))
    assert (disk.written, recording.failure) == (0, "there was no room for it in memory")
    disk.go_on.set()
    recorder.stop()
    news = recorder.news(recording)
    assert news.taken == disk.written
    assert news.taken + news.dropped == 10
    assert 3 <= news.taken <= 4  # one may be out of the queue already
    assert not recorder.news(recording)
    recorder.put_back(recording, news)
    assert recorder.news(recording).dropped == news.dropped


def test_answers_under_way_share_one_room_and_give_it_back() -> None:
    room = Room(10)
    first, second, third = (Kept(100, room) for _ in range(3))
    first.data(b"12345678")
    second.data(b"123")
    assert (first.cut, second.cut, second.size) == (False, True, 0)
    first.over()
    third.data(b"1234567890")
    assert (third.cut, room.left) == (False, 0)


def test_everything_that_can_be_done_to_an_answer_is_seen_by_whoever_keeps_it() -> None:
    public = {name for name in vars(Exchange) if not name.startswith("_")}
    assert public - vars(Tapped).keys() == {"request"}
