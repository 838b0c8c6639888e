"""Tests of `tokentail.fleet.clickhouse.collector`: what a company's own collector has written is counted as what a hub took."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import OWNER, record, usage
from test_wire import WIDE
from tokentail.fleet import wire
from tokentail.fleet.clickhouse import address, collector
from tokentail.fleet.clickhouse.central import ClickHouse
from tokentail.fleet.clickhouse.client import Server
from tokentail.fleet.clickhouse.schema import KEY, SAID, statements
from tokentail.model import Record

FOLDERS = {OWNER.project: "/home/dev/app"}
# As the exporter makes it, so far as a query can tell: its codecs, indexes and partitions are left out.
OTEL_LOGS = """
CREATE TABLE otel_logs (
    Timestamp DateTime64(9), TraceId String, SpanId String, TraceFlags UInt8, SeverityText LowCardinality(String), SeverityNumber UInt8,
    ServiceName LowCardinality(String), Body String, ResourceSchemaUrl LowCardinality(String),
    ResourceAttributes Map(LowCardinality(String), String), ScopeSchemaUrl LowCardinality(String), ScopeName String,
    ScopeVersion LowCardinality(String), ScopeAttributes Map(LowCardinality(String), String),
    LogAttributes Map(LowCardinality(String), String), EventName String
) ENGINE = MergeTree ORDER BY (ServiceName, Timestamp)"""
_COLUMNS = (
    *("Timestamp", "ServiceName", "Body", "ResourceAttributes", "ScopeName", "ScopeVersion", "ScopeAttributes", "LogAttributes"),
    "EventName",
)
_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)


class Both:
    """Two databases of one server: what a hub took is in `hub`, what a collector wrote in `collected`."""

    def __init__(self, folder: str) -> None:
        self.hub, self.collected = (_store(folder, name) for name in ("hub", "collected"))
        self.collected.server.run(f"DROP TABLE IF EXISTS {self.logs}")
        self.collected.server.run(OTEL_LOGS.replace("otel_logs", self.logs))

    @property
    def logs(self) -> str:
        return self.collected.layout.table("otel_logs")

    def watch(self) -> None:
        """From now on."""
        for statement in collector.statements(self.collected.layout, "collected.otel_logs"):
            self.collected.server.run(statement)

    def catch_up(self) -> None:
        for statement in collector.catching_up(self.collected.layout, "collected.otel_logs"):
            self.collected.server.run(statement)

    def empty(self) -> None:
        for store in (self.hub, self.collected):
            for name in ("records", "folders"):
                store.server.run(f"TRUNCATE TABLE {store.layout.table(name)}")
        self.collected.server.run(f"TRUNCATE TABLE {self.logs}")

    def take(self, body: bytes) -> None:
        """Give a body to both; the hub takes nothing of one that it refuses."""
        try:
            batch = wire.decode_json(body)
        except wire.Malformed:
            pass
        else:
            self.hub.add(batch.records, batch.folders)
        self.write(exported(body))

    def write(self, rows: list[tuple[object, ...]]) -> None:
        """What the exporter does."""
        self.collected.server.insert("otel_logs", _COLUMNS, list(zip(*rows, strict=True)))

    def close(self) -> None:
        for store in (self.hub, self.collected):
            store.close()


def _store(folder: str, name: str) -> ClickHouse:
    place = address.parse(f"chdb://{folder}")
    place = place._replace(layout=place.layout._replace(database=name))
    server = Server(place)
    for statement in statements(place.layout):
        if "MATERIALIZED VIEW" not in statement:  # sums that are computed ahead say nothing here
            server.run(statement)
    server.close()
    return ClickHouse(place)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    both = Both(str(tmp_path_factory.mktemp("chdb")))
    both.watch()
    yield both
    both.close()


@pytest.fixture
def both(servers: Both) -> Both:
    servers.empty()
    return servers


def exported(body: bytes) -> list[tuple[object, ...]]:
    """A body of the wire as rows of the exporter: every value as text, and moments as signed numbers of nanoseconds."""
    rows: list[tuple[object, ...]] = []
    for resource in json.loads(body)["resourceLogs"]:
        about = _attributes(resource["resource"])
        for part in resource["scopeLogs"]:
            scope = part["scope"]
            for log in part["logRecords"]:
                moment = _BEGIN + timedelta(microseconds=int(log["timeUnixNano"]) // 1000)
                said = _attributes(log)
                rows.append((moment, about.get("service.name", ""), "", about, scope["name"], scope["version"], {}, said, ""))
    return rows


def _attributes(of: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for each in of["attributes"]:
        ((_, value),) = each["value"].items()
        found[each["key"]] = json.dumps(value) if isinstance(value, bool) else str(value)
    return found


def stored(store: ClickHouse) -> list[tuple[Any, ...]]:
    """Every record, with what its form says."""
    columns = ", ".join((*KEY, *SAID, "at_ms", "final", "web_searches", "owner", "keys", "speed", "geo", "service_tier", "extras"))
    return store.server.rows(f"SELECT {columns} FROM {store.layout.table('records')} FINAL ORDER BY ALL")


def folders(store: ClickHouse) -> list[tuple[Any, ...]]:
    return store.server.rows(
        f"SELECT project, min(least).1, min(least).2 FROM {store.layout.table('folders')} GROUP BY project ORDER BY project"
    )


def encoded(*lines: Record, folders: Mapping[str, str] = FOLDERS) -> bytes:
    return wire.encode(lines, folders, user="anna", host="laptop", version="1.2.3")


@given(st.lists(WIDE.filter(wire.is_sound), min_size=1, max_size=40))
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_a_collector_wrote_is_what_a_hub_took(servers: Both, lines: list[Record]) -> None:
    """Record by record, with whose they are, their times in any year, and what their forms say."""
    servers.empty()
    servers.take(encoded(*lines))
    assert stored(servers.collected) == stored(servers.hub)
    assert folders(servers.collected) == folders(servers.hub)


def test_extras_and_flags_arrive(both: Both) -> None:
    """What is billed besides, what was unusual, and a model in a form that reads like prose."""
    more = [{"type": "compaction", "input_tokens": 50, "output_tokens": 3, "model": 'a model of "ours", é'}, {"type": "message"}]
    lines = [
        record("msg_1", usage=usage(iterations=more, speed="fast", inference_geo="us")),
        record("msg_2", usage=usage(cache_creation=None, service_tier="batch"), request_id="", sidechain=True, stopped=False),
    ]
    both.take(encoded(*lines))
    assert len(stored(both.collected)) == 2
    assert stored(both.collected) == stored(both.hub)


def test_a_batch_that_comes_again_is_counted_once(both: Both) -> None:
    """Exporters send again what was not answered."""
    body = encoded(record("msg_1"), record("msg_2", owner=OWNER._replace(project="-b")))
    both.take(body)
    both.take(body)
    assert len(stored(both.collected)) == 2
    assert folders(both.collected) == [("-home-dev-app", record().at_ms, "/home/dev/app")]


def test_what_was_there_before_is_brought_in(both: Both) -> None:
    """The views see what comes; what came before them is asked for, once or twice."""
    both.take(encoded(record("msg_1"), record("msg_2")))
    for name in ("records", "folders"):
        both.collected.server.run(f"TRUNCATE TABLE {both.collected.layout.table(name)}")
    both.catch_up()
    both.catch_up()
    assert stored(both.collected) == stored(both.hub)
    assert folders(both.collected) == folders(both.hub)


def test_logs_of_others_stay_where_they_are(both: Both) -> None:
    """Another service, another scope, another version of ours."""
    body = json.loads(encoded(record()))
    changes: Sequence[Callable[[Any], object]] = (
        lambda resource: resource["resource"]["attributes"].pop(0),
        lambda resource: resource["resource"]["attributes"][2]["value"].update(intValue="99"),
        lambda resource: resource["scopeLogs"][0]["scope"].update(name="other"),
        lambda resource: resource["scopeLogs"][0]["scope"].update(version="2"),
    )
    for change in changes:
        (resource,) = json.loads(json.dumps(body))["resourceLogs"]
        change(resource)
        both.write(exported(json.dumps({"resourceLogs": [resource]}).encode()))
    assert both.collected.server.rows(f"SELECT count() FROM {both.logs}") == [(4,)]
    assert stored(both.collected) == []


PROSE = "what the user had asked for, word by word, in a text that is none of usage"


REFUSED: Sequence[tuple[str, str | None]] = (
    ("message.group", None),
    ("message.group", "x" * 1001),
    ("model", ""),
    ("session.id", None),
    ("request_id", "x" * 1001),
    ("project.folder", "x" * 5000),
    ("input_tokens", "-1"),
    ("input_tokens", "ten"),
    ("output_tokens", str(wire.MOST_COUNT + 1)),
    ("output_tokens", "9" * 17),
    ("flags", "256"),
    ("final", "yes"),
    ("sidechain", "1"),
    ("at_ms", "1e9"),
    ("at_ms", "999999999999999"),
    ("at_ms", "-1"),
    ("usage.form", None),
    ("usage.form", '{"a": 1}'),
    ("usage.form", '{"b":1,"a":1}'),
    ("usage.form", '{"a":1,"a":1}'),
    ("usage.form", '{"a":1\x01}'),
    ("usage.form", '{"a":\x011}'),
    ("usage.form", '{"a":"b:\x01,"}'),
    ("usage.form", "{"),
    ("usage.form", "[1]"),
    ("usage.form", PROSE),
    ("usage.form", json.dumps({"speed": PROSE})),
    ("usage.form", json.dumps({"speed": "a\u0020b"})),
    ("usage.form", '{"speed":"a\\u0020b"}'),
    ("usage.form", json.dumps({PROSE: 1})),
    ("usage.form", json.dumps({"a": {"b": [{"c": PROSE}]}})),
    ("usage.form", json.dumps({"a": 'quoted " and ' + PROSE})),
    ("usage.form", '{"a":' * 30 + "1" + "}" * 30),
    ("usage.form", '{"a":' + "[" * 5000 + "]" * 5000 + "}"),
    ("usage.form", json.dumps({"a": ["x"] * 30_000})),
    ("usage.form", json.dumps({"\x7fextras": PROSE}, ensure_ascii=False)),
    ("usage.form", json.dumps({"\x7fextras": [PROSE]}, ensure_ascii=False)),
    ("usage.form", json.dumps({"\x7fextras": [["m", [1, 2, 3, 4]]]}, ensure_ascii=False)),
    ("usage.form", json.dumps({"\x7fextras": [["m", [1, 2, 3, 4, PROSE]]]}, ensure_ascii=False)),
    ("usage.form", json.dumps({"\x7fextras": [["m", [1, 2, 3, 4, -5]]]}, ensure_ascii=False)),
    ("usage.form", json.dumps({"\x7fextras": [["m" * 1001, [1, 2, 3, 4, 5]]]}, ensure_ascii=False)),
    ("usage.form", json.dumps({"\x7fextras": [["m", [1, 2, 3, 4, 5], PROSE]]}, ensure_ascii=False)),
)


def test_what_a_hub_refuses_is_not_brought_in(both: Both) -> None:
    """And the insert succeeds all the same: the logs of others are in the same table."""
    rows = exported(encoded(*(record(f"{number:03}") for number in range(len(REFUSED) + 1))))
    for row, (name, value) in zip(rows[1:], REFUSED, strict=True):
        said = row[_COLUMNS.index("LogAttributes")]
        assert isinstance(said, dict)
        said.pop(name, None)
        said.update({name: value} if value is not None else {})
    both.write(rows)
    assert both.collected.server.rows(f"SELECT count() FROM {both.logs}") == [(len(rows),)]
    assert [row[0] for row in stored(both.collected)] == ["000"]
