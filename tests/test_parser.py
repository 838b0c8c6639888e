"""Tests of `tokentail.parser`."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logs import OneFile, Reader, line, lines, log_file, outputs, sighted
from tokentail.model import MAX_LINE_BYTES, START, Change, Life
from tokentail.parser import BUFFER_BYTES, PROOF_BYTES, IncrementalParser
from tokentail.sources import LocalFolders

LIMIT = 3000  # more than any buffer here, as in life
QUIET = b'{"type":"summary","summary":"nothing to count"}\n'


def sized(size_bytes: int, id: str = "msg_1") -> bytes:
    """A line of that many bytes, without its newline."""
    data = line(id).rstrip(b"\n")
    return data[:-1] + b" " * (size_bytes - len(data)) + b"}"


# Lines that arrive in pieces


def test_whole_file() -> None:
    """A file that nobody has read is read from its start, as a new life, and the cursor stands at its end."""
    (chunk,) = Reader(lines(1, 3)).take()
    assert chunk.restarted
    assert outputs([chunk]) == {"msg_1": 1, "msg_2": 2, "msg_3": 3}
    assert chunk.cursor.offset_bytes == len(lines(1, 3))


def test_half_line_waits_for_its_newline() -> None:
    """A line is given once, whole, however the writer flushed it (S03)."""
    reader = Reader(lines(1, 1))
    reader.take()
    first = reader.append(line("msg_2", 2)[:40])
    second = reader.append(line("msg_2", 2)[40:])
    assert (outputs(first), outputs(second)) == ({}, {"msg_2": 2})
    assert reader.rejects == []


def test_half_line_across_a_restart() -> None:
    """The half that stood there when the reader stopped is read again by the next one (S04)."""
    whole = lines(1, 2)
    before = Reader(whole[:-30])
    before.take()
    after = Reader(whole)
    after.life = before.life
    assert outputs(after.take()) == {"msg_2": 2}


@pytest.mark.parametrize("cut", range(1, 5))
def test_cut_inside_a_character(cut: int) -> None:
    """A character that arrives in two halves is one character (S06)."""
    data = line("msg_🦦", 5).replace(b"msg_\\ud83e\\udda6", "msg_🦦".encode())
    place = data.index("🦦".encode()) + cut
    reader = Reader(data[:place])
    assert outputs(reader.take()) == {}
    assert outputs(reader.append(data[place:])) == {"msg_🦦": 5}


def test_cut_between_carriage_return_and_newline() -> None:
    """Both belong to the end of the line, however they arrive: it counts once, and its hash is that of the line without them (S07)."""
    bare = line("", 1, uuid=None).rstrip(b"\n")
    (expected,) = Reader(bare + b"\n").take()[0].records
    reader = Reader(bare + b"\r")
    reader.take()
    reader.append(b"\n")
    assert reader.cursor.offset_bytes == len(bare) + 2
    assert list(reader.records.values()) == [expected]


@pytest.mark.parametrize("data", [b"\n", b"\n\n\n", b"\r\n\r\n", b"", b"\n" + lines(1, 1), b"\r\n" + lines(1, 1) + b"\n\n"])
def test_empty_lines(data: bytes) -> None:
    """Empty lines are no lines: the cursor goes past them (S08)."""
    reader = Reader(data)
    reader.take()
    assert (reader.rejects, reader.cursor.offset_bytes) == ([], len(data))
    assert reader.outputs == ({"msg_1": 1} if b"usage" in data else {})


def test_byte_order_mark() -> None:
    """At the start of a file it is skipped, anywhere else it makes its line malformed (S09)."""
    reader = Reader(b"\xef\xbb\xbf" + lines(1, 1) + b"\xef\xbb\xbf" + lines(2, 2))
    reader.take()
    assert reader.outputs == {"msg_1": 1}
    assert [offset for offset, _ in reader.rejects] == [len(lines(1, 1)) + 3]


def test_lines_without_the_mark_are_not_parsed() -> None:
    """Only lines that could carry usage can be malformed (R1)."""
    reader = Reader(b"{not json\n" + lines(1, 1) + b'{"usage": not json\n' + lines(2, 2))
    reader.take()
    assert reader.outputs == {"msg_1": 1, "msg_2": 2}
    assert len(reader.rejects) == 1


# A last line without its newline


def test_last_line_without_newline_counts() -> None:
    """A whole object counts at once, and the cursor stays before it."""
    reader = Reader(lines(1, 1) + line("msg_2", 2).rstrip(b"\n"))
    (chunk,) = reader.take()
    assert outputs([chunk]) == {"msg_1": 1, "msg_2": 2}
    assert chunk.cursor.offset_bytes == len(lines(1, 1))
    assert chunk.tail_lines == 1
    assert sighted([chunk]) == [(0, "msg_1"), (len(lines(1, 1)), "msg_2")]


def test_last_line_is_seen_anew_when_its_newline_comes() -> None:
    """It is then read as any other line, at the same place; what it gives is the same."""
    reader = Reader(line("msg_1", 2).rstrip(b"\n"))
    reader.take()
    (chunk,) = reader.append(b"\n")
    assert (sighted([chunk]), chunk.tail_lines) == ([(0, "msg_1")], 0)
    assert reader.outputs == {"msg_1": 2}


def test_last_line_that_is_cut_is_pending() -> None:
    """Half an object is not malformed as long as its rest can come."""
    reader = Reader(line()[:-20])
    reader.take()
    assert (reader.rejects, reader.outputs) == ([], {})
    reader.append(b"\n")
    assert [offset for offset, _ in reader.rejects] == [0]


def test_last_line_of_two_objects() -> None:
    """Both stand on the line, and both wait behind the cursor."""
    (chunk,) = Reader(line("msg_1").strip() + line("msg_2").strip()).take()
    assert (chunk.tail_lines, len(chunk.seen_records), chunk.cursor) == (2, 2, START)


# Long lines


@pytest.mark.parametrize("buffer_bytes", [16, 300, LIMIT - PROOF_BYTES])
@pytest.mark.parametrize(
    ("size", "counts"), [(LIMIT - 1, True), (LIMIT, True), (LIMIT + 1, False), (LIMIT + 2, False), (10 * LIMIT, False)]
)
def test_line_around_the_limit(size: int, counts: bool, buffer_bytes: int) -> None:
    """A line of the greatest length counts, a longer one is skipped and named, and those around it count in any case (S10)."""
    data = lines(1, 1) + sized(size, "msg_2") + b"\n" + lines(3, 3)
    reader = Reader(data, buffer_bytes=buffer_bytes, longest_line_bytes=LIMIT)
    reader.take()
    assert set(reader.outputs) == {"msg_1", "msg_3"} | ({"msg_2"} if counts else set())
    assert reader.rejects == ([] if counts else [(len(lines(1, 1)), f"longer than {LIMIT} bytes")])
    assert reader.cursor == Reader(data).take()[-1].cursor


@pytest.mark.parametrize(("size", "counts"), [(LIMIT, True), (LIMIT + 1, False)])
def test_long_last_line_without_newline(size: int, counts: bool) -> None:
    """The limit holds there too; a line that is too long is skipped and named when its newline comes."""
    reader = Reader(lines(1, 1) + sized(size, "msg_2"), buffer_bytes=64, longest_line_bytes=LIMIT)
    reader.take()
    assert (set(reader.outputs), reader.rejects) == ({"msg_1", "msg_2"} if counts else {"msg_1"}, [])
    reader.append(b"\n" + lines(3, 3))
    assert set(reader.outputs) == ({"msg_1", "msg_2", "msg_3"} if counts else {"msg_1", "msg_3"})
    assert len(reader.rejects) == (0 if counts else 1)


@pytest.mark.parametrize("extra", [0, 1, 17])
def test_long_line_that_grows_over_many_looks(extra: int) -> None:
    """However often it is looked at on the way, a line that is too long is named once."""
    whole = sized(3 * LIMIT + extra, "msg_2") + b"\n"
    reader = Reader(lines(1, 1), buffer_bytes=64, longest_line_bytes=LIMIT)
    reader.take()
    for start in range(0, len(whole), 700):
        reader.append(whole[start : start + 700])
    reader.append(lines(3, 3))
    assert set(reader.outputs) == {"msg_1", "msg_3"}
    assert len(reader.rejects) == 1


def test_memory_is_given_back_after_a_long_line() -> None:
    """The buffer grows for the one line that needs it, and is small again for the next."""
    reader = Reader(sized(2500, "msg_1") + b"\n" + lines(2, 60), buffer_bytes=600, longest_line_bytes=LIMIT)
    reader.take()
    reader.source.longest_read_bytes = 0
    reader.append(lines(61, 61))
    assert reader.source.longest_read_bytes <= 600 + PROOF_BYTES


def test_hole_of_nul_bytes(tmp_path: Path) -> None:
    """A writer that kept its place when the file was cut leaves a hole: it is one malformed line, and costs no memory (S11)."""
    path = tmp_path / "s1.jsonl"
    hole = 40_000_000
    with path.open("wb") as file:
        file.write(lines(1, 1))
        file.truncate(len(lines(1, 1)) + hole)
        file.seek(0, 2)
        file.write(b"\n" + lines(2, 2))
    source = LocalFolders([tmp_path])
    parser = IncrementalParser(source, longest_line_bytes=2**20)
    tracemalloc.start()
    try:
        chunks = list(parser.parse_new_entries(Change(source.list_files().files[0], None, None)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert outputs(chunks) == {"msg_1": 1, "msg_2": 2}
    assert [reject.offset_bytes for chunk in chunks for reject in chunk.rejects] == [len(lines(1, 1))]
    assert peak < 8 * 2**20


@pytest.mark.slow
def test_longest_line_for_real() -> None:
    """A line of 64 MiB counts, one byte more does not."""
    reader = Reader(sized(MAX_LINE_BYTES, "msg_1") + b"\n" + sized(MAX_LINE_BYTES + 1, "msg_2") + b"\n" + lines(3, 3))
    reader.take()
    assert reader.outputs == {"msg_1": 310, "msg_3": 3}
    assert len(reader.rejects) == 1


# Proofs


def grown(data: bytes) -> Reader:
    """A reader that has read these bytes."""
    reader = Reader(data)
    reader.take()
    return reader


@pytest.mark.parametrize("history", [1, 2, 3, 40])
def test_append_goes_on(history: int) -> None:
    """While all that was read is unchanged, only what is new is parsed."""
    reader = grown(lines(1, history))
    (chunk,) = reader.append(lines(100, 101))
    assert (chunk.restarted, set(outputs([chunk]))) == (False, {"msg_100", "msg_101"})


def test_nothing_new() -> None:
    """A file whose times changed and nothing else gives an empty chunk and keeps its cursor."""
    reader = grown(lines(1, 5))
    before = reader.cursor
    (chunk,) = reader.take()
    assert (chunk.restarted, chunk.records, chunk.cursor) == (False, [], before)


@pytest.mark.parametrize("history", [1, 2, 40])
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda data: b"", id="cut to nothing"),
        pytest.param(lambda data: data[: len(data) // 2].rpartition(b"\n")[0] + b"\n", id="cut in the middle"),
        pytest.param(lambda data: lines(900, 900), id="grown again, smaller"),
        pytest.param(lambda data: b"*" + data[1:-1] + b"\n", id="head changed, same size"),
        pytest.param(lambda data: data[:-3] + b"*}\n", id="end changed, same size"),
        pytest.param(lambda data: lines(900, 999) + data, id="grown again, greater"),
        pytest.param(lambda data: data[:-2] + b" }\n" + lines(900, 900), id="end changed, then grown"),
        pytest.param(lambda data: data[300:], id="cut at the front"),
    ],
)
def test_broken_proof_starts_a_new_life(history: int, change: object) -> None:
    """Whatever happened to the bytes before the cursor, the file is read from its start, and gives what a first read gives."""
    assert callable(change)
    data = lines(1, history)
    reader = grown(data)
    changed = change(data)
    chunks = reader.put(changed)
    assert [chunk.restarted for chunk in chunks] == [True]
    fresh = grown(changed)
    assert (outputs(chunks), reader.cursor) == (fresh.outputs, fresh.cursor)


def test_same_size_and_other_content() -> None:
    """A rewrite that keeps the size to the byte is seen by the proofs."""
    reader = grown(lines(11, 19))
    chunks = reader.put(lines(21, 29))
    assert chunks[0].restarted
    assert set(outputs(chunks)) == {f"msg_{number}" for number in range(21, 30)}


def test_cut_to_the_cursor_is_no_break() -> None:
    """A half line that is taken back was never counted, so the life goes on."""
    data = lines(1, 3)
    reader = grown(data + b'{"half')
    (chunk,) = reader.put(data + lines(4, 4))
    assert (chunk.restarted, set(outputs([chunk]))) == (False, {"msg_4"})


def test_file_that_was_empty() -> None:
    """There is nothing to prove: whatever comes is new."""
    reader = grown(b"")
    (chunk,) = reader.append(lines(1, 1))
    assert (chunk.restarted, outputs([chunk])) == (False, {"msg_1": 1})


def test_proofs_cover_a_kilobyte_at_each_end() -> None:
    """The head is the first kilobyte and stays, the marker is the last one before the cursor."""
    reader = grown(lines(1, 1))
    assert (reader.cursor.head_bytes, reader.cursor.marker_bytes) == (len(lines(1, 1)),) * 2
    reader.append(lines(2, 40))
    head = reader.cursor.head_hash
    reader.append(lines(41, 80))
    assert (reader.cursor.head_bytes, reader.cursor.marker_bytes) == (PROOF_BYTES, PROOF_BYTES)
    assert reader.cursor.head_hash == head


@pytest.mark.parametrize("appended", [1, 100, 5_000])
def test_bytes_read_after_an_append(appended: int) -> None:
    """An append of n bytes costs n bytes and the proofs, whatever the size of the file."""
    reader = grown(lines(1, 5_000))
    reader.source.bytes_read = 0
    new = (lines(1, 1) * 20)[:appended]
    chunks = reader.append(new)
    assert reader.source.bytes_read <= len(new) + 64 * 1024
    assert sum(chunk.bytes_read for chunk in chunks) == reader.source.bytes_read


@pytest.mark.parametrize("change", [lambda data: data[: len(data) // 2], lambda data: data[:-3] + b"*}\n", lambda data: b"*" + data])
def test_bytes_read_are_counted_to_the_last(change: object) -> None:
    """Also those that only showed that a proof failed."""
    assert callable(change)
    reader = grown(lines(1, 40))
    reader.source.bytes_read = 0
    chunks = reader.put(change(reader.source.data))
    assert sum(chunk.bytes_read for chunk in chunks) == reader.source.bytes_read


# Any file, any pieces


def random_file(rng: random.Random) -> bytes:
    """Lines of every kind, one after another; the ids come again."""
    kinds: list[Callable[[], bytes]] = [
        lambda: line(f"msg_{rng.randrange(4)}", rng.randrange(50)),
        lambda: line(f"msg_{rng.randrange(4)}", rng.randrange(50), content="x" * rng.randrange(400)).replace(b"\n", b"\r\n"),
        lambda: QUIET,
        lambda: b"\n",
        lambda: b'{"usage" oops\n',
        lambda: bytes(rng.randrange(300)) + b'"usage"\n',
        lambda: sized(LIMIT + rng.randrange(-3, 3), f"msg_{rng.randrange(4)}") + b"\n",
        lambda: sized(3 * LIMIT) + b"\n",
        lambda: line("msg_1", 7).strip() + line("msg_2", 8),
    ]
    data = b"".join(rng.choice(kinds)() for _ in range(rng.randrange(12)))
    return (
        rng.choice([b"", b"", b"\xef\xbb\xbf"]) + data + rng.choice([b"", line("msg_9", 3)[: rng.randrange(400)], line("msg_9", 3).strip()])
    )


def check_pieces(seed: int, buffer_bytes: int) -> None:
    rng = random.Random(seed)
    data = random_file(rng)
    whole = Reader(data, buffer_bytes=LIMIT - PROOF_BYTES, longest_line_bytes=LIMIT)
    chunks = whole.take()
    reader = Reader(buffer_bytes=buffer_bytes, longest_line_bytes=LIMIT, expected_bytes=rng.choice([0, 1 << 62]))
    seen: dict[int, list[str]] = {}
    for end in [*sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(5))), len(data)]:
        for chunk in reader.put(data[:end]):
            assert not chunk.restarted or chunk.start_bytes == 0
            # What was seen behind the cursor is seen anew.
            seen = {offset: groups for offset, groups in seen.items() if offset < chunk.start_bytes}
            for offset, group in sighted([chunk]):
                seen.setdefault(offset, []).append(group)
    expected: dict[int, list[str]] = {}
    for offset, group in sighted(chunks):
        expected.setdefault(offset, []).append(group)
    assert reader.records == whole.records
    assert (reader.cursor, reader.rejects, seen) == (whole.cursor, whole.rejects, expected)


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 2**64), st.integers(1, LIMIT - PROOF_BYTES))
def test_pieces_never_matter(seed: int, buffer_bytes: int) -> None:
    """However the bytes arrive, by quick tools or plain ones: records, places, rejects and cursor are those of one full read."""
    check_pieces(seed, buffer_bytes)


@pytest.mark.slow
@settings(deadline=None, max_examples=6000)
@given(st.integers(0, 2**64), st.integers(1, LIMIT - PROOF_BYTES))
def test_pieces_never_matter_at_length(seed: int, buffer_bytes: int) -> None:
    """The same, for many more files."""
    check_pieces(seed, buffer_bytes)


def test_backlog_is_read_in_chunks_of_bounded_size() -> None:
    """A large file gives many chunks, one after another, and one buffer serves them all."""
    data = lines(1, 20_000)
    reader = Reader(data)
    chunks = reader.take()
    assert len(chunks) == -(-len(data) // BUFFER_BYTES)
    assert [chunk.restarted for chunk in chunks] == [True] + [False] * (len(chunks) - 1)
    assert len(reader.records) == 20_000
    assert reader.source.longest_read_bytes <= BUFFER_BYTES + PROOF_BYTES


def test_one_parser_for_many_files() -> None:
    """Nothing of one file is left in the buffer for the next."""
    source = OneFile(lines(1, 50))
    parser = IncrementalParser(source, buffer_bytes=256)
    assert len(outputs(parser.parse_new_entries(Change(source.file, None, None)))) == 50
    source.data = lines(7, 7)
    assert outputs(parser.parse_new_entries(Change(log_file("-other/s2.jsonl"), None, None))) == {"msg_7": 7}


def test_file_that_grows_while_it_is_read() -> None:
    """The file is read to where it ends now, not to where the listing said."""
    source = OneFile(lines(1, 3))
    listed = source.file
    source.data += lines(4, 6)
    assert len(outputs(IncrementalParser(source).parse_new_entries(Change(listed, None, None)))) == 6


def test_working_folder_with_the_least_time() -> None:
    """A project is called by the folder of its earliest line."""
    data = line("a", cwd="/late", at="2026-10-02T00:00:00.000Z") + line("b", cwd="/b", at="2026-10-01T00:00:00.000Z")
    (chunk,) = Reader(data + line("c", cwd="/a", at="2026-10-01T00:00:00.000Z")).take()
    assert chunk.folder is not None
    assert chunk.folder[1] == "/a"


def test_unreadable_file(tmp_path: Path) -> None:
    """What cannot be read is the caller's to name: a file that went away while it was to be read raises OSError."""
    source = LocalFolders([tmp_path])
    gone = log_file(root=str(tmp_path))
    with pytest.raises(FileNotFoundError):
        list(IncrementalParser(source).parse_new_entries(Change(gone, Life(1, gone, "live", START), None)))
