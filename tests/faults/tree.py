"""Scenarios about folders, names and permissions."""

from __future__ import annotations

import os
import shutil

from faults.scene import Scene
from faults.table import scenario

F = "-app/s1.jsonl"


@scenario(
    "S34",
    "renamed or deleted right before it is opened, listed or descended into",
    modes=("events", "polling", "muted"),
    why="once a reader",
)
def s34(s: Scene) -> None:
    for number in range(1, 7):
        s.append(f"-p{number}/s.jsonl", 2)
    s.append("-p2/deep/s2.jsonl", 2)
    gone = s.path("-p6/gone.jsonl")
    gone.write_bytes(s.uncounted())
    here = [str(s.path(f"-p{number}")) for number in range(7)]
    races = [
        ("open", f"{here[1]}/s.jsonl", f"{here[1]}/s.jsonl", f"{here[1]}/renamed.jsonl"),
        ("os.scandir", f"{here[2]}/deep", f"{here[2]}/deep", f"{here[2]}/moved"),
        ("os.scandir", here[3], here[3], f"{s.logs}/-moved"),
        ("open", f"{here[4]}/s.jsonl", f"{here[5]}/s.jsonl", f"{here[5]}/s.jsonl.1"),
        ("open", str(gone), str(gone), ""),
    ]
    for race in races:
        s.options += ["--at", *race]
    s.start()
    s.caught_up()
    assert not gone.exists()
    assert s.path("-p1/renamed.jsonl").exists()
    assert s.path("-p2/moved/s2.jsonl").exists()
    assert s.path("-moved/s.jsonl").exists()
    assert s.path("-p5/s.jsonl.1").exists()
    s.append("-p1/renamed.jsonl")


@scenario("S35", "a log, and then a folder, that may not be read for a while", rescans=True)
def s35(s: Scene) -> None:
    s.options.append("--nobody")
    s.codes = {0, 1}
    s.append(F, 2)
    s.append("-shut/s2.jsonl", 2)
    s.start()
    s.caught_up()
    for name, mode in ((F, 0o644), ("-shut", 0o755)):
        s.chmod(name, 0)
        s.append(F, 1)
        s.append("-shut/s2.jsonl", 1)
        s.append("-app/witness.jsonl", 1)
        words = f"cannot read {s.path(name)}: Permission denied"
        if s.mode != "killed":
            s.wait_for_words(words)
        s.chmod(name, mode)
        s.caught_up()
        assert s.reader is not None
        assert s.mode == "killed" or s.reader.said.count(words) == 1


@scenario("S36", "500 logs for a reader that may have 20 files open", sizes=True)
def s36(s: Scene) -> None:
    s.options += ["--files", "20"]
    s.append(F, 1)
    s.start()
    names = [f"-p{number % 20}/s{number}.jsonl" for number in range(s.times(150, 500))]
    s.write_many(names, [s.lines() for _ in names])
    s.write_many(names, [s.lines() for _ in names])


@scenario("S37", "deep folders made and written to at once", sizes=True)
def s37(s: Scene) -> None:
    s.start()
    names = [f"-p{number}/a/b/c/s.jsonl" for number in range(s.times(40, 300))]
    for name in names[:20]:
        s.append(name)
        s.caught_up()
    s.write_many(names[20:], [s.lines() for _ in names[20:]])
    s.caught_up()
    s.write_many(names, [s.lines() for _ in names])


@scenario("S38", "a tree moved in, a folder renamed, a tree moved out and written to there")
def s38(s: Scene) -> None:
    s.start()
    deep = s.outside / "tree" / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "s1.jsonl").write_bytes(s.lines(3))
    (deep.parent / "s2.jsonl").write_bytes(s.lines(3))
    s.move(s.outside / "tree", "-tree")
    s.append("-tree/a/b/s1.jsonl", 2)
    s.move("-tree", "-renamed")
    s.append("-renamed/a/b/s1.jsonl", 2)
    s.move("-renamed/a", "-other/a")
    s.append("-other/a/s2.jsonl", 2)
    s.append("-other/a/b/s1.jsonl", 2)
    s.caught_up()
    s.move("-other/a", s.outside / "away")
    with (s.outside / "away" / "s2.jsonl").open("ab") as log:
        log.write(s.optional(3))  # whoever has it open reads on until it is noticed
    s.append(F, 2)
    s.caught_up()
    s.stop()
    s.start()
    with (s.outside / "away" / "s2.jsonl").open("ab") as log:
        log.write(s.uncounted(3))
    s.append(F, 1)


@scenario("S39", "the whole folder of logs is deleted, and comes back")
def s39(s: Scene) -> None:
    s.append(F, 3)
    s.start()
    for _ in range(3):
        s.append(F, 2)
        s.append("-deep/a/b/s2.jsonl", 2)
        s.caught_up()
        s.remove("")
        s.append(F, 1)
        s.append("-new/s3.jsonl", 2)
    s.caught_up()
    s.move("", s.outside / "logs")
    s.move(s.outside / "logs", "")
    s.append(F, 2)


@scenario("F26", "reading a log fails with an error of the disk, for a while")
def f26(s: Scene) -> None:
    s.options += ["--eio", "s1.jsonl", "3", "--doubt-s", "0.05"]
    s.codes = {0, 1}
    s.append("-other/s2.jsonl", 2)
    s.start()
    s.append("-other/s2.jsonl", 1)
    s.append(F, 2)  # and nothing after that which would make somebody look again


@scenario("F27", "a pipe in the place of a log, a log in the place of a folder, and back")
def f27(s: Scene) -> None:
    s.append(F, 2)
    s.start()
    s.caught_up()
    s.path(F).unlink()
    os.mkfifo(s.path(F))
    s.append("-app/s2.jsonl", 1)
    s.caught_up()
    s.path(F).unlink()
    s.append(F, 2)
    s.caught_up()
    shutil.rmtree(s.path("-app"))
    s.path("-app").write_bytes(b"no folder")
    s.append("-other/s3.jsonl", 1)
    s.path("-app").unlink()
    s.append(F, 2)
