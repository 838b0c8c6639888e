"""Tests of `tokentail.fleet.wire`: what travels of a record, and what is taken of a stranger."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from builders import OWNER, days_in, memory_store, record, records, usage
from tokentail import merge
from tokentail.fleet import wire
from tokentail.fleet.sessions import by_session
from tokentail.fleet.wire import Batch, Malformed
from tokentail.model import MAX_COUNT, Owner, Record, Tokens

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)  # a NUL is none of a host or user
WIDE = st.builds(
    lambda made, at_ms, owner, model: made._replace(at_ms=at_ms, owner=owner, model=model),
    records(),
    st.integers(0, 253_402_300_799_999),  # the years 1970 to 9999: logs say no other
    st.builds(Owner, st.booleans(), st.booleans(), NAMES, NAMES, st.just("") | NAMES, st.just("") | NAMES, st.just("") | NAMES),
    NAMES,
)


def encoded(*lines: Record, folders: Mapping[str, str] = {}) -> bytes:  # nobody changes it
    return wire.encode(lines, folders, user="anna", host="laptop", version="1.2.3")


def sent(lines: list[Record]) -> list[Record]:
    """As they arrive: with whose they are."""
    return sorted(
        each._replace(owner=each.owner._replace(user=each.owner.user or "anna", host=each.owner.host or "laptop")) for each in lines
    )


def as_protobuf(body: bytes) -> bytes:
    """A body of ours as another exporter would send it."""
    request = ExportLogsServiceRequest()
    for each in json.loads(body)["resourceLogs"]:
        resource = request.resource_logs.add()
        resource.resource.attributes.extend(map(_key_value, each["resource"]["attributes"]))
        for part in each["scopeLogs"]:
            scope = resource.scope_logs.add()
            scope.scope.name, scope.scope.version = part["scope"]["name"], part["scope"]["version"]
            for log in part["logRecords"]:
                scope.log_records.add(time_unix_nano=int(log["timeUnixNano"]), attributes=map(_key_value, log["attributes"]))
    return bytes(request.SerializeToString())


def _key_value(said: dict[str, Any]) -> KeyValue:
    ((kind, value),) = said["value"].items()
    made = {
        "stringValue": lambda: AnyValue(string_value=value),
        "intValue": lambda: AnyValue(int_value=int(value)),
        "boolValue": lambda: AnyValue(bool_value=value),
    }
    return KeyValue(key=said["key"], value=made[kind]())


@given(st.lists(WIDE, max_size=6))
def test_a_record_arrives_as_it_is(lines: list[Record]) -> None:
    """In JSON as in protobuf, with whose it is; whatever a log may have said in it."""
    body = encoded(*lines)
    assert sorted(wire.decode_json(body).records) == sent(lines)
    assert sorted(wire.decode_protobuf(as_protobuf(body)).records) == sent(lines)


def test_a_body_is_this() -> None:
    """The whole of it, to the letter."""
    line = record(usage=usage(10), owner=OWNER._replace(agent="a1", subagent=True))
    body = json.loads(encoded(line, folders={"-home-dev-app": "/home/dev/app"}))
    (resource,) = body["resourceLogs"]
    assert _flat(resource["resource"]["attributes"]) == {
        "service.name": "tokentail",
        "service.version": "1.2.3",
        "tokentail.rules": "1",
        "user.name": "anna",
        "host.name": "laptop",
    }
    (scope,) = resource["scopeLogs"]
    assert scope["scope"] == {"name": "tokentail.record", "version": "1"}
    (log,) = scope["logRecords"]
    assert log["timeUnixNano"] == "1790000000000000000"
    assert _flat(log["attributes"]) == {
        "model": "claude-opus-5",
        "app.version": "2.1.220",
        "usage.form": line.form,
        "final": True,
        "stopped": True,
        "session.id": "s1",
        "project": "-home-dev-app",
        "project.folder": "/home/dev/app",
        "agent.id": "a1",
        "subagent": True,
        "input_tokens": "4",
        "output_tokens": "10",
        "cache_read_tokens": "2000",
        "cache_write_1h_tokens": "300",
        "request_id": "req_1",
        "message.group": "msg_1",
    }


def _flat(attributes: list[dict[str, Any]]) -> dict[str, object]:
    return {each["key"]: next(iter(each["value"].values())) for each in attributes}


@given(st.lists(WIDE, min_size=1, max_size=4))
def test_nothing_travels_but_what_is_listed(lines: list[Record]) -> None:
    """Every attribute of a record is in the list of fields that may travel."""
    for resource in json.loads(encoded(*lines))["resourceLogs"]:
        for log in resource["scopeLogs"][0]["logRecords"]:
            assert {each["key"] for each in log["attributes"]} <= wire.FIELDS
            assert log.keys() == {"timeUnixNano", "attributes"}


def test_folders_come_with_the_least_moment() -> None:
    """A project's folder is known from the first of its records on."""
    lines = [record("msg_1", at_ms=20), record("msg_2", at_ms=10), record("msg_3", owner=OWNER._replace(project="-b"))]
    batch = wire.decode_json(encoded(*lines, folders={"-home-dev-app": "/home/dev/app"}))
    assert batch.folders == [("-home-dev-app", 10, "/home/dev/app")]


def test_numbers_may_be_numbers() -> None:
    """OTLP writes 64-bit numbers as texts, and some exporters write numbers."""
    body = json.loads(encoded(record()))
    log = body["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]
    log["timeUnixNano"] = int(log["timeUnixNano"])
    for each in log["attributes"]:
        if "intValue" in each["value"]:
            each["value"]["intValue"] = int(each["value"]["intValue"])
    assert wire.decode_json(json.dumps(body).encode()).records == sent([record()])


def test_what_is_not_known_is_ignored() -> None:
    """Fields and attributes of later versions of OTLP, wherever they stand."""
    body = json.loads(encoded(record()))
    resource = body["resourceLogs"][0]
    log = resource["scopeLogs"][0]["logRecords"][0]
    for each in (body, resource, resource["resource"], resource["scopeLogs"][0], resource["scopeLogs"][0]["scope"], log):
        each["somethingNew"] = {"deep": [1, {}]}
    log["attributes"].append({"key": "new", "value": {"arrayValue": {"values": []}}})
    log["severityNumber"], log["body"] = 9, {"stringValue": "text"}
    assert wire.decode_json(json.dumps(body).encode()).records == sent([record()])


@pytest.mark.parametrize("body", [b"{}", b'{"resourceLogs": []}', b'{"resourceLogs": null}', b'{"resourceLogs": [{}]}'])
def test_an_empty_body_is_a_batch(body: bytes) -> None:
    """There is nothing in it, and nothing wrong with it."""
    assert wire.decode_json(body) == Batch([], [], 0)


def test_logs_of_others_are_counted() -> None:
    """A collector may send all it has: what is of another service or scope is left alone."""
    body = json.loads(encoded(record(), record("msg_2")))
    for change in (("service.name", "claude-code"), None):
        changed = json.loads(json.dumps(body))
        if change is None:
            changed["resourceLogs"][0]["scopeLogs"][0]["scope"]["name"] = "com.anthropic.claude_code.events"
        else:
            changed["resourceLogs"][0]["resource"]["attributes"][0]["value"]["stringValue"] = change[1]
        data = json.dumps(changed).encode()
        assert wire.decode_json(data) == wire.decode_protobuf(as_protobuf(data)) == Batch([], [], 2)


def _with(name: str, value: object) -> bytes:
    """A body with one attribute of its record so; with None without it."""
    body = json.loads(encoded(record()))
    log = body["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]
    log["attributes"] = [each for each in log["attributes"] if each["key"] != name]
    if value is not None:
        log["attributes"].append({"key": name, "value": value})
    return json.dumps(body).encode()


PROSE = json.dumps({"note": "this is what I said to it"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", None),
        ("session.id", None),
        ("usage.form", None),
        ("message.group", None),
        ("message.group", {"stringValue": ""}),
        ("message.group", {"stringValue": "x" * 1_001}),
        ("model", {"stringValue": "x" * 1_001}),
        ("model", {"intValue": "3"}),
        ("project.folder", {"stringValue": "x" * 4_097}),
        ("input_tokens", {"intValue": "-1"}),
        ("input_tokens", {"intValue": str(MAX_COUNT + 1)}),
        ("input_tokens", {"intValue": "1e3"}),
        ("input_tokens", {"intValue": "9" * 30}),
        ("input_tokens", {"intValue": "٣"}),
        ("input_tokens", {"stringValue": "3"}),
        ("input_tokens", {"boolValue": True}),
        ("input_tokens", {"doubleValue": 3.0}),
        ("input_tokens", {}),
        ("input_tokens", {"intValue": str(2**32 + 1)}),
        ("flags", {"intValue": "256"}),
        ("at_ms", {"intValue": "-1"}),
        ("at_ms", {"intValue": "253402387200000"}),
        ("final", {"intValue": "1"}),
        ("final", {"stringValue": "true"}),
        ("at_ms", {"intValue": "999999999999999999"}),
        ("usage.form", {"stringValue": PROSE}),
        ("usage.form", {"stringValue": json.dumps({"this is what I said to it": 1})}),
        ("usage.form", {"stringValue": json.dumps({"a": [{"b": "two words"}]})}),
        ("usage.form", {"stringValue": '{"a":"this is what I said to it","a":1}'}),
        ("usage.form", {"stringValue": '{"a": 1}'}),
        ("usage.form", {"stringValue": '{"a":1, "b":2}'}),
        ("usage.form", {"stringValue": '{"b":1,"a":2}'}),
        ("usage.form", {"stringValue": '{"a":1\x01}'}),
        ("usage.form", {"stringValue": '{"a":"x\x01"}'}),
        ("usage.form", {"stringValue": '{"\x01":1}'}),
        ("usage.form", {"stringValue": '{"a":"\x7f1"}'}),
        ("usage.form", {"stringValue": '{"a":"\\u0061"}'}),
        ("usage.form", {"stringValue": json.dumps({merge.EXTRAS: [["m", [1, 2, 3, 4, 2**32 + 1]]]})}),
        ("usage.form", {"stringValue": "[]"}),
        ("usage.form", {"stringValue": "{"}),
        ("usage.form", {"stringValue": '{"a": ' + "9" * 5_000 + "}"}),
        ("usage.form", {"stringValue": "[" * 100_000}),
        ("usage.form", {"stringValue": '{"a": ' + "[" * 30 + "]" * 30 + "}"}),
        ("usage.form", {"stringValue": json.dumps({merge.EXTRAS: 1})}),
        ("usage.form", {"stringValue": json.dumps({merge.EXTRAS: [["m", [1, 2, 3, 4]]]})}),
        ("usage.form", {"stringValue": json.dumps({merge.EXTRAS: [["m", [1, 2, 3, 4, -5]]]})}),
        ("usage.form", {"stringValue": json.dumps({merge.EXTRAS: [[5, [1, 2, 3, 4, 5]]]})}),
    ],
)
def test_what_no_log_can_have_given_is_refused(name: str, value: object) -> None:
    """Missing, of another kind, out of bounds, or with room for prose: the whole body is."""
    with pytest.raises(Malformed):
        wire.decode_json(_with(name, value))


def test_a_reason_quotes_nothing() -> None:
    """What is told, and may be logged, holds nothing of what was sent."""
    with pytest.raises(Malformed) as caught:
        wire.decode_json(_with("usage.form", {"stringValue": PROSE}))
    assert "said to it" not in str(caught.value)


def test_an_attribute_that_is_there_twice_is_refused() -> None:
    """Which of the two is meant, nobody can know."""
    body = json.loads(encoded(record()))
    log = body["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]
    log["attributes"].append(log["attributes"][0])
    for decode, data in ((wire.decode_json, json.dumps(body).encode()), (wire.decode_protobuf, as_protobuf(json.dumps(body).encode()))):
        with pytest.raises(Malformed):
            decode(data)


@pytest.mark.parametrize(("place", "value"), [("tokentail.rules", {"intValue": "2"}), ("user.name", {"intValue": "2"})])
def test_what_the_resource_says_must_be_ours(place: str, value: object) -> None:
    """Other rules would count otherwise."""
    body = json.loads(encoded(record()))
    for each in body["resourceLogs"][0]["resource"]["attributes"]:
        if each["key"] == place:
            each["value"] = value
    with pytest.raises(Malformed):
        wire.decode_json(json.dumps(body).encode())


def test_too_many_records_are_refused() -> None:
    """A body has an end."""
    body = json.loads(encoded(record()))
    scope = body["resourceLogs"][0]["scopeLogs"][0]
    scope["logRecords"] *= wire.MOST_RECORDS + 1
    with pytest.raises(Malformed):
        wire.decode_json(json.dumps(body).encode())


@given(st.lists(WIDE, min_size=1, max_size=30, unique_by=lambda made: made[:3]))
def test_whatever_is_taken_can_be_kept_and_added_up(lines: list[Record]) -> None:
    """With the greatest counts and at the last moments that are taken: no sum overflows."""
    store = memory_store()
    most = [each._replace(tokens=Tokens(*[2**32] * 5), at_ms=at_ms) for each in lines for at_ms in (0, each.at_ms)]
    store.take(map(wire.check, most))
    for counts in by_session(store.connection, lines[0].owner.user, lines[0].owner.host).values():
        assert counts.input >= 2**32
    assert list(days_in(store.connection))


@given(st.text(max_size=60) | ANYTHING.map(json.dumps))
def test_a_form_that_is_accepted_can_be_used(text: str) -> None:
    """Whatever passes for one has a form that reports can be made of; what does not is never looked at."""
    if wire.is_form(text):
        assert merge.form_of(text).keys >= 0


@given(st.dictionaries(st.sampled_from(["speed", "service_tier", "x"]) | st.text(max_size=4), ANYTHING, max_size=4))
def test_a_form_of_a_log_is_one(said: dict[str, Any]) -> None:
    """Whatever usage object a log holds, its form is accepted."""
    assert wire.is_form(record(usage=usage(**said)).form)


@given(ANYTHING.map(json.dumps).map(str.encode) | st.binary(max_size=60))
def test_any_bytes_are_a_batch_or_malformed(body: bytes) -> None:
    """And nothing else, in JSON as in protobuf."""
    for decode in (wire.decode_json, wire.decode_protobuf):
        try:
            batch = decode(body)
        except Malformed:
            continue
        assert batch.records == []


def test_a_body_is_the_same_bytes_each_time() -> None:
    """Compressed at another moment, too."""
    body = encoded(record())
    assert wire.compressed(body) == wire.compressed(body)
    assert gzip.decompress(wire.compressed(body)) == body
