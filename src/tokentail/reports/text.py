"""Text for a terminal: tables that fit it, numbers as people read them, names that can do no harm."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TextIO

from tokentail.model import Counts, Report

# Not Rich: it draws finer tables, and takes 50 of the 120 milliseconds that a whole report may take.


class Column(NamedTuple):
    title: str
    cells: list[str]
    total: str
    importance: int  # the least important columns go first where the terminal is narrow
    style: str = ""


class Style:
    """ANSI styles, or none of them where there is no terminal or NO_COLOR is set."""

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled

    @classmethod
    def of(cls, stream: TextIO, environment: Mapping[str, str]) -> Style:
        return cls(stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb")

    def __call__(self, text: str, codes: str) -> str:
        return f"\x1b[{codes}m{text}\x1b[0m" if self._enabled and codes else text


def report_table(report: Report, *, width: int, style: Style) -> str:
    """A report as a table of at most `width` columns, with totals, and its notes below."""
    if not report.rows:
        return "No usage in this period.\n"
    rows = [row.counts for row in report.rows]
    columns = [
        Column("Day", [safe(row.key) for row in report.rows], "Total", 99, "1"),
        _numbers("Replies", [row.replies for row in rows], report.totals.replies, 3),
        _numbers("Input", [row.input_tokens for row in rows], report.totals.input_tokens, 4),
        _numbers("Output", [row.output_tokens for row in rows], report.totals.output_tokens, 6),
        _numbers("Cache write", list(map(_cache_write, rows)), _cache_write(report.totals), 2),
        _numbers("Cache read", [row.cache_read_tokens for row in rows], report.totals.cache_read_tokens, 1),
        _numbers("Tokens", [row.total_tokens for row in rows], report.totals.total_tokens, 5),
        Column("Cost (USD)", [cost(row) for row in rows], cost(report.totals), 98, "32"),
    ]
    return table(columns, width=width, style=style) + _notes(report, style)


def table(columns: Sequence[Column], *, width: int, style: Style) -> str:
    """Columns side by side, the first one left-aligned, the others right-aligned; without totals it ends with its last row."""
    kept = list(columns)
    while len(kept) > 2 and sum(map(_width, kept)) + 2 * (len(kept) - 1) > width:
        kept.remove(min(kept, key=lambda column: column.importance))
    lines = ["  ".join(style(_aligned(kept, index, column.title), "2") for index, column in enumerate(kept))]
    for row in range(len(kept[0].cells)):
        lines.append("  ".join(style(_aligned(kept, index, column.cells[row]), column.style) for index, column in enumerate(kept)))
    if any(column.total for column in kept):
        lines.append(style("─" * (sum(map(_width, kept)) + 2 * (len(kept) - 1)), "2"))
        lines.append("  ".join(style(_aligned(kept, index, column.total), "1") for index, column in enumerate(kept)))
    return "\n".join(line.rstrip() for line in lines) + "\n"


def safe(name: str) -> str:
    """A name from a log with everything neutralised that a terminal would act on."""
    if name.isascii() and name.isprintable():
        return name
    import unicodedata  # not at the top: it takes 3 ms, and most names do without

    return "".join("\ufffd" if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") else char for char in name)


def cut(name: str, width: int) -> str:
    """A name made safe, in at most that many cells; what is left out is shown as `…`."""
    shown = safe(name)
    if text_width(shown) <= width:
        return shown
    while text_width(shown) >= width:
        shown = shown[: width - 1] if len(shown) >= width else shown[:-1]
    return f"{shown}…"


def safe_lines(text: str) -> str:
    """The same for a text of several lines."""
    return "".join(f"{safe(line)}\n" for line in text.splitlines())


def cost(counts: Counts, *, places: int = 2) -> str:
    """Dollars; `≥` before a lower bound, `?` where nothing has a price."""
    if counts.cost_usd is None:
        return "?"
    return f"{'≥ ' if counts.cost_is_lower_bound else ''}{counts.cost_usd:,.{places}f}"


def short(number: int) -> str:
    """A number in four characters or so: 950, 12.3k, 4.56M."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            digits = number / size
            return f"{digits:.2f}{unit}" if digits < 10 else f"{digits:.1f}{unit}" if digits < 100 else f"{digits:.0f}{unit}"
    return str(number)


def terminal_width(stream: TextIO) -> int:
    """Columns of the terminal; 120 where there is none."""
    if given := os.environ.get("COLUMNS", ""):
        return max(int(given), 40) if given.isdecimal() else 120
    try:
        return max(os.get_terminal_size(stream.fileno()).columns, 40)
    except (OSError, ValueError):
        return 120


def text_width(text: str) -> int:
    """How many cells of a terminal a text takes."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def warn(message: str) -> None:
    """Tell a person something that is not the result."""
    print(f"tokentail: {safe(message)}", file=sys.stderr)


def _numbers(title: str, values: list[int], total: int, importance: int) -> Column:
    return Column(title, [f"{value:,}" for value in values], f"{total:,}", importance)


def _cache_write(counts: Counts) -> int:
    return counts.cache_write_5m_tokens + counts.cache_write_1h_tokens


def _width(column: Column) -> int:
    return max(map(text_width, (column.title, column.total, *column.cells)))


def _aligned(columns: Sequence[Column], index: int, text: str) -> str:
    padding = " " * (_width(columns[index]) - text_width(text))
    return text + padding if index == 0 else padding + text


def _notes(report: Report, style: Style) -> str:
    notes = report.notes
    lines = []
    if notes.not_final_replies:
        lines.append(f"≥  The output of {notes.not_final_replies:,} replies is a lower bound: the log holds no final count for them.")
    if notes.unpriced_models:
        lines.append(f"≥  No price is known for: {', '.join(map(safe, notes.unpriced_models))}.")
    if notes.malformed_lines:
        lines.append(f"   {notes.malformed_lines:,} lines that could have held usage could not be read (tokentail verify names them).")
    lines += [f"!  {safe(reason)}" for reason in notes.degraded]
    return "".join(f"{style(line, '2')}\n" for line in ("", *lines)) if lines else ""
