"""The only place that decides by which names records travel: whose machine they are from, and which names a site key hides."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from tokentail.digest import blake2b, hex_digest
from tokentail.model import Record

LEAST_KEY = 16  # characters
_DIGEST_BYTES = 10


class Labels(NamedTuple):
    """What stands in the place of the names that a record does not have, and of those that are not to be known."""

    user: str
    host: str
    key: bytes = b""  # of the site: the same name gives the same word on all of its machines; b"" hides nothing
    hidden: tuple[str, ...] = ()  # of `config.HIDEABLE`

    def on(self, record: Record) -> Record:
        """A record as it travels."""
        owner = record.owner
        user, host = owner.user or self.user, owner.host or self.host
        project = self._named("project", owner.project)
        return record._replace(owner=owner._replace(project=project, user=self._named("user", user), host=self._named("host", host)))

    def folders(self, folders: Mapping[str, str]) -> Mapping[str, str]:
        """What projects are called, by the names that their records travel by; nothing where those are hidden."""
        return {} if self._hides("project") else {slug: folder for slug, folder in folders.items() if folder}

    @property
    def own(self) -> tuple[str, str]:
        """This machine's user and host, as they travel."""
        return self._named("user", self.user), self._named("host", self.host)

    @property
    def mark(self) -> str:
        """The same as long as the names are: who sends by other names sends everything anew. The key cannot be told from it."""
        key = hex_digest(b"site key\0" + self.key) if self.key else ""
        return json.dumps([*self.own, sorted(self.hidden) if self.key else [], key])

    def _named(self, kind: str, name: str) -> str:
        if not (name and self._hides(kind)):
            return name
        return f"{kind}-{blake2b(name.encode('utf-8', 'surrogatepass'), digest_size=_DIGEST_BYTES, key=self._short_key(kind)).hexdigest()}"

    def _hides(self, kind: str) -> bool:
        return bool(self.key) and kind in self.hidden

    def _short_key(self, kind: str) -> bytes:
        """A key of its own for each kind, of a length that the hash takes."""
        return blake2b(kind.encode() + b"\0" + self.key, digest_size=32).digest()
