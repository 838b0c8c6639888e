"""Scenarios about the life of a file: rotation, truncation, replacement, copies, links."""

from __future__ import annotations

import gzip
import os

import zstandard

from faults.scene import Scene
from faults.table import scenario

F = "-app/s1.jsonl"
G = "-app/s2.jsonl"
KILOBYTE = 1500  # of padding: lines beyond the proofs, which hold 1024 bytes


@scenario("S14", "renamed, made anew, and still written under its old name")
def s14(s: Scene) -> None:
    s.start()
    pen = s.pen(F)
    pen.append(3)
    s.move(F, f"{F}.1")
    pen.append(2)
    s.append(F, 2)
    pen.append(2)
    s.append(F, 2)


@scenario("S15", "the same while the reader is stopped")
def s15(s: Scene) -> None:
    s.start()
    pen = s.pen(F)
    pen.append(40)
    s.caught_up()
    s.stop()
    s.move(F, f"{F}.1")
    pen.append(2)
    s.append(F, 50)
    s.start()
    pen.append(2)


@scenario("S16", "a cascade f, f.1, f.2: a step at a time, and all at once")
def s16(s: Scene) -> None:
    s.start()
    for waits in (True, False):
        for _ in range(4):
            s.append(F, 2)
            for number in (2, 1, 0):
                before = f"{F}.{number}" if number else F
                if s.path(before).exists():
                    # The last one of a chain is never overwritten unread: that would be S18.
                    s.caught_up()
                    s.move(before, f"{F}.{number + 1}")
            s.append(F, 1)
            if waits:
                s.caught_up()


@scenario("S17", "ten rotations with compression delayed by one; what is compressed counts nothing twice", sizes=True)
def s17(s: Scene) -> None:
    s.start()
    for _ in range(s.times(4, 10)):
        s.append(F, s.times(50, 10_000))
        s.caught_up()
        for number in range(9, 1, -1):
            if (old := s.path(f"{F}.{number}.gz")).exists():
                s.move(old, f"{F}.{number + 1}.gz")
        if s.path(f"{F}.1").exists():
            s.path(f"{F}.2.gz").write_bytes(gzip.compress(s.path(f"{F}.1").read_bytes(), 1))
            s.remove(f"{F}.1")
        s.move(F, f"{F}.1")


@scenario("S18", "rotated out of the tree, or deleted, with lines that nobody has read", oracle="⊆")
def s18(s: Scene) -> None:
    s.start()
    s.append(F, 3)
    s.caught_up()
    s.append(F, 3)
    s.move(F, s.outside / "gone.jsonl")
    s.append(F, 2)
    s.remove(F)
    s.append(F, 2)


@scenario(
    "F20-held",
    "rotated out of the tree, or deleted, with unread lines, of logs that the reader has read before: it holds them open",
    modes=("events", "polling", "muted"),
    why="a reader that is killed holds nothing",
)
def f20_held(s: Scene) -> None:
    s.start()
    s.append(F, 3)
    s.append(G, 3)
    for _ in range(4):
        s.caught_up()
        s.append(F, 3)
        s.move(F, s.outside / s.fresh("gone"))
        s.append(F, 2)
        s.append(G, 2)
        s.remove(G)
        s.append(G)


@scenario("S19", "copied and cut to nothing, by a writer that appends and by one that keeps its place")
def s19(s: Scene) -> None:
    s.start()
    for name, appends in ((F, True), (G, False)):
        pen = s.pen(name, appends=appends)
        for _ in range(3):
            pen.append(3)
            s.caught_up()
            s.copy(name, f"{name}.1")
            s.truncate(name)
            if not appends:
                pen.write(s.uncounted())  # behind a hole of NULs: together they are no line
            pen.append(2)
            s.caught_up()


@scenario("S20", "copied with unread lines, then both are written")
def s20(s: Scene) -> None:
    s.start()
    for _ in range(3):
        s.append(F, 3)
        s.copy(F, f"{F}.1")
        s.append(F, 2)
        s.append(f"{F}.1", 2)
        s.caught_up()


@scenario("S21", "cut to nothing and grown again to less, as much and more; the same beginning and another", sizes=True)
def s21(s: Scene) -> None:
    for _ in range(s.times(1, 8)):
        _regrow(s, while_stopped=False)


@scenario("S22", "the same while the reader is stopped", modes=("events", "muted"), why="the reader does not run while it happens")
def s22(s: Scene) -> None:
    _regrow(s, while_stopped=True)


def _regrow(s: Scene, *, while_stopped: bool) -> None:
    while len(s.expected) < 10:
        s.append(G)  # lines are as long as others from two digits on
    s.start()
    for same_head in (False, True):
        for count in (0, 1, 2):
            head = s.lines(pad=KILOBYTE)
            s.put(F, head + s.lines(pad=50))
            s.caught_up()
            if while_stopped:
                s.stop()
            s.put(F, (head if same_head else s.lines(pad=KILOBYTE)) + s.lines(count, pad=50))
            if while_stopped:
                s.start()
            s.caught_up()


@scenario("S23", "cut in the middle, between lines and within one, then appended to")
def s23(s: Scene) -> None:
    s.start()
    for beyond in (0, 40):
        kept = s.lines(2, pad=300)
        s.put(F, kept + s.lines(3, pad=300))
        s.caught_up()
        s.truncate(F, len(kept) + beyond)
        s.write(F, (b"\n" if beyond else b"") + s.lines(4, pad=300))
        s.caught_up()


@scenario("S24", "deleted and made anew with the same inode, longer and shorter")
def s24(s: Scene) -> None:
    s.start()
    for before, after in ((5, 2), (2, 6), (3, 3)):
        s.append(F, before)
        s.caught_up()
        inode = s.path(F).stat().st_ino
        new = s.lines(after)
        s.path(F).unlink()
        for _ in range(200):  # most file systems give it again at once
            s.path(F).write_bytes(new)
            if s.path(F).stat().st_ino == inode:
                break
            s.path(F).unlink()
        else:
            s.path(F).write_bytes(new)
        s.append(F)
        s.caught_up()
        s.remove(F)


@scenario("S25", "compressed: its inode is free, and the next log gets it")
def s25(s: Scene) -> None:
    s.start()
    for turn in range(3):
        s.append(F, 3)
        s.move(F, f"{F}.1")
        s.caught_up()
        data = s.path(f"{F}.1").read_bytes()
        s.remove(f"{F}.1")
        s.append(F, 2)
        s.path(f"{F}.{turn + 2}.gz").write_bytes(gzip.compress(data))
        s.append(F, 2)


@scenario("S47", "compressed: growing by members, cut inside of one and completed, zeros between and behind, garbage behind")
def s47(s: Scene) -> None:
    s.start()
    for kind, packed in (("gz", gzip.compress), ("zst", zstandard.compress)):
        for _ in range(3):
            s.write(f"{F}.{kind}", packed(s.lines(3)))
        member = packed(s.lines(4))
        for part in (member[:20], member[20:-3], member[-3:]):
            s.write(f"{F}.{kind}", part)
            s.caught_up()
        half = s.lines(2)
        s.write(f"{F}.{kind}", packed(half[:100]))
        s.write(f"{F}.{kind}", packed(half[100:]))
    s.write(f"{F}.gz", bytes(600))
    s.write(f"{F}.gz", gzip.compress(s.lines(2)))
    s.caught_up()
    s.codes = {0, 1}  # it is named
    s.write(f"{F}.gz", b"no compressed data")


@scenario("S48", "rotated into a compressed log, beside it for a while or at once")
def s48(s: Scene) -> None:
    s.start()
    for number, kind in enumerate(("gz", "zst", "gz"), 1):
        packed = gzip.compress if kind == "gz" else zstandard.compress
        s.append(F, 3)
        s.caught_up()
        data = s.path(F).read_bytes()
        s.put(f"-app/s1.jsonl.{number}.{kind}", packed(data))
        if number < 3:
            s.caught_up()
        s.remove(F)
        s.append(F, 2)


@scenario("S26", "two logs swap their inodes")
def s26(s: Scene) -> None:
    s.append(F, 3)
    s.append(G, 4)
    s.start()
    for _ in range(3):
        s.move(F, "-app/swap.tmp")
        s.move(G, F)
        s.move("-app/swap.tmp", G)
        s.append(F, 1)
        s.append(G, 2)


@scenario("S27", "replaced at once by more, by something else, by less")
def s27(s: Scene) -> None:
    s.append(F, 3, pad=600)
    s.start()
    s.caught_up()
    s.replace(F, s.path(F).read_bytes() + s.lines(2, pad=600))
    s.caught_up()
    s.replace(F, s.lines(9, pad=600))
    s.caught_up()
    s.replace(F, b"".join(s.path(F).read_bytes().splitlines(keepends=True)[:2]) + s.lines(1))
    s.append(F)


@scenario("S28", "rewritten in place with the same size, and its time put back")
def s28(s: Scene) -> None:
    s.start()
    before = s.line(id="grows", output=111) + s.lines(2)
    s.write(F, before)
    s.caught_up()
    status = s.path(F).stat()
    after = before.replace(b'"output_tokens":111', b'"output_tokens":555')
    assert (len(after), after != before) == (len(before), True)
    s.expected["grows"] = 555
    s.put_within(F, after)
    s.stamp(F, status.st_mtime_ns)
    s.caught_up()


@scenario("S29", "two logs with the same beginning, of 5 bytes, a kilobyte and all, then each goes on by itself")
def s29(s: Scene) -> None:
    s.start()
    for number, same in enumerate((b'{"a":1}\n', s.lines(1, pad=KILOBYTE), s.lines(4, pad=KILOBYTE))):
        one, other = f"-app/a{number}.jsonl", f"-app/b{number}.jsonl"
        s.write(one, same)
        s.write(other, same)
        s.append(one, 2)
        s.append(other, 3)
        s.append(one, 1)


@scenario("S30", "copied by its user, then both are written")
def s30(s: Scene) -> None:
    s.append(F, 5)
    s.start()
    s.copy(F, G)
    s.append(F, 2)
    s.append(G, 2)
    s.copy(G, "-app/s3.jsonl")


@scenario("S31", "a hard link: written by either name, then one name goes")
def s31(s: Scene) -> None:
    s.append(F, 2)
    s.start()
    s.link(F, G)
    for name in (F, G, F):
        s.append(name, 2)
    s.caught_up()
    s.remove(F)
    s.append(G, 2)


@scenario("S32", "links: turned to other files 30 times, dangling, in a circle, to a folder above", rescans=True)
def s32(s: Scene) -> None:
    s.codes = {0, 1}  # the circle is named as something that cannot be read
    s.append(F, 1)
    s.symlink("nowhere", "-app/dangling.jsonl")
    s.symlink("-app/b.jsonl", "-app/a.jsonl")
    s.symlink("-app/a.jsonl", "-app/b.jsonl")
    s.path("-app/up").symlink_to(s.logs)
    for number in range(6):
        (s.outside / f"{number}.jsonl").write_bytes(s.lines(2))
    s.start()
    for turn in range(s.times(12, 30)):
        s.symlink(s.outside / f"{turn % 6}.jsonl", "-app/link.jsonl")
        s.caught_up()
    s.append(F)


@scenario("S33", "renamed within the tree")
def s33(s: Scene) -> None:
    s.append(F, 3)
    s.start()
    s.move(F, G)
    s.append(G, 2)
    s.move(G, "-app/sub/s3.jsonl")
    s.append("-app/sub/s3.jsonl", 2)
    s.move("-app/sub/s3.jsonl", "-other/s1.jsonl")
    s.append("-other/s1.jsonl", 2)


@scenario("S55", "deleted while it was read: no descriptor is kept", modes=("events", "polling", "muted"), why="it looks into a reader")
def s55(s: Scene) -> None:
    s.start()
    for number in range(20):
        s.append(f"-app/s{number}.jsonl", 3)
    s.caught_up()
    for number in range(20):
        s.remove(f"-app/s{number}.jsonl")
    s.append(F)
    s.caught_up()
    assert s.reader is not None
    folder = f"/proc/{s.reader.number}/fd"
    held = [os.readlink(f"{folder}/{name}") for name in os.listdir(folder)]
    assert [path for path in held if "deleted" in path and ".jsonl" in path] == []
