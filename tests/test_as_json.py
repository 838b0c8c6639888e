"""Tests of `tokentail.reports.as_json`: every report keeps the published schema, and has no field that it does not name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # ships no types

import sample
from builders import AUTUMN, SPREAD, SPRING, record
from test_build import counted, requests, stored
from tokentail.model import Owner, Record
from tokentail.periods import HOUR_MS
from tokentail.reports.as_json import ROW_NAMES, report_json
from tokentail.reports.build import KINDS
from tokentail.reports.request import Request

SCHEMA: dict[str, Any] = json.loads((Path(__file__).parents[1] / "docs" / "report.schema.json").read_text(encoding="utf-8"))


def closed(schema: Any) -> Any:
    """The schema with no other fields than those it names; `counts` and `parts` are pieces of other objects."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: each if name in ("counts", "parts") else closed(each) for name, each in schema.items()}
    return {**inner, "unevaluatedProperties": False} if schema.get("type") == "object" else inner


CLOSED = Draft202012Validator(closed(SCHEMA))


def faults(document: str) -> Iterator[str]:
    return (f"{error.json_path}: {error.message}" for error in CLOSED.iter_errors(json.loads(document)))


def test_the_schema_is_one() -> None:
    """A validator can use it."""
    Draft202012Validator.check_schema(SCHEMA)


@settings(deadline=None, max_examples=100)
@given(SPREAD, requests(), st.sampled_from([SPRING, AUTUMN]), st.integers(0, 6))
def test_every_report_keeps_the_schema(lines: list[Record], request: Request, around_ms: int, hours: int) -> None:
    """Whatever was counted and asked for, by the store or without it, also while a window is running."""
    now_ms = around_ms + hours * HOUR_MS
    assert list(faults(report_json(counted(request, *lines, now_ms=now_ms)))) == []
    assert list(faults(report_json(stored(request, *lines, now_ms=now_ms)))) == []


@pytest.mark.parametrize("name", sorted(path.name for path in sample.STORED.glob("*.json")))
def test_the_sample_keeps_the_schema(name: str) -> None:
    """And has every field that the schema names: models, subagents one by one, a pace."""
    assert list(faults((sample.STORED / name).read_text(encoding="utf-8"))) == []


def test_the_sample_has_every_field() -> None:
    """What no test ever sees may be anything."""
    seen = "".join(path.read_text(encoding="utf-8") for path in sample.STORED.glob("*.json"))
    assert [name for name in property_names(SCHEMA) if f'"{name}": ' not in seen] == []


def property_names(schema: Any) -> set[str]:
    """All names of fields, at any depth."""
    match schema:
        case list():
            return {name for each in schema for name in property_names(each)}
        case dict():
            named = schema.get("properties")
            own = set(named) if isinstance(named, dict) else set()
            return own | {name for each in schema.values() for name in property_names(each)}
    return set()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"more": 1}, "more"),
        ({"rows": [{"day": "2026-10-01"}]}, "input_tokens"),
        ({"report": "yearly"}, "yearly"),
        ({"notes": {}}, "degraded"),
    ],
)
def test_what_breaks_the_schema_is_seen(change: dict[str, object], says: str) -> None:
    """The test above can fail."""
    document = json.loads((sample.STORED / "daily.json").read_text(encoding="utf-8"))
    assert any(says in fault for fault in faults(json.dumps({**document, **change})))


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_field_that_no_document_names_is_seen(name: str) -> None:
    """In a row as elsewhere."""
    lines = [record(), record("msg_2", owner=Owner(False, True, "s1", "-home-dev-app", "a1"))]
    document = json.loads(report_json(counted(Request(name, sample.BERLIN, breakdown=True, agents=True), *lines, now_ms=lines[0].at_ms)))
    row = document["rows"][0]
    assert ROW_NAMES[name] == next(iter(row))
    places = [row, document["totals"], *(row[each] for each in ("pace", "subagents") if row.get(each)), *row.get("models", [])]
    for place in places:
        place["undocumented"] = 1
        assert any("undocumented" in fault for fault in faults(json.dumps(document)))
        del place["undocumented"]
    assert list(faults(json.dumps(document))) == []
