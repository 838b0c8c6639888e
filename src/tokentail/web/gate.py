"""The only place that decides whether a question is let in: from which page, with which token, how long and how often."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Iterable, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tokentail.fleet.hub_tokens import AGENT, VIEWER, HubToken, Keyring
from tokentail.fleet.wire import LOGS, RECONCILE
from tokentail.web.problems import problem
from tokentail.web.taking import MOST_SENT_BYTES
from tokentail.web.tokens import COOKIE, Token

MOST_BODY_BYTES = 4_096
MOST_HEADERS, MOST_HEADER_BYTES = 64, 16_384
A_SECOND, BURST = 400.0, 4_000.0  # questions of one address: two hundred pages that come back at once ask eight each
SENT_A_SECOND, SENT_BURST = 500.0, 5_000.0  # batches by one token, which many machines may share
_MOST_ADDRESSES = 1_000
LOCAL = ("127.0.0.1", "localhost", "[::1]")
_POLICY = "; ".join(
    (
        *("default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "font-src 'self'", "connect-src 'self'"),
        *("manifest-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"),
    )
)
HEADERS: Mapping[str, str] = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
_SET = [(name.encode(), value.encode()) for name, value in HEADERS.items()]


class Rules(NamedTuple):
    """Who may come in."""

    host: str  # that the server is bound to
    hosts: tuple[str, ...]  # other names that it may be called by
    token: Token | None
    needs_token: bool  # for all but what is open
    keyring: Keyring | None = None  # of a hub: who else may read, and who may send

    def is_ours(self, host: str) -> bool:
        """Is that a name of this server, and not one that somebody has made to lead here (DNS rebinding)?"""
        name = _without_port(host)
        if name in self.hosts or (is_local(self.host) and name in LOCAL) or name == _bracketed(self.host):
            return True
        # Bound to all addresses: whoever names one can have been led to no other place.
        return self.host in ("0.0.0.0", "::") and (name in LOCAL or _is_address(name))  # compared, not bound


def is_local(host: str) -> bool:
    """Can only this machine reach it?"""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Gate:
    """In front of the application: lets in what may come in, and says so on each answer."""

    def __init__(
        self, app: ASGIApp, rules: Rules, needs_token: Callable[[Scope], bool], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`needs_token` says it of an address, where the rules do not say it of all."""
        self._app, self._rules, self._needs_token, self._clock = app, rules, needs_token, clock
        self._buckets: dict[str, tuple[float, float]] = {}  # of each address or token what it may still ask, and since when

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_SET]
            await send(message)

        refused = self._refused(scope)
        if refused is not None:
            await problem(*refused)(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)

    def _refused(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        if len(headers) > MOST_HEADERS or sum(len(name) + len(value) for name, value in headers.raw) > MOST_HEADER_BYTES:
            return 431, "the headers are too long"
        if headers.getlist("host")[1:] or not self._rules.is_ours(headers.get("host", "")):
            return 403, "this server is not called that (see --allow-host)"
        if _is_of_another_page(headers):
            return 403, "pages of other places may not ask"
        keyring = self._rules.keyring if scope["path"] in (LOGS, RECONCILE) else None
        most = (MOST_SENT_BYTES if keyring else MOST_BODY_BYTES) if scope["method"] == "POST" else 0
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not length.isdecimal() or len(length) > 12 or int(length) > most:
            return 413, f"a body may have at most {most} bytes, its length given, and only that of a POST"
        address = (scope.get("client") or ("",))[0]
        if keyring is not None:
            return self._refused_sender(scope, keyring, headers, address)
        if not self._may_ask(address, A_SECOND, BURST):
            return 429, _TOO_MANY
        if self._needs_token(scope) and not self._has_token(headers):
            if self._rules.keyring is not None and self._rules.keyring.find(_bearer(headers)) is not None:
                return 403, "this token is for sending (`tokentail hub token add NAME --role viewer` makes one that reads)"
            return 401, "a token is needed: the server shows an address that holds it when the token is made"
        return None

    def _refused_sender(self, scope: Scope, keyring: Keyring, headers: Headers, address: str) -> tuple[int, str] | None:
        """Who writes needs a token for that, also on this machine; which one it was, the endpoint finds in the request's state."""
        token = keyring.find(_bearer(headers))
        if token is None or token.role != AGENT:
            if not self._may_ask(address, A_SECOND, BURST):
                return 429, _TOO_MANY
            if token is not None or self._has_token(headers):
                return 403, "this token is for reading (`tokentail hub token add NAME --role agent` makes one that sends)"
            return 401, "a token is needed (`tokentail hub token add NAME --role agent` makes one, at the hub)"
        if not self._may_ask(f"token {token.name}", SENT_A_SECOND, SENT_BURST):
            return 429, _TOO_MANY
        keyring.note_use(token)
        scope.setdefault("state", {})["token"] = token
        return None

    def _may_ask(self, who: str, a_second: float, burst: float) -> bool:
        now = self._clock()
        left, since = self._buckets.pop(who, (burst, now))
        left = min(left + (now - since) * a_second, burst)
        if len(self._buckets) >= _MOST_ADDRESSES:
            self._buckets.pop(next(iter(self._buckets)))  # the one that has asked nothing for the longest
        self._buckets[who] = (max(left - 1, 0.0), now)
        return left >= 1

    def _has_token(self, headers: Headers) -> bool:
        """Somebody who may read."""
        word, cookies = _bearer(headers), list(_cookies(headers.getlist("cookie")))
        own, keyring = self._rules.token, self._rules.keyring
        if own is not None and ((word and own.is_token(word)) or any(map(own.is_cookie, cookies))):
            return True
        if keyring is None:
            return False
        return any(map(self._is_viewer, (keyring.find(word), *map(keyring.find_cookie, cookies))))

    def _is_viewer(self, token: HubToken | None) -> bool:
        if token is None or token.role != VIEWER or self._rules.keyring is None:
            return False
        self._rules.keyring.note_use(token)
        return True


_TOO_MANY = "too many questions; wait a moment"


def _bearer(headers: Headers) -> str:
    kind, _, said = headers.get("authorization", "").partition(" ")
    return said.strip() if kind.casefold() == "bearer" else ""


def _is_of_another_page(headers: Headers) -> bool:
    """What a browser says of where a question comes from; a person who follows a link to us is no page that asks."""
    host, origin = headers["host"].casefold(), headers.get("origin", "").casefold()
    if origin and origin not in (f"http://{host}", f"https://{host}"):  # https: behind a proxy that speaks TLS for us
        return True
    return headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and headers.get("sec-fetch-mode") != "navigate"


def _cookies(said: Iterable[str]) -> Iterable[str]:
    for header in said:
        try:
            found = SimpleCookie(header)
        except CookieError:
            continue
        if COOKIE in found:
            yield found[COOKIE].value


def _without_port(host: str) -> str:
    name = host.casefold()
    if name.startswith("["):
        return name.partition("]")[0] + "]"
    return name.partition(":")[0]


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host.casefold()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
