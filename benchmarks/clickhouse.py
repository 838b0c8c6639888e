"""Ten million replies in a ClickHouse, inside this process: how fast they go in, what they weigh, and how long views take."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from functools import partial
from random import Random
from typing import TypeVar

from benchmarks.bench import Bench
from benchmarks.measure import MeasureError
from benchmarks.results import Row
from benchmarks.year import BEGIN_MS, DAYS, record
from tokentail import prices
from tokentail.fleet.clickhouse import address
from tokentail.fleet.clickhouse.central import ClickHouse
from tokentail.fleet.clickhouse.data import Stored
from tokentail.model import Owner, Usage, Window
from tokentail.periods import DAY_MS
from tokentail.usage import Question

BLOCK = 500_000  # replies that are made at once
BATCH, BATCHES = 5_000, 20  # records that are added as a hub adds them
GROWN = 20  # one reply in so many was sent twice: while it grew, and when it was done
OVERVIEW_MS, ROLLUP_MS = 2_000.0, 50.0
_END_MS = BEGIN_MS + DAYS * DAY_MS
_SESSION = 400  # replies
_MODELS = ("claude-opus-4-8", "claude-sonnet-5", "claude-haiku-4-5")
_FORM = (
    r'{"cache_creation":{"ephemeral_1h_input_tokens":\x05,"ephemeral_5m_input_tokens":\x04},"cache_creation_input_tokens":\x06,'
    r'"cache_read_input_tokens":\x03,"input_tokens":\x01,"output_tokens":\x02,"service_tier":"standard"}'
)
_COLUMNS = (
    *("group_text", "request_id", "sidechain", "output", "stopped", "form", "model", "version", "input", "cache_read"),
    *("cache_write_5m", "cache_write_1h", "thinking", "flags", "at_ms", "final", "web_searches", "owner"),
)
Found = TypeVar("Found")


def run(bench: Bench) -> list[Row]:
    """Made in the database itself: to send ten million from here would take an hour."""
    with bench.scratch() as scratch, closing(ClickHouse(address.parse(f"chdb://{scratch}/db?rollup_every_s=86400"))) as store:
        began = time.monotonic()
        _fill(store, bench.replies)
        filled_s = time.monotonic() - began
        weight = _weight(store)
        rows = [
            Row(
                what=f"{_rows(store) / 1e6:.1f} M records of {bench.replies / 1e6:g} M replies, one in {GROWN} grown, made inside",
                values=(filled_s,),
                unit="s",
            ),
            Row(what="on disk, a reply", values=(weight / bench.replies,), unit="bytes"),
            *_asked(store, bench),
            *_added(store, bench),
        ]
        merged_s = _timed(lambda: store.server.run(f"OPTIMIZE TABLE {store.layout.table('records')} FINAL"))[1]
        rows.append(Row(what="all parts merged into one", values=(merged_s,), unit="s"))
        rows.append(Row(what="then on disk, a reply", values=(_weight(store) / bench.replies,), unit="bytes"))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
        return [*rows, Row(what="peak memory of this process", values=(peak,), unit="MB")]


def _asked(store: ClickHouse, bench: Bench) -> list[Row]:
    """The views' questions: of the replies as they are, and of sums that were computed ahead."""
    price_list = prices.load()
    exact, ahead = (Stored(_with_rollups(store, said), price_list) for said in ("never", "always"))
    month = _days(30)
    at_ms = _END_MS - 3 * DAY_MS
    rows = [
        _measured("overview: 30 days by model, of replies", bench, lambda: exact.usage(Question(month)), at_most=OVERVIEW_MS),
        _measured("a day by model, of replies", bench, lambda: exact.usage(Question(_days(1)))),
        _measured("a year of days by model, of replies", bench, lambda: exact.usage(Question(_days(DAYS)))),
        _measured("30 days by owner, of replies", bench, lambda: exact.usage(Question(month, "owner"))),
        _measured("an hour's replies", bench, lambda: exact.replies_between(at_ms, at_ms + 3_600_000)),
        _measured("the latest 100 replies", bench, lambda: exact.older_replies((_END_MS, ""), 100)),
        _measured("a session's replies", bench, lambda: exact.replies_of_session(_a_session(store))),
    ]
    store.set_thresholds(price_list.thresholds)
    refreshed_s = sum(_timed(partial(store.server.run, statement))[1] for statement in _refreshing(store))
    ((sums,),) = store.server.rows(f"SELECT count() FROM {store.layout.table('sums')}")
    if _total(ahead.usage(Question(month))) != _total(exact.usage(Question(month))):
        raise MeasureError("the sums computed ahead differ from the replies")
    return [
        *rows,
        Row(what=f"sums computed ahead: all {sums:,} of them", values=(refreshed_s,), unit="s"),
        _measured("overview, of sums computed ahead", bench, lambda: ahead.usage(Question(month)), at_most=ROLLUP_MS),
        _measured("a year of days by model, of those sums", bench, lambda: ahead.usage(Question(_days(DAYS)))),
        _measured("30 days by owner, of those sums", bench, lambda: ahead.usage(Question(month, "owner"))),
    ]


def _added(store: ClickHouse, bench: Bench) -> list[Row]:
    """As a hub adds what came in; each batch once, and all of them again."""
    rng, owner = Random(1), Owner(False, False, "s", "-home-dev", "", "anna", "laptop")
    batches = [[record(rng, _END_MS - n, owner, _MODELS[0]) for n in range(BATCH)] for _ in range(BATCHES)]
    rates, again = ([BATCH / _timed(partial(store.add, batch))[1] for batch in batches] for _ in range(2))
    return [
        Row(what=f"added in batches of {BATCH:,}", values=tuple(rates), unit="records/s"),
        Row(what="the same ones again", values=tuple(again), unit="records/s"),
    ]


def _refreshing(store: ClickHouse) -> Sequence[str]:
    return [f"SYSTEM {what} VIEW {store.layout.table('sums_refreshed')}" for what in ("REFRESH", "WAIT")]


def _measured(what: str, bench: Bench, ask: Callable[[], Iterable[object]], at_most: float | None = None) -> Row:
    """In milliseconds; one round goes first that does not count."""
    taken = [_timed(lambda: len(list(ask()))) for _ in range(bench.runs + 1)]
    return Row(what=f"{what} ({taken[0][0]:,} rows)", values=tuple(took_s * 1000 for _, took_s in taken[1:]), unit="ms", at_most=at_most)


def _timed(work: Callable[[], Found]) -> tuple[Found, float]:
    began = time.monotonic()
    return work(), time.monotonic() - began


def _total(used: Iterable[Usage]) -> tuple[int, int]:
    cells = [each.cell for each in used]
    return sum(cell.tokens.total for cell in cells), sum(cell.replies for cell in cells)


def _days(many: int) -> Sequence[Window]:
    """So many, up to the last one."""
    return [Window(str(day), _END_MS - day * DAY_MS, _END_MS - (day - 1) * DAY_MS) for day in range(many, 0, -1)]


def _with_rollups(store: ClickHouse, said: str) -> ClickHouse:
    return ClickHouse(store.server.address._replace(rollups=said), makes=False)


def _a_session(store: ClickHouse) -> str:
    return str(store.server.rows(f"SELECT min(owner).session FROM {store.layout.table('records')} LIMIT 1")[0][0])


def _rows(store: ClickHouse) -> int:
    return int(store.server.rows(f"SELECT count() FROM {store.layout.table('records')}")[0][0])


def _weight(store: ClickHouse) -> int:
    query = "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = {database:String} AND table = 'records'"
    return int(store.server.rows(query, {"database": store.layout.database})[0][0])


def _fill(store: ClickHouse, replies: int) -> None:
    """Replies over a year, of 50 users' sessions in 12 projects; of some an earlier state, too."""
    for start in range(0, replies, BLOCK):
        many = min(BLOCK, replies - start)
        into = f"INSERT INTO {store.layout.table('records')} ({', '.join(_COLUMNS)})"
        store.server.run(f"{into} {_made(start, many, replies, '')}")
        store.server.run(f"{into} {_made(start, many, replies, f'WHERE n % {GROWN} = 0', 'intDiv(20 + b % 1500, 2)', 0)}")


def _made(start: int, many: int, replies: int, where: str, output: str = "20 + b % 1500", done: int = 1) -> str:
    models = ", ".join(f"'{model}'" for model in _MODELS)
    session = f"intDiv(n, {_SESSION})"
    values = {
        "group_text": _token("msg_01", 3),
        "request_id": _token("req_011C", 5),
        "sidechain": "0",
        "output": output,
        "stopped": str(done),
        "form": f"'{_FORM}'",
        "model": f"[{models}][1 + c % {len(_MODELS)}]",
        "version": "'2.1.229'",
        "input": "1 + a % 60",
        "cache_read": "15000 + a % 165000",
        "cache_write_5m": "0",
        "cache_write_1h": "200 + b % 8800",
        "thinking": "intDiv(b % 1500, 4)",
        "flags": "0",
        "at_ms": f"toInt64({BEGIN_MS} + intDiv(n * {DAYS * DAY_MS}, {replies}) + a % 3000)",
        "final": str(done),
        "web_searches": "0",
        "owner": f"(0, b % 4 = 0, concat(lower(hex(cityHash64({session}))), '-4000-8000'), concat('-home-dev-src-', toString(c % 12)), '', "
        "concat('user', toString(c % 50)), concat('host', toString(c % 60)))",
    }
    columns = ", ".join(f"{value} AS {name}" for name, value in values.items())
    numbers = f"number AS n, cityHash64(number) AS a, cityHash64(number, 1) AS b, cityHash64({session}, 2) AS c"
    return f"SELECT {columns} FROM (SELECT {numbers} FROM numbers({start}, {many})) {where}"


def _token(prefix: str, salt: int) -> str:
    """Of 22 letters and digits, as ids have them."""
    raw = " || ".join(f"reinterpretAsFixedString(cityHash64(n, {salt + each}))" for each in range(2))
    return f"concat('{prefix}', substring(base58Encode({raw}), 1, 22))"
