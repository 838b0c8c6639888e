"""Made-up logs in which each kind of line occurs, for the tests of explanations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from zoneinfo import ZoneInfo

from builders import coordinator, line, usage, write_logs
from tokentail import prices, queries
from tokentail.coordinator import UpdateCoordinator
from tokentail.explain.telling import Context
from tokentail.model import Source
from tokentail.projects import Projects
from tokentail.sources import LocalFolders

MAIN, FORK, ASIDE = "-home-dev-app/s1.jsonl", "-home-dev-app/s2.jsonl", "-home-dev-app/s1/subagents/agent-a7.jsonl"
LOGS: Mapping[str, bytes] = {
    # A reply that grew while it was written, and one of a single line.
    MAIN: line("msg_1", output=8, stop_reason=None, uuid="u1")
    + line("msg_1", output=310, uuid="u2")
    + line("msg_1", output=310, uuid="u3")
    + line("msg_2", output=50, timestamp="2026-10-02T09:00:00.000Z", uuid="u4"),
    # A fork of it, which goes on.
    FORK: line("msg_1", output=310, uuid="u2", sessionId="s2") + line("msg_3", output=7, sessionId="s2", uuid="u5", stop_reason=None),
    # A side question, which logs a reply again under a request id of its own.
    ASIDE: line("msg_1", output=900, requestId="req_other", isSidechain=True, uuid="u6", usage=usage(900, cache_read_input_tokens=50_000)),
}


class Logs:
    """A folder of logs with its store."""

    def __init__(self, folder: Path, files: Mapping[str, bytes] = LOGS) -> None:
        self.folder = write_logs(folder / "logs", files)
        self.engine: UpdateCoordinator = coordinator(self.folder, folder / "store.db")
        self.engine.check_for_updates()

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def context(self, *, shows_lines: bool = False, estimates: bool = False, limit: int = 20, source: Source | None = None) -> Context:
        return Context(
            prices.load(),
            ZoneInfo("Europe/Berlin"),
            source or LocalFolders([self.folder]),
            Projects(queries.project_folders(self.engine.db)),
            shows_lines,
            estimates,
            limit,
        )


@contextmanager
def logs(folder: Path, files: Mapping[str, bytes] = LOGS) -> Iterator[Logs]:
    made = Logs(folder, files)
    with closing(made.engine):
        yield made
