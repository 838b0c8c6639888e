"""Tests of `tokentail.web.taking`: what is answered when a hub cannot take what it is sent."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from builders import record
from hub import body_of
from test_intake import Held, batch, nobody
from tokentail.errors import StoreBlockedError
from tokentail.fleet.hub_tokens import AGENT, HubToken
from tokentail.fleet.intake import Intake
from tokentail.fleet.wire import LOGS
from tokentail.web.taking import JSON, PROTOBUF, Refused, Taking, decoded

TOKEN = HubToken("laptop", AGENT, "", "", 0)
HEADERS = {"content-type": JSON}


@asynccontextmanager
async def asking(central: Held, *, most_waiting: int = 1_000, **limits: float) -> AsyncIterator[tuple[httpx.AsyncClient, Taking]]:
    """Whoever asks has a token already."""
    taking = Taking(central, Intake(central, committed=nobody, most_waiting=most_waiting), **limits)  # type: ignore[arg-type]  # numbers
    taking.start()
    app = Starlette(routes=[Route(LOGS, _known(taking.endpoint(LOGS)), methods=["POST"])])
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://hub.example") as client:
        try:
            yield client, taking
        finally:
            central.go.release(100)
            await asyncio.to_thread(taking.stop)


def _known(answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def known(request: Request) -> Response:
        request.state.token = TOKEN
        return await answer(request)

    return known


async def slowly(begun: asyncio.Event) -> AsyncIterator[bytes]:
    yield b"{"
    begun.set()
    await asyncio.sleep(30)


async def test_an_intake_that_is_full_is_a_503() -> None:
    """With the moment to try again; what waits stays."""
    central = Held()
    async with asking(central, most_waiting=2) as (client, taking):
        waiting = taking.intake.put(batch("a", "b"))
        answer = await client.post(LOGS, content=body_of(record()), headers=HEADERS)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        central.go.release()
        assert await asyncio.wrap_future(waiting) == 2
        assert taking.requests == {503: 1}


async def test_a_store_that_cannot_be_written_is_a_503() -> None:
    """Nothing was acknowledged, so it comes again; why, is the hub's own business."""
    central = Held()
    central.error = StoreBlockedError("no room on the disk")
    central.go.release()
    async with asking(central) as (client, _):
        answer = await client.post(LOGS, content=body_of(record()), headers=HEADERS)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "no room" not in answer.text


async def test_a_bug_is_a_500_and_the_next_batch_is_kept() -> None:
    central = Held()
    central.go.release(2)
    async with asking(central) as (client, _):
        assert (await client.post(LOGS, content=body_of(record("bad")), headers=HEADERS)).status_code == 500
        assert (await client.post(LOGS, content=body_of(record("good")), headers=HEADERS)).status_code == 200


async def test_a_slow_body_has_a_time() -> None:
    """Its room is free again then."""
    central = Held()
    central.go.release()
    async with asking(central, body_within_s=0.05, most_held_bytes=1) as (client, _):
        answer = await client.post(LOGS, content=slowly(asyncio.Event()), headers={**HEADERS, "content-length": "100"})
        assert answer.status_code == 408
        assert (await client.post(LOGS, content=body_of(record()), headers=HEADERS)).status_code == 200


@pytest.mark.parametrize("is_large", [False, True])
async def test_bodies_on_their_way_have_room_for_so_many_bytes(is_large: bool) -> None:
    """Who finds none is told to come again; one at a time is always taken."""
    central = Held()
    central.go.release(2)
    body = body_of(record())
    async with asking(central, body_within_s=1.0, most_held_bytes=200 + len(body) - is_large) as (client, _):
        begun = asyncio.Event()
        slow = asyncio.create_task(client.post(LOGS, content=slowly(begun), headers={**HEADERS, "content-length": "200"}))
        await begun.wait()
        answer = await client.post(LOGS, content=body, headers=HEADERS)
        assert answer.status_code == (503 if is_large else 200)
        assert (await slow).status_code == 408


def test_without_its_library_protobuf_is_a_415(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which says what to install; JSON goes on."""
    monkeypatch.setitem(sys.modules, "opentelemetry.proto.collector.logs.v1.logs_service_pb2", None)  # as if it were not there
    with pytest.raises(Refused, match=r"tokentail\[otlp\]") as refused:
        decoded(b"", PROTOBUF)
    assert refused.value.status == 415
    assert len(decoded(body_of(record()), JSON).records) == 1
