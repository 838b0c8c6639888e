"""The only place that knows the tokens of a hub: who may send records and who may read, by what is shown once and kept as a hash."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tokentail import database
from tokentail.atomic import whole_file
from tokentail.errors import TokentailError, UsageError

AGENT, VIEWER = "agent", "viewer"  # the one only writes, the other only reads
ROLES = (AGENT, VIEWER)
USED_EVERY_S = 60.0  # so often it is written down which tokens were used
_NAME, _USED = "hub.tokens", "hub.tokens.used"
_BYTES = 32
_LONGEST = 100  # characters of a name
_MOST_FILE_BYTES = 16_000_000


class HubToken(NamedTuple):
    """A token, without what opens anything."""

    name: str
    role: str
    token: str  # hashes of the token itself, and of the cookie that is given for it
    cookie: str
    made_ms: int
    host: str = ""  # the only one whose records it may send, "" for any
    user: str = ""


Tokens = Mapping[str, HubToken]  # by name


class Keyring:
    """The tokens of a hub that runs: a token that is revoked opens nothing from the next question on."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._stamp: object = None
        self._by_hash: dict[str, HubToken] = {}
        self._used: dict[str, int] = {}
        self._write_due = 0.0

    def find(self, said: str) -> HubToken | None:
        """The token that somebody gives."""
        return self._current().get(hash_of(said)) if said else None

    def find_cookie(self, said: str) -> HubToken | None:
        """The same by the cookie that was given for it."""
        return self._current().get("cookie " + hash_of(said)) if said else None

    @property
    def stamp(self) -> object:
        """Another one when tokens were added or revoked."""
        self._current()
        return self._stamp

    def note_use(self, token: HubToken) -> None:
        self._used[token.name] = int(time.time() * 1000)

    def write_uses(self, *, at_once: bool = False) -> None:
        """Write down when tokens were used, now and then. What cannot be written is written later."""
        now = time.monotonic()
        if not self._used or (now < self._write_due and not at_once):
            return
        self._write_due = now + USED_EVERY_S
        names = {token.name for token in self._current().values()}
        uses = {**uses_in(self._home), **self._used}
        _write(self._home / _USED, {name: at_ms for name, at_ms in uses.items() if name in names})

    def _current(self) -> Mapping[str, HubToken]:
        """All tokens by their hashes, as the file has them at this moment. A file that cannot be read opens nothing."""
        try:
            status = os.stat(self._home / _NAME)
            stamp = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
        except OSError:
            stamp = None
        if stamp != self._stamp or stamp is None:
            try:
                tokens = read(self._home).values()
            except TokentailError:
                tokens = {}.values()
            cookies = {f"cookie {each.cookie}": each for each in tokens if each.role == VIEWER}
            self._by_hash, self._stamp = {**cookies, **{each.token: each for each in tokens}}, stamp
        return self._by_hash


def read(home: Path) -> Tokens:
    """
    The tokens of a home folder.

    Raises:
        TokentailError: the file that holds them cannot be used.
    """
    path = home / _NAME
    try:
        said = json.loads(path.read_bytes()[:_MOST_FILE_BYTES])["tokens"]
        return {token.name: token for token in map(_token, said)}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not what tokentail writes"
        raise TokentailError(f"cannot use the tokens in {path}: {why} (remove the file, and add the tokens anew)") from error


def uses_in(home: Path) -> Mapping[str, int]:
    """When tokens were used last, in milliseconds since 1970, as far as it is written down."""
    try:
        said = json.loads((home / _USED).read_bytes()[:_MOST_FILE_BYTES])
        return {str(name): int(at_ms) for name, at_ms in said.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def add(home: Path, name: str, role: str, *, host: str = "", user: str = "") -> str:
    """
    Make a token, and give it: nobody can have it again.

    Raises:
        UsageError: there is one of that name, or that is no name.
        TokentailError: it cannot be kept.
    """
    if not 0 < len(name) <= _LONGEST or not name.isprintable() or " " in name:
        raise UsageError(f"a token's name has no spaces and at most {_LONGEST} characters (like ci-runner-3)")
    word = secrets.token_urlsafe(_BYTES)
    with _changing(home) as tokens:
        if name in tokens:
            raise UsageError(f"there is a token of that name already (choose another one, or `tokentail hub token revoke {name}` first)")
        tokens[name] = HubToken(name, role, hash_of(word), hash_of(cookie_of(word)), int(time.time() * 1000), host, user)
    return word


def revoke(home: Path, name: str) -> None:
    """
    From now on a token opens nothing.

    Raises:
        UsageError: there is none of that name.
        TokentailError: it cannot be written down.
    """
    with _changing(home) as tokens:
        if name not in tokens:
            raise UsageError("there is no token of that name (`tokentail hub token list` shows them)")
        del tokens[name]


def cookie_of(token: str) -> str:
    """What a browser keeps in the place of the token; the one does not tell the other."""
    return hmac.new(token.encode("utf-8", "surrogatepass"), b"tokentail cookie", hashlib.sha256).hexdigest()


def hash_of(said: str) -> str:
    """What is kept of a token or cookie."""
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()


@contextmanager
def _changing(home: Path) -> Iterator[dict[str, HubToken]]:
    """The tokens, to be changed by one process at a time; kept when the block ends well."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        handle = database.open_lock(home / f"{_NAME}.lock")
    except OSError as error:
        raise TokentailError(f"cannot change the tokens in {home}: {error.strerror} (is the folder ours?)") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        tokens = dict(read(home))
        yield tokens
        _write(home / _NAME, {"tokens": [each._asdict() for each in tokens.values()]})
    finally:
        os.close(handle)


def _write(path: Path, said: Mapping[str, object]) -> None:
    with whole_file(path, overwrite=True) as part:
        part.write_text(json.dumps(said) + "\n", encoding="utf-8")


def _token(said: dict[str, object]) -> HubToken:
    token = HubToken(**said)  # type: ignore[arg-type]  # checked next
    wanted = (str, str, str, str, int, str, str)
    if tuple(map(type, token)) != wanted or token.role not in ROLES:
        raise ValueError("no token")
    return token
