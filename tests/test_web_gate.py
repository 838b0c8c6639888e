"""Tests of `tokentail.web.gate` and `tokens`: who may ask, from where, how long and how often."""

from __future__ import annotations

import json
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from builders import line
from serving import WITHIN_S, Served, seeded, serving
from tokentail.fleet import hub_tokens
from tokentail.fleet.hub_tokens import Keyring
from tokentail.web.gate import BURST, HEADERS, SENT_BURST, Gate, Rules, is_local

OVERVIEW = "/api/v1/overview"


@pytest.fixture(name="served", scope="module")
def fixture_served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(seeded(tmp_path_factory.mktemp("gate"))) as made:
        yield made


@pytest.fixture(name="open_to_all", scope="module")
def fixture_open_to_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Bound to all addresses, and with content."""
    root = seeded(tmp_path_factory.mktemp("open"))
    with serving(root, "--host", "0.0.0.0", "--show-content") as made:  # that is what is tested
        yield made


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST:{port}", "localhost", "[::1]:{port}"])
def test_it_answers_to_its_own_names(served: Served, host: str) -> None:
    assert served.http.get(OVERVIEW, headers={"Host": host.format(port=served.port)}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "localhost.evil.example:{port}", "192.0.2.1", "", "[::2]", "a" * 300],
)
def test_a_name_that_was_made_to_lead_here_is_refused(served: Served, host: str) -> None:
    """DNS rebinding: a page of another place whose name leads to this machine still asks by that name."""
    for path in (OVERVIEW, "/", "/metrics", "/healthz"):
        answer = served.http.get(path, headers={"Host": host.format(port=served.port)})
        assert answer.status_code == 403
        assert "m0" not in answer.text


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "http://localhost", "file://"])
def test_a_page_of_another_place_is_refused(served: Served, origin: str) -> None:
    """Also where a browser would let it ask, but not read."""
    for method, path in (("GET", OVERVIEW), ("GET", "/api/v1/stream"), ("POST", "/api/v1/session")):
        assert served.http.request(method, path, headers={"Origin": origin}).status_code == 403


def test_our_own_page_may_ask(served: Served) -> None:
    """By the origin that a browser sends, and by where the question comes from; a link to us may be followed."""
    own = {"Origin": f"http://127.0.0.1:{served.port}"}
    assert served.http.get(OVERVIEW, headers=own).status_code == 200
    assert served.http.get(OVERVIEW, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert served.http.get("/", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}).status_code == 200
    assert served.http.get(OVERVIEW, headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}).status_code == 403
    assert served.http.get(OVERVIEW, headers={"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}).status_code == 403


def test_every_answer_says_what_it_may_do(served: Served) -> None:
    """Pages, files, JSON and problems alike; no script but our own, and nothing inline."""
    for path in ("/", OVERVIEW, "/metrics", "/healthz", "/nothing", f"{OVERVIEW}?x=1"):
        answer = served.http.get(path)
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
        assert "access-control-allow-origin" not in answer.headers
    policy = served.http.get("/").headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


def test_this_machine_needs_no_token(served: Served) -> None:
    """And none is made."""
    assert served.token == ""
    assert not (served.root / "home" / "web.token").exists()


def test_others_need_the_token(open_to_all: Served) -> None:
    """For all but the page itself and whether the server lives; a wrong one, or one in the address, is none."""
    assert open_to_all.token
    for path in (OVERVIEW, "/metrics", "/api/v1/stream", "/api/v1/openapi.json", "/api/v1/original/m0"):
        refused = open_to_all.http.get(path)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        for wrong in ("x", open_to_all.token[:-1], f"{open_to_all.token}x", hub_tokens.cookie_of(open_to_all.token)):
            assert open_to_all.http.get(path, headers=bearer(wrong)).status_code == 401
    assert open_to_all.http.get(OVERVIEW, params={"token": open_to_all.token}).status_code == 401
    assert open_to_all.http.get(OVERVIEW, headers=bearer(open_to_all.token)).status_code == 200
    assert open_to_all.http.get("/healthz").status_code == 200
    assert open_to_all.http.get("/").status_code == 200


def test_the_token_is_exchanged_for_a_cookie(open_to_all: Served) -> None:
    """Which no script can read and no other page sends, and which does not tell the token."""
    with httpx.Client(base_url=open_to_all.address, trust_env=False) as browser:
        answer = browser.post("/api/v1/session", json={"token": open_to_all.token})
        assert answer.status_code == 204
        said = answer.headers["set-cookie"]
        assert {"httponly", "samesite=strict", "path=/"} <= {part.strip().casefold() for part in said.split(";")}
        assert open_to_all.token not in said
        assert browser.get(OVERVIEW).status_code == 200
        assert browser.get("/api/v1/original/m0").status_code == 200
    assert open_to_all.http.get(OVERVIEW, headers={"Cookie": "tokentail=x"}).status_code == 401
    assert open_to_all.http.get(OVERVIEW, headers={"Cookie": "\x01;;=;tokentail"}).status_code == 401


def test_only_a_hash_of_the_token_is_kept(open_to_all: Served) -> None:
    """For its owner's eyes only; and nothing that was said later shows the token again."""
    kept = open_to_all.root / "home" / "web.token"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert open_to_all.token not in kept.read_text()
    assert hub_tokens.cookie_of(open_to_all.token) not in kept.read_text()
    assert sum(open_to_all.token in said for said in open_to_all.said) == 1
    assert any("no TLS" in said for said in open_to_all.said)


def test_a_token_lasts_until_there_is_a_new_one(tmp_path: Path) -> None:
    """It is shown when it is made, and opens the next server, too; a new one makes it worthless."""
    words = ("--host", "0.0.0.0")  # as above
    with serving(seeded(tmp_path), *words) as first:
        token = first.token
    with serving(tmp_path, *words) as again:
        assert again.token == ""
        assert again.http.get(OVERVIEW, headers=bearer(token)).status_code == 200
    with serving(tmp_path, *words, "--new-token") as anew:
        assert anew.token not in ("", token)
        assert anew.http.get(OVERVIEW, headers=bearer(token)).status_code == 401
        assert anew.http.get(OVERVIEW, headers=bearer(anew.token)).status_code == 200


def test_guesses_are_few(tmp_path: Path) -> None:
    """Ten wrong tokens a minute, then nobody may try."""
    with serving(seeded(tmp_path), "--host", "0.0.0.0") as served:  # as above
        found = [served.http.post("/api/v1/session", json={"token": f"guess {number}"}).status_code for number in range(12)]
        assert found == [401] * 10 + [429] * 2
        assert served.http.post("/api/v1/session", json={"token": served.token}).status_code == 429


def test_content_needs_the_token_on_this_machine_too(tmp_path: Path) -> None:
    """Other users of it can reach the server; all else stays open."""
    with serving(seeded(tmp_path), "--show-content") as served:
        served.write(line("m1"))
        assert served.http.get(OVERVIEW).status_code == 200
        assert served.get("overview")["shows_content"] is True
        assert served.http.get("/api/v1/original/m0").status_code == 401
        shown = served.http.get("/api/v1/original/m0", headers=bearer(served.token)).json()
        assert '"m0"' in json.dumps(shown).replace("\\", "")
        explained = served.http.get("/api/v1/explain/m0").json()
        assert "original" not in json.dumps(explained) or all(each.get("original") is None for each in explained["lines"])


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/assets/../../app.py",
        "//etc/passwd",
        "/app.py",
        "/assets/%00",
        "/\\..\\app.py",
    ],
)
def test_only_the_pages_files_are_served(served: Served, path: str) -> None:
    """Whatever an address says; asked by hand, since a client would tidy it up."""
    with socket.create_connection(("127.0.0.1", served.port), WITHIN_S) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        said = b""
        while part := raw.recv(65_536):
            said += part
    assert said.split()[1] in (b"404", b"400")
    assert b"root:" not in said
    assert b"import" not in said


def test_what_is_too_long_is_refused(served: Served) -> None:
    """Bodies, headers, and bodies where there should be none."""
    post = "/api/v1/session"
    assert served.http.post(post, content=b"x" * 5_000).status_code == 413
    assert served.http.post(post, content=iter([b"x"])).status_code == 413
    assert served.http.request("GET", OVERVIEW, content=b"x").status_code == 413
    assert served.http.get(OVERVIEW, headers={f"x-{number}": "y" for number in range(80)}).status_code == 431
    assert served.http.get(OVERVIEW, headers={"x": "y" * 17_000}).status_code == 431
    assert served.http.get(OVERVIEW, params={"project": "x" * 5_000}).status_code == 400
    for body in (
        b"",
        b"[]",
        b"{",
        b'{"token": 1}',
        b'{"token": ""}',
        b'{"token": "x", "more": 1}',
        b"\xff",
        b"[" * 4_000,
        b'{"token":"' + b"x" * 300 + b'"}',
    ):
        assert served.http.post(post, content=body).status_code == 400


async def test_who_asks_too_often_waits() -> None:
    """Each address by itself; a second later it may ask again."""
    now, passed = 0.0, []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        passed.append(scope["client"][0])

    async def ask(address: str) -> int:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {"type": "http.request"}

        scope: Scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"localhost")], "client": (address, 1)}
        await gate(scope, receive, send)
        return int(sent[0]["status"]) if sent else 200

    gate = Gate(app, Rules("127.0.0.1", (), None, False), lambda _: False, clock=lambda: now)
    assert {await ask("127.0.0.1") for _ in range(int(BURST))} == {200}
    assert await ask("127.0.0.1") == 429
    assert await ask("127.0.0.2") == 200
    now = 1.0
    assert await ask("127.0.0.1") == 200
    for number in range(3_000):
        await ask(f"10.0.{number // 256}.{number % 256}")
    assert len(gate._buckets) <= 1_001


@pytest.mark.parametrize(
    ("host", "is_it"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("box.example", False),
    ],  # compared
)
def test_which_addresses_only_this_machine_reaches(host: str, is_it: bool) -> None:
    assert is_local(host) is is_it


def test_another_name_may_be_allowed(tmp_path: Path) -> None:
    """As behind a proxy, with TLS of its own."""
    with serving(seeded(tmp_path), "--allow-host", "tokens.example") as served:
        headers = {"Host": "tokens.example", "Origin": "https://tokens.example"}
        assert served.http.get(OVERVIEW, headers=headers).status_code == 200
        assert served.http.get(OVERVIEW, headers={**headers, "Host": "other.example"}).status_code == 403


def test_a_port_that_is_taken_is_told(served: Served) -> None:
    """In words, with what to do."""
    words = ("web", "--no-browser", "--port", str(served.port), "--source", str(served.root / "logs"))
    said = subprocess.run(
        [sys.executable, "-m", "tokentail", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 2
    assert "--port" in said.stderr
    assert "Traceback" not in said.stderr


async def test_who_asks_too_often_with_one_token_waits(tmp_path: Path) -> None:
    """From however many addresses; other tokens, and who reads, have limits of their own."""
    tokens_of = {name: hub_tokens.add(tmp_path, name, hub_tokens.AGENT) for name in ("a", "b")}
    now = 0.0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["state"]["token"].name in tokens_of

    async def ask(name: str, number: int) -> int:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {"type": "http.request"}

        headers = [(b"host", b"127.0.0.1"), (b"authorization", f"Bearer {tokens_of[name]}".encode())]
        client = (f"10.0.{number // 256}.{number % 256}", 1)
        await gate({"type": "http", "method": "POST", "path": "/v1/logs", "headers": headers, "client": client}, receive, send)
        return int(sent[0]["status"]) if sent else 200

    gate = Gate(app, Rules("127.0.0.1", (), None, True, Keyring(tmp_path)), lambda _: True, clock=lambda: now)
    assert {await ask("a", number) for number in range(int(SENT_BURST))} == {200}
    assert (await ask("a", 0), await ask("b", 0)) == (429, 200)
    now = 1.0
    assert await ask("a", 0) == 200
