"""What each of the latest looks at the logs cost and found."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from textual.app import ComposeResult
from textual.containers import Vertical

from tokentail.model import Metrics
from tokentail.tui import words
from tokentail.tui.filtered import Filtered
from tokentail.tui.panels import Engine
from tokentail.tui.snapshot import Snapshot
from tokentail.tui.table import Column, Table, fitted

MOST_LOOKS = 500


class Looked(NamedTuple):
    """One look."""

    number: int  # since the screen started
    at: datetime
    metrics: Metrics


class History:
    """The latest looks that read or found something, newest first."""

    def __init__(self) -> None:
        self._looks: deque[Looked] = deque(maxlen=MOST_LOOKS)
        self._known = 0

    def add(self, snapshot: Snapshot) -> None:
        look = snapshot.look
        if look.number != self._known and (not look.metrics.is_idle or not self._looks):
            self._looks.appendleft(Looked(look.number, snapshot.at, look.metrics))
        self._known = look.number

    @property
    def looks(self) -> Sequence[Looked]:
        return tuple(self._looks)


class Looks(Vertical):
    """How the store is followed, and the latest looks."""

    def __init__(self, history: History) -> None:
        super().__init__(id="looks")
        self._history = history
        self._table = Table[Looked](_columns, lambda look: str(look.number), id="looks-table", opens=False)

    def compose(self) -> ComposeResult:
        yield Engine("engine-now", "engine", is_full=True)
        yield Filtered(self._table, "looks that found something", id="looks-list", can_filter=False)

    def look(self, snapshot: Snapshot) -> None:
        self.query_one(Engine).show(snapshot)
        looks = self._history.looks
        if [each.number for each in looks[:1]] != [each.number for each in self._table.rows[:1]] or not looks:
            self._table.show(looks, message="Nothing was written yet.")


@lru_cache(maxsize=16)
def _columns(width: int) -> tuple[Column[Looked], ...]:
    found: list[Column[Looked]] = [
        Column("time", 12, "muted", True, lambda look: f"{look.at:%H:%M:%S}.{look.at.microsecond // 1000:03}", 0),
        Column("checked", 7, "muted", False, lambda look: f"{look.metrics.files_checked:,}"),
        Column("read", 6, "number", False, lambda look: f"{look.metrics.files_read:,}"),
        Column("bytes", 9, "number", False, lambda look: words.size(look.metrics.bytes_read)),
        Column("lines", 7, "number", False, lambda look: f"{look.metrics.entries_parsed:,}"),
        Column("new", 6, "accent", False, lambda look: _some(look.metrics.replies_new)),
        Column("grown", 6, "accent", False, lambda look: _some(look.metrics.replies_grown)),
        Column("changed", 7, "accent", False, lambda look: _some(look.metrics.replies_corrected)),
        Column("gone", 5, "warning", False, lambda look: _some(look.metrics.replies_gone)),
        Column("bad", 5, "warning", False, lambda look: _some(look.metrics.malformed_lines)),
        Column("took", 0, "cost", False, lambda look: words.duration(look.metrics.took_s)),
    ]
    return fitted(found, width, dispensable=("bad", "gone", "changed", "checked"), least=8, most=10)


def _some(count: int) -> str:
    return f"{count:,}" if count else "·"
