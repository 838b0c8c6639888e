"""Tests of `tokentail.leader`: one process leads, and the others see how it fares."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tokentail.leader import Leadership

LEAD = """
import sys
from pathlib import Path
from tokentail.leader import Leadership
leads = Leadership(Path(sys.argv[1]))
print(leads.try_take(), flush=True)
sys.stdin.read()
"""


def leading_elsewhere(path: Path) -> subprocess.Popen[str]:
    """Another process that leads."""
    process = subprocess.Popen([sys.executable, "-c", LEAD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    return process


def test_one_leads(tmp_path: Path) -> None:
    """In a folder that need not be there yet; the next one may when it has let go."""
    path = tmp_path / "home" / "store.db"
    first, second = Leadership(path), Leadership(path)
    assert (first.try_take(), second.try_take(), first.try_take()) == (True, False, True)
    first.release()
    assert (first.is_ours, second.try_take()) == (False, True)
    second.release()


def test_who_is_killed_leads_no_longer(tmp_path: Path) -> None:
    """The claim ends with its process, however that ends."""
    path = tmp_path / "store.db"
    other, ours = leading_elsewhere(path), Leadership(path)
    assert not ours.try_take()
    os.kill(other.pid, signal.SIGKILL)
    other.communicate()
    assert ours.try_take()
    ours.release()


def test_how_long_a_leader_has_been_silent(tmp_path: Path) -> None:
    """The others read its process id, and when it last said that it is alive."""
    path, now = tmp_path / "store.db", 1_790_000_000.0
    leads, reads = Leadership(path, clock=lambda: now), Leadership(path, clock=lambda: now)
    assert reads.seen() is None
    leads.try_take()
    assert reads.seen() == (os.getpid(), now, 0)
    now += 7
    assert reads.seen() == (os.getpid(), now - 7, 7)
    leads.beat()
    assert reads.seen() == (os.getpid(), now, 0)
    now -= 100
    assert reads.seen() == (os.getpid(), now + 100, 0)  # a clock that was set back makes nobody silent for less than nothing
    leads.release()


def test_a_file_that_says_nothing(tmp_path: Path) -> None:
    """Whatever stands in it, nobody is named by mistake."""
    path = tmp_path / "store.db"
    for text in ("", "x y", "1", "1 2 3", "\x00\x00"):
        (tmp_path / "store.db.leader").write_text(text)
        assert Leadership(path).seen() is None
