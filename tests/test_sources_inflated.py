"""Tests of `tokentail.sources.inflated`: a compressed log is read as what it holds, growing, cut, padded, damaged or huge."""

from __future__ import annotations

import gzip
import os
import resource
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logs import coordinator, line, lines
from tokentail import queries
from tokentail.model import LogFile
from tokentail.sources import LocalFolders
from tokentail.sources.inflated import KEPT_BYTES, MOST_MEMBERS

Pack = Callable[[bytes], bytes]
PACKS: dict[str, Pack] = {"gz": gzip.compress, "zst": zstandard.compress}
KINDS = pytest.mark.parametrize("kind", sorted(PACKS))


@pytest.fixture(name="logs")
def fixture_logs(tmp_path: Path) -> Path:
    folder = tmp_path / "logs" / "-app"
    folder.mkdir(parents=True)
    return folder


def listed(logs: Path) -> tuple[LocalFolders, LogFile]:
    source = LocalFolders([logs])
    (file,) = source.list_files().files
    return source, file


def counted(root: Path) -> tuple[dict[str, int], list[str]]:
    """The replies' outputs, and what could not be read."""
    with closing(coordinator(root)) as live:
        update = live.check_for_updates()
        replies = {reply.key: reply.tokens.output for reply in queries.replies_since(live.db, 0)}
        again = live.check_for_updates()
    return replies, sorted({problem.why for problem in (*update.problems, *again.problems)})


@KINDS
def test_a_compressed_log_counts_as_what_it_holds(tmp_path: Path, logs: Path, kind: str) -> None:
    """Its session is that of the name before the endings; a second look reads nothing."""
    (logs / f"s1.jsonl.{kind}").write_bytes(PACKS[kind](lines(1, 5)))
    (logs / f"s2.jsonl.3.{kind}").write_bytes(PACKS[kind](lines(6, 8)))
    with closing(coordinator(tmp_path)) as live:
        assert live.check_for_updates().metrics.replies_new == 8
        found = queries.replies_since(live.db, 0)
        assert {reply.owner.project for reply in found} == {"-app"}
        assert live.check_for_updates().metrics.files_read == 0


@KINDS
def test_a_log_that_is_compressed_counts_nothing_twice(tmp_path: Path, logs: Path, kind: str) -> None:
    """S48, S17: plain, then rotated, then compressed, beside the one that goes on; and where both stand for a while."""
    plain = logs / "s1.jsonl"
    with closing(coordinator(tmp_path)) as live:
        plain.write_bytes(lines(1, 4))
        live.check_for_updates()
        (logs / "s1.jsonl.1").write_bytes(plain.read_bytes())
        (logs / f"s1.jsonl.1.{kind}").write_bytes(PACKS[kind](plain.read_bytes()))
        plain.write_bytes(lines(5, 6))
        live.check_for_updates()
        (logs / "s1.jsonl.1").unlink()
        live.check_for_updates()
        live.check_for_updates()
        assert sorted(reply.key for reply in queries.replies_since(live.db, 0)) == [f"msg_{n}" for n in range(1, 7)]


@KINDS
def test_it_grows_by_members(tmp_path: Path, logs: Path, kind: str) -> None:
    """S47: each new member or frame is read, lines that go on in the next one, too."""
    packed, whole = logs / f"s1.jsonl.{kind}", lines(1, 9)
    with closing(coordinator(tmp_path)) as live:
        packed.touch()
        for start in range(0, len(whole), 700):
            with packed.open("ab") as log:
                log.write(PACKS[kind](whole[start : start + 700]))
            live.check_for_updates()
        assert len(queries.replies_since(live.db, 0)) == 9


@KINDS
def test_a_member_that_is_cut_is_completed(tmp_path: Path, logs: Path, kind: str) -> None:
    """Wherever it was cut: it is no error, and in the end all of it is there, once."""
    packed = PACKS[kind](lines(1, 3)) + PACKS[kind](lines(4, 6))
    for cut in range(0, len(packed) + 1, 7):
        root = tmp_path / str(cut)
        (root / "logs" / "-app").mkdir(parents=True)
        path = root / "logs" / "-app" / f"s1.jsonl.{kind}"
        path.write_bytes(packed[:cut])
        with closing(coordinator(root)) as live:
            assert live.check_for_updates().problems == []
            path.write_bytes(packed)
            assert live.check_for_updates().problems == []
            assert sorted(reply.key for reply in queries.replies_since(live.db, 0)) == [f"msg_{n}" for n in range(1, 7)]
        shutil.rmtree(root)


def test_zeros_between_members_are_nothing(tmp_path: Path, logs: Path) -> None:
    """As a tape or a block device leaves them; also a million of them at the end."""
    (logs / "s1.jsonl.gz").write_bytes(gzip.compress(lines(1, 2)) + bytes(700) + gzip.compress(lines(3, 4)) + bytes(1_000_000))
    assert counted(tmp_path) == ({f"msg_{n}": n for n in range(1, 5)}, [])


@KINDS
def test_garbage_behind_it_is_told(tmp_path: Path, logs: Path, kind: str) -> None:
    """What stands before it counts."""
    (logs / f"s1.jsonl.{kind}").write_bytes(PACKS[kind](lines(1, 3)) + b"this is no compressed data")
    replies, problems = counted(tmp_path)
    assert len(replies) == 3
    assert len(problems) == 1


@KINDS
def test_a_plain_file_of_that_name_is_told(tmp_path: Path, logs: Path, kind: str) -> None:
    (logs / f"s1.jsonl.{kind}").write_bytes(lines(1, 3))
    replies, problems = counted(tmp_path)
    assert replies == {}
    assert len(problems) == 1


@KINDS
def test_damage_in_its_midst_is_told(tmp_path: Path, logs: Path, kind: str) -> None:
    """What stands before the damage may count, nothing behind it can; mended, it is all there and no problem any more."""
    good, whole = PACKS[kind](lines(1, 3)), bytearray(PACKS[kind](os.urandom(3_000).hex().encode() + b"\n" + lines(4, 300)))
    broken = bytes(good) + bytes(whole[:1_500]) + bytes(64) + bytes(whole[1_564:])
    path = logs / f"s1.jsonl.{kind}"
    path.write_bytes(broken)
    with closing(coordinator(tmp_path)) as live:
        live.check_for_updates()
        (problem,) = live.check_for_updates().problems
        assert "damaged" in problem.why
        assert {"msg_1", "msg_2", "msg_3"} <= {reply.key for reply in queries.replies_since(live.db, 0)}
        path.write_bytes(bytes(good) + bytes(whole))
        live.check_for_updates()
        assert live.check_for_updates().problems == []
        assert len(queries.replies_since(live.db, 0)) == 300


@KINDS
def test_another_one_in_its_place_is_read_anew(tmp_path: Path, logs: Path, kind: str) -> None:
    """Shorter, longer or of the same size: what it holds is proven, not what was inflated before."""
    path = logs / f"s1.jsonl.{kind}"
    with closing(coordinator(tmp_path)) as live:
        for first, last in ((1, 9), (20, 21), (30, 60), (70, 100)):
            with path.open("r+b" if path.exists() else "wb") as log:  # the same inode
                log.truncate(0)
                log.write(PACKS[kind](lines(first, last)))
            live.check_for_updates()
            keys = {reply.key for reply in queries.replies_since(live.db, 0)}
            assert {f"msg_{n}" for n in range(first, last + 1)} <= keys


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(sorted(PACKS)),
    st.lists(st.binary(max_size=3_000), min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 9_000)), max_size=12),
)
def test_any_place_is_read_as_from_a_plain_file(logs: Path, kind: str, parts: list[bytes], reads: list[tuple[int, int]]) -> None:
    """Forwards, backwards and beyond the end, across members."""
    whole = b"".join(parts)
    path = logs / f"s1.jsonl.{kind}"
    path.write_bytes(b"".join(map(PACKS[kind], parts)))
    source, file = listed(logs)
    for start, length in reads:
        assert source.read(file, start, length) == whole[start : start + length]
    path.unlink()


@KINDS
def test_what_is_far_back_is_read_again(logs: Path, kind: str) -> None:
    """More than what is kept of the last read."""
    whole = b"".join(b"%015d\n" % n for n in range(KEPT_BYTES // 8))
    (logs / f"s1.jsonl.{kind}").write_bytes(PACKS[kind](whole[:1_000_000]) + PACKS[kind](whole[1_000_000:]))
    source, file = listed(logs)
    for start in (0, len(whole) - 100, 16, 1_000_000, 999_990, len(whole) - 16):
        assert source.read(file, start, 64) == whole[start : start + 64]


def test_members_beyond_count_are_thinned(logs: Path) -> None:
    """Their places take bounded memory, and each is still found."""
    many = 3 * MOST_MEMBERS
    (logs / "s1.jsonl.gz").write_bytes(b"".join(gzip.compress(b"%07d\n" % n, 1) for n in range(many)))
    source, file = listed(logs)
    assert len(source.read(file, 0, 8 * many)) == 8 * many
    assert len(source._inflated._members[file[3:5]]) <= MOST_MEMBERS
    for number in (0, 1, 777, many - 1):
        assert LocalFolders.read(source, file, 8 * number, 8) == b"%07d\n" % number


_WITHIN = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (900 << 20, 900 << 20))
from tokentail.cli import main
sys.exit(main(["daily", "--json", "--source", sys.argv[1]]))
"""


def bomb(kind: str) -> Iterator[bytes]:
    """A line, a gigabyte of spaces, and a line."""
    parts = [line("msg_1"), *[b" " * (1 << 20)] * 1024, b"\n", line("msg_2")]
    if kind == "gz":
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        yield from (packer.compress(part) for part in parts)
        yield packer.flush()
    else:
        with_zstd = zstandard.ZstdCompressor(level=3).compressobj()
        yield from (with_zstd.compress(part) for part in parts)
        yield with_zstd.flush()


@pytest.mark.slow
@KINDS
def test_a_bomb_takes_no_more_memory_than_a_log(tmp_path: Path, logs: Path, kind: str) -> None:
    """A gigabyte from a megabyte or less; the lines around it count, the one that is too long is told."""
    path = logs / f"s1.jsonl.{kind}"
    with path.open("wb") as log:
        log.writelines(bomb(kind))
    assert path.stat().st_size < 2_000_000
    environment = {**os.environ, "TOKENTAIL_HOME": str(tmp_path / "home")}
    done = subprocess.run([sys.executable, "-c", _WITHIN, str(logs)], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert '"replies": 2' in done.stdout
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY


@KINDS
def test_the_original_line_can_be_opened(tmp_path: Path, logs: Path, kind: str) -> None:
    """By its place in what the file holds; and the store agrees with an independent count."""
    (logs / f"s1.jsonl.{kind}").write_bytes(PACKS[kind](lines(1, 50)))
    environment = {**os.environ, "TOKENTAIL_HOME": str(tmp_path / "home")}

    def said(*words: str) -> str:
        command = [sys.executable, "-m", "tokentail", *words, "--source", str(logs)]
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout

    assert '"id":"msg_40"' in said("explain", "msg_40", "--show-lines").replace(": ", ":")
    assert "agree" in said("verify")
