"""The application: which address is answered by what."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from mimetypes import guess_type
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route as Path_
from starlette.types import ASGIApp, Scope

from tokentail.errors import TokentailError
from tokentail.fleet.hub_tokens import VIEWER, cookie_of
from tokentail.fleet.wire import LOGS, RECONCILE
from tokentail.web import metrics
from tokentail.web.answers import Answers, Missing
from tokentail.web.contract import API, ROUTES, Asked, Invalid, Route, asked
from tokentail.web.gate import Gate, Rules
from tokentail.web.live import MOST_LISTENERS, Broadcast
from tokentail.web.problems import problem
from tokentail.web.taking import Taking
from tokentail.web.tokens import COOKIE

STATIC = Path(__file__).parent / "static"
FRESH_S = 0.5  # an answer so old is given again: a hundred pages ask the same at once
MOST_KEPT = 64  # answers
_TRIES, _TRIES_S = 10, 60.0  # of a token
_ONE_YEAR = "public, max-age=31536000, immutable"
NOT_BUILT = b"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>tokentail</title>
<h1>tokentail</h1>
<p>The page was not built: <code>make web</code> does that, in a checkout. Everything else runs:
<a href="/api/v1/overview">overview</a>, <a href="/api/v1/openapi.json">the API</a>, <a href="/metrics">metrics</a>.</p>
</html>
"""
Endpoint = Callable[[Request], Awaitable[Response]]


def application(
    answers: Answers, broadcast: Broadcast, rules: Rules, *, shows_content: bool, taking: Taking | None = None, static: Path = STATIC
) -> ASGIApp:
    """All of it, behind its gate; with `taking` what a hub takes in, too."""
    site = Site(answers, broadcast, rules, shows_content=shows_content, taking=taking)
    routes = [Path_(route.path, site.endpoint(route), methods=[route.method]) for route in ROUTES]
    if taking is not None:
        routes += [Path_(path, taking.endpoint(path), methods=["POST"]) for path in (LOGS, RECONCILE)]
    files = _files(static)
    routes += [Path_(address, _file(path), methods=["GET"]) for address, path in files.items()]
    if "/" not in files:
        routes.append(Path_("/", _not_built, methods=["GET"]))
    app = Starlette(routes=routes, exception_handlers={HTTPException: _no_such_thing, Exception: _failed})
    return Gate(app, rules, site.needs_token)


class Site:
    """The endpoints of the API."""

    def __init__(self, answers: Answers, broadcast: Broadcast, rules: Rules, *, shows_content: bool, taking: Taking | None = None) -> None:
        self._answers, self._broadcast, self._rules, self._shows_content = answers, broadcast, rules, shows_content
        self._taking = taking
        self._kept: dict[str, tuple[float, asyncio.Future[str]]] = {}
        self._tries: list[float] = []  # when a wrong token was tried
        self._open = {route.path for route in ROUTES if route.is_open}

    def needs_token(self, scope: Scope) -> bool:
        """The page itself holds nothing; what it asks for does."""
        path: str = scope["path"]
        if path.startswith(f"{API}/original/"):
            return self._shows_content  # without it the answer is that it is not shown
        is_ours = path == "/metrics" or path.startswith(f"{API}/")
        return self._rules.needs_token and is_ours and path not in self._open

    def endpoint(self, route: Route) -> Endpoint:
        """What answers that route."""
        special: Mapping[str, Callable[[Request, Asked], Awaitable[Response]]] = {
            "health": self._health,
            "metrics": self._metrics,
            "stream": self._stream,
            "session": self._session,
        }

        async def answer(request: Request) -> Response:
            try:
                question = asked(route, request.query_params.multi_items(), request.path_params)
                if route.shows_content and not self._shows_content:
                    return problem(403, "content of logs is not shown (start the server with --show-content)")
                if route.name in special:
                    return await special[route.name](request, question)
                return _fresh(request, await self._once(route, request, question), "application/json")
            except Invalid as error:
                return problem(400, str(error))
            except Missing as error:
                return problem(404, str(error))
            except TokentailError as error:
                return problem(503, str(error))

        return answer

    async def _once(self, route: Route, request: Request, question: Asked) -> str:
        """The answer; asked by many at once it is made once. Content is never kept."""
        make = getattr(self._answers, route.name)
        if route.shows_content:
            return await asyncio.to_thread(make, question)
        key, now = f"{request.url.path}?{request.url.query}", time.monotonic()
        made_at, future = self._kept.get(key, (0.0, None))
        if future is None or (future.done() and now - made_at > FRESH_S):
            future = asyncio.ensure_future(asyncio.to_thread(make, question))
            self._kept.pop(key, None)
            while len(self._kept) >= MOST_KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = (now, future)
        return await asyncio.shield(future)

    async def _health(self, request: Request, question: Asked) -> Response:
        is_well = self._broadcast.error is None
        body = json.dumps({"status": "ok" if is_well else "failed", "ready": self._broadcast.ready.is_set()})
        return Response(body, 200 if is_well else 503, {"cache-control": "no-store"}, media_type="application/json")

    async def _metrics(self, request: Request, question: Asked) -> Response:
        text = await asyncio.to_thread(self._measured)
        return Response(text, headers={"cache-control": "no-store"}, media_type="text/plain; version=0.0.4")

    def _measured(self) -> str:
        broadcast, (models, totals) = self._broadcast, self._answers.all_time()
        return metrics.text(
            metrics.Seen(
                models=models,
                totals=totals,
                limits=self._answers.found_limits(),
                since_start=broadcast.since_start,
                looks=broadcast.looks,
                live=broadcast.live,
                listening=broadcast.listening,
                dropped=broadcast.dropped,
                degraded=len(broadcast.degraded()),
                taken=self._taken(),
            )
        )

    def _taken(self) -> metrics.Taken | None:
        if self._taking is None:
            return None
        intake = self._taking.intake
        return metrics.Taken(dict(self._taking.requests), intake.counted, intake.waiting, self._taking.foreign)

    async def _stream(self, request: Request, question: Asked) -> Response:
        if self._broadcast.listening >= MOST_LISTENERS:
            return problem(503, f"{MOST_LISTENERS} streams are open; no more")
        last_id = request.headers.get("last-event-id", "") or question["last_event_id"]
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self._broadcast.events(last_id), headers=headers, media_type="text/event-stream")

    async def _session(self, request: Request, question: Asked) -> Response:
        now = time.monotonic()
        self._tries = [at for at in self._tries if at > now - _TRIES_S]
        if len(self._tries) >= _TRIES:
            return problem(429, "too many wrong tokens; wait a minute")
        try:
            said = json.loads(await request.body())
        except (ValueError, RecursionError, ClientDisconnect) as error:
            raise Invalid("the body is no JSON") from error
        if not (isinstance(said, dict) and said.keys() == {"token"} and isinstance(said["token"], str) and 0 < len(said["token"]) <= 200):
            raise Invalid('the body is not {"token": "..."}')
        if not self._may_read(said["token"]):
            self._tries.append(now)
            return problem(401, "that is not the token (the server shows it when it is made: `tokentail web --new-token`)")
        response = Response(status_code=204, headers={"cache-control": "no-store"})
        is_tls = request.headers.get("origin", "").startswith("https:")
        response.set_cookie(COOKIE, cookie_of(said["token"]), max_age=30 * 86_400, httponly=True, samesite="strict", secure=is_tls)
        return response

    def _may_read(self, said: str) -> bool:
        own, keyring = self._rules.token, self._rules.keyring
        if own is not None and own.is_token(said):
            return True
        found = keyring.find(said) if keyring is not None else None
        return found is not None and found.role == VIEWER


def _fresh(request: Request, text: str, kind: str) -> Response:
    """The answer, or that it is as it was."""
    body = text.encode("utf-8", "replace")
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"cache-control": "no-cache", "etag": tag}
    known = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    return Response(status_code=304, headers=headers) if tag in known or "*" in known else Response(body, headers=headers, media_type=kind)


def _files(static: Path) -> dict[str, Path]:
    """The files of the page by their addresses. What is not in this table is not served, whatever an address says."""
    found = {f"/{path.relative_to(static).as_posix()}": path for path in sorted(static.rglob("*")) if path.is_file()}
    return {**found, **({"/": found["/index.html"]} if "/index.html" in found else {})}


def _file(path: Path) -> Endpoint:
    kind = guess_type(path.name)[0] or "application/octet-stream"
    body = path.read_bytes()
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    # Files with a hash in their names never change.
    keep = _ONE_YEAR if path.parent.name == "assets" else "no-cache"

    async def answer(request: Request) -> Response:
        headers = {"cache-control": keep, "etag": tag}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(body, headers=headers, media_type=kind)

    return answer


async def _not_built(request: Request) -> Response:
    return Response(NOT_BUILT, headers={"cache-control": "no-store"}, media_type="text/html")


async def _no_such_thing(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = {404: "there is nothing at this address", 405: "this address is not asked that way"}.get(status, "this cannot be answered")
    allow = (error.headers or {}).get("Allow", "GET") if isinstance(error, HTTPException) else "GET"
    return problem(status, detail, allow=allow)


async def _failed(request: Request, error: Exception) -> Response:
    return problem(500, "something went wrong here; the server's messages say what")
