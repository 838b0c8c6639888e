"""Records into ClickHouse, as a central store takes them in."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

from tokentail.errors import StoreError
from tokentail.fleet.clickhouse.address import Address
from tokentail.fleet.clickhouse.client import Server
from tokentail.fleet.clickhouse.schema import KEY, SAID, VERSION, statements
from tokentail.fleet.sessions import SessionCounts
from tokentail.model import RULES_VERSION, Record

_COLUMNS = (*KEY, *SAID, "at_ms", "final", "web_searches", "owner")
# A session's records, each once: rows that are not merged yet are joined as a record is.
_BY_SESSION = """
SELECT session, count(), sum(input), sum(output), sum(cache_read), sum(cache_write_5m), sum(cache_write_1h), sum(searches), sum(is_final)
FROM (
    SELECT group_text, request_id, sidechain, min(owner).session AS session, min(owner).user AS user, min(owner).host AS host,
        max(final) AS is_final, max(web_searches) AS searches,
        argMin((input, output, cache_read, cache_write_5m, cache_write_1h), {rank}) AS won,
        won.1 AS input, won.2 AS output, won.3 AS cache_read, won.4 AS cache_write_5m, won.5 AS cache_write_1h
    FROM (SELECT *, keys, {canonical} AS canonical FROM {records})
    GROUP BY group_text, request_id, sidechain
) WHERE user = {{user:String}} AND host = {{host:String}} GROUP BY session"""


class ClickHouse:
    """A central store; of one thread at a time."""

    def __init__(self, address: Address, *, makes: bool = True) -> None:
        """
        Args:
            makes: make the tables where they are missing; without it, they must be there.

        Raises:
            StoreError: it cannot be reached, or is of another version.
        """
        self.server = Server(address)
        self.layout = address.layout
        if makes:
            self.make()
        self.check()

    def make(self) -> None:
        """Make what is missing; what is there stays."""
        for statement in statements(self.layout):
            self.server.run(statement)
        now_ms = int(time.time() * 1000)
        known = dict(self._meta())
        rows = [(name, value, now_ms) for name, value in (("schema", str(VERSION)), ("rules", str(RULES_VERSION))) if name not in known]
        self.server.insert("meta", ("name", "value", "at_ms"), list(zip(*rows, strict=True)))

    def check(self) -> None:
        """
        Is it a store of ours?

        Raises:
            StoreError: it is of another version, or none.
        """
        found = dict(self._meta())
        for name, ours in (("schema", VERSION), ("rules", RULES_VERSION)):
            if found.get(name) != str(ours):
                raise StoreError(
                    f"the ClickHouse {self.server.address} has {name} {found.get(name, 'none')}, and ours is {ours} "
                    "(use one version of tokentail on all hubs; `tokentail doctor --store URL` makes the tables)"
                )

    def add(self, records: Sequence[Record], folders: Iterable[tuple[str, int, str]] = ()) -> int:
        """
        Take records in. Whether they say something new is not known here: gives how many there are.

        Raises:
            StoreError: they could not be written, or only in part; done again they are once there.
        """
        self.server.insert("records", _COLUMNS, list(zip(*map(_row, sorted(records)), strict=True)))
        least: dict[str, tuple[int, str]] = {}
        for slug, at_ms, folder in folders:
            least[slug] = min(least.get(slug, (at_ms, folder)), (at_ms, folder))
        self.server.insert("folders", ("project", "least"), [list(least), list(least.values())] if least else [])
        return len(records)

    def sessions(self, host: str, user: str) -> Mapping[str, SessionCounts]:
        """The sums of each session of a user's machine."""
        from tokentail.fleet.clickhouse.schema import CANONICAL, RANK

        query = _BY_SESSION.format(rank=RANK, canonical=CANONICAL, records=self.layout.table("records"))
        return {row[0]: SessionCounts(*map(int, row[1:])) for row in self.server.rows(query, {"user": user, "host": host})}

    def set_thresholds(self, thresholds: Sequence[int]) -> None:
        """By which long-context limits the sums that are computed ahead are kept apart."""
        known = {row[0] for row in self.server.rows(f"SELECT DISTINCT prompt FROM {self.layout.table('thresholds')}")}
        missing = [threshold for threshold in thresholds if threshold not in known]
        self.server.insert("thresholds", ("prompt",), [missing] if missing else [])

    def close(self) -> None:
        self.server.close()

    def _meta(self) -> list[tuple[str, str]]:
        query = f"SELECT name, argMax(value, at_ms) FROM {self.layout.table('meta')} GROUP BY name"
        return [(str(name), str(value)) for name, value in self.server.rows(query)]


def _row(record: Record) -> tuple[object, ...]:
    """A record as `_COLUMNS`."""
    group, request_id, sidechain, at_ms, model, version, tokens, thinking, form, flags, stopped, final, searches, owner = record
    return (
        *(group, request_id, int(sidechain), tokens.output, int(stopped), form, model, version, tokens.input, tokens.cache_read),
        *(tokens.cache_write_5m, tokens.cache_write_1h, thinking, flags, at_ms, int(final), searches),
        (int(owner.copied), int(owner.subagent), *owner[2:]),
    )
