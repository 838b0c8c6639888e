"""The only place that takes in over HTTP what other machines send: OTLP logs, and sums of sessions to be compared."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from tokentail.errors import TokentailError
from tokentail.fleet import wire
from tokentail.fleet.central import Central
from tokentail.fleet.hub_tokens import HubToken
from tokentail.fleet.intake import Full, Intake
from tokentail.fleet.sessions import SessionCounts
from tokentail.fleet.wire import LOGS, NEWS, RECONCILE, Batch, Malformed
from tokentail.web.problems import problem

MOST_SENT_BYTES = 8_000_000  # of a body, as it comes
MOST_INFLATED_BYTES = 32_000_000
MOST_HELD_BYTES = 64_000_000  # of all bodies that are on their way
MOST_AT_ONCE = 2_000  # requests
BODY_WITHIN_S = 20.0
MOST_SESSIONS = 20_000  # in a comparison
_DECODERS = 2  # at once; what a body is decoded into is several times as large
_GZIP = 31  # zlib's word for gzip and nothing else
_SOON_S, _LATER_S = 1, 5
JSON, PROTOBUF = "application/json", "application/x-protobuf"
Made = TypeVar("Made")


class Refused(Exception):  # noqa: N818  # it is told to a program as a problem, not raised to a person
    """Why nothing is taken."""

    def __init__(self, status: int, detail: str, *, after_s: int = 0) -> None:
        super().__init__(detail)
        self.status, self.detail, self.after_s = status, detail, after_s


class Taking:
    """
    The endpoints that agents write to.

    Attributes:
        requests: how many were answered, by status.
        foreign: log records that were of other services.
    """

    def __init__(
        self, central: Central, intake: Intake, *, most_held_bytes: int = MOST_HELD_BYTES, body_within_s: float = BODY_WITHIN_S
    ) -> None:
        self._central, self.intake = central, intake
        self._most_held_bytes, self._body_within_s = most_held_bytes, body_within_s
        self._decoders = ThreadPoolExecutor(_DECODERS, "decoder")
        self._held_bytes = self._held = 0
        self.requests: dict[int, int] = {}
        self.foreign = 0

    def endpoint(self, path: str) -> Callable[[Request], Awaitable[Response]]:
        """What answers at one of the two addresses."""
        answer = {LOGS: self._logs, RECONCILE: self._reconcile}[path]

        async def answered(request: Request) -> Response:
            try:
                response = await answer(request)
            except Refused as error:
                response = problem(error.status, error.detail, after_s=error.after_s)
            except Malformed as error:
                response = problem(400, str(error))
            except Full:
                response = problem(503, "too much waits to be written", after_s=_SOON_S)
            except TokentailError:  # why, is told at the hub: it names files of its
                response = problem(503, "the hub cannot use its store at this moment", after_s=_LATER_S)
            self.requests[response.status_code] = self.requests.get(response.status_code, 0) + 1
            return response

        return answered

    def start(self) -> None:
        self.intake.start()

    def stop(self) -> None:
        """What was taken in is still written."""
        self._decoders.shutdown(wait=False)
        self.intake.stop()

    async def _logs(self, request: Request) -> Response:
        kind = _kind(request)
        batch = await self._taken(request, lambda body: decoded(body, kind))
        token: HubToken = request.state.token
        for record in batch.records:
            _check_whose(token, record.owner.host, record.owner.user)
        news: int | None = 0
        if batch.records:
            news = await asyncio.wrap_future(self.intake.put(batch))
        self.foreign += batch.foreign
        headers = {"cache-control": "no-store", **({} if news is None else {NEWS: str(news)})}
        return Response(_success(batch.foreign, kind), 200, headers, media_type=kind)

    async def _reconcile(self, request: Request) -> Response:
        if _kind(request) != JSON:
            raise Refused(415, f"a comparison comes as {JSON}")
        asked = await self._taken(request, _comparison)
        token: HubToken = request.state.token
        _check_whose(token, asked.host, asked.user)
        known = await asyncio.to_thread(self._central.sessions, asked.host, asked.user)
        differ = [session for session, counts in asked.sessions.items() if known.get(session, SessionCounts()) != counts]
        return Response(json.dumps({"differ": differ}), headers={"cache-control": "no-store"}, media_type=JSON)

    async def _taken(self, request: Request, decode: Callable[[bytes], Made]) -> Made:
        """What a body holds, once there is room for it."""
        length = int(request.headers.get("content-length", "0"))
        if self._held >= MOST_AT_ONCE or (self._held and self._held_bytes + length > self._most_held_bytes):
            raise Refused(503, "too many send at this moment", after_s=_SOON_S)
        self._held, self._held_bytes = self._held + 1, self._held_bytes + length
        try:
            body = await _body(request, self._body_within_s)
            is_packed = _is_packed(request)
            work = asyncio.get_running_loop().run_in_executor
            return await work(self._decoders, lambda: decode(inflated(body) if is_packed else body))
        finally:
            self._held, self._held_bytes = self._held - 1, self._held_bytes - length


async def _body(request: Request, within_s: float) -> bytes:
    try:
        async with asyncio.timeout(within_s):
            return await request.body()
    except TimeoutError as error:
        raise Refused(408, f"the body did not come within {within_s:.0f} s") from error
    except ClientDisconnect as error:
        raise Refused(400, "the body ended too soon") from error


def _kind(request: Request) -> str:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().casefold()
    if kind not in (JSON, PROTOBUF):
        raise Refused(415, f"OTLP comes as {JSON} or {PROTOBUF}")
    return kind


def _is_packed(request: Request) -> bool:
    packing = request.headers.get("content-encoding", "identity").strip().casefold()
    if packing not in ("identity", "gzip"):
        raise Refused(415, "a body comes as it is, or in gzip")
    return packing == "gzip"


def inflated(body: bytes) -> bytes:
    """
    A body as it was before gzip; it has one member, and nothing behind it.

    Raises:
        Malformed: it is none.
        Refused: it grows too large.
    """
    inflating = zlib.decompressobj(_GZIP)
    try:
        made = inflating.decompress(body, MOST_INFLATED_BYTES + 1)
    except zlib.error as error:
        raise Malformed("the body is no gzip") from error
    if len(made) > MOST_INFLATED_BYTES:
        raise Refused(413, f"a body may hold at most {MOST_INFLATED_BYTES} bytes")
    if not inflating.eof or inflating.unused_data:
        raise Malformed("the body is no gzip, or not one whole")
    return made


def decoded(body: bytes, kind: str) -> Batch:
    """
    What a body holds that a hub may keep.

    Raises:
        Malformed: it is none.
        Refused: it is too large, or protobuf, which is not installed.
    """
    if len(body) > MOST_INFLATED_BYTES:
        raise Refused(413, f"a body may hold at most {MOST_INFLATED_BYTES} bytes")
    if kind == JSON:
        batch = wire.decode_json(body)
    else:
        try:
            batch = wire.decode_protobuf(body)
        except ImportError as error:
            raise Refused(415, "this hub takes JSON only (for protobuf install tokentail[otlp] there)") from error
    if not all(record.owner.host for record in batch.records):
        raise Malformed("host.name is missing: whose machine the records are of")  # else they would pass for those of the hub's own
    return batch


def _check_whose(token: HubToken, host: str, user: str) -> None:
    if token.host not in ("", host) or token.user not in ("", user):
        raise Refused(403, "this token is of another machine or user (`tokentail hub token list` says of which)")


def _success(foreign: int, kind: str) -> bytes:
    """All was kept, but for what is not ours."""
    why = "only records of tokentail are kept here"
    if kind == JSON:
        part = {"partialSuccess": {"rejectedLogRecords": str(foreign), "errorMessage": why}} if foreign else {}
        return json.dumps(part).encode()
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

    answer = ExportLogsServiceResponse()
    if foreign:
        answer.partial_success.rejected_log_records, answer.partial_success.error_message = foreign, why
    return bytes(answer.SerializeToString())


_Sum = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
_Name = Annotated[str, msgspec.Meta(max_length=1_000)]


class _Comparison(msgspec.Struct):
    host: Annotated[str, msgspec.Meta(min_length=1, max_length=1_000)]
    user: _Name
    sessions: Annotated[dict[_Name, tuple[_Sum, _Sum, _Sum, _Sum, _Sum, _Sum, _Sum, _Sum]], msgspec.Meta(max_length=MOST_SESSIONS)]


def _comparison(body: bytes) -> _Comparison:
    try:
        return _COMPARISON.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Malformed("the body is no comparison of sessions: host, user, and eight sums for each session") from error


_COMPARISON = msgspec.json.Decoder(_Comparison)
