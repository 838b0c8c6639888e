"""A real hub, somebody who sends to it, and bodies that no honest machine sends: what the hub's tests share."""

from __future__ import annotations

import gzip
import json
import os
import random
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import httpx

from builders import record
from serving import Served, serving
from tokentail.fleet import hub_tokens, wire
from tokentail.merge import group_of_key
from tokentail.model import Record
from tokentail.web.taking import JSON, PROTOBUF

LOGS, RECONCILE = "/v1/logs", "/v1/reconcile"
_TABLES = (
    "names",
    "owners",
    "tiers",
    "replies",
    "records",
    "extras",
    "quarters",
    "hours",
    "days",
    "projects",
    "changes",
    "sightings",
    "files",
)


class Hub:
    """A hub, and how it is sent to."""

    def __init__(self, served: Served, agent: str) -> None:
        self.served, self.agent = served, agent

    @property
    def home(self) -> Path:
        return self.served.root / "home"

    @property
    def store(self) -> Path:
        (path,) = self.home.glob("source-*.db")
        return path

    def send(self, body: bytes, *, token: str | None = None, path: str = LOGS, kind: str = JSON, **headers: str) -> httpx.Response:
        """The answer to a body; a keyword is a header with _ for -."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        token = self.agent if token is None else token
        known = {"authorization": f"Bearer {token}"} if token else {}
        return self.served.http.post(path, content=body, headers={"content-type": kind, **known, **named})

    def send_records(self, *lines: Record, **more: Any) -> httpx.Response:
        return self.send(body_of(*lines), **more)

    def read(self, path: str, token: str) -> int:
        """The status of the answer to who asks with that token."""
        return self.served.http.get(path, headers={"authorization": f"Bearer {token}"} if token else {}).status_code

    def tables(self) -> dict[str, list[tuple[Any, ...]]]:
        """All that the store keeps of records."""
        with closing(sqlite3.connect(self.store)) as db:
            there = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            return {name: sorted(db.execute(f"SELECT * FROM {name}"), key=repr) for name in _TABLES if name in there}

    def groups(self) -> set[str]:
        return groups_in(self.store)


def groups_in(store: Path) -> set[str]:
    """The groups of all replies in a store."""
    with closing(sqlite3.connect(store)) as db:
        return {group_of_key(key) for (key,) in db.execute("SELECT key FROM replies")}


@contextmanager
def hub(root: Path, *words: str, ends_with: int = 0) -> Iterator[Hub]:
    """`tokentail web --accept`, with a token for an agent."""
    home = root / "home"
    known = hub_tokens.read(home)
    agent = hub_tokens.add(home, f"agent-{len(known)}", hub_tokens.AGENT)
    with serving(root, "--accept", *words, ends_with=ends_with) as served:
        yield Hub(served, agent)


def body_of(*lines: Record, user: str = "anna", host: str = "laptop") -> bytes:
    return wire.encode(lines, {"-home-dev-app": "/home/dev/app"}, user=user, host=host, version="1.2.3")


def many(first: int, count: int) -> list[Record]:
    return [record(f"msg_{number}", request_id=f"req_{number}", at_ms=1_790_000_000_000 + number) for number in range(first, first + count)]


# Bodies that no honest machine sends

_ODD: Sequence[Any] = (
    *(None, True, False, 0, -1, 1.5, 1e308, 2**53 + 1, 2**64, -(2**63) - 1, "", "0", "-1", "1e3", "\x00", "\ud800", "\u202e", "x" * 2_000),
    *(
        "9" * 30,
        "٣",
        [],
        {},
        [[]],
        {"a": {}},
        {"stringValue": "x"},
        {"intValue": "5"},
        {"boolValue": True},
        {"doubleValue": 1},
        {"stringValue": None},
    ),
    *(
        {"intValue": "18446744073709551616"},
        {"kvlistValue": {"values": []}},
        "this is what I said to it",
        '{"a":"this is what I said to it"}',
    ),
    *('{"\x7fextras":[]}', '{"input_tokens":\x01}', "[" * 500, {"stringValue": '{"a":"said to it","a":1}'}, {"stringValue": "{}"}),
)


def hostile(rng: random.Random, honest: bytes, protobuf: bytes) -> tuple[bytes, str, bool]:
    """A body that was spoilt in one to four places, its kind, and whether it is packed."""
    kind = rng.choice((JSON, JSON, PROTOBUF))
    body = protobuf if kind == PROTOBUF else honest
    if kind == JSON and rng.random() < 0.8:
        said = json.loads(body)
        for _ in range(rng.randint(1, 4)):
            (_spoil_value if rng.random() < 0.7 else _spoil)(rng, said)
        body = json.dumps(said).encode()
    if rng.random() < 0.4 or body in (honest, protobuf):
        for _ in range(rng.randint(1, 4)):
            body = rng.choice(_BYTEWISE)(rng, body)
    is_packed = rng.random() < 0.3
    if is_packed:
        body = gzip.compress(body, 1)
        if rng.random() < 0.6:
            body = rng.choice(_BYTEWISE)(rng, body)
    return body, kind, is_packed


def bomb(size: int) -> bytes:
    """A body that grows to so many bytes."""
    packing = zlib.compressobj(9, wbits=31)
    piece = b" " * 1_000_000
    return b"".join([*(packing.compress(piece) for _ in range(size // len(piece) + 1)), packing.flush()])


def _spoil(rng: random.Random, said: Any) -> None:
    """Change one thing somewhere in a document."""
    place = said
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return
        key = rng.choice(keys)
        if isinstance(place[key], dict | list) and place[key] and rng.random() < 0.85:
            place = place[key]
            continue
        match rng.randrange(5):
            case 0:
                del place[key]
            case 1 if isinstance(place, list):
                place.insert(key, deepcopy(place[key]))
            case 2 if isinstance(place, dict):
                place[rng.choice((*("key", "value", "attributes", "timeUnixNano", "stringValue", "intValue"), f"{key}x"))] = deepcopy(
                    place[key]
                )
            case _:
                place[key] = deepcopy(rng.choice(_ODD))
        return


def _spoil_value(rng: random.Random, said: Any) -> None:
    """Change what one attribute says, in the way of OTLP: so it is looked at where a record is made of it."""
    try:
        resource = rng.choice(said["resourceLogs"])
        log = rng.choice(resource["scopeLogs"][0]["logRecords"])
        attribute = rng.choice(log["attributes"] if rng.random() < 0.9 else resource["resource"]["attributes"])
        attribute["value"] = _odd_value(rng, next(iter(attribute["value"].values())))
    except (KeyError, IndexError, TypeError, AttributeError, StopIteration):
        _spoil(rng, said)  # another change was here before


def _odd_value(rng: random.Random, now: Any) -> dict[str, Any]:
    match rng.randrange(4):
        case 0:
            numbers = (0, 1, -1, 255, 256, 2**32, 2**32 + 1, 2**53, 2**63 - 1, -(2**63), 2**64, rng.randrange(2**40))
            number = rng.choice(numbers)
            return {"intValue": rng.choice((number, str(number)))}
        case 1:
            return {"boolValue": rng.choice((True, False))}
        case 2:
            return {"stringValue": _rewritten(rng, str(now))}
        case _:
            return {"stringValue": rng.choice([each for each in _ODD if isinstance(each, str)])}


_SIGNS = (*'{}[]",:#0 -.\\\x00\x01\x07\x08\x7f', "null", "1e999", "NaN", '"a":1,', '"a b"', "\ud800", "[[[[")


def _rewritten(rng: random.Random, said: str) -> str:
    """A text with some signs changed for those that mean something in a form."""
    signs = list(said)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(signs) + 1)
        signs[at : at + rng.randrange(3)] = rng.choice(_SIGNS)
    return "".join(signs)


def _cut(rng: random.Random, body: bytes) -> bytes:
    return body[: rng.randrange(len(body) + 1)]


def _flipped(rng: random.Random, body: bytes) -> bytes:
    if not body:
        return body
    at = rng.randrange(len(body))
    return body[:at] + bytes([body[at] ^ (1 << rng.randrange(8))]) + body[at + 1 :]


def _replaced(rng: random.Random, body: bytes) -> bytes:
    at = rng.randrange(len(body) + 1)
    return (
        body[:at]
        + rng.choice((b"\x00", b"\xff", b'"', b"{", b"[[[[[[[[", b"}", b"\\u0000", b"\\ud800", b"99999999999999999999"))
        + body[at + 1 :]
    )


def _doubled(rng: random.Random, body: bytes) -> bytes:
    first, last = sorted((rng.randrange(len(body) + 1), rng.randrange(len(body) + 1)))
    return body[:last] + body[first:last] + body[last:]


def _noise(rng: random.Random, body: bytes) -> bytes:
    return rng.randbytes(rng.randrange(200))


_BYTEWISE: Sequence[Callable[[random.Random, bytes], bytes]] = (_cut, _flipped, _flipped, _replaced, _replaced, _doubled, _noise)


def seed() -> int:
    """Of the writers of bodies: another one on request, and always told."""
    return int(os.environ.get("TOKENTAIL_TEST_SEED", "8"))
