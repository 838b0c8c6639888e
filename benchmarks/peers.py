"""The only place that knows other programs for the same logs: where they are, how to ask them, how to read their totals."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.measure import Command

INSTALL = "run scripts/bench-peers"


class Counted(NamedTuple):
    """What a program says is in a tree."""

    tokens: int
    replies: int | None  # None: it does not say


@dataclass(frozen=True, slots=True)
class Peer:
    """
    A program for the same logs.

    Attributes:
        place: where `scripts/bench-peers` puts it, below `.bench`.
        words: what follows its name: the logs of Claude Code only, without network, as JSON.
        read: takes the totals out of its output.
    """

    name: str
    place: str
    words: tuple[str, ...]
    read: Callable[[Mapping[str, Any]], Counted]
    environment: Mapping[str, str]

    def find(self, cache: Path) -> str | None:
        """The program: the one that BENCH_CCUSAGE and the like name, the one in `.bench`, or the one on the PATH."""
        named = os.environ.get(f"BENCH_{self.name.upper()}")
        installed = cache / self.place
        return shutil.which(named) if named else str(installed) if installed.exists() else shutil.which(self.name)

    def command(self, program: str, logs: Path, home: Path) -> Command:
        """Ask it for the logs below `logs`; `home` is all that it sees of a home folder, its caches included."""
        home.mkdir(parents=True, exist_ok=True)
        return Command((program, *self.words), {"HOME": str(home), "CLAUDE_CONFIG_DIR": str(logs), **self.environment})

    def counted(self, output: bytes) -> Counted:
        """The totals in its output; none where it says something else."""
        try:
            return self.read(json.loads(output))
        except (ValueError, KeyError, TypeError):
            return Counted(0, None)


def _ccusage(found: Mapping[str, Any]) -> Counted:
    return Counted(found["totals"]["totalTokens"], None)


def _aiburn(found: Mapping[str, Any]) -> Counted:
    return Counted(sum(group["input"] + group["output"] + group["cache"] for group in found["groups"]), None)


def _tokscale(found: Mapping[str, Any]) -> Counted:
    return Counted(sum(found[f"total{part}"] for part in ("Input", "Output", "CacheRead", "CacheWrite")), found["totalMessages"])


CCUSAGE = Peer("ccusage", "node_modules/.bin/ccusage", ("claude", "daily", "--offline", "--json"), _ccusage, {})
AIBURN = Peer("aiburn", "python/bin/aiburn", ("daily", "--claude", "--json"), _aiburn, {})
# Without the variable it asks three price servers first, and waits for them.
TOKSCALE = Peer(
    "tokscale",
    "node_modules/@tokscale/cli-linux-x64-gnu/bin/tokscale",
    ("--json", "--client", "claude", "--no-spinner"),
    _tokscale,
    {"TOKSCALE_PRICING_CACHE_ONLY": "1"},
)
PEERS = (CCUSAGE, TOKSCALE, AIBURN)
