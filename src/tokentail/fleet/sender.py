"""The only place that speaks HTTP to a central store: one request, and what its answer means for what was sent."""

from __future__ import annotations

import http.client
import json
import ssl
import time
import urllib.error
import urllib.request
from email.message import Message
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import NamedTuple
from urllib.parse import urlsplit

from tokentail import __version__
from tokentail.errors import UsageError
from tokentail.fleet.wire import LOGS, NEWS

ANSWER_WITHIN_S = 30.0
_MOST_ANSWER_BYTES = 4_000_000
_PASSING = (408, 425, 429)


class Outcome(Enum):
    """What became of what was sent."""

    KEPT = "kept"
    IN_PART = "in part"  # some of it will not be had as it is, and it was not said which
    REFUSED = "refused"  # nothing of it was taken, and as it is nothing will be
    LATER = "later"  # it may be had another time
    BARRED = "barred"  # nothing will be had of us: the token, the address


class Answer(NamedTuple):
    """What a central store said."""

    outcome: Outcome
    why: str = ""
    after_s: float = 0.0  # not before then, where it said so
    news: int | None = None  # how many records told it something, where it says so
    body: bytes = b""


class Trust(NamedTuple):
    """How the two sides know each other; what is empty is as the machine has it."""

    token: str = ""
    ca_file: str = ""  # whose certificates are believed
    certificate_file: str = ""  # our own, with its key, for mutual TLS
    key_file: str = ""


NO_TRUST = Trust()


class Sender:
    """
    Sends to one address. The proxy variables of the environment are respected.

    Redirects are not followed, since the token would go along.
    """

    def __init__(self, url: str, trust: Trust = NO_TRUST) -> None:
        """
        Raises:
            UsageError: that is no address, or a file of certificates cannot be used.
        """
        self.url = checked(url)
        self._trust = trust
        handlers: list[urllib.request.BaseHandler] = [_NoRedirects()]
        if self.url.startswith("https:"):
            handlers.append(urllib.request.HTTPSHandler(context=_context(trust)))
        self._opener = urllib.request.build_opener(*handlers)

    def post(self, place: str, body: bytes, *, is_compressed: bool) -> Answer:
        """One request, and its answer."""
        headers = {"Content-Type": "application/json", "User-Agent": f"tokentail/{__version__}"}
        if is_compressed:
            headers["Content-Encoding"] = "gzip"
        if self._trust.token:
            headers["Authorization"] = f"Bearer {self._trust.token}"
        request = urllib.request.Request(self.url + place, body, headers, method="POST")  # http or https, see `checked`
        try:
            with self._opener.open(request, timeout=ANSWER_WITHIN_S) as answer:
                return _taken(answer.read(_MOST_ANSWER_BYTES), answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return _not_taken(error.code, error.headers, _detail(error))
        except (OSError, http.client.HTTPException, ValueError) as error:
            return Answer(Outcome.LATER, f"it cannot be reached: {_why(error)}")


def checked(url: str) -> str:
    """
    The address of a hub, without a slash at its end.

    Raises:
        UsageError: it is none.
    """
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in ("http", "https") and bool(parts.hostname) and not (parts.query or parts.fragment)
        _ = parts.port
    except ValueError:
        is_one = False
    if not is_one or not url.isascii() or not url.isprintable() or " " in url:
        raise UsageError("the hub's address does not look like https://hub.example:8484 (name the one that `tokentail web --accept` shows)")
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            "the hub's address holds a password: give a token instead (TOKENTAIL_PUSH_TOKEN, or fleet.token_file in the settings)"
        )
    return url.rstrip("/").removesuffix(LOGS)


def shown(url: str) -> str:
    """An address in a message."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _context(trust: Trust) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=trust.ca_file or None)
        if trust.certificate_file:
            context.load_cert_chain(trust.certificate_file, trust.key_file or None)
    except (OSError, ssl.SSLError) as error:
        names = ", ".join(name for name in (trust.ca_file, trust.certificate_file, trust.key_file) if name)
        raise UsageError(f"cannot use the certificates of {names}: {_why(error)}") from error
    return context


def _taken(body: bytes, headers: Message) -> Answer:
    """Success, unless it says that it was one only in part."""
    said = headers.get(NEWS, "")
    news = int(said) if said.isascii() and said.isdecimal() and len(said) < 10 else None
    try:
        answer = json.loads(body) if body.strip() else {}
        part = (answer.get("partialSuccess") or {}) if isinstance(answer, dict) else {}
        rejected, why = int(part.get("rejectedLogRecords") or 0), str(part.get("errorMessage") or "")
    except (ValueError, TypeError, AttributeError, RecursionError):
        rejected, why = 0, ""
    if rejected:
        return Answer(Outcome.IN_PART, f"{rejected} records were not taken: {why[:200]}", news=news)
    return Answer(Outcome.KEPT, news=news, body=body)


def _not_taken(status: int, headers: Message, why: str) -> Answer:
    said = f"status {status}{f': {why}' if why else ''}"
    if status in _PASSING or status >= 500:
        return Answer(Outcome.LATER, said, _after_s(headers))
    if status in (400, 413, 422):
        return Answer(Outcome.REFUSED, said)
    return Answer(Outcome.BARRED, said)


def _after_s(headers: Message) -> float:
    """Retry-After: seconds, or a date."""
    said = headers.get("Retry-After", "").strip()
    if said.isascii() and said.isdecimal():
        return float(said[:6])
    try:
        return max(parsedate_to_datetime(said).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _detail(error: urllib.error.HTTPError) -> str:
    """What the server says of it, in a line."""
    try:
        said = json.loads(error.read(4_096))
        detail = said.get("detail") or said.get("message") or "" if isinstance(said, dict) else ""
    except (OSError, ValueError, http.client.HTTPException, RecursionError):
        return ""
    return "".join(each for each in str(detail) if each.isprintable())[:300]


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    if isinstance(reason, Exception):
        return _why(reason)
    if said := getattr(error, "verify_message", ""):
        return f"its certificate cannot be trusted: {said}"
    return getattr(error, "strerror", None) or str(reason or error) or type(error).__name__


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Who is told to go elsewhere is told it as an error."""

    def redirect_request(self, *_: object) -> None:
        return None
