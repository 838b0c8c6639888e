"""The only place that lays tables out: which columns fit, how wide each one is, what stands where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tokentail.reports.text import Style, shortened, text_width

# Not Rich: it draws finer tables, and takes 50 of the 120 milliseconds that a whole report may take.
ALWAYS = 90  # a column of this importance or more is never left out
SPARE = 24  # for one of less than this no name is cut to less than _EASE cells
DIM, BOLD = "2", "1"
_BETWEEN = "  "
_EASE = 20
_FLOOR = 4  # cells of a name, where even the columns that are never left out do not fit
_LEAST_LABEL = 16  # cells of a label that has to be cut
_EIGHTHS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")


class Column(NamedTuple):
    """One column, of texts that are safe to show, of numbers, or of bars."""

    title: str
    importance: int  # the least important columns go first where the terminal is narrow
    cells: Sequence[str] = ()
    total: str = ""
    style: str = ""
    right: bool = False  # aligned
    least: int = 0  # to how many cells it may be cut where there is no room; 0: not at all
    numbers: Sequence[int] = ()  # none of them greater than the total
    bars: Sequence[float] = ()  # parts of 1
    most: int = 0  # no wider than so many cells, however much room there is; 0: as wide as the widest cell


class Grid(NamedTuple):
    """A table before it is known how wide it may be."""

    leads: Sequence[Column]  # what tells the lines apart
    others: Sequence[Column]
    labels: Mapping[int, str] = {}  # of lines that are a part of the one above: what stands across the leads instead
    total: str = ""  # the same for the last line; without it there is none


def draw(grid: Grid, *, width: int, style: Style) -> list[str]:
    """The lines of a table of at most `width` columns: titles, the lines, a rule, the total."""
    wanted = _Wanted(grid, width)
    kept = wanted.kept(width)
    sizes = _sizes([wanted.range(index, kept) for index in kept], width)
    columns = [wanted.columns[index] for index in kept]
    leads = sum(index < len(grid.leads) for index in kept)
    cells = [_drawn(column, size, is_last=column is columns[-1]) for column, size in zip(columns, sizes, strict=True)]
    styled = [[style(cell, column.style) for cell in each] if column.style else each for column, each in zip(columns, cells, strict=True)]
    body = [_BETWEEN.join(line) for line in zip(*styled, strict=True)]
    span = sum(sizes[:leads]) + len(_BETWEEN) * (leads - 1)
    for number, label in zip(grid.labels, _padded(list(grid.labels.values()), span), strict=True):
        body[number] = style(_BETWEEN.join([label, *(each[number] for each in cells[leads:])]).rstrip(), DIM)
    titles = _BETWEEN.join(_fit(column.title, size, right=column.right) for column, size in zip(columns, sizes, strict=True))
    lines = [style(titles.rstrip(), DIM), *(line.rstrip() for line in body)]
    if not grid.total:
        return lines
    totals = (_fit(column.total, size, right=column.right) for column, size in zip(columns[leads:], sizes[leads:], strict=True))
    rule = "─" * (sum(sizes) + len(_BETWEEN) * (len(sizes) - 1))
    return [*lines, style(rule, DIM), style(_BETWEEN.join([_fit(grid.total, span), *totals]).rstrip(), BOLD)]


def bar(part: float, width: int) -> str:
    """A bar of so many cells for 1, in eighths of a cell; what is not nothing shows at least one of them."""
    full, rest = divmod(max(round(min(part, 1.0) * width * 8), 1 if part > 0 else 0), 8)
    return "█" * full + _EIGHTHS[rest]


class _Range(NamedTuple):
    """How wide a column may be."""

    least: int
    most: int  # what it would like to have
    ease: int  # the least that it has for columns which can be spared
    floor: int  # how few cells will do where nothing else can go


class _Wanted:
    """How wide all columns would like to be."""

    def __init__(self, grid: Grid, width: int) -> None:
        self.columns = [*grid.leads, *grid.others]
        self._leads = len(grid.leads)
        self._label = min(_widest([grid.total, *grid.labels.values()]), width)
        self._ranges = [_range(column, width) for column in self.columns]

    def kept(self, width: int) -> list[int]:
        """The columns that fit when all are as narrow as they may be."""
        kept = list(range(len(self.columns)))
        while True:
            weakest = min(kept, key=lambda index: self.columns[index].importance)
            importance = self.columns[weakest].importance
            ranges = [self.range(index, kept) for index in kept]
            narrow = sum(each.ease if importance < SPARE else each.least for each in ranges)
            if narrow + len(_BETWEEN) * (len(kept) - 1) <= width or importance >= ALWAYS:
                return kept
            kept.remove(weakest)

    def range(self, index: int, kept: Sequence[int]) -> _Range:
        """The last of the leads makes room for the labels, which stand across all of them."""
        least, most, ease, floor = self._ranges[index]
        *before, last = [each for each in kept if each < self._leads]
        if index != last:
            return _Range(least, most, ease, floor)
        beside = [self._ranges[each] for each in before]
        between = len(_BETWEEN) * len(beside)
        least = max(least, min(self._label, _LEAST_LABEL) - sum(each.least for each in beside) - between)
        most = max(least, most, self._label - sum(each.most for each in beside) - between)
        return _Range(least, most, max(least, ease), floor)


def _range(column: Column, width: int) -> _Range:
    most = column.most if column.bars else min(_widest(column.cells), column.most or width)
    most = min(max(most, text_width(column.title), text_width(column.total)), width)
    if not column.least:
        return _Range(most, most, most, most)
    least = min(column.least, most)
    return _Range(least, most, least if column.bars else min(max(least, _EASE), most), min(_FLOOR, most))


def _widest(cells: Sequence[str]) -> int:
    return max(map(len, cells), default=0) if _are_narrow(cells) else max(map(text_width, set(cells)))


def _are_narrow(cells: Sequence[str]) -> bool:
    """Does every character take one cell of the terminal? One look at all of them at once, since they nearly always do."""
    joined = "".join(cells)
    return joined.isascii() or all(text_width(char) == 1 for char in set(joined))


def _sizes(ranges: Sequence[_Range], width: int) -> list[int]:
    """How wide each column is: the widest of those that may be cut are cut first."""
    sizes = [each.most for each in ranges]
    over = sum(sizes) + len(_BETWEEN) * (len(sizes) - 1) - width
    for limits in ([each.least for each in ranges], [each.floor for each in ranges]):
        while over > 0 and (loose := [index for index, size in enumerate(sizes) if size > limits[index]]):
            sizes[max(loose, key=sizes.__getitem__)] -= 1
            over -= 1
    return sizes


def _drawn(column: Column, width: int, *, is_last: bool) -> list[str]:
    if column.numbers:
        return [f"{number:>{width},}" for number in column.numbers]
    if column.bars:
        bars = [bar(part, width) for part in column.bars]
        return bars if is_last else [each.ljust(width) for each in bars]
    if is_last and not column.right:
        return [shortened(cell, width) for cell in column.cells]
    return _padded(column.cells, width, right=column.right)


def _padded(cells: Sequence[str], width: int, *, right: bool = False) -> list[str]:
    if _are_narrow(cells) and max(map(len, cells), default=0) <= width:
        return [cell.rjust(width) for cell in cells] if right else [cell.ljust(width) for cell in cells]
    fitted = {cell: _fit(cell, width, right=right) for cell in set(cells)}
    return [fitted[cell] for cell in cells]


def _fit(words: str, width: int, *, right: bool = False) -> str:
    shown = shortened(words, width)
    padding = " " * (width - text_width(shown))
    return padding + shown if right else shown + padding
