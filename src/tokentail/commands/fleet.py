"""The only place for what the commands have in common that speak to a central store: its address, who we are, how we are known."""

from __future__ import annotations

import argparse
import fcntl
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tokentail import __version__, database
from tokentail.commands import options
from tokentail.config import HIDEABLE, Fleet
from tokentail.digest import hex_digest
from tokentail.errors import StoreBusyError, UsageError
from tokentail.private import private_text

if TYPE_CHECKING:
    from tokentail.fleet.labels import Labels
    from tokentail.fleet.push import Post
    from tokentail.fleet.sender import Trust
    from tokentail.model import Record


class Agent(NamedTuple):
    """This machine, as a central store sees it."""

    url: str
    labels: Labels
    trust: Trust
    version: str

    def post(self, store: Path, stop: threading.Event, tell: Callable[[str], None]) -> Post:
        """What brings the outbox of a store there."""
        from tokentail.fleet.push import Post
        from tokentail.fleet.sender import Sender

        return Post(store, Sender(self.url, self.trust), self.labels, version=self.version, stop=stop, tell=tell)


def add_address(parser: argparse.ArgumentParser) -> None:
    """Where to, and whose records these are."""
    parser.add_argument(
        "url", metavar="URL", nargs="?", help="the central store's address, like https://hub.example:8484 (fleet.url in the settings)"
    )
    parser.add_argument("--host", metavar="NAME", help="what this machine is called there (its host name)")
    parser.add_argument("--user", metavar="NAME", help="whose usage it is (the name of who runs this)")


def add_names(parser: argparse.ArgumentParser) -> None:
    """Whose records they are that come from elsewhere."""
    parser.add_argument("--host", metavar="NAME", default="", help="the machine that they are from, where they do not say so themselves")
    parser.add_argument("--user", metavar="NAME", default="", help="whose usage it is, likewise")


def labelled(args: argparse.Namespace, records: Iterable[Record]) -> Iterable[Record]:
    """Records by those names."""
    from tokentail.fleet.labels import Labels

    return map(Labels(args.user, args.host).on, records) if args.user or args.host else records


def agent(args: argparse.Namespace) -> Agent:
    """
    Who sends, where to.

    Raises:
        UsageError: no address, no usable token or key.
    """
    from tokentail.fleet.sender import checked

    said = options.settings(args).fleet
    url = args.url or said.url
    if not url:
        raise UsageError(
            "no central store is named (give its address, or write it as fleet.url into the settings: `tokentail config path`)"
        )
    return Agent(checked(url), _labels(args, said), _trust(said), __version__)


@contextmanager
def only_sender(url: str, store: Path) -> Iterator[None]:
    """
    For the block, no other process sends from this store to that address.

    Raises:
        StoreBusyError: another one does.
    """
    store.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = database.open_lock(store.with_name(f"{store.name}.push-{hex_digest(url.encode(), 4)}"))
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StoreBusyError(f"another process sends from this store to {url} already (end it first, or let it go on)") from None
        yield
    finally:
        os.close(handle)


def _labels(args: argparse.Namespace, said: Fleet) -> Labels:
    from tokentail.fleet.labels import LEAST_KEY, Labels

    key = _secret(os.environ.get("TOKENTAIL_SITE_KEY", ""), said.site_key_file)
    if key and len(key) < LEAST_KEY:
        raise UsageError(f"the site key is too short to hide anything ({LEAST_KEY} characters at least: `openssl rand -hex 32` makes one)")
    if said.hidden and not key:
        raise UsageError(
            "names are to be hidden, and there is no site key (set TOKENTAIL_SITE_KEY, or fleet.site_key_file in the settings)"
        )
    hidden = said.hidden or (HIDEABLE[:2] if key else ())
    return Labels(args.user or said.user or _user(), args.host or said.host or _host(), key.encode(), tuple(hidden))


def _trust(said: Fleet) -> Trust:
    from tokentail.fleet.sender import Trust

    return Trust(_secret(os.environ.get("TOKENTAIL_PUSH_TOKEN", ""), said.token_file), said.ca_file, said.certificate_file, said.key_file)


def _secret(given: str, file: str) -> str:
    """What the environment gives, or else the file."""
    if given:
        return given
    try:
        return private_text(Path(file)) if file else ""
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot use {file}: {getattr(error, 'strerror', None) or error}") from error


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's number without a name
        return str(os.getuid())


def _host() -> str:
    import socket

    return socket.gethostname()
