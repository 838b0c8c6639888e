"""The only place that tells of a crossing: on the desktop, to a webhook, by a command. Each way says why it failed, or nothing."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tokentail import periods
from tokentail.budgets.measuring import UNITS, Standing
from tokentail.config import Budget, Config
from tokentail.digest import hex_digest
from tokentail.private import private_text
from tokentail.reports.text import safe

ALERT_SCHEMA = "tokentail/alert/1"
SECRET = "TOKENTAIL_WEBHOOK_SECRET"  # the name of the variable
_HTTP_S, _PROGRAM_S = 10, 30
_WORTH_TRYING_AGAIN = (408, 425, 429)
_UNTRUSTED = 495  # some servers say it so


class Told(NamedTuple):
    """What is told of a crossing."""

    standing: Standing
    crossed_ms: int
    is_test: bool = False

    @property
    def id(self) -> str:
        """The same however often it is told."""
        return hex_digest(json.dumps([self.standing.budget.name, self.standing.instance, self.crossed_ms]).encode())

    @property
    def title(self) -> str:
        return f"{'Test of ' if self.is_test else ''}budget {safe(self.standing.budget.name)}"

    def fields(self) -> dict[str, object]:
        """The JSON that webhooks and commands get (docs/budgets.md)."""
        standing, budget = self.standing, self.standing.budget
        return {
            "schema": ALERT_SCHEMA,
            "id": self.id,
            "test": self.is_test,
            "budget": budget.name,
            "measure": budget.measure,
            "unit": UNITS[budget.measure],
            "value": standing.value,
            "threshold": float(budget.threshold),
            "value_is_lower_bound": standing.is_lower_bound,
            "standing": standing.standing or None,
            "age_seconds": standing.age_s,
            "period": standing.period,
            "period_start": periods.utc_text(standing.start_ms),
            "period_end": periods.utc_text(standing.end_ms),
            "projects": list(budget.projects),
            "models": list(budget.models),
            "hosts": list(budget.hosts),
            "users": list(budget.users),
            "crossed_at": periods.utc_text(self.crossed_ms, digits="milliseconds"),
            "message": f"{self.title}: {safe(standing.message)}",
        }


class Channels:
    """The ways that the settings name."""

    def __init__(self, settings: Config, environment: Mapping[str, str], *, waits_s: Sequence[float] = (0.5, 2.0)) -> None:
        """`waits_s` stand between the attempts to reach a webhook."""
        self._settings = settings
        self._environment = environment
        self._waits_s = waits_s
        self._ways: Mapping[str, Callable[[Told], str]] = {"desktop": self._desktop, "webhook": self._webhook, "command": self._command}

    @staticmethod
    def of(budget: Budget) -> tuple[str, ...]:
        """In which ways a budget is told."""
        return tuple(name for name in ("desktop", "webhook", "command") if getattr(budget, name))

    def tell(self, way: str, told: Told) -> str:
        """Tell it in that way; why it failed, "" where it did not."""
        return self._ways[way](told)

    def _desktop(self, told: Told) -> str:
        import html

        # Many desktops read the text as markup.
        body = html.escape(safe(told.standing.message), quote=False)
        return self._run(["notify-send", "--app-name=tokentail", "--", told.title, body], b"")

    def _command(self, told: Told) -> str:
        fields = told.fields()
        words = {f"{{{name}}}": str(fields[name]) for name in ("budget", "measure", "value", "threshold", "unit", "period", "message")}
        argv = [_filled(argument, words) for argument in told.standing.budget.command]
        return self._run(argv, json.dumps(fields).encode() + b"\n")

    def _run(self, argv: Sequence[str], data: bytes) -> str:
        """Never through a shell: each argument is one, whatever is in it."""
        environment = {name: value for name, value in self._environment.items() if name != SECRET}
        try:
            ran = subprocess.run(
                argv,
                input=data,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
                timeout=_PROGRAM_S,
                check=False,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired:
            return f"{argv[0]} did not end within {_PROGRAM_S} s"
        except (OSError, ValueError) as error:
            return f"cannot run {argv[0]}: {getattr(error, 'strerror', None) or error}"
        return f"{argv[0]} ended with exit code {ran.returncode}" if ran.returncode else ""

    def _webhook(self, told: Told) -> str:
        try:
            address = self._address(told.standing.budget.webhook)
            secret = self._secret()
        except (OSError, ValueError) as error:
            return str(error)
        body = json.dumps(told.fields()).encode()
        why = ""
        for wait_s in (0.0, *self._waits_s):
            time.sleep(wait_s)
            status, why = _post(address, body, _headers(told, body, secret))
            if not why or (400 <= status < 500 and status not in _WORTH_TRYING_AGAIN):
                break
        return why

    def _address(self, said: str) -> str:
        kind, _, place = said.partition(":")
        if kind == "env":
            if not (found := self._environment.get(place, "")):
                raise ValueError(f"the variable {place} names no webhook (set it)")
            return found
        return private_text(Path(place)) if kind == "file" else said

    def _secret(self) -> bytes:
        """What to sign with; nothing where there is none."""
        if given := self._environment.get("TOKENTAIL_WEBHOOK_SECRET"):
            return given.encode("utf-8", "surrogateescape")
        file = self._settings.webhooks.secret_file
        return private_text(Path(file)).encode() if file else b""


def _filled(argument: str, words: Mapping[str, str]) -> str:
    """An argument with the names in braces replaced, each once: what is put in is not looked through again."""
    import re

    return re.sub("|".join(map(re.escape, words)), lambda match: words[match[0]], argument)


def _headers(told: Told, body: bytes, secret: bytes) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "User-Agent": "tokentail", "X-Tokentail-Delivery": told.id}
    if secret:
        import hashlib
        import hmac

        at = str(int(time.time()))
        signature = hmac.new(secret, at.encode() + b"." + body, hashlib.sha256).hexdigest()
        headers |= {"X-Tokentail-Timestamp": at, "X-Tokentail-Signature": f"sha256={signature}"}
    return headers


def _post(address: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
    """The status and why it is no success, without the address, which may be a secret. A redirect is not followed."""
    import http.client
    from urllib.parse import urlsplit

    connection: http.client.HTTPConnection | None = None
    try:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return 400, "the webhook is no address that begins with https:// or http://"
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname, parts.port, timeout=_HTTP_S)
        place = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", place, body, {**headers, **_basic(parts.username, parts.password)})
        answer = connection.getresponse()
        answer.read1(65_536)  # once: one that goes on and on holds nobody up
    except (OSError, http.client.HTTPException, ValueError) as error:
        return _UNTRUSTED if hasattr(error, "verify_code") else 0, f"the webhook cannot be reached: {_why(error)}"
    finally:
        if connection is not None:
            connection.close()
    return answer.status, "" if 200 <= answer.status < 300 else f"the webhook answered with status {answer.status}"


def _why(error: Exception) -> str:
    """Without the address, which some errors hold."""
    if said := getattr(error, "verify_message", ""):  # of TLS
        return f"its certificate cannot be trusted: {said}"
    return getattr(error, "strerror", None) or type(error).__name__


def _basic(user: str | None, password: str | None) -> dict[str, str]:
    if user is None:
        return {}
    import base64
    from urllib.parse import unquote

    return {"Authorization": "Basic " + base64.b64encode(f"{unquote(user)}:{unquote(password or '')}".encode()).decode()}
