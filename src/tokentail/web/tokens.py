"""The only place that knows who may ask: a token that is made and shown once, and of which only a hash is kept."""

from __future__ import annotations

import hmac
import json
import secrets
from pathlib import Path
from typing import NamedTuple

from tokentail.atomic import whole_file
from tokentail.fleet.hub_tokens import cookie_of, hash_of

COOKIE = "tokentail"
_NAME = "web.token"
_BYTES = 32


class Token(NamedTuple):
    """Hashes of what opens the API: the token itself, and the cookie that is given for it."""

    token: str
    cookie: str

    def is_token(self, said: str) -> bool:
        return hmac.compare_digest(self.token, hash_of(said))

    def is_cookie(self, said: str) -> bool:
        return hmac.compare_digest(self.cookie, hash_of(said))


def read(home: Path) -> Token | None:
    """The token of a home folder; None where there is none that can be used."""
    try:
        said = json.loads((home / _NAME).read_bytes()[:10_000])
        return Token(str(said["token"]), str(said["cookie"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def make(home: Path) -> tuple[str, Token]:
    """
    A new token, and what is kept of it; one that was there before opens nothing any more.

    Raises:
        TokentailError: it cannot be kept.
    """
    token = secrets.token_urlsafe(_BYTES)
    kept = Token(hash_of(token), hash_of(cookie_of(token)))
    with whole_file(home / _NAME, overwrite=True) as part:
        part.write_text(json.dumps(kept._asdict()) + "\n", encoding="utf-8")
    return token, kept
