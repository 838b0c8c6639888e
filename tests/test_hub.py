"""Tests of a hub as a whole: `tokentail web --accept`, over real sockets."""

from __future__ import annotations

import gzip
import json
import random
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from builders import OWNER, record, usage
from hub import LOGS, RECONCILE, Hub, body_of, bomb, groups_in, hostile, hub, many, seed
from serving import WITHIN_S, Listening, seeded
from test_wire import as_protobuf
from tokentail.fleet import hub_tokens
from tokentail.fleet.sessions import SessionCounts
from tokentail.web import taking
from tokentail.web.gate import MOST_BODY_BYTES
from tokentail.web.taking import JSON, MOST_INFLATED_BYTES, MOST_SENT_BYTES, PROTOBUF

OVERVIEW = "/api/v1/overview"


@pytest.fixture(name="shared", scope="module")
def fixture_shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with hub(seeded(tmp_path_factory.mktemp("hub"))) as made:
        yield made


@pytest.mark.parametrize("kind", [JSON, PROTOBUF])
@pytest.mark.parametrize("is_packed", [False, True])
def test_records_are_kept_in_any_dress(shared: Hub, kind: str, is_packed: bool) -> None:
    """JSON or protobuf, packed or not: 200, and how many of them were news."""
    name = f"msg_{kind[-3:]}_{is_packed}"
    body = body_of(record(name))
    body = as_protobuf(body) if kind == PROTOBUF else body
    answer = shared.send(gzip.compress(body) if is_packed else body, kind=kind, **({"content_encoding": "gzip"} if is_packed else {}))
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"{}" if kind == JSON else b"", kind)
    assert answer.headers["tokentail-news"] == "1"
    assert name in shared.groups()


def test_a_batch_that_comes_again_changes_nothing(shared: Hub) -> None:
    """Its answer may have been lost: whatever was sent twice, in parts or in another order, the tables are the same."""
    lines = [*many(100, 50), record("msg_grows", usage=usage(5), stopped=False), record("msg_grows", usage=usage(9))]
    assert shared.send_records(*lines).headers["tokentail-news"] == "51"
    before = shared.tables()
    for some in (lines, lines[:7], lines[::-1]):
        assert shared.send_records(*some).headers["tokentail-news"] == "0"
    assert shared.tables() == before


def test_logs_of_others_are_said_to_be_left_out(shared: Hub) -> None:
    """A collector that sends all it has is told how many were not taken; ours beside them are."""
    ours, others = json.loads(body_of(record("msg_beside"))), json.loads(body_of(record("msg_other"), record("msg_other_2")))
    others["resourceLogs"][0]["resource"]["attributes"][0]["value"]["stringValue"] = "another"
    both = json.dumps({"resourceLogs": ours["resourceLogs"] + others["resourceLogs"]}).encode()
    answer = shared.send(both)
    assert (answer.status_code, answer.json()["partialSuccess"]["rejectedLogRecords"]) == (200, "2")
    assert shared.send(as_protobuf(both), kind=PROTOBUF).status_code == 200
    assert "msg_beside" in shared.groups()
    assert not {"msg_other", "msg_other_2"} & shared.groups()


def test_the_page_hears_of_it(shared: Hub) -> None:
    """As of a line of the hub's own logs, which it still follows."""
    viewer = hub_tokens.add(shared.home, "listener", hub_tokens.VIEWER)
    with Listening(shared.served, headers={"Authorization": f"Bearer {viewer}"}) as listening:
        shared.send_records(record("msg_heard"))
        listening.until(lambda: "msg_heard" in listening.keys)


# Who may what


@pytest.mark.parametrize("path", [LOGS, RECONCILE])
def test_who_sends_needs_a_token_for_that(shared: Hub, path: str) -> None:
    """Also on the hub's own machine; one that reads is none, and neither is the page's."""
    viewer = hub_tokens.add(shared.home, f"reader{path.replace('/', '-')}", hub_tokens.VIEWER)
    before = shared.tables()
    for token, status in (("", 401), ("x", 401), (shared.agent[:-1], 401), (viewer, 403), (shared.served.token, 403)):
        assert shared.send(body_of(record("msg_secret")), token=token, path=path).status_code == status
    assert shared.tables() == before


def test_an_agent_cannot_read(shared: Hub) -> None:
    """Neither the API nor the stream nor the metrics, and it gets no cookie either."""
    for path in (OVERVIEW, "/api/v1/stream", "/metrics", "/api/v1/sessions", "/api/v1/openapi.json"):
        assert (shared.read(path, shared.agent), shared.read(path, "")) == (403, 401)
    assert shared.served.http.post("/api/v1/session", json={"token": shared.agent}).status_code == 401
    assert shared.read(LOGS, shared.agent) == 405


def test_a_viewer_reads(shared: Hub) -> None:
    """By the token, and in a browser by a cookie; both end when it is revoked."""
    viewer = hub_tokens.add(shared.home, "vera", hub_tokens.VIEWER)
    with httpx.Client(base_url=shared.served.address, trust_env=False) as browser:
        assert browser.post("/api/v1/session", json={"token": viewer}).status_code == 204
        assert (browser.get(OVERVIEW).status_code, shared.read(OVERVIEW, viewer)) == (200, 200)
        hub_tokens.revoke(shared.home, "vera")
        assert (browser.get(OVERVIEW).status_code, shared.read(OVERVIEW, viewer)) == (401, 401)


def test_the_stream_of_who_is_revoked_ends(shared: Hub) -> None:
    """Who still may comes again by himself."""
    viewer = hub_tokens.add(shared.home, "olga", hub_tokens.VIEWER)
    with Listening(shared.served, headers={"Authorization": f"Bearer {viewer}"}) as listening:
        hub_tokens.revoke(shared.home, "olga")
        assert listening.is_over.wait(WITHIN_S)


def test_a_revoked_agent_cannot_write(shared: Hub) -> None:
    """From the next request on."""
    token = hub_tokens.add(shared.home, "gone", hub_tokens.AGENT)
    assert shared.send_records(record("msg_before"), token=token).status_code == 200
    hub_tokens.revoke(shared.home, "gone")
    assert shared.send_records(record("msg_after"), token=token).status_code == 401
    assert "msg_after" not in shared.groups()


def test_a_token_can_be_for_one_machine_and_user(shared: Hub) -> None:
    """Of a batch with a record of another one nothing is kept."""
    token = hub_tokens.add(shared.home, "pinned", hub_tokens.AGENT, host="laptop", user="anna")
    assert shared.send_records(record("msg_mine"), token=token).status_code == 200
    for host, user in (("desk", "anna"), ("laptop", "bob")):
        body = body_of(record("msg_hers"), record("msg_his", owner=OWNER._replace(host=host, user=user)))
        assert shared.send(body, token=token).status_code == 403
        asked = json.dumps({"host": host, "user": user, "sessions": {}}).encode()
        assert shared.send(asked, token=token, path=RECONCILE).status_code == 403
    assert not {"msg_hers", "msg_his"} & shared.groups()


# What is refused


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", {}, 400),
        (b"{", {}, 400),
        (b"[]", {}, 400),
        (b"{}", {"content_type": "text/plain"}, 415),
        (b"{}", {"content_encoding": "br"}, 415),
        (b"{}", {"content_encoding": "gzip"}, 400),
        (gzip.compress(b"{}")[:-3], {"content_encoding": "gzip"}, 400),
        (gzip.compress(b"{}") * 2, {"content_encoding": "gzip"}, 400),
        (b"\xff\xff", {"content_type": PROTOBUF}, 400),
        (body_of(record(), host=""), {}, 400),
    ],
)
def test_what_is_no_batch_is_refused(shared: Hub, body: bytes, headers: dict[str, str], status: int) -> None:
    """With a problem that says why."""
    before = shared.tables()
    answer = shared.send(body, **headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert shared.tables() == before


def test_bodies_have_an_end(shared: Hub) -> None:
    """As they come, and unpacked."""
    assert shared.send(b" " * (MOST_SENT_BYTES + 1)).status_code == 413
    packed = bomb(MOST_INFLATED_BYTES)
    assert len(packed) < 100_000
    assert shared.send(packed, content_encoding="gzip").status_code == 413
    assert shared.send(b"{" + b" " * MOST_BODY_BYTES + b"}").status_code == 200  # longer than other bodies may be


def test_a_body_without_a_length_is_refused(shared: Hub) -> None:
    """It could have no end."""

    def pieces() -> Iterator[bytes]:
        yield b"{}"

    headers = {"authorization": f"Bearer {shared.agent}", "content-type": JSON}
    assert shared.served.http.post(LOGS, content=pieces(), headers=headers).status_code == 413


def test_without_accept_nothing_is_taken(tmp_path: Path) -> None:
    """A page on one machine has no such address."""
    from serving import serving

    with serving(seeded(tmp_path)) as served:
        assert served.http.post(LOGS, json={}).status_code == 404


@pytest.mark.parametrize("many", [1_200, pytest.param(6_000, marks=pytest.mark.slow)])
def test_hostile_bodies_store_nothing(shared: Hub, many: int) -> None:
    """Spoilt in JSON, protobuf or gzip: 4xx; what is sound all the same is kept, and nothing else. fuzz_hub.py tries a million."""
    rng = random.Random(seed() * many)
    honest = body_of(record("msg_honest", usage=usage(7, iterations=[{"type": "compaction", "input_tokens": 5}])))
    protobuf = as_protobuf(honest)
    sound = shared.groups()
    statuses: dict[int, int] = {}
    for _ in range(many):
        body, kind, is_packed = hostile(rng, honest, protobuf)
        answer = shared.send(body, kind=kind, **({"content_encoding": "gzip"} if is_packed else {}))
        statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
        assert answer.status_code in (200, 400), (seed(), body)
        if answer.status_code == 200:
            batch = taking.decoded(taking.inflated(body) if is_packed else body, kind)
            sound |= {each.group for each in batch.records}
    assert statuses[400] > many // 2
    assert shared.groups() == sound
    assert shared.served.http.get("/healthz").json()["status"] == "ok"


# Sums of sessions


def test_sessions_are_compared(shared: Hub) -> None:
    """Those of which other sums are kept than the agent has, or none; those of other machines are not looked at."""
    lines = [record(f"msg_r{number}", usage=usage(10), owner=OWNER._replace(session=f"r{number % 2}")) for number in range(6)]
    shared.send_records(*lines)
    counts = SessionCounts(3, 12, 30, 6_000, 0, 900, 0, 3)
    asked = {"r0": counts, "r1": counts._replace(output=31), "r2": counts, "r3": SessionCounts()}
    for host, differ in (("laptop", ["r1", "r2"]), ("desk", ["r0", "r1", "r2"])):
        body = json.dumps({"host": host, "user": "anna", "sessions": asked}).encode()
        answer = shared.send(gzip.compress(body), path=RECONCILE, content_encoding="gzip")
        assert answer.json() == {"differ": differ}


@pytest.mark.parametrize(
    "said",
    [
        None,
        [],
        {"host": "h", "user": "u"},
        {"host": "", "user": "u", "sessions": {}},
        {"host": "h", "user": "u", "sessions": {"s": [1, 2, 3]}},
        {"host": "h", "user": "u", "sessions": {"s": [1] * 7 + [-1]}},
        {"host": "h", "user": "u", "sessions": {"s": [1] * 9}},
        {"host": "h", "user": "u", "sessions": {"s": [1] * 7 + ["1"]}},
        {"host": "h", "user": "u" * 1_001, "sessions": {}},
        {"host": "h", "user": "u", "sessions": {str(number): [1] * 8 for number in range(taking.MOST_SESSIONS + 1)}},
    ],
    ids=range(10),
)
def test_what_is_no_comparison_is_refused(shared: Hub, said: object) -> None:
    assert shared.send(json.dumps(said).encode(), path=RECONCILE).status_code == 400


# What an answer is worth


@pytest.mark.slow
def test_what_was_answered_is_there_after_a_kill(tmp_path: Path) -> None:
    """The hub is killed while batches come in, between commits and in them: each batch that was answered is whole."""
    acknowledged: set[str] = set()
    for round_ in range(3):
        with hub(tmp_path, ends_with=-signal.SIGKILL) as made:
            enough = threading.Event()

            def send(number: int, made: Hub = made, enough: threading.Event = enough, round_: int = round_) -> None:
                for batch in range(10_000):
                    lines = [record(f"msg_{round_}_{number}_{batch}_{each}") for each in range(20)]
                    try:
                        with httpx.Client(base_url=made.served.address, trust_env=False, timeout=WITHIN_S) as client:
                            headers = {"authorization": f"Bearer {made.agent}", "content-type": JSON}
                            answer = client.post(LOGS, content=body_of(*lines), headers=headers)
                    except httpx.TransportError:
                        return
                    assert answer.status_code == 200
                    acknowledged.update(line.group for line in lines)
                    if batch == 3 + round_:
                        enough.set()

            threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
            for thread in threads:
                thread.start()
            assert enough.wait(WITHIN_S)
            made.served.process.kill()
            made.served.process.wait(WITHIN_S)
            for thread in threads:
                thread.join(WITHIN_S)
            assert acknowledged <= groups_in(made.store)
    with hub(tmp_path) as made:
        assert acknowledged <= made.groups()
        assert len(acknowledged) >= 20 * (4 + 5 + 6)


def test_slow_bodies_do_not_keep_others_out(shared: Hub) -> None:
    """Who sends a byte now and then has a time; meanwhile others are served."""
    with socket.create_connection(("127.0.0.1", shared.served.port), timeout=WITHIN_S) as slow:
        head = f"POST {LOGS} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {shared.agent}\r\nContent-Type: {JSON}\r\n"
        slow.sendall(f"{head}Content-Length: 1000\r\n\r\n".encode() + b"{")
        assert shared.send_records(record("msg_beside_slow")).status_code == 200


def test_what_comes_in_is_measured(shared: Hub) -> None:
    """Requests by status, records, news and commits, for Prometheus."""
    shared.send_records(*many(5_000, 3))
    viewer = hub_tokens.add(shared.home, "prometheus", hub_tokens.VIEWER)
    said = shared.served.http.get("/metrics", headers={"authorization": f"Bearer {viewer}"}).text
    values = dict(line.rsplit(" ", 1) for line in said.splitlines() if line.startswith("tokentail_hub"))
    assert float(values['tokentail_hub_requests_total{status="200"}']) >= 1
    assert float(values["tokentail_hub_records_total"]) >= float(values["tokentail_hub_news_total"]) >= 3
    assert float(values["tokentail_hub_commits_total"]) >= 1
    assert values["tokentail_hub_waiting_records"] == "0"
    assert values["tokentail_hub_failed_total"] == "0"
