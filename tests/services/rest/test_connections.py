"""Connections that ask for nothing, or never to the end: each gives its place back, and those that wait keep theirs."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import closing
from typing import Any

import pytest

from services.jobs.job import Job
from services.rest import app as rest
from services.rest import connections
from services.rest.app import make_rest_app
from services.server import _rest_server
from services.settings import Listening
from services.tokens import Tokens
from tests.faults.table import FAULT
from tests.support.node_process import free_port

HEAD_S = 1.5
GET = b"GET /v1/jobs/1 HTTP/1.1\r\nHost: service\r\n\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: service\r\n\r\n"
POST = b"POST /v1/jobs HTTP/1.1\r\nHost: service\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n"


class Slow:
    """Handlers that answer when a connection without a request would have ended long ago."""

    async def get(self, job: str) -> Job:
        """Return a job and its progress."""
        await asyncio.sleep(2 * HEAD_S)
        return Job(id=job, state="running", progress=0.5)


class Held(Slow):
    """Handlers that answer when the test says so."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = asyncio.Event()

    async def get(self, job: str) -> Job:
        """Return a job and its progress."""
        self.asked += 1
        await self.may_answer.wait()
        return Job(id=job, state="running", progress=0.5)


def on_a_connection(
    test: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]], slow: Slow | None = None
) -> None:
    """Run a test's coroutine on a connection to REST, for a minute at most."""
    job_service: Any = slow or Slow()
    readiness: Any = None
    aliases: Any = None
    port = free_port()
    server = _rest_server(make_rest_app(job_service, readiness, aliases, Tokens(None), 5), Listening(port=port))

    async def connected() -> None:
        serving = asyncio.create_task(server.serve())
        try:
            while not server.started:
                await asyncio.sleep(0.01)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with closing(writer):
                await test(reader, writer)
        finally:
            server.should_exit = True
            await serving

    async def within_a_minute() -> None:
        async with asyncio.timeout(60):
            await connected()

    asyncio.run(within_a_minute())


@pytest.mark.parametrize("begun", [b"", GET[:20]], ids=["nothing", "half a request"])
def test_a_connection_without_a_request_is_closed(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.1)

    async def test(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(begun)
        assert await reader.read() == b""

    on_a_connection(test)


def test_waiting_caller_is_answered_and_partial_request_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_S", HEAD_S)

    async def test(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GET + GET)
        for _ in range(2):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            await reader.readuntil(b'"problem":null}')
        writer.write(GET[:20])
        assert await reader.read() == b""

    on_a_connection(test)


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "BODY_S", 0.1)

    async def test(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(POST + b"{")
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"application/problem+json" in answer

    on_a_connection(test)


def test_one_address_takes_no_place_of_another(
    monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    record_property(FAULT, "one client opens all of REST's connections")
    monkeypatch.setattr("services.server.CALLS_PER_ADDRESS", 3)

    async def test(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = writer.get_extra_info("peername")[1]
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        # The oldest of that address have made room, so even its own probe is answered.
        for waiting, _ in idle[:17]:
            assert await waiting.read() == b""
        other, asking = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0))
        with closing(asking):
            asking.write(HEALTH)
            assert (await other.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        own, asking = await asyncio.open_connection("127.0.0.1", port)
        with closing(asking):
            asking.write(HEALTH)
            assert (await own.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        for _, one in idle:
            one.close()

    on_a_connection(test)


def test_calls_that_wait_keep_their_places_and_further_ones_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.server.CALLS_PER_ADDRESS", 2)

    held = Held()

    async def test(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = writer.get_extra_info("peername")[1]
        second, asking = await asyncio.open_connection("127.0.0.1", port)
        for one in (writer, asking):
            one.write(GET)
        while held.asked < 2:
            await asyncio.sleep(0.01)
        third, refused = await asyncio.open_connection("127.0.0.1", port)
        with closing(asking), closing(refused):
            assert (await third.read()).startswith(b"HTTP/1.1 429")
            held.may_answer.set()
            for waiting in (reader, second):
                assert (await waiting.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")

    on_a_connection(test, held)
