"""Five-hour windows, by the algorithm of docs/counting.md ("Five-hour windows"): the first reply after a window opens the next one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tokentail import periods
from tokentail.config import Rounding
from tokentail.model import BlockFacts, Counts, Pace, Row, Window
from tokentail.prices import PriceList
from tokentail.reports.data import Data
from tokentail.reports.request import Context, Request
from tokentail.reports.scope import Scope, Tally
from tokentail.totals import Adder
from tokentail.usage import Question

BLOCK_MS = 5 * periods.HOUR_MS
# To what the start of a window is rounded down; nobody has said which one it is.
ROUNDINGS: Mapping[Rounding, int] = {"hour": periods.HOUR_MS, "10min": 600_000, "none": 1}


def rows(request: Request, data: Data, context: Context, scope: Scope, tally: Tally) -> Sequence[Row]:
    """
    A row a window.

    The windows follow from all usage of the people and machines that were chosen, since all of it shares a limit; what is counted in
    them is what was chosen.
    """
    # No gap of five hours has to be looked for: a reply that comes so late is behind the end of the window anyway.
    blocks = [_block(start) for start in _starts(data, request.rounding, scope)]
    windows = list(_parts(blocks, scope))
    for used in data.usage(scope.question(windows)):
        tally.add(windows[used.window].key, used)
    ends = {block.key: block.end_ms for block in blocks}
    open_now = next((block for block in blocks if block.start_ms <= context.now_ms < block.end_ms), None)
    everything = Scope((), scope.projects, None, None, (), users=scope.users, hosts=scope.hosts)
    goes = None if open_now is None else pace(*used_in(open_now, data, context.prices, everything), open_now.end_ms, context.now_ms)
    return [
        row._replace(about=BlockFacts(ends[row.key], *tally.moments[row.key], goes if open_now and row.key == open_now.key else None))
        for row in tally.rows()
    ]


def running(data: Data, rounding: Rounding, now_ms: int, scope: Scope | None = None) -> Window | None:
    """The window that is open at a moment, of all or of the people and machines that were chosen; None where there is none."""
    starts = _starts(data, rounding, scope)
    start = next((start for start in reversed(starts) if start <= now_ms), None)
    return None if start is None or now_ms >= start + BLOCK_MS else _block(start)


def used_in(window: Window, data: Data, prices: PriceList, scope: Scope | None = None) -> tuple[Counts, int]:
    """What was used in a window, of all or of what was chosen, and when the first of it; the window's end where nothing was."""
    adder, first_ms = Adder[str](prices), window.end_ms
    for used in data.usage(Question([window]) if scope is None else scope.question([window])):
        adder.add("", used.cell)
        first_ms = min(first_ms, used.first_ms)
    return adder.totals(), first_ms


def _starts(data: Data, rounding: Rounding, scope: Scope | None) -> list[int]:
    users, hosts = (None, None) if scope is None else (scope.users, scope.hosts)
    return data.window_starts(BLOCK_MS, ROUNDINGS[rounding], users=users, hosts=hosts)


def _block(start_ms: int) -> Window:
    return Window(periods.utc_text(start_ms), start_ms, start_ms + BLOCK_MS)


def _parts(blocks: Sequence[Window], scope: Scope) -> Iterator[Window]:
    """The chosen time in each of the windows."""
    chosen = iter(scope.whole())
    part = next(chosen, None)
    for block in blocks:
        while part is not None and part.start_ms < block.end_ms:
            start, end = max(part.start_ms, block.start_ms), min(part.end_ms, block.end_ms)
            if start < end:
                yield Window(block.key, start, end)
            if part.end_ms > block.end_ms:
                break  # it goes on in the next window
            part = next(chosen, None)


def pace(counts: Counts, first_ms: int, end_ms: int, now_ms: int) -> Pace:
    """What was used since the first reply, by the minute, and at the window's end if it goes on like that."""
    minutes = max((now_ms - first_ms) / 60_000, 1.0)  # the first minute is too short to tell
    left = max((end_ms - now_ms) / 60_000, 0.0)
    cost = counts.cost_usd
    return Pace(
        minutes_left=left,
        tokens_per_minute=counts.total_tokens / minutes,
        cost_usd_per_hour=None if cost is None else cost / minutes * 60,
        projected_tokens=round(counts.total_tokens * (1 + left / minutes)),
        projected_cost_usd=None if cost is None else cost * (1 + left / minutes),
    )
