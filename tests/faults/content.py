"""Scenarios about what lines hold and where they are cut."""

from __future__ import annotations

import os

from faults.scene import Scene
from faults.table import scenario
from tokentail.model import MAX_LINE_BYTES

F = "-app/s1.jsonl"
OTHER = "-app/s2.jsonl"


@scenario("S01", "a log that was there before the reader")
def s01(s: Scene) -> None:
    s.append(F, 20)
    s.start()


@scenario("S02", "a log that is made after the reader has started")
def s02(s: Scene) -> None:
    s.start()
    s.append(F, 3)
    s.append("-other/deep/down/s2.jsonl", 3)


@scenario("S03", "half a line, then its other half")
def s03(s: Scene) -> None:
    s.start()
    whole = s.lines()
    for cut in (1, len(whole) // 2, len(whole) - 2):
        s.write(F, whole[:cut])
        s.caught_up()
        s.write(F, whole[cut:])
        s.caught_up()
        whole = s.lines()
    s.write(F, whole)


@scenario("S04", "half a line, the reader is stopped and started, the other half")
def s04(s: Scene) -> None:
    s.start()
    whole = s.lines()
    s.write(F, whole[:60])
    s.caught_up()
    s.stop()
    s.start()
    s.write(F, whole[60:])


@scenario("S05", "half a line, the reader is killed, the file is rotated, the other half")
def s05(s: Scene) -> None:
    s.start()
    for rotates in (False, True):
        s.append(F)
        pen = s.pen(F)
        whole = s.lines()
        pen.write(whole[:60])
        s.caught_up()
        s.kill()
        if rotates:
            s.move(F, f"{F}.1")
            s.append(F)
        s.start()
        pen.write(whole[60:])
        s.caught_up()


@scenario("S06", "a character of four bytes, cut at each byte")
def s06(s: Scene) -> None:
    s.start()
    for number, cut in enumerate((1, 2, 3)):
        whole = s.line(id=f"m_\U0001f980_{number}").replace(b"\\ud83e\\udd80", "\U0001f980".encode())
        at = whole.index("\U0001f980".encode()) + cut
        s.write(F, whole[:at])
        s.caught_up()
        s.write(F, whole[at:])


@scenario("S07", "CR LF, the two in two appends")
def s07(s: Scene) -> None:
    s.start()
    for _ in range(3):
        s.write(F, s.lines()[:-1] + b"\r")
        s.caught_up()
        s.write(F, b"\n")


@scenario("S08", "empty lines first, between and alone")
def s08(s: Scene) -> None:
    s.start()
    s.write(F, b"\n\n" + s.lines() + b"\n  \n\r\n" + s.lines() + b"\n\n")
    s.write(OTHER, b"\n" * 100)
    s.caught_up()
    assert s.known_offset(F) == s.path(F).stat().st_size
    assert s.known_offset(OTHER) == 100


@scenario("S09", "a byte order mark before the first line")
def s09(s: Scene) -> None:
    s.start()
    s.write(F, b"\xef\xbb\xbf" + s.lines())
    s.write(F, s.lines())
    s.write(OTHER, b"\xef\xbb")
    s.caught_up()
    s.write(OTHER, b"\xbf" + s.lines())


@scenario("S10", "lines of limit-1, limit, limit+1 and 10 times the limit of 64 MiB", modes=("events",), why="a gigabyte in all", slow=True)
def s10(s: Scene) -> None:
    s.start()
    bare = len(s.uncounted(pad=1)) - 2  # without its text and its newline
    for size in (MAX_LINE_BYTES - 1, MAX_LINE_BYTES):
        whole = s.lines()
        s.write(F, _padded(whole, size) + s.lines())
    s.write(F, s.uncounted(pad=MAX_LINE_BYTES - bare + 20))
    s.append(F, 2)
    os.truncate(s.path(F), s.path(F).stat().st_size + 10 * MAX_LINE_BYTES)
    s.write(F, b"\n" + s.lines(2))
    s.caught_up()
    assert s.rejects() == 2


def _padded(line: bytes, size: int) -> bytes:
    """The same line with so many bytes before its newline."""
    room = size - len(line) + 1 - len(b',"pad":""')
    return line[:-2] + b',"pad":"' + b"x" * room + b'"}\n'


@scenario("S11", "broken JSON, bytes that are no text, NULs, a hole of 500 MB, and good lines between", sizes=True)
def s11(s: Scene) -> None:
    s.start()
    bad = b'{"usage" oops\n' + b'{"message":{"usage":\xff\xfe\n' + b'\0"usage"\0\n' + b"\0\0\0\n"
    s.write(F, s.lines() + bad + s.lines())
    s.caught_up()
    os.truncate(s.path(F), s.path(F).stat().st_size + s.times(5, 500) * 10**6)
    s.write(F, b"\n" + s.lines(3))
    s.caught_up()
    assert s.rejects() == s.times(3, 4)  # the hole is a line without usage, or one that is too long
    assert s.reader is not None
    assert _peak_kib(s.reader.number) < 300_000


def _peak_kib(process: int) -> int:
    with open(f"/proc/{process}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


@scenario("S12", "the reader is stopped between appends, short ones and some beyond a kilobyte")
def s12(s: Scene) -> None:
    for pad in (0, 2000):
        s.append(F, 5, pad=pad)
        s.start()
        s.append(F, 3, pad=pad)
        s.caught_up()
        s.stop()
        s.append(F, 4, pad=pad)
        s.append(OTHER, 1, pad=pad)


@scenario("S53", "a log shorter than a line, an empty one, one deleted before it was opened")
def s53(s: Scene) -> None:
    s.write(F, b"{")
    s.write(OTHER, b"")
    s.start()
    s.write("-app/s3.jsonl", b"")
    for _ in range(20):
        s.write("-app/s4.jsonl", s.uncounted()[:50])
        s.remove("-app/s4.jsonl")
    s.append(OTHER)


@scenario("S54", "names that are no UTF-8, hold newlines, or have 255 bytes; pipes and folders named like logs")
def s54(s: Scene) -> None:
    names = [b"caf\xe9.jsonl", b"two\nlines\x1b[31m.jsonl", b"n" * 249 + b".jsonl", b"%s{}$(x).jsonl", "日本.jsonl".encode()]
    places = [f"{folder}/{os.fsdecode(name)}" for name in names for folder in ("-app", os.fsdecode(b"-\xff\n"))]
    s.append(places[0])
    os.mkfifo(s.path("-app/pipe.jsonl"))
    s.start()
    for place in places:
        s.append(place)
    s.path("-app/folder.jsonl").mkdir()
    s.append("-app/folder.jsonl/s1.jsonl")
    s.caught_up()
    for place in places:
        s.append(place)
