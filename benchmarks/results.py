"""The only place that says how figures are shown: rows against their budgets, as a table and as JSON."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median

_HEADINGS = ("what", "measured", "budget", "in the same run", "")
_RIGHT = (1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Something that was measured several times; `at_most` and `share` are its budgets, where it has any."""

    what: str
    values: tuple[float, ...] = ()
    unit: str = ""
    at_most: float | None = None
    peer: str = ""  # what the values are compared with
    peer_values: tuple[float, ...] = ()
    share: float | None = None  # of the peer's median that ours may take
    aim: bool = False  # to miss it is no failure: it is what we would like
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Our median divided by the peer's."""
        return median(self.values) / median(self.peer_values) if self.values and self.peer_values else None

    @property
    def verdict(self) -> str:
        if not self.values or (self.at_most is None and (self.share is None or self.ratio is None)):
            return ""
        over = self.at_most is not None and median(self.values) > self.at_most
        slower = self.share is not None and self.ratio is not None and self.ratio > self.share
        if not (over or slower):
            return "ok"
        return "miss (an aim)" if self.aim else "MISS"


def table(rows: Sequence[Row]) -> str:
    """All rows, one line each, under headings."""
    cells = [_HEADINGS, *map(_cells, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEADINGS))]
    lines = ["  ".join(_padded(row, widths)).rstrip() for row in cells]
    return "\n".join([lines[0], "─" * (sum(widths) + 2 * len(widths) - 2), *lines[1:]]) + "\n"


def document(groups: dict[str, list[Row]], runs: int) -> str:
    """Everything measured, with every single run, as JSON."""
    measured = {
        name: [
            asdict(row) | {"median": median(row.values) if row.values else None, "ratio": row.ratio, "verdict": row.verdict} for row in rows
        ]
        for name, rows in groups.items()
    }
    return json.dumps({"schema": "tokentail/bench/1", "machine": machine(), "runs": runs, "groups": measured}, indent=1) + "\n"


def machine() -> dict[str, object]:
    """What the figures depend on besides the code."""
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }


def _cells(row: Row) -> tuple[str, ...]:
    return row.what, _spread(row), _limit(row), _compared(row), row.verdict


def _spread(row: Row) -> str:
    if not row.values:
        return row.note or "–"
    shown = f"{_number(median(row.values))} {row.unit}".rstrip()
    if len(row.values) > 1:
        shown += f" ({_number(min(row.values))}–{_number(max(row.values))})"
    return f"{shown} {row.note}".rstrip()


def _limit(row: Row) -> str:
    parts = []
    if row.at_most is not None:
        parts.append(f"≤ {_number(row.at_most)} {row.unit}".rstrip())
    if row.share is not None:
        parts.append(f"≤ {row.share:g} × {row.peer}")
    return ", ".join(parts)


def _compared(row: Row) -> str:
    return "" if row.ratio is None else f"{row.ratio:.2f} × {row.peer} ({f'{_number(median(row.peer_values))} {row.unit}'.rstrip()})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _padded(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        cell.rjust(width) if column in _RIGHT else cell.ljust(width) for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
