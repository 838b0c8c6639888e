"""A person's home with a few made-up logs in the usual place, for the tests of the library and its document."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from logs import line

SHOP, BLOG = "-home-dev-shop", "-home-dev-blog"
HAIKU = "claude-haiku-4-5"


class Place:
    """A home folder, with a store that is not made yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.projects = folder / "home" / ".claude" / "projects"
        self.stores = folder / "stores"
        self.log = self.projects / SHOP / "3f9c.jsonl"

    @property
    def store(self) -> Path:
        return self.stores / "store.db"

    def fill(self) -> None:
        """Five replies: two of a session, two of its subagent, one of another session; one of them was logged twice."""
        usage = {"cache_creation_input_tokens": 300, "cache_read_input_tokens": 2000}
        for log, data in (
            (self.log, line("msg_1", 8, stop_reason=None, sessionId="3f9c", cwd="/home/dev/shop", usage=usage)),
            (self.log, line("msg_1", 1000, sessionId="3f9c", cwd="/home/dev/shop", usage=usage)),
            (self.log, line("msg_2", 300, at="2026-10-01T10:30:00.000Z", sessionId="3f9c", cwd="/home/dev/shop")),
            (self.agent, line("msg_3", 40, at="2026-10-01T10:10:00.000Z", model=HAIKU, sessionId="3f9c", usage=_SMALL)),
            (self.agent, line("msg_4", 60, at="2026-10-01T10:12:00.000Z", model=HAIKU, sessionId="3f9c", usage=_SMALL)),
            (self.projects / BLOG / "77d0.jsonl", line("msg_5", 55, at="2026-10-02T08:00:00.000Z", sessionId="77d0", cwd="/home/dev/blog")),
        ):
            self.write(log, data)

    @property
    def agent(self) -> Path:
        return self.projects / SHOP / "3f9c" / "subagents" / "agent-a1b2.jsonl"

    def write(self, log: Path, data: bytes) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out:
            out.write(data)

    @contextmanager
    def being_written(self) -> Iterator[None]:
        """Meanwhile a reply is written every 20 ms."""
        stop = threading.Event()
        thread = threading.Thread(target=self._write_on, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _write_on(self, stop: threading.Event) -> None:
        number = 100
        while not stop.wait(0.02):
            number += 1
            at = "2026-10-03T09:00:00.000Z"
            self.write(self.log, line(f"msg_{number}", 500, at=at, sessionId="3f9c", cwd="/home/dev/shop"))


_SMALL = {"input_tokens": 100, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 452, "cache_creation": {}}


@pytest.fixture(name="place")
def fixture_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """That home as the one of this process."""
    made = Place(tmp_path)
    for name in ("CLAUDE_CONFIG_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TOKENTAIL_HOME", str(made.stores))
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.chdir(tmp_path)
    made.fill()
    return made
