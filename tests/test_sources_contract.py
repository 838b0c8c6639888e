"""What holds for every source: a folder of this machine, and a bucket on a real server of each cloud's protocol."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from clouds import Cloud, speaking_to
from logs import line, lines, wait_for
from placing import WHERE, Placed, following
from tokentail import queries
from tokentail.coordinator import UpdateCoordinator
from tokentail.demo.plan import TreePlan
from tokentail.demo.tree import write_tree
from tokentail.recount import recount
from tokentail.verify import verify

CloudOf = Callable[[str], Cloud]


@pytest.fixture(params=WHERE)
def place(request: pytest.FixtureRequest, cloud_of: CloudOf, tmp_path: Path) -> Iterator[Placed]:
    if request.param == "folder":
        yield Placed.in_(None, tmp_path)
        return
    cloud = cloud_of(request.param)
    with speaking_to(cloud):
        yield Placed.in_(cloud, tmp_path)


def counted(live: UpdateCoordinator) -> list[int]:
    """The outputs of all replies."""
    return sorted(reply.tokens.output for reply in queries.replies_since(live.db, 0))


# Listing


def test_only_logs_are_listed(place: Placed) -> None:
    """At any depth, by name, sorted by path, with what a format reads from the way there."""
    place.put("-home-dev-app/s1.jsonl", b"abc\n")
    place.put("-home-dev-app/s1/subagents/agent-a.jsonl", b"de\n")
    place.put("-home-dev-app/s2.jsonl.1", b"f\n")
    place.put("-home-dev-app/notes.txt", b"no log\n")
    place.put("s3.jsonl.gz", b"")
    found, problems = place.source().list_files()
    assert problems == []
    assert [(file.relative, file.size_bytes) for file in found] == [
        ("-home-dev-app/s1.jsonl", 4),
        ("-home-dev-app/s1/subagents/agent-a.jsonl", 3),
        ("-home-dev-app/s2.jsonl.1", 2),
        ("s3.jsonl.gz", 0),
    ]
    assert [file.path for file in found] == sorted(place.path(file.relative) for file in found)
    assert {file.root for file in found} == {place.name}


def test_another_prefix_is_another_place(place: Placed) -> None:
    """Names that only begin alike are not below it."""
    place.put("logs/s1.jsonl", lines(1, 1))
    place.put("logs-old/s1.jsonl", lines(2, 2))
    source = place._replace(name=f"{place.name}/logs").source()
    assert [file.relative for file in source.list_files().files] == ["s1.jsonl"]


def test_a_file_that_is_as_it_was_is_listed_as_it_was(place: Placed) -> None:
    place.put("p/s1.jsonl", lines(1, 2))
    assert place.source().list_files() == place.source().list_files()


@pytest.mark.parametrize("size", ["longer", "as long", "shorter"])
def test_a_file_that_was_replaced_is_listed_as_another(place: Placed, size: str) -> None:
    """Also by one of the same length, at the same second."""
    place.put("p/s1.jsonl", b"abcd\n")
    (before,) = place.source().list_files().files
    place.put("p/s1.jsonl", {"longer": b"abcd\nef\n", "as long": b"abce\n", "shorter": b"x\n"}[size])
    (after,) = place.source().list_files().files
    assert before.path == after.path
    assert before[5:] != after[5:]


@pytest.mark.parametrize("name", ["with space", "ünïcødé", "50%", "a+b", "q?x=1", "a#b", "a&b", "~x", "[x]", "x%2Fy", "it's", 'say "x"'])
def test_odd_names(place: Placed, name: str) -> None:
    """What a name holds is no syntax for anybody on the way."""
    place.put(f"-home-dev-app/{name}.jsonl", lines(1, 3))
    with place.coordinator() as live:
        update = live.check_for_updates()
        assert update.problems == []
        assert counted(live) == [1, 2, 3]
    assert [file.relative for file in place.source().list_files().files] == [f"-home-dev-app/{name}.jsonl"]


# Reading


def test_ranges(place: Placed) -> None:
    """From any byte on, and fewer only at the end."""
    data = bytes(range(256)) * 40
    place.put("p/s1.jsonl", data)
    source = place.source()
    (file,) = source.list_files().files
    for start, length in [(0, 1), (0, 10_240), (5, 100), (10_239, 1), (10_000, 5_000), (10_240, 10), (20_000, 10)]:
        assert source.read(file, start, length) == data[start : start + length]


def test_a_large_file_in_pieces(place: Placed) -> None:
    """Whoever reads on gets the rest, whatever is fetched at once."""
    data = b"".join(b"%07d\n" % number for number in range(1_200_000))
    place.put("p/s1.jsonl", data)
    source = place.source()
    (file,) = source.list_files().files
    step = 1_000_003
    assert b"".join(source.read(file, start, step) for start in range(0, len(data), step)) == data


def test_what_is_not_there(place: Placed) -> None:
    """A file that was deleted since it was listed is told apart from one that cannot be read."""
    place.put("p/s1.jsonl", lines(1, 1))
    source = place.source()
    (file,) = source.list_files().files
    place.delete("p/s1.jsonl")
    with pytest.raises(OSError, match=r"(?i)no such|replaced") as raised:  # some servers say that it is not the one that was meant
        source.read(file, 0, 10)
    assert source.has_gone(file, raised.value)
    assert source.list_files().files == []
    assert source.is_gone(file)


# Counting


def test_growth(place: Placed) -> None:
    """Only what is new is read, and counted once."""
    place.put("p/s1.jsonl", lines(1, 2_000))
    with place.coordinator() as live:
        live.check_for_updates()
        place.put("p/s1.jsonl", lines(1, 2_001))
        update = live.check_for_updates()
        assert update.metrics.replies_new == 1
        assert update.metrics.bytes_read < 4_096
        assert counted(live) == list(range(1, 2_002))
        assert live.check_for_updates().metrics.files_read == 0


def test_half_a_line(place: Placed) -> None:
    """It waits for its other half."""
    whole = lines(1, 3)
    place.put("p/s1.jsonl", whole[:-40])
    with place.coordinator() as live:
        live.check_for_updates()
        assert counted(live) == [1, 2]
        place.put("p/s1.jsonl", whole)
        live.check_for_updates()
        assert counted(live) == [1, 2, 3]


@pytest.mark.parametrize("count", [3, 2_000])
def test_a_rewritten_file(place: Placed, count: int) -> None:
    """It is read from its start as a new life, and what was counted stays counted."""
    place.put("p/s1.jsonl", lines(1, count))
    with place.coordinator() as live:
        live.check_for_updates()
        place.put("p/s1.jsonl", lines(10_001, 10_001 + count))
        live.check_for_updates()
        assert counted(live) == [*range(1, count + 1), *range(10_001, 10_002 + count)]
        states = [state for (state,) in live.db.execute("SELECT state FROM files ORDER BY id")]
        assert states == ["rewritten", "live"]


def test_a_deleted_file(place: Placed) -> None:
    """It is missing, what it held stays counted, and when it comes back nothing is counted twice."""
    place.put("p/s1.jsonl", lines(1, 5))
    place.put("p/s2.jsonl", lines(6, 6))
    with place.coordinator() as live:
        live.check_for_updates()
        place.delete("p/s1.jsonl")
        live.check_for_updates()
        assert sorted(live.db.execute("SELECT state FROM files")) == [("live",), ("missing",)]
        place.put("p/s1.jsonl", lines(1, 5))
        live.check_for_updates()
        assert counted(live) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("end", ["gz", "zst"])
def test_compressed_files(place: Placed, end: str) -> None:
    """They count as what they hold, also after another member was appended."""
    pack = gzip.compress if end == "gz" else zstandard.ZstdCompressor().compress
    place.put(f"p/s1.jsonl.{end}", pack(lines(1, 400)))
    with place.coordinator() as live:
        live.check_for_updates()
        place.put(f"p/s1.jsonl.{end}", pack(lines(1, 400)) + pack(lines(401, 410)))
        update = live.check_for_updates()
        assert (update.problems, update.metrics.replies_new) == ([], 10)
        assert counted(live) == list(range(1, 411))


def test_damage_in_a_compressed_file(place: Placed) -> None:
    """It is named."""
    place.put("p/s1.jsonl.gz", gzip.compress(lines(1, 9)) + b"garbage")
    with place.coordinator() as live:
        live.check_for_updates()
        problems = live.check_for_updates().problems
        assert [problem.where for problem in problems] == [place.path("p/s1.jsonl.gz")]
        assert counted(live) == list(range(1, 10))


def test_everything_at_once(place: Placed, tmp_path: Path) -> None:
    """A tree with all the dirt of real ones counts as its writer says, and a full re-read agrees."""
    plan = TreePlan(total_bytes=3_000_000, files=40, dirty=True)
    truth = write_tree(tmp_path / "tree", plan)
    for path in (tmp_path / "tree").rglob("*.jsonl"):
        place.put(path.relative_to(tmp_path / "tree").as_posix(), path.read_bytes())
    with place.coordinator() as live:
        update = live.check_for_updates()
        assert update.problems == []
        assert sum(1 for _ in queries.replies_since(live.db, 0)) == truth.totals.replies
        assert verify(live.db, recount(place.source())).agrees


def test_a_second_process(place: Placed) -> None:
    """Who opens the store later goes on where the first one ended."""
    place.put("p/s1.jsonl", lines(1, 100))
    with place.coordinator() as live:
        live.check_for_updates()
    with place.coordinator() as live:
        assert live.check_for_updates().metrics.files_read == 0
        place.put("p/s1.jsonl", lines(1, 101))
        assert live.check_for_updates().metrics.replies_new == 1


# Following


def test_following(place: Placed) -> None:
    """Whoever follows is told of what was there, of what comes, and of nothing twice."""
    place.put("p/s1.jsonl", lines(1, 3))
    with place.coordinator(interval_s=1) as live, following(live) as updates:
        told: list[int] = []

        def until(count: int) -> None:
            for update in updates:
                told.extend(change.reply.tokens.output for change in update.changes if change.reply is not None)
                if live.db.execute("SELECT count(*) FROM replies").fetchone() == (count,):
                    return

        until(3)
        place.put("p/s1.jsonl", lines(1, 4))
        until(4)
        place.put("p/s2.jsonl", lines(5, 5))
        until(5)
        place.delete("p/s1.jsonl")
        live.look_now()
        for _ in updates:
            if ("missing",) in live.db.execute("SELECT state FROM files").fetchall():
                break
        assert told in ([4, 5], [1, 2, 3, 4, 5])  # what was there at the start is no news


def test_following_a_compressed_file(place: Placed) -> None:
    """What it gains is told like that of any other."""
    place.put("p/s1.jsonl.gz", gzip.compress(lines(1, 300)))
    with place.coordinator(interval_s=1) as live, following(live) as updates:
        wait_for(updates, lambda _: counted(live) == list(range(1, 301)))
        place.put("p/s1.jsonl.gz", gzip.compress(lines(1, 300)) + gzip.compress(lines(301, 303)))
        wait_for(updates, lambda _: counted(live) == list(range(1, 304)))


def test_lines_of_any_length_while_following(place: Placed) -> None:
    """A line that is longer than what is fetched at once counts like any other."""
    long = line("msg_long", 77, content=[{"type": "text", "text": "x" * 9_000_000}])
    place.put("p/s1.jsonl", lines(1, 2) + long + lines(3, 4))
    with place.coordinator(interval_s=1) as live, following(live) as updates:
        for _ in updates:
            if live.db.execute("SELECT count(*) FROM replies").fetchone() == (5,):
                break
        assert counted(live) == [1, 2, 3, 4, 77]


def test_originals_of_what_has_grown(place: Placed) -> None:
    """A line is shown from a file that another one has replaced since it was read, as long as it stands there."""
    from tokentail import originals, sighted

    place.put("p/s1.jsonl", lines(1, 3))
    with place.coordinator() as live:
        live.check_for_updates()
        place.put("p/s1.jsonl", lines(1, 4))
        behind = sighted.behind(live.db, {"msg_2"})["msg_2"]
        (record,) = behind.records
        ((seen,),) = sighted.sightings(live.db, {record.number}).values()
        found = originals.read(place.source(), seen, record)
        assert not isinstance(found, str)
        assert found.line + b"\n" == line("msg_2", 2)
