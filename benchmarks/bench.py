"""What every group of measurements is handed: where things are kept, how often to measure, and how to ask tokentail."""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import peers
from benchmarks.measure import Command, MeasureError, Runs, Subject, interleaved
from benchmarks.peers import Counted, Peer
from benchmarks.results import Row

OURS = "tokentail"
REPLIES, FILES, GIGABYTES = 10_000_000, 100_000, 50.0  # what is usual where a run may have less
_COMPARABLE = 0.1  # a program whose token total is farther from ours does something else


@dataclass(frozen=True, slots=True)
class Bench:
    """The settings of a run of the benchmarks; `cache` keeps what is costly to make."""

    cache: Path
    runs: int
    seconds: float  # how long each live measurement writes
    replies: int = REPLIES  # in the store of `bloom`
    files: int = FILES  # in the largest tree of `scale`
    gigabytes: float = GIGABYTES  # of the history of `scale`

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A new folder on the file system of the cache, so that files can be linked; deleted at the end."""
        with tempfile.TemporaryDirectory(prefix="run-", dir=self.cache) as folder:
            yield Path(folder)

    def ours(self, *words: str, logs: Path, home: Path) -> Command:
        """Ask tokentail, with its store in `home`."""
        home.mkdir(parents=True, exist_ok=True)
        return Command((*program(), *words), {"HOME": str(home), "CLAUDE_CONFIG_DIR": str(logs), "TOKENTAIL_HOME": str(home)})

    def subjects(self, logs: Path, scratch: Path, wanted: tuple[Peer, ...], *, fresh: bool) -> list[Subject]:
        """tokentail's daily report and that of the peers that are here; `fresh` gives each run an empty home, so no store or cache."""
        numbers = itertools.count()

        def home(name: str) -> Path:
            return scratch / (f"{name}-{next(numbers)}" if fresh else name)

        def asked(peer: Peer, program: str) -> Subject:
            return Subject(peer.name, lambda: peer.command(program, logs, home(peer.name)))

        ours = Subject(OURS, lambda: self.ours("daily", "--json", logs=logs, home=home(OURS)))
        return [ours, *(asked(peer, found) for peer in wanted if (found := peer.find(self.cache)))]


def program() -> tuple[str, ...]:
    """tokentail as people start it: the script beside this Python, or else its module."""
    script = Path(sys.executable).with_name("tokentail")
    return (str(script),) if script.exists() else (sys.executable, "-m", "tokentail")


def measured(subjects: list[Subject], bench: Bench) -> dict[str, Runs]:
    """Measure subjects side by side; a peer that fails is left out, and said so."""
    try:
        return interleaved(subjects, bench.runs)
    except MeasureError as error:
        if error.subject not in {peer.name for peer in peers.PEERS}:
            raise
        print(f"{error.subject} is left out: {error}", file=sys.stderr)
        return measured([subject for subject in subjects if subject.name != error.subject], bench)


def counts(results: dict[str, Runs]) -> dict[str, Counted]:
    """What each program counted, so that nobody is compared by the speed of an error message."""
    found = {peer.name: peer.counted(results[peer.name].first.output) for peer in peers.PEERS if peer.name in results}
    totals = json.loads(results[OURS].first.output)["totals"]
    return {OURS: Counted(totals["total_tokens"], totals["replies"]), **found}


def comparable(peer: Peer, results: dict[str, Runs]) -> bool:
    """Did the peer run, and count about what we count?"""
    if peer.name not in results:
        return False
    counted = counts(results)
    return abs(counted[peer.name].tokens / max(counted[OURS].tokens, 1) - 1) <= _COMPARABLE


def count_rows(where: str, results: dict[str, Runs], wanted: tuple[Peer, ...]) -> list[Row]:
    """What each program counted, and which of them are not here."""
    counted = counts(results)
    ours = float(counted[OURS].tokens)
    rows = [Row(what=f"{where}: tokens for {OURS}", values=(ours,), note=f"in {counted[OURS].replies:,} replies")]
    for peer in wanted:
        if peer.name not in results:
            rows.append(Row(what=f"{where}: {peer.name}", note=f"peer not installed or not working: {peers.INSTALL}"))
            continue
        tokens, replies = counted[peer.name]
        note = ("" if replies is None else f"in {replies:,} replies") + ("" if comparable(peer, results) else " (too far off to compare)")
        rows.append(Row(what=f"{where}: tokens for {peer.name}", values=(float(tokens),), note=note, peer=OURS, peer_values=(ours,)))
    return rows
