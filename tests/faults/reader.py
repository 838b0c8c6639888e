"""
The reader of the fault suite, a process: `tokentail feed --json --since 1970-01-01` with its intervals and its faults as arguments.

As a nursery it imports everything once and forks a reader, or a command of tokentail, for each line that it is given.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tokentail import backlog, cli, coordinator, feed, following, prices, recount, verify
from tokentail.commands import report
from tokentail.commands import verify as verify_command
from tokentail.errors import TokentailError
from tokentail.formats import claude_lines
from tokentail.model import LogFile
from tokentail.reports import text
from tokentail.reports.as_json import feed_json
from tokentail.sources import LocalFolders
from tokentail.sources.local import is_log_name
from tokentail.watcher import Events, FileWatcher, Pace, Sink, open_events
from tokentail.watcher.hints import IsLog, OpenEvents
from tokentail.watcher.inotify import InotifyEvents

# Once, for all that are forked, and before one gives up the right to read where they are.
IMPORTED = (recount, verify, report, verify_command, backlog, claude_lines)
NEVER_S = 1000.0
NOBODY = 65534


def main(argv: Sequence[str]) -> int:
    args = _arguments(argv)
    if args.files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (args.files, args.files))
    for words in args.at:
        _act_at(*words)
    if args.nobody and os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        return _follow(args, stop)
    except TokentailError as error:
        text.warn(str(error))
        return error.exit_code


def _follow(args: argparse.Namespace, stop: threading.Event) -> int:
    price_list = prices.load()
    live = coordinator.UpdateCoordinator(
        _Folders([Path(args.source)], *args.eio),
        Path(args.store),
        prices=price_list,
        pace=_pace(args.watcher, args.rescan_s)._replace(in_doubt_every_s=args.doubt_s or args.rescan_s),
        open_watcher=_opener(OPENERS[args.watcher]),
    )
    with contextlib.closing(live):
        return feed.run(live, lambda change: print(feed_json(change, price_list), flush=True), since_ms=0, stop=stop)


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", required=True)
    parser.add_argument("--store", required=True)
    parser.add_argument("--watcher", choices=sorted(OPENERS), default="events")
    parser.add_argument("--rescan-s", type=float, default=NEVER_S, help="between two looks at everything, whatever the watcher says")
    parser.add_argument("--doubt-s", type=float, help="and while something is in doubt")
    parser.add_argument("--files", type=int, help="most open files")
    parser.add_argument("--nobody", action="store_true", help="give up root, whom no permission binds")
    parser.add_argument("--eio", nargs=2, default=("", "0"), metavar=("NAME", "TIMES"), help="reading this file fails so often")
    parser.add_argument("--at", nargs=4, action="append", default=[], metavar=("EVENT", "PATH", "FROM", "TO"))
    return parser.parse_args(argv)


# Intervals


def _pace(watcher: str, rescan_s: float) -> following.Pace:
    """Each way of watching by itself: what it misses is not found by another one, unless a rescan is asked for."""
    return following.Pace(
        idle_every_s=0.05,
        in_doubt_every_s=rescan_s,
        in_calm_every_s=rescan_s,
        stop_within_s=0.01,
        succeed_every_s=0.01,
        silent_after_s=0.5,
        watch=_WATCH_PACES.get(watcher, _WATCH),
    )


_WATCH = Pace(sweep_in_doubt_s=NEVER_S, sweep_in_calm_s=NEVER_S, most_share=1.0, retry_every_s=0.2, answer_within_s=NEVER_S)
_POLLED = _WATCH._replace(hot_every_s=0.02, folders_every_s=0.05, sweep_in_doubt_s=0.2, sweep_in_calm_s=0.2)
_WATCH_PACES = {
    "polling": _POLLED,
    "deaf": _POLLED._replace(canary_every_s=0.1, answer_within_s=0.2),
    "dying": _POLLED._replace(beat_every_s=0.05, restart_after_s=0.1, restart_at_most_s=0.2),
    "hanging": _POLLED._replace(beat_every_s=0.05, hung_after_beats=4, restart_after_s=NEVER_S, restart_at_most_s=NEVER_S),
    "limited": _POLLED,
}


# Watchers


def _opener(open_: OpenEvents) -> following.OpenWatcher:
    def opened(roots: Sequence[str], canary: Path, pace: Pace) -> FileWatcher:
        return FileWatcher(roots, is_log_name, canary=canary, pace=pace, open_events=open_)

    return opened


def _refused(roots: Sequence[str], is_log: IsLog, sink: Sink) -> Events:
    raise OSError(errno.EMFILE, "no instance of inotify is left")


class _Mute(InotifyEvents):
    """Watches, says that all is well, and tells nothing."""

    def take(self) -> None:
        while self._kernel.read():
            pass


class _Dying(InotifyEvents):
    """Breaks at the third look."""

    _left = 3

    def take(self) -> None:
        self._left -= 1
        if not self._left:
            raise RuntimeError("broken on purpose")
        super().take()


class _Hanging(InotifyEvents):
    """Does not come back from the third look."""

    _left = 3

    def take(self) -> None:
        self._left -= 1
        if not self._left:
            time.sleep(NEVER_S)
        super().take()


class _Noise:
    """Tells everything twice, late, out of order and together with places that are not there."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._before: list[str] = []

    def dirty(self, path: str) -> None:
        for each in (*reversed(self._before), f"{path}.7", path, f"{path}/s.jsonl", path):
            self._sink.dirty(each)
        self._before = [*self._before[-3:], path]

    def dirty_tree(self, folder: str) -> None:
        for each in (f"{folder}/nowhere", folder, folder):
            self._sink.dirty_tree(each)

    def covered(self, folder: str) -> None:
        self._sink.covered(folder)

    def lost(self) -> None:
        self._sink.lost()


def _noisy(roots: Sequence[str], is_log: IsLog, sink: Sink) -> Events:
    return InotifyEvents(roots, is_log, _Noise(sink))


OPENERS: dict[str, OpenEvents] = {
    "events": open_events,
    "polling": _refused,
    "muted": _Mute,
    "deaf": _Mute,  # the same, where a canary notices
    "dying": _Dying,
    "hanging": _Hanging,
    "limited": open_events,  # and polls where it may not watch
    "noisy": _noisy,
}


# Faults of files


class _Folders(LocalFolders):
    """Folders in which one file cannot be read for a while."""

    def __init__(self, folders: Sequence[Path], name: str, times: str) -> None:
        super().__init__(folders)
        self._name, self._left = name, int(times)

    def read_into(self, file: LogFile, start_bytes: int, buffer: memoryview) -> int:
        if self._left and file.path.endswith(f"/{self._name}"):
            self._left -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO), file.path)
        return super().read_into(file, start_bytes, buffer)


def _act_at(event: str, path: str, before: str, after: str) -> None:
    """Right before this process opens that file or lists that folder for the first time, something is renamed, or deleted."""
    is_done = False

    def hook(name: str, values: tuple[object, ...]) -> None:
        nonlocal is_done
        if name == event and not is_done and str(values[0]).rstrip("/") == path:
            is_done = True
            if after:
                os.rename(before, after)
            else:
                os.unlink(before)

    sys.addaudithook(hook)


# The nursery


def nursery() -> None:
    """Fork what each line asks for, and say its process id."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits here for who ends
    for asked in sys.stdin:
        order = json.loads(asked)
        child = os.fork()
        if child == 0:
            _become(**order)
        print(child, flush=True)


def _become(what: str, argv: Sequence[str], home: str, out: str, err: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ["TOKENTAIL_HOME"] = home
    for number, path in ((1, out), (2, err)):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(handle, number)
        os.close(handle)
    code = 99
    try:
        code = main(argv) if what == "reader" else cli.main(argv)
    except BaseException:  # noqa: BLE001  # a process's last frame: it is shown
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        print(f"ended {code}", file=sys.stderr, flush=True)
        os._exit(code)


if __name__ == "__main__":
    if sys.argv[1:] == ["--nursery"]:
        nursery()
    else:
        sys.exit(main(sys.argv[1:]))
