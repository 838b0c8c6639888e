"""The only place that tries a ClickHouse out: whether it can be a central store, and whether it counts as the rules say."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from tokentail import merge, prices
from tokentail.errors import StoreError
from tokentail.fleet.clickhouse.address import Address
from tokentail.fleet.clickhouse.central import ClickHouse
from tokentail.fleet.clickhouse.client import Server
from tokentail.fleet.clickhouse.data import Stored
from tokentail.fleet.clickhouse.schema import quoted
from tokentail.model import Owner, Record, Reply, Tokens

OLDEST = (24, 10)  # the first version whose views that refresh themselves are no experiment
MOST_SECONDS_OFF = 60
_AT_MS = 1_790_000_000_000
_EVER = (-(10**15), 10**15)
_FORM = '{"input_tokens":\x01,"output_tokens":\x02}'
_FORM_WITH_MORE = '{"input_tokens":\x01,"output_tokens":\x02,"speed":"fast","\x7fextras":[["claude-haiku-4-5",[50,3,0,0,0]]]}'


class Check(NamedTuple):
    """Something that was tried."""

    what: str
    why: str  # not; "" where all is well
    said: str = ""


def examine(address: Address) -> Iterator[Check]:
    """Try out all that a central store needs, as it is done; nothing stays of it but the tables of the store itself."""
    try:
        server = Server(address)
    except StoreError as error:
        yield Check("it can be reached", str(error))
        return
    yield _tried("it can be reached", lambda: _version(server))
    yield _tried("its clock is right", lambda: _clock(server))
    server.close()
    yield _tried("its tables are ours", lambda: _tables(address))
    database = f"{address.layout.database}_doctor_{secrets.token_hex(4)}"
    scratch = address._replace(layout=address.layout._replace(database=database, retention_days=0), rollups="never")
    made: list[ClickHouse] = []
    yield _tried("a database for trying it out can be made", lambda: _opened(scratch, made))
    if not made:
        with contextlib.suppress(StoreError):  # whoever may not make it has nothing to drop
            _dropped(scratch)
    for store in made:
        try:
            yield from _counted(store)
        finally:
            store.close()
            dropped = _tried("that database can be dropped", lambda: _dropped(scratch))
        yield dropped


def _counted(store: ClickHouse) -> Iterator[Check]:
    """What is written there twice, in parts and out of order is read as the rules have it."""
    lines = _lines()
    folders = [("-home-dev-app", _AT_MS, "/home/dev/app"), ("-home-dev-app", _AT_MS - 1, "/srv/app")]
    halves = (lines[1::2], lines[::2], lines)
    written = _tried("records can be written, some of them twice", lambda: _sum(store.add(half, folders) for half in halves))
    yield written
    if written.why:
        return
    yield _tried("replies are those of the rules", lambda: _same(store, lines))
    yield _tried("parts can be merged", lambda: store.server.run(f"OPTIMIZE TABLE {_here(store)}{store.layout.on_cluster} FINAL"))
    yield _tried("replies are the same after it", lambda: _same(store, lines))
    yield _tried("sessions add up", lambda: _sessions(store, lines))
    yield _tried("projects have their names", lambda: _folders(store))
    yield _tried("sums that are computed ahead add up", lambda: _sums(store, lines))


def _tried(what: str, work: Callable[[], object]) -> Check:
    """`work` says what was found; a StoreError says what is wrong."""
    began = time.monotonic()
    try:
        said = work()
    except StoreError as error:
        return Check(what, str(error))
    return Check(what, "", f"{f'{said}, ' if said else ''}{(time.monotonic() - began) * 1000:,.0f} ms")


def _version(server: Server) -> str:
    ((version,),) = server.rows("SELECT version()")
    if tuple(map(int, str(version).split(".")[:2])) < OLDEST:
        raise StoreError(f"it is version {version}, and {'.'.join(map(str, OLDEST))} is needed")
    return f"version {version}"


def _clock(server: Server) -> str:
    ((at_ms,),) = server.rows("SELECT toUnixTimestamp64Milli(now64(3))")
    off_s = at_ms / 1000 - time.time()
    if abs(off_s) > MOST_SECONDS_OFF:
        raise StoreError(f"it is {off_s:+,.0f} s from this machine's")
    return ""


def _tables(address: Address) -> str:
    """The store's own, which are made where there are none."""
    try:
        ClickHouse(address, makes=False).close()
    except StoreError:
        ClickHouse(address).close()
        return "made now"
    return ""


def _opened(scratch: Address, made: list[ClickHouse]) -> str:
    made.append(ClickHouse(scratch))
    return scratch.layout.database


def _dropped(scratch: Address) -> None:
    server = Server(scratch._replace(layout=scratch.layout._replace(database="default")))
    try:
        server.run(f"DROP DATABASE IF EXISTS {quoted(scratch.layout.database)}{scratch.layout.on_cluster}")
    finally:
        server.close()


def _same(store: ClickHouse, lines: Sequence[Record]) -> str:
    found = list(Stored(store, prices.load()).replies_between(*_EVER))
    if found != (wanted := _replies(lines)):
        differ = sorted({reply.key for reply in set(found) ^ set(wanted)})
        raise StoreError(f"{len(wanted)} replies were written, {len(found)} were read; these differ: {', '.join(differ)}")
    return f"{len(found)} replies"


def _sessions(store: ClickHouse, lines: Sequence[Record]) -> str:
    found = sum(each.records for each in store.sessions("one", "anna").values())
    if found != (wanted := len({line[:3] for line in lines if line.owner.user == "anna"})):
        raise StoreError(f"{wanted} records of a machine were written, and its sessions have {found}")
    return f"{wanted} records"


def _folders(store: ClickHouse) -> None:
    if (found := Stored(store, prices.load()).folders()) != {"-home-dev-app": "/srv/app"}:
        raise StoreError(f"the earliest name of a project was written, and {len(found)} projects have others")


def _sums(store: ClickHouse, lines: Sequence[Record]) -> str:
    for what in ("REFRESH", "WAIT"):
        store.server.run(f"SYSTEM {what} VIEW {store.layout.table('sums_refreshed')}")
    ((replies, output),) = store.server.rows(f"SELECT sum(replies), sum(output) FROM {store.layout.table('sums')}")
    wanted = _replies(lines)
    tokens = sum(reply.tokens.output + sum(extra.tokens.output for extra in reply.extras) for reply in wanted)
    if (int(replies), int(output)) != (len(wanted), tokens):
        raise StoreError(f"{len(wanted)} replies of {tokens} output tokens are {replies} of {output} there")
    return f"{len(wanted)} replies"


def _here(store: ClickHouse) -> str:
    """The table whose parts can be merged: in a cluster that on each server."""
    return store.layout.table("records_here" if store.layout.cluster else "records")


def _sum(numbers: Iterator[int]) -> str:
    return f"{sum(numbers)} records"


def _replies(lines: Sequence[Record]) -> list[Reply]:
    """By the rules, in Python."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for line in lines:
        groups[line.group].append(line)
    found = [merge.reply(key, message) for group in groups.values() for key, message in merge.resolve(_joined(group)).items()]
    return sorted(found, key=lambda reply: (reply.at_ms, reply.key))


def _joined(group: Sequence[Record]) -> list[Record]:
    known: dict[merge.RecordKey, Record] = {}
    for line in group:
        known[line[:3]] = merge.join(known[line[:3]], line) if line[:3] in known else line
    return list(known.values())


def _lines() -> list[Record]:
    """Made up, and of all that rules tell apart: growth, ties, replays, one id for several requests, copies on two machines, extras."""
    anna, ben = (Owner(False, False, "s1", "-home-dev-app", "", user, host) for user, host in (("anna", "one"), ("ben", "two")))

    def line(group: str, output: int, *, request: str = "req_1", sidechain: bool = False, late_ms: int = 0, owner: Owner = anna) -> Record:
        tokens = Tokens(4, output, 2000, 0, 300)
        form = _FORM_WITH_MORE if output % 2 else _FORM
        return Record(
            group,
            request,
            sidechain,
            _AT_MS + late_ms,
            "claude-opus-5",
            "2.1",
            tokens,
            0,
            form,
            0,
            output > 5,
            output > 5,
            output % 3,
            owner,
        )

    lines = [line(f"msg_{number}", number, late_ms=number * 1000) for number in range(200)]
    lines += [line(f"msg_{number}", number + 10, late_ms=-number) for number in range(0, 200, 3)]  # grown
    lines += [line(f"msg_{number}", number, late_ms=5, owner=ben) for number in range(0, 200, 5)]  # on another machine, too
    lines += [line(f"msg_{number}", 900, request="req_9", sidechain=True) for number in range(0, 200, 7)]  # a replay of it
    lines += [line("msg_alone", 900, request="req_9", sidechain=True), line("msg_%/1", 7), line("msg_%/1", 8, request="req_2")]
    lines += [line("msg_%/1", 9, request=""), line("msg_0", 10)._replace(form=_FORM_WITH_MORE, model="claude-haiku-4-5")]
    return lines
