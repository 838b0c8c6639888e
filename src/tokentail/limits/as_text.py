"""Limits as text for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from zoneinfo import ZoneInfo

from tokentail.limits.now import Limit, Share
from tokentail.limits.past import Error
from tokentail.periods import DAY_MS, at
from tokentail.reports import text

NAMES = {"five_hour": "5 hours", "seven_day": "7 days", "seven_day_opus": "7 days, opus", "seven_day_sonnet": "7 days, sonnet"}
_BAR, _INDENT, _NAME = 24, " " * 16, 24  # cells
_MOST_SHARES = 5
NO_WINDOW = "no window is running: the next reply opens one"
NOTHING_SAID = "Claude Code has said nothing of the running windows: `tokentail statusline --install` keeps what it says."


def limits_text(found: Sequence[Limit], now_ms: int, zone: ZoneInfo, style: text.Style, name: Callable[[str], str]) -> str:
    """Each limit in a few lines; `name` is what a project is called."""
    lines: list[str] = []
    for limit in found:
        lines += [*_limit(limit, now_ms, zone, style, name), ""]
    if all(limit.sample is None for limit in found):
        lines += [NOTHING_SAID, ""]
    return "\n".join(lines)


def errors_text(errors: Sequence[Error]) -> str:
    """How wrong looking ahead would have been, as a table."""
    if not errors:
        return "There are no past windows to look ahead in.\n"
    lines = ["Looking ahead in past windows: the error as a part of what they used in the end, and that of one in ten.", ""]
    lines.append(f"{'Limit':<10}{'After':>6}{'Windows':>9}   {'Way':<14}{'Median':>8}{'1 in 10':>9}")
    for error in errors:
        row = f"{NAMES[error.kind]:<10}{error.moment:>6.0%}{error.windows:>9}   {error.way:<14}{error.median:>8.0%}{error.worst:>9.0%}"
        lines.append(row)
    return "\n".join([*lines, ""])


def standing(limit: Limit, now_ms: int) -> str:
    """How sure the percentage is, in words."""
    sample = limit.sample
    if sample is None:
        return "estimate" if limit.percent is not None else "estimate (nobody has said what a percent is)"
    age = text.duration(max(now_ms - sample.last_ms, 0))
    if limit.standing == "official":
        return f"official, {age} ago"
    since = "" if limit.percent == sample.used_percent else ", and what was used since"
    return f"stale: {sample.used_percent:.0f} % {age} ago{since}"


def facts(limit: Limit, now_ms: int, zone: ZoneInfo) -> Iterator[str]:
    """Of a running window, a line each: from when to when it is, what was used in it, and where that leads."""
    assert limit.start_ms is not None
    if limit.end_ms is None:
        yield "the last 7 days; nobody has said when the week begins anew"
    else:
        start, end = (_clock(at_ms, now_ms, zone) for at_ms in (limit.start_ms, limit.end_ms))
        yield f"from {start} to {end}, in {text.duration(limit.end_ms - now_ms)}"
    rate = limit.rate
    a_percent = (
        ""
        if rate is None
        else f"; a percent is about $ {rate.usd_per_percent:,.2f} (learnt from {_many(rate.windows, 'window', 'windows')})"
    )
    yield f"$ {text.cost(limit.counts)} in {_many(limit.counts.replies, 'reply', 'replies')} on this machine{a_percent}"
    if (coming := limit.forecast) is not None:
        expected = f"$ {coming.cost_usd:,.2f}" if coming.percent is None else f"{coming.percent:.0f} %, $ {coming.cost_usd:,.2f}"
        full = "" if coming.full_ms is None else f"; if it goes on, 100 % at {_clock(coming.full_ms, now_ms, zone)}"
        yield f"now $ {coming.usd_per_hour:,.2f} an hour; expected at the end: {expected}{full}"


def _limit(limit: Limit, now_ms: int, zone: ZoneInfo, style: text.Style, name: Callable[[str], str]) -> Iterator[str]:
    head = style(f"{NAMES[limit.kind]:<{len(_INDENT)}}", "1")
    if limit.start_ms is None:
        yield f"{head}{NO_WINDOW}"
        return
    yield f"{head}{_bar(limit.percent, style)}  {standing(limit, now_ms)}"
    yield from (f"{_INDENT}{line}" for line in facts(limit, now_ms, zone))
    yield from (f"{_INDENT}  {line}" for line in _shares(limit, name))


def _bar(percent: float | None, style: text.Style) -> str:
    if percent is None:
        return f"{'·' * _BAR}     ?"
    filled = round(min(percent, 100) / 100 * _BAR)
    colour = "31" if percent >= 90 else "33" if percent >= 75 else "32"
    return f"{style('█' * filled, colour)}{'░' * (_BAR - filled)} {percent:>3.0f} %"


def _shares(limit: Limit, name: Callable[[str], str]) -> Iterator[str]:
    for share in limit.shares[:_MOST_SHARES]:
        yield f"{_whose(share, name)}  {_part(share, limit.percent)}  $ {text.cost(share.counts)}"
    if rest := limit.shares[_MOST_SHARES:]:
        yield f"and {len(rest)} more"


def _whose(share: Share, name: Callable[[str], str]) -> str:
    words = text.cut(f"{name(share.project)}{', subagents' if share.subagent else ''}", _NAME)
    return f"{words}{' ' * (_NAME - text.text_width(words))}"


def _part(share: Share, percent: float | None) -> str:
    if share.part is None:
        return f"{'?':>5}"
    return f"{share.part:>5.0%}" if percent is None else f"{share.part:>5.0%} = {share.part * percent:>4.1f} % of the limit"


def _many(count: int, one: str, several: str) -> str:
    return f"{count:,} {one if count == 1 else several}"


def _clock(at_ms: int, now_ms: int, zone: ZoneInfo) -> str:
    return at(at_ms, zone).strftime("%H:%M" if abs(at_ms - now_ms) < DAY_MS // 2 else "%a %d %b %H:%M")
