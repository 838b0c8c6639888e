"""Tests of `tokentail.web.live`: each event once, in order, again from where a connection broke."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import httpx
import pytest

from builders import line
from serving import WITHIN_S, Listening, numbers, seeded, serving
from tokentail.web.live import MOST_WAITING, Batch, Event, Listener


def test_what_is_written_is_heard(tmp_path: Path) -> None:
    """A new reply, one that grows and one that another process commits, as lines of the feed, with ids that grow."""
    with serving(seeded(tmp_path)) as served, Listening(served) as heard:
        served.write(line("m1", stop_reason=None))
        heard.until(lambda: heard.keys == ["m1"])
        served.write(line("m1", output=70))
        heard.until(lambda: len(heard.replies) == 2)
        served.write(line("m2"), line("m3"))
        served.run("daily")
        heard.until(lambda: len(heard.replies) == 4)
        assert [(event.data["event"], event.data["key"], event.data["output_tokens"]) for event in heard.replies] == [
            ("new", "m1", 10),
            ("grown", "m1", 70),
            ("new", "m2", 10),
            ("new", "m3", 10),
        ]
        assert numbers(heard.replies) == sorted(set(numbers(heard.replies)))
        heard.until(lambda: any(event.name == "look" for event in heard.events))


def test_a_broken_connection_goes_on_where_it_was(tmp_path: Path) -> None:
    """Wherever it is cut: by the header or by the address, nothing is missing and nothing there twice."""
    with serving(seeded(tmp_path)) as served:
        with Listening(served) as first:
            for number in range(8):
                served.write(line(f"k{number}"))
            first.until(lambda: len(first.replies) == 8)
        served.write(*(line(f"n{number}") for number in range(5)))
        for event in first.replies:
            with Listening(served, last_id=event.id) as again:
                again.until(lambda again=again, event=event: again.keys[-5:] == [f"n{n}" for n in range(5)])  # type: ignore[misc]
                assert again.keys == [*first.keys[first.replies.index(event) + 1 :], *(f"n{number}" for number in range(5))]
        with served.http.stream("GET", "/api/v1/stream", params={"last_event_id": first.replies[-1].id}) as response:
            said = ""
            for part in response.iter_text():
                said += part
                if said.count("event: reply") == 5:
                    break


def test_it_goes_on_after_another_server(tmp_path: Path) -> None:
    """What came while there was none is told, too."""
    with serving(seeded(tmp_path)) as served, Listening(served) as heard:
        served.write(line("m1"))
        heard.until(lambda: heard.keys == ["m1"])
    assert heard.is_over.wait(WITHIN_S)
    with (tmp_path / "logs" / "-home-dev-app" / "s1.jsonl").open("ab") as log:
        log.write(line("m2"))
    with serving(tmp_path, "--port", str(served.port)) as anew, Listening(anew, last_id=heard.replies[-1].id) as again:
        again.until(lambda: again.keys == ["m2"])
        anew.write(line("m3"))
        again.until(lambda: again.keys == ["m2", "m3"])


@pytest.mark.parametrize("last_id", ["1-1", "x", "-", "99999999-99", "1-99999999999999999999", "\u00b2-\u00b2"])
def test_an_id_of_another_store_begins_anew(tmp_path: Path, last_id: str) -> None:
    """Who comes from another store, or makes ids up, is told to load all anew."""
    with serving(seeded(tmp_path)) as served:
        served.write(line("m1"))
        answer = served.http.stream("GET", "/api/v1/stream", params={"last_event_id": last_id})
        with answer as response:
            said = next(iter(response.iter_text()))
        assert "event: reset" in said


def test_another_store_in_its_place_is_told(tmp_path: Path) -> None:
    """Numbers of changes begin anew then; whoever listens loads all anew, and hears what comes."""
    with serving(seeded(tmp_path)) as served, Listening(served) as heard:
        served.write(line("m1"))
        heard.until(lambda: heard.keys == ["m1"])
        for path in (tmp_path / "home").glob("**/*.db*"):
            if path.is_file():
                path.unlink()
        served.write(line("m2"))
        heard.until(lambda: "reset" in [event.name for event in heard.events])
        served.write(line("m3"))
        heard.until(lambda: "m3" in heard.keys)
        heard.until(lambda: {reply["key"] for reply in served.get("replies")["replies"]} == {"m0", "m1", "m2", "m3"})


def test_who_is_too_slow_is_dropped(tmp_path: Path) -> None:
    """He is not waited for: others hear all, the server's memory is bounded, and his connection ends."""
    with serving(seeded(tmp_path)) as served, Listening(served) as heard:
        slow = socket.create_connection(("127.0.0.1", served.port))
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sendall(f"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n\r\n".encode())
        heard.until(lambda: served_metric(served.http, "tokentail_stream_listeners") == 2)
        written = 0
        while served_metric(served.http, "tokentail_stream_dropped_total") == 0:
            assert written < 40 * MOST_WAITING
            served.write(*(line(f"k{written + number}") for number in range(500)))
            written += 500
            heard.until(lambda: len(heard.replies) == written)  # noqa: B023  # it is over before the next turn
        assert numbers(heard.replies) == sorted(set(numbers(heard.replies)))
        slow.close()


def served_metric(http: httpx.Client, name: str) -> float:
    text = http.get("/metrics").text
    return float(next(line for line in text.splitlines() if line.startswith(f"{name} ")).split()[1])


def test_two_hundred_listeners_hear_all(tmp_path: Path) -> None:
    """In order, none twice; and they all leave when the server ends."""
    with serving(seeded(tmp_path)) as served:
        request = f"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n\r\n".encode()
        sockets = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(200)]
        for each in sockets:
            each.sendall(request)
        end = time.monotonic() + WITHIN_S
        while served_metric(served.http, "tokentail_stream_listeners") < 200:
            assert time.monotonic() < end
        for number in range(60):
            served.write(line(f"k{number}"))
        served.write(line("last"))
        for each in sockets:
            each.settimeout(WITHIN_S)
            said = b""
            while b'"key":"last"' not in said:
                said += each.recv(65_536)
            keys = [json.loads(row[6:])["key"] for row in said.splitlines() if row.startswith(b"data: ") and b'"key"' in row]
            assert keys == [*(f"k{number}" for number in range(60)), "last"]
    for each in sockets:
        each.settimeout(WITHIN_S)
        while each.recv(65_536):
            pass
        each.close()


def test_what_waits_is_bounded(tmp_path: Path) -> None:
    """What waits for a listener is bounded, and who leaves is forgotten."""
    listener = Listener(0)
    events = [Event(number, b"x") for number in range(1, MOST_WAITING + 1)]
    assert listener.add(Batch(events))
    assert not listener.add(Batch([Event(MOST_WAITING + 1, b"x")]))
    assert listener.is_over
    with serving(seeded(tmp_path)) as served:
        with Listening(served):
            assert served_metric(served.http, "tokentail_stream_listeners") == 1
        end = time.monotonic() + WITHIN_S
        while served_metric(served.http, "tokentail_stream_listeners"):
            assert time.monotonic() < end
