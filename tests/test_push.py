"""Tests of `tokentail push` and what it is made of: whatever happens on the way, what this machine counted is at the central store."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import coordinator, line, many_lines, records, write_logs
from receiving import CUTS, LOSES_ANSWER, NONSENSE, Central, central
from test_budgets_https import Authority, fixture_authority
from test_feed import wait_until
from tokentail import database, outbox
from tokentail.fleet import push
from tokentail.fleet.labels import Labels
from tokentail.fleet.push import Post
from tokentail.fleet.sender import Sender, checked
from tokentail.interned import records_of
from tokentail.model import Record

__all__ = ["fixture_authority"]
MAIN = "-home-dev-app/s1.jsonl"
WITHIN_S = 30
ANNA = Labels("anna", "laptop")
TOKEN = "a-token-of-the-tests"  # it opens nothing


class Machine:
    """One with logs, and its own home."""

    def __init__(self, root: Path, logs: Mapping[str, bytes], **environment: str) -> None:
        self.root = root
        self.logs = write_logs(root / "logs", dict(logs))
        inherited = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        self.environment = {
            **inherited,
            "TOKENTAIL_HOME": str(root / "home"),
            "TOKENTAIL_CONFIG": str(root / "config.toml"),
            "HOME": str(root),
            "TZ": "UTC",
            "TOKENTAIL_PUSH_TOKEN": TOKEN,
            **environment,
        }

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tokentail", *words, "--source", str(self.logs)]
        return subprocess.Popen(command, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=WITHIN_S)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def run_alone(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Without naming its logs."""
        done = subprocess.run(
            [sys.executable, "-m", "tokentail", *words], env=self.environment, text=True, capture_output=True, timeout=WITHIN_S, check=False
        )
        return subprocess.CompletedProcess(words, done.returncode, done.stdout, done.stderr)

    def push(self, url: str, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run("push", url, "--once", "--user", "anna", "--host", "laptop", *words)

    @property
    def store(self) -> Path:
        (path,) = (self.root / "home").glob("source-*.db")
        return path

    def records(self, user: str = "anna", host: str = "laptop") -> list[Record]:
        """What it knows, as it is to arrive."""
        with closing(database.open_for_reading(self.store)) as db:
            return sorted(each._replace(owner=each.owner._replace(user=user, host=host)) for _, each in records_of(db))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path, {MAIN: many_lines(20), "-home-dev-web/s2.jsonl": many_lines(3, first=50)})


@pytest.fixture(name="there")
def fixture_there() -> Iterator[Central]:
    with central() as made:
        yield made


# Once


def test_once_sends_all_and_the_second_time_nothing(machine: Machine, there: Central) -> None:
    """All records arrive with whose they are; acknowledged, they do not go again."""
    done = machine.push(there.url)
    assert (done.returncode, done.stdout) == (0, "")
    assert "23 records sent in 1 batch" in done.stderr
    assert "23 of them were news there" in done.stderr
    assert there.records == machine.records()
    again = machine.push(there.url)
    assert (again.returncode, len(there.got)) == (0, 1)
    assert again.stderr.startswith("0 records sent")
    (got,) = there.got
    assert got.headers["Authorization"] == f"Bearer {TOKEN}"
    assert (got.path, got.headers["Content-Type"], got.headers["Content-Encoding"]) == ("/v1/logs", "application/json", "gzip")


def test_what_grew_is_sent_again(machine: Machine, there: Central) -> None:
    """A reply whose count grew goes once more, and nothing else does."""
    assert machine.push(there.url).returncode == 0
    with (machine.logs / MAIN).open("ab") as log:
        log.write(line("msg_3", output=4_000))
    assert machine.push(there.url).returncode == 0
    assert [each.group for each in there.got[1].records] == ["msg_3"]
    assert there.records == machine.records()


def test_what_other_commands_counted_goes_too(machine: Machine, there: Central) -> None:
    """The outbox is filled by whoever writes the store, not by who sends."""
    assert machine.push(there.url).returncode == 0
    with (machine.logs / MAIN).open("ab") as log:
        log.write(line("msg_new"))
    assert machine.run("daily").returncode == 0
    with closing(database.open_for_reading(machine.store)) as db:
        assert outbox.urls(db) == [(there.url, (1, 0))]
    assert machine.push(there.url).returncode == 0
    assert there.records == machine.records()


def test_a_store_that_was_made_anew_goes_again(machine: Machine, there: Central) -> None:
    """Its records have other numbers; to send them all changes nothing there."""
    assert machine.push(there.url).returncode == 0
    before = there.records
    assert machine.run("rebuild").returncode == 0
    done = machine.push(there.url)
    assert "23 records sent in 1 batch" in done.stderr
    assert "0 of them were news there" in done.stderr
    assert there.records == before


# What travels


WORDS = "MARKED_CONTENT_"


def marked(id: str) -> bytes:
    """A line with marked words in every place that holds what somebody said."""
    said = iter(f"{WORDS}{id}_{number}" for number in range(100))
    body = json.loads(line(id))
    message = body["message"]
    message["content"] = [
        {"type": "text", "text": next(said)},
        {"type": "thinking", "thinking": next(said), "signature": next(said)},
        {"type": "tool_use", "id": next(said), "name": next(said), "input": {"command": next(said), next(said): 1}},
    ]
    message["usage"] |= {"note": f"a sentence with {next(said)}", f"a key of {next(said)}": 1, "service_tier": f"said {next(said)} aloud"}
    message["stop_sequence"] = next(said)
    for name in ("summary", "title", "aiTitle", "customTitle", "toolUseResult", "slug", "gitBranch", "lastPrompt", "permissionMode"):
        body[name] = next(said)
    return json.dumps(body).encode() + b"\n"


def others() -> bytes:
    """Lines of other kinds that hold what somebody said."""
    kinds = (
        "user",
        "summary",
        "ai-title",
        "custom-title",
        "system",
        "attachment",
        "queue-operation",
        "last-prompt",
        "file-history-snapshot",
    )
    lines = [
        {"type": kind, "message": {"role": "user", "content": f"{WORDS}{kind}_1", "usage": f"{WORDS}{kind}_2"}, kind: f"{WORDS}{kind}_3"}
        for kind in kinds
    ]
    return b"".join(json.dumps(each).encode() + b"\n" for each in lines)


def test_no_content_is_on_the_wire(tmp_path: Path, there: Central) -> None:
    """Marked words stand in every field of the logs that holds text of a conversation: none of them is in the bytes that left."""
    lines = b"".join(marked(f"msg_{number}") for number in range(5)) + others()
    assert lines.count(WORDS.encode()) > 100
    machine = Machine(tmp_path, {MAIN: lines})
    assert machine.push(there.url).returncode == 0
    assert len(there.records) == 5
    for got in there.got:
        everything = got.raw + got.body + json.dumps([got.path, got.headers]).encode()
        assert WORDS.encode() not in everything
    assert "MARKED" not in machine.run("push", there.url, "--dry-run").stdout


def test_a_dry_run_prints_what_then_travels(machine: Machine, there: Central) -> None:
    """To the letter, and it sends nothing and notes nothing."""
    words = ("push", there.url, "--user", "anna", "--host", "laptop")
    dry = machine.run(*words, "--dry-run")
    assert (dry.returncode, there.got) == (0, [])
    assert f"23 records would go to {there.url} with a token" in dry.stderr
    with closing(database.open_for_reading(machine.store)) as db:
        assert outbox.urls(db) == []
    assert machine.run(*words, "--once").returncode == 0
    assert [got.body.decode() for got in there.got] == dry.stdout.splitlines()
    assert machine.run(*words, "--dry-run").stdout == ""


def test_a_site_key_hides_names(tmp_path: Path, there: Central) -> None:
    """Projects and users travel as hashes that all machines with the key make alike, and that tell nothing; folders do not travel."""
    logs = {"-home-dev-secret-plan/s1.jsonl": many_lines(2), "-home-dev-other/s2.jsonl": many_lines(2, first=10)}
    key = "0123456789abcdef0123"
    for name, ids in (("one", 0), ("two", 20)):
        machine = Machine(
            tmp_path / name,
            {**logs, "-home-dev-secret-plan/s3.jsonl": many_lines(1, first=ids + 30)},
            TOKENTAIL_SITE_KEY=key,
        )
        assert machine.run("push", there.url, "--once", "--user", "anna", "--host", name).returncode == 0
    seen = there.records
    assert {each.owner.host for each in seen} == {"one", "two"}
    assert len({each.owner.user for each in seen}) == 1
    assert len({each.owner.project for each in seen}) == 2
    for got in there.got:
        assert not any(word in got.body for word in (b"secret", b"anna", b"/home", key.encode()))
    other_key = Labels("anna", "one", b"another key of the site", ("project", "user")).on(seen[0]._replace())
    assert other_key.owner.user not in {each.owner.user for each in seen}


def test_the_same_name_is_not_the_same_hash_for_another_kind() -> None:
    """A project that is called as its user does not tell so."""
    own = Labels("anna", "anna", b"0123456789abcdef", ("project", "user", "host"))
    user, host = own.own
    assert user.removeprefix("user-") != host.removeprefix("host-")
    assert (user[:5], host[:5], len(user)) == ("user-", "host-", 25)


# What goes wrong on the way


@pytest.mark.parametrize("fault", [500, 502, 503, 429, 408, LOSES_ANSWER, CUTS, NONSENSE])
def test_a_failure_that_passes_is_outlasted(machine: Machine, there: Central, fault: int | str) -> None:
    """What was not acknowledged goes again; what was taken although the answer was lost changes nothing by that."""
    there.faults = [fault]
    done = machine.push(there.url)
    assert (done.returncode, len(there.got)) == (0, 2)
    assert there.records == machine.records()
    assert len(done.stderr.splitlines()) == 3  # what was wrong, that it is over, and what was sent
    assert "it takes records again" in done.stderr


@pytest.mark.parametrize("status", [401, 403, 404, 302])
def test_who_is_barred_is_told_and_keeps_everything(machine: Machine, there: Central, status: int) -> None:
    """A wrong token or address is no matter of time: exit code 1, what waits stays; a redirect is not followed."""
    there.faults = [status]
    done = machine.push(there.url)
    assert (done.returncode, len(there.got)) == (1, 1)
    assert f"status {status}" in done.stderr
    assert "23 records are not acknowledged (0 of them refused)" in done.stderr
    assert there.records == []
    assert machine.push(there.url).returncode == 0
    assert there.records == machine.records()


@pytest.mark.parametrize("is_partial", [False, True])
def test_a_record_that_is_refused_holds_up_no_other(machine: Machine, there: Central, is_partial: bool) -> None:
    """Whoever refuses a batch for one record gets all the others; that one waits, is named as refused, and goes when it is taken."""
    there.poison, there.is_partial = "msg_7", is_partial
    done = machine.push(there.url)
    assert done.returncode == 1
    assert "1 records are not acknowledged (1 of them refused)" in done.stderr
    assert [each.group for each in machine.records() if each not in there.records] == ["msg_7"]
    there.poison = ""
    assert machine.push(there.url).returncode == 0
    assert there.records == machine.records()


def test_a_server_that_is_not_there(machine: Machine) -> None:
    """It is tried until the time is over; nothing is lost."""
    done = machine.push("http://127.0.0.1:9", "--timeout", "1")
    assert done.returncode == 1
    assert "http://127.0.0.1:9: it cannot be reached: Connection refused" in done.stderr


def posted(there: Central, store: Path, *, stop: threading.Event | None = None) -> Post:
    return Post(store, Sender(there.url), ANNA, version="1", stop=stop or threading.Event(), rng=Hasty())


class Hasty(random.Random):
    """Whose pauses are none."""

    def uniform(self, a: float, b: float) -> float:
        return 0.0


FAULTS = st.sampled_from([503, 429, 500, LOSES_ANSWER, CUTS, NONSENSE])


@settings(max_examples=25)
@given(rounds=st.lists(st.tuples(st.lists(records(), max_size=4), st.lists(FAULTS, max_size=3)), min_size=1, max_size=4))
def test_whatever_fails_the_records_arrive(
    tmp_path_factory: pytest.TempPathFactory, rounds: Sequence[tuple[list[Record], list[int | str]]]
) -> None:
    """Any records, committed in any portions, with any failures in between: at the end the central store has what the machine has."""
    root = tmp_path_factory.mktemp("pushed")
    with central() as there, closing(coordinator(write_logs(root / "logs", {}), root / "store.db")) as engine:
        engine.check_for_updates()
        with posted(there, root / "store.db") as post:
            for some, faults in rounds:
                there.faults = list(faults)
                engine.change_store(lambda store, some=some: store.take(some))  # type: ignore[misc]  # mypy does not infer the default
                post.send_all(until_s=lambda: float("inf"))
        expected = sorted(ANNA.on(each) for _, each in records_of(engine.db))
        assert there.records == expected


def test_a_process_that_is_killed_has_lost_nothing(tmp_path: Path, there: Central) -> None:
    """Killed whenever a request has come in, before its answer: whoever goes on sends what was not acknowledged, and totals are right."""
    machine = Machine(tmp_path, {MAIN: many_lines(300)})
    for _ in range(3):
        there.came.clear()
        there.faults = [LOSES_ANSWER]
        process = machine.start("push", there.url, "--once", "--user", "anna", "--host", "laptop")
        assert there.came.wait(WITHIN_S)
        process.kill()
        process.communicate(timeout=WITHIN_S)
        with (machine.logs / MAIN).open("ab") as log:
            log.write(many_lines(5, first=1000 + len(there.got) * 10))
    there.faults = []
    assert machine.push(there.url).returncode == 0
    assert there.records == machine.records()


# Following


def test_who_follows_sends_what_comes(machine: Machine, there: Central) -> None:
    """A line is at the central store soon after it was written; SIGTERM ends it well."""
    process = machine.start("push", there.url, "--interval", "0", "--user", "anna", "--host", "laptop")
    try:
        assert process.stderr is not None
        assert process.stderr.readline() == "ready\n"
        wait_until(lambda: len(there.records) == 23)
        with (machine.logs / MAIN).open("ab") as log:
            log.write(line("msg_new"))
        wait_until(lambda: any(each.group == "msg_new" for each in there.records))
    finally:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=WITHIN_S)
    assert (process.returncode, out) == (0, "")
    assert "24 records sent" in err
    assert there.records == machine.records()


def test_a_central_store_that_comes_back_gets_what_it_missed(machine: Machine) -> None:
    """While it is away the lines of the logs wait."""
    with central() as away:
        url = away.url
    process = machine.start("push", url, "--interval", "0", "--user", "anna", "--host", "laptop")
    try:
        assert process.stderr is not None
        while "it cannot be reached" not in process.stderr.readline():
            assert process.poll() is None
        with (machine.logs / MAIN).open("ab") as log:
            log.write(line("msg_new"))
        with central(port=away.port) as there:
            wait_until(lambda: len(there.records) == 24)
            assert there.records == machine.records()
    finally:
        process.terminate()
        process.communicate(timeout=WITHIN_S)


def test_a_store_that_cannot_be_written_for_a_while_ends_nobody(machine: Machine, there: Central, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said, and what was sent meanwhile goes again when it is over."""
    monkeypatch.setattr(push, "_WAIT_MS", 20)
    monkeypatch.setattr(push, "STORE_AGAIN_S", 0.02)
    assert machine.run("daily").returncode == 0
    said: list[str] = []
    stop = threading.Event()
    post = Post(machine.store, Sender(there.url), ANNA, version="1", stop=stop, tell=said.append, rng=Hasty())
    pusher = push.Pusher(post, 0.0, stop, Hasty())
    with closing(sqlite3.connect(machine.store, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        pusher.start()
        pusher.wake()
        wait_until(lambda: any("cannot note in the store" in why for why in said))
        other.execute("ROLLBACK")
    wait_until(lambda: pusher.sent.records == 23)
    stop.set()
    pusher.end()
    assert pusher.error is None
    assert there.records == machine.records()


def test_two_that_send_to_one_place_exclude_each_other(machine: Machine, there: Central) -> None:
    """The second one says so, and another address is another matter."""
    process = machine.start("push", there.url, "--user", "anna")
    try:
        assert process.stderr is not None
        assert process.stderr.readline() == "ready\n"
        done = machine.push(there.url)
        assert done.returncode == 1
        assert "another process sends from this store" in done.stderr
        with central() as other:
            assert machine.push(other.url).returncode == 0
            assert other.records == machine.records()
    finally:
        process.terminate()
        process.communicate(timeout=WITHIN_S)


def test_to_leave_keeps_nothing_more(machine: Machine, there: Central) -> None:
    """What waits for an address is dropped, and nothing is noted for it; to leave it twice is an error."""
    assert machine.push(there.url).returncode == 0
    assert machine.run("push", there.url, "--leave").returncode == 0
    with closing(database.open_for_reading(machine.store)) as db:
        assert outbox.urls(db) == []
    done = machine.run("push", there.url, "--leave")
    assert done.returncode == 1
    assert "nothing was ever sent to" in done.stderr


# Trust


def test_a_certificate_of_an_own_authority(machine: Machine, authority: Authority) -> None:
    """With the authority's file it is believed, without it nothing is sent; where the server asks for it, ours is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.certified("IP:127.0.0.1"))
    own = authority.certified("DNS:laptop").read_bytes()
    (machine.root / "own.pem").write_bytes(own)
    with central(context) as there:
        done = machine.push(there.url, "--timeout", "1")
        assert done.returncode == 1
        assert "its certificate cannot be trusted" in done.stderr
        configure(machine, ca_file=str(authority.certificate))
        assert machine.push(there.url).returncode == 0
        assert there.records == machine.records()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.certificate)
    with central(context) as there:
        assert machine.push(there.url, "--timeout", "1").returncode == 1
        configure(machine, ca_file=str(authority.certificate), certificate_file=str(machine.root / "own.pem"))
        assert machine.push(there.url).returncode == 0
        assert there.records == machine.records()


def configure(machine: Machine, **fleet: str) -> None:
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in fleet.items())
    (machine.root / "config.toml").write_text(f"[fleet]\n{lines}", encoding="utf-8")


def test_the_proxy_of_the_environment_is_asked(machine: Machine, there: Central) -> None:
    """What goes out goes through it, with the whole address; and not where the environment says so."""
    with central() as proxy:
        machine.environment["http_proxy"] = proxy.url
        assert machine.push("http://hub.example:1234").returncode == 0
        assert [got.path for got in proxy.got] == ["http://hub.example:1234/v1/logs"]
        machine.environment["no_proxy"] = "127.0.0.1"
        assert machine.push(there.url).returncode == 0
        assert (len(proxy.got), len(there.got)) == (1, 1)


def test_the_settings_name_the_hub(machine: Machine, there: Central) -> None:
    """Address, token, user and host need no words; a token that others may read is refused."""
    token = machine.root / "token"
    token.write_text(f"{TOKEN}2\n")
    token.chmod(0o600)
    del machine.environment["TOKENTAIL_PUSH_TOKEN"]
    configure(machine, url=there.url, token_file=str(token), user="ben", host="desk")
    assert machine.run("push", "--once").returncode == 0
    assert there.records == machine.records("ben", "desk")
    assert there.got[0].headers["Authorization"] == f"Bearer {TOKEN}2"
    token.chmod(0o644)
    done = machine.run("push", "--once")
    assert done.returncode == 2
    assert "others may read it" in done.stderr


@pytest.mark.parametrize(
    ("words", "environment", "why"),
    [
        ([], {}, "no central store is named"),
        (["ftp://x"], {}, "does not look like https://"),
        (["http://"], {}, "does not look like https://"),
        (["http://x:99999"], {}, "does not look like https://"),
        (["http://x/?a=b"], {}, "does not look like https://"),
        (["http://anna:pw@x"], {}, "holds a password"),
        (["http://x", "--once", "--dry-run"], {}, "exclude each other"),
        (["http://x"], {"TOKENTAIL_SITE_KEY": "short"}, "the site key is too short"),
    ],
)
def test_words_that_cannot_be_meant(machine: Machine, words: list[str], environment: dict[str, str], why: str) -> None:
    """Exit code 2, and what to do."""
    machine.environment |= environment
    done = machine.run("push", *words)
    assert done.returncode == 2
    assert why in done.stderr


def test_an_address_may_be_that_of_the_logs() -> None:
    """As exporters of OTLP are configured."""
    assert checked("https://hub.example/v1/logs") == checked("https://hub.example/") == "https://hub.example"
