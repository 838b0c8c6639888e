"""What networks, servers and other people do to logs in buckets: nothing is lost, nothing counts twice, and it is said in words."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from between import Asked, Between, answers, breaks, cut_after, first
from clouds import KEY, SECRET, Cloud, Seaweed, speaking_to
from logs import PRICES, line, lines, wait_for
from placing import Placed, following
from tokentail import backlog, queries
from tokentail.config import Remote
from tokentail.coordinator import UpdateCoordinator
from tokentail.errors import SourceError
from tokentail.model import Change, Report, Update
from tokentail.recount import recount
from tokentail.reports.from_logs import report_from_logs
from tokentail.reports.request import Context, Request
from tokentail.sources import clouds, open_source
from tokentail.verify import verify

WITHIN_S = 60.0
CloudOf = Callable[[str], Cloud]


class Far(NamedTuple):
    """A bucket, a store, and somebody between them."""

    place: Placed
    between: Between

    def put(self, name: str, data: bytes) -> None:
        self.place.put(name, data)


@pytest.fixture
def far(cloud_of: CloudOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Far]:
    """A bucket behind a proxy; what is asked again is asked at once."""
    monkeypatch.setattr(clouds, "_FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(clouds, "_LONGEST_PAUSE_S", 0.002)
    cloud = cloud_of("s3")
    with Between(cloud.port) as between, speaking_to(cloud, port=between.port):
        yield Far(Placed.in_(cloud, tmp_path), between)


def counted(live: UpdateCoordinator) -> list[int]:
    return sorted(reply.tokens.output for reply in queries.replies_since(live.db, 0))


def why(update: Update) -> list[str]:
    return [problem.why for problem in update.problems]


def is_read(asked: Asked) -> bool:
    return not asked.is_listing


def is_listing(asked: Asked) -> bool:
    return asked.is_listing


# What a look costs


def test_a_look_is_one_listing_and_a_range_for_each_object_that_grew(far: Far) -> None:
    """Small objects and large ones, of any number: what did not change is not asked for."""
    sizes = {number: 2_000 if number < 5 else 3 for number in range(60)}
    for number, size in sizes.items():
        far.put(f"p/s{number}.jsonl", lines(number * 10_000, number * 10_000 + size))
    with far.place.coordinator() as live:
        live.check_for_updates()
        assert len(far.between.listings) == 1
        far.between.forget()
        for number in (0, 1, 2, 3, 4, 10, 11, 12, 13, 14):
            far.put(f"p/s{number}.jsonl", lines(number * 10_000, number * 10_000 + sizes[number] + 1))
        update = live.check_for_updates()
        assert update.metrics.replies_new == 10
        assert (len(far.between.listings), len(far.between.reads)) == (1, 10)
        far.between.forget()
        live.check_for_updates()
        assert (len(far.between.listings), len(far.between.reads)) == (1, 0)


def test_what_is_asked_for_is_what_is_new(far: Far) -> None:
    """And the kilobyte of proof before it."""
    far.put("p/s1.jsonl", lines(1, 2_000))
    with far.place.coordinator() as live:
        live.check_for_updates()
        (start,) = live.db.execute("SELECT offset_bytes FROM files").fetchone()
        far.between.forget()
        far.put("p/s1.jsonl", lines(1, 2_001))
        live.check_for_updates()
        assert [asked.range for asked in far.between.reads] == [f"bytes={start - 1_024}-{len(lines(1, 2_001)) - 1}"]


@pytest.mark.parametrize("how", ["with a store", "without one"])
def test_objects_are_asked_for_together(far: Far, how: str) -> None:
    """Many small ones are on their way at once, and never more than the bound."""
    at_once, most, lock = 0, 0, threading.Lock()

    def happens(head: bytes, client: object, port: int) -> bool:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        threading.Event().wait(0.02)
        with lock:
            at_once -= 1
        return False

    for number in range(80):
        far.put(f"p/s{number}.jsonl", lines(number, number))
    far.between.when(is_read, happens, times=1_000)
    if how == "with a store":
        with far.place.coordinator() as live:
            live.check_for_updates()
            assert counted(live) == list(range(80))
    else:
        source = far.place.source()
        request, context = Request("daily", ZoneInfo("UTC")), Context(PRICES, 0)
        report, _ = report_from_logs(request, source, far.place.folder / "index", context, announce=source.announce)
        assert report.totals.replies == 80
    assert 4 < most <= 16


# Servers and networks at their worst


@pytest.mark.parametrize(
    ("happens", "times"),
    [
        pytest.param(answers(500), 2, id="an error of the server"),
        pytest.param(answers(503, "SlowDown"), 3, id="slow down"),
        pytest.param(answers(429), 3, id="too many requests"),
        pytest.param(breaks, 2, id="no answer"),
        pytest.param(cut_after(700), 2, id="cut in the middle"),
    ],
)
@pytest.mark.parametrize("wanted", [is_listing, is_read])
def test_what_passes_is_not_noticed(far: Far, wanted: Callable[[Asked], bool], happens: object, times: int) -> None:
    """A request that fails is repeated."""
    far.put("p/s1.jsonl", lines(1, 300))
    far.between.when(wanted, happens, times=times)  # type: ignore[arg-type]  # parametrize knows no types
    with far.place.coordinator() as live:
        update = live.check_for_updates()
        assert why(update) == []
        assert counted(live) == list(range(1, 301))


@pytest.mark.parametrize("happens", [answers(503, "SlowDown"), answers(500), breaks])
def test_what_stays_is_named_and_comes_later(far: Far, happens: object) -> None:
    """A server that always says no ends no pass; what the others hold is counted, and the rest by the pass after it is over."""
    far.put("p/s1.jsonl", lines(1, 3))
    far.put("p/s2.jsonl", lines(4, 6))
    far.between.when(lambda asked: is_read(asked) and "s1.jsonl" in asked.path, happens, times=1_000)  # type: ignore[arg-type]
    with far.place.coordinator() as live:
        update = live.check_for_updates()
        assert [problem.where for problem in update.problems] == [far.place.path("p/s1.jsonl")]
        assert counted(live) == [4, 5, 6]
        far.between.forget()
        assert why(live.check_for_updates()) == []
        assert counted(live) == [1, 2, 3, 4, 5, 6]


def test_a_listing_that_fails_proves_nothing(far: Far) -> None:
    """What stood there is neither forgotten nor taken for deleted."""
    far.put("p/s1.jsonl", lines(1, 3))
    with far.place.coordinator() as live:
        live.check_for_updates()
        far.between.when(is_listing, answers(500), times=1_000)
        update = live.check_for_updates()
        assert [problem.where for problem in update.problems] == [far.place.name]
        assert live.db.execute("SELECT state FROM files").fetchall() == [("live",)]
        far.between.forget()
        far.put("p/s1.jsonl", lines(1, 4))
        assert live.check_for_updates().metrics.replies_new == 1


@pytest.mark.slow
def test_a_listing_that_breaks_off_on_its_second_page(far: Far) -> None:
    """What its first page named is not taken for all that there is."""
    far.put("p/s1.jsonl", lines(1, 3))
    for number in range(1_005):
        far.put(f"q/s{number:04}.jsonl", b"")
    with far.place.coordinator() as live:
        live.check_for_updates()
        far.between.when(lambda asked: "continuation-token" in asked.path, answers(500), times=1_000)
        assert why(live.check_for_updates()) != []
        assert live.db.execute("SELECT DISTINCT state FROM files").fetchall() == [("live",)]


def test_an_object_that_vanishes_after_the_listing(far: Far) -> None:
    """It is gone, and nothing is wrong."""
    far.put("p/s1.jsonl", lines(1, 3))
    far.put("p/s2.jsonl", lines(4, 4))
    far.between.when(lambda asked: is_read(asked) and "s1.jsonl" in asked.path, first(lambda: far.place.delete("p/s1.jsonl")))
    with far.place.coordinator() as live:
        assert why(live.check_for_updates()) == []
        assert counted(live) == [4]


def test_an_object_that_is_replaced_between_listing_and_reading(far: Far) -> None:
    """The old ETag gives nothing; the new object is listed and read in the same pass."""
    far.put("p/s1.jsonl", lines(1, 3))
    far.between.when(is_read, first(lambda: far.put("p/s1.jsonl", lines(11, 15))))
    with far.place.coordinator() as live:
        assert why(live.check_for_updates()) == []
        assert counted(live) == [11, 12, 13, 14, 15]


@pytest.mark.slow
def test_an_object_that_is_replaced_between_two_ranges(far: Far) -> None:
    """What was read of the old one counts, and the new one is read as the other object that it is: no mixture of both."""
    before, after = lines(1, 40_000), lines(50_001, 90_000)
    assert len(before) > 5_000_000  # more than one request's worth
    far.put("p/s1.jsonl", before)
    far.between.when(lambda asked: is_read(asked) and not asked.range.startswith("bytes=0-"), first(lambda: far.put("p/s1.jsonl", after)))
    with far.place.coordinator() as live:
        live.check_for_updates()
        live.check_for_updates()
        found = counted(live)
        assert set(range(50_001, 90_001)) <= set(found) <= set(range(1, 40_001)) | set(range(50_001, 90_001))
        assert len(found) == len(set(found))
        assert live.check_for_updates().metrics.files_read == 0


def test_a_server_that_does_not_mind_the_etag(cloud_of: CloudOf, tmp_path: Path) -> None:
    """Its answer is held against the listing here."""
    cloud = cloud_of("gs")
    with Between(cloud.port, keeps_host=False) as between, speaking_to(cloud, port=between.port):
        place = Placed.in_(cloud, tmp_path)
        place.put("p/s1.jsonl", lines(1, 3))
        between.when(is_read, first(lambda: place.put("p/s1.jsonl", lines(11, 15))))
        with place.coordinator() as live:
            assert why(live.check_for_updates()) == []
            assert counted(live) == [11, 12, 13, 14, 15]


@pytest.mark.slow
def test_a_server_that_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is down it is named; what was counted stays, and once it is back everything goes on."""
    monkeypatch.setattr(clouds, "RETRIES", 1)
    cloud = Seaweed(tmp_path / "cloud")
    try:
        with speaking_to(cloud):
            place = Placed.in_(cloud, tmp_path)
            place.put("p/s1.jsonl", lines(1, 3))
            with place.coordinator() as live:
                live.check_for_updates()
                place.put("p/s1.jsonl", lines(1, 4))
                cloud.kill()
                assert why(live.check_for_updates()) == ["the server cannot be reached"]
                assert counted(live) == [1, 2, 3]
                cloud.restart()
                assert why(live.check_for_updates()) == []
                assert counted(live) == [1, 2, 3, 4]
    finally:
        cloud.stop()


def test_whoever_follows_outlasts_it(far: Far) -> None:
    """The bad time is named in updates, and what comes after it is told; lines of this machine are told all the while."""
    own = far.place.folder / "own"
    own.mkdir()
    (own / "s9.jsonl").write_bytes(b"")
    far.put("p/s1.jsonl", lines(1, 3))
    far.between.when(lambda asked: True, answers(403, "AccessDenied"), times=1_000)
    source = open_source([own, far.place.name], Remote(interval_s=1))
    live = UpdateCoordinator(source, far.place.folder / "store.db", prices=PRICES)
    with following(live) as updates:
        wait_for(updates, lambda update: "access is denied" in " ".join(why(update)))
        with (own / "s9.jsonl").open("ab") as log:
            log.write(lines(7, 7))
        wait_for(updates, lambda _: counted(live) == [7])
        far.between.forget()
        wait_for(updates, lambda _: counted(live) == [1, 2, 3, 7])
        wait_for(updates, lambda update: not update.problems)
    live.close()


def test_a_line_of_this_machine_does_not_wait_for_a_bucket(far: Far) -> None:
    """Not even while a server keeps its answer to itself."""
    silent = threading.Event()

    def happens(head: bytes, client: object, port: int) -> bool:
        silent.wait()
        return False

    own = far.place.folder / "own"
    own.mkdir()
    log = own / "s9.jsonl"
    log.write_bytes(lines(1, 1))
    far.between.when(lambda asked: True, happens, times=1_000)
    live = UpdateCoordinator(open_source([own, far.place.name], Remote()), far.place.folder / "store.db", prices=PRICES)
    with following(live) as updates:
        wait_for(updates, lambda _: counted(live) == [1])
        wait_for(updates, lambda _: bool(far.between.asked))
        with log.open("ab") as out:
            out.write(lines(2, 2))
        wait_for(updates, lambda _: counted(live) == [1, 2])
        silent.set()
    live.close()


# Who may read


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        pytest.param({"AWS_ACCESS_KEY_ID": "nobody"}, "the access key is unknown there (check the credentials)", id="key"),
        pytest.param(
            {"AWS_SECRET_ACCESS_KEY": "wrong"},
            "the secret key does not fit the access key, or the clock is wrong (check the credentials)",
            id="secret",
        ),
    ],
)
def test_wrong_credentials(cloud_of: CloudOf, tmp_path: Path, environment: dict[str, str], said: str) -> None:
    """They are called that, and no secret is shown."""
    cloud = cloud_of("s3")
    with speaking_to(cloud, environment):
        place = Placed.in_(cloud, tmp_path)
        with place.coordinator() as live:
            assert why(live.check_for_updates()) == [said]


def test_wrong_credentials_of_azure(cloud_of: CloudOf, tmp_path: Path) -> None:
    cloud = cloud_of("az")
    right = cloud.environment()["AZURE_STORAGE_CONNECTION_STRING"]
    wrong = right.replace("Eby8", "AAAA")
    with speaking_to(cloud, {"AZURE_STORAGE_CONNECTION_STRING": wrong}), Placed.in_(cloud, tmp_path).coordinator() as live:
        (said,) = why(live.check_for_updates())
        assert said.startswith("the credentials do not fit")


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "RequestTimeTooSkewed", "the clock of this machine differs too much from the server's (set it right)"),
        (400, "ExpiredToken", "the credentials have expired (get new ones)"),
        (404, "NoSuchBucket", "there is no such bucket"),
        (403, "", "access is denied (the credentials, or their lack, do not allow it)"),
        (401, "", "access is denied (the credentials, or their lack, do not allow it)"),
    ],
)
def test_what_servers_say_is_put_in_words(far: Far, status: int, code: str, said: str) -> None:
    far.between.when(is_listing, answers(status, code), times=1_000)
    with far.place.coordinator() as live:
        assert why(live.check_for_updates()) == [said]


def test_nobody_in_particular(cloud_of: CloudOf, tmp_path: Path) -> None:
    """`remote.anonymous` reads what everybody may, and nothing else."""
    cloud = cloud_of("s3")
    assert isinstance(cloud, Seaweed)
    cloud.put("p/s1.jsonl", lines(1, 3), bucket=cloud.open_bucket)
    with speaking_to(cloud, {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}):
        for name, found in (f"s3://{cloud.open_bucket}", 1), (f"s3://logs/{Placed.in_(cloud, tmp_path).prefix}", 0):
            listing = open_source([name], Remote(anonymous=True)).list_files()
            assert (len(listing.files), bool(listing.problems)) == (found, not found)


def test_a_profile(cloud_of: CloudOf, tmp_path: Path) -> None:
    """Its keys are used, by `AWS_PROFILE` or the settings; one that is not there is named."""
    cloud = cloud_of("s3")
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(f"[team]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
    place = Placed.in_(cloud, tmp_path)
    place.put("p/s1.jsonl", lines(1, 3))
    keyless = {"HOME": str(tmp_path), "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    with speaking_to(cloud, {**keyless, "AWS_PROFILE": "team"}):
        assert len(open_source([place.name], Remote()).list_files().files) == 1
    with speaking_to(cloud, keyless):
        assert len(open_source([place.name], Remote(profile="team")).list_files().files) == 1
        with pytest.raises(SourceError, match="cannot use the AWS profile nobody"):
            open_source([place.name], Remote(profile="nobody")).list_files()


def test_an_endpoint_by_the_settings(cloud_of: CloudOf, tmp_path: Path) -> None:
    """It goes before the environment."""
    cloud = cloud_of("s3")
    place = Placed.in_(cloud, tmp_path)
    place.put("p/s1.jsonl", lines(1, 3))
    with speaking_to(cloud, {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}):
        found = open_source([place.name], Remote(endpoint=f"http://127.0.0.1:{cloud.port}")).list_files()
        assert len(found.files) == 1


# Other processes


def test_a_second_process_gets_no_objects(tmp_path: Path, cloud_of: CloudOf) -> None:
    """What is far away is fetched by the process that has the connections, whatever the backlog's size."""
    place = Placed.in_(cloud_of("s3"), tmp_path)
    with speaking_to(cloud_of("s3")):
        for number in range(6):
            place.put(f"p/s{number}.jsonl", lines(number, number))
        changes = [Change(file._replace(size_bytes=40_000_000), None, None) for file in place.source().list_files().files]
    ours, theirs = backlog._shared_out(changes, 240_000_000)
    assert (len(ours), theirs) == (6, [])


def test_without_the_library(cloud_of: CloudOf) -> None:
    """What is missing is said, with how to get it."""
    code = (
        "import sys; sys.modules['obstore'] = None; from tokentail.sources.clouds import *; from tokentail.addresses import parse\n"
        "try: open_store(parse('s3://b'), NO_SETTINGS)\nexcept Exception as error: print(error)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "cannot read s3://b: buckets are read through obstore (pip install 'tokentail[remote]')\n"


def test_a_process_that_is_killed_between_two_requests(far: Far) -> None:
    """The next one goes on, and everything is counted once."""
    for number in range(40):
        far.put(f"p/s{number:02}.jsonl", lines(number * 1_000, number * 1_000 + 99))
    words = [sys.executable, "-m", "tokentail", "daily", "--json", "--source", far.place.name]
    environment = {**os.environ, "TOKENTAIL_HOME": str(far.place.folder / "home")}
    for after in (0, 7, 25):
        with subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            far.between.when(is_read, lambda *_: False, times=after)
            far.between.when(is_read, first(process.kill), times=1)
            assert process.wait(WITHIN_S) == -signal.SIGKILL
        far.between.forget()
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["totals"]["replies"] == 4_000


# Whatever happens

NAMES = st.sampled_from(["p/s1.jsonl", "p/s2.jsonl", "q/s3.jsonl"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("grow"), NAMES),
        st.tuples(st.just("rewrite"), NAMES),
        st.tuples(st.just("delete"), NAMES),
        st.tuples(st.just("look"), st.just("")),
        st.tuples(st.just("look again from the store"), st.just("")),
        st.tuples(st.just("fault"), st.sampled_from(["listing", "read", "cut", "replaced"])),
    ),
    max_size=14,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_any_order_of_things(far: Far, steps: list[tuple[str, str]]) -> None:
    """Whatever was in a bucket when a look came through is counted once, and at the end the store says what a full re-read says."""
    far.between.forget()
    with TemporaryDirectory(dir=far.place.folder) as folder:
        place = Placed.in_(far.place.cloud, Path(folder))
        numbers, held, seen = iter(range(1, 10_000)), dict[str, bytes](), set[int]()

        def put(name: str, begin: bytes) -> None:
            held[name] = begin + lines(number := next(numbers), number)
            place.put(name, held[name])

        stack = ExitStack()
        live = stack.enter_context(place.coordinator())
        for what, name in steps:
            match what:
                case "grow":
                    put(name, held.get(name, b""))
                case "rewrite":
                    put(name, b"")
                case "delete" if name in held:
                    place.delete(name)
                    del held[name]
                case "fault":
                    _bring_about(far.between, name, lambda: put("p/s1.jsonl", held.get("p/s1.jsonl", b"")))
                case "look again from the store":
                    stack.close()
                    live = stack.enter_context(place.coordinator())
                case "look":
                    if not live.check_for_updates().problems:
                        seen |= {reply.tokens.output for reply in recount(place.source()).replies}
        far.between.forget()
        assert why(live.check_for_updates()) == []
        counts = counted(live)
        assert len(counts) == len(set(counts))
        assert seen | {reply.tokens.output for reply in recount(place.source()).replies} <= set(counts)
        assert verify(live.db, recount(place.source())).agrees
        stack.close()


def _bring_about(between: Between, what: str, replace: Callable[[], None]) -> None:
    match what:
        case "listing":
            between.when(is_listing, answers(500), times=1_000)
        case "read":
            between.when(is_read, answers(500), times=1_000)
        case "cut":
            between.when(is_read, cut_after(500), times=2)
        case "replaced":
            between.when(is_read, first(replace))


def test_a_day_without_a_store_moves_the_bytes_of_that_day(far: Far) -> None:
    """The time index says which ranges can matter; no other is asked for."""
    for day in range(10, 30):
        at = f"2026-10-{day}T10:00:00.000Z"
        far.put(f"p/s{day}.jsonl", b"".join(line(f"msg_{day}_{number}", number, at=at) for number in range(100)))
    request = Request("daily", ZoneInfo("UTC"), date(2026, 10, 15), date(2026, 10, 15))
    index, context = far.place.folder / "index", Context(PRICES, 0)

    def asked() -> Report:
        far.between.forget()
        source = far.place.source()
        report, problems = report_from_logs(request, source, index, context, announce=source.announce)
        assert problems == []
        return report

    first_time, ranges = asked(), len(far.between.reads)
    assert ranges == 20
    second_time = asked()
    assert [read.path.rpartition("/")[2] for read in far.between.reads] == ["s15.jsonl"]
    assert second_time.rows == first_time.rows
