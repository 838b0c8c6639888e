"""The only place that knows calendars: days in a time zone, dates as people type them, quarters of an hour."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tokentail.errors import UsageError

QUARTER_MS = 900_000  # every time zone is a whole number of quarters of an hour from UTC
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
EPOCH = date(1970, 1, 1)
_EPOCH_AT = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_DAY = (date.max - EPOCH).days


class Span(NamedTuple):
    """A stretch of time in which a zone keeps one offset from UTC."""

    start_ms: int
    end_ms: int
    offset_ms: int


def parse_zone(name: str | None) -> ZoneInfo:
    """
    The zone of that IANA name; None gives the machine's own zone.

    Raises:
        UsageError: there is no such zone.
    """
    if name is None:
        return _system_zone()
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(f"unknown time zone {name!r} (use an IANA name like Europe/Berlin or UTC)") from error


def parse_day(text: str, *, today: date) -> date:
    """
    A day as people type it: `2026-10-01`, `today`, `yesterday`, `7d` (today and the six days before).

    Raises:
        UsageError: it is none of these.
    """
    word = text.strip().lower()
    if word == "today":
        return today
    if word == "yesterday":
        return today - timedelta(days=1)
    if match := re.fullmatch(r"([0-9]{1,5})d", word):
        return today - timedelta(days=max(int(match[1]), 1) - 1)
    try:
        if re.fullmatch(r"[0-9]{8}", word) or re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", word):
            return date.fromisoformat(word)
    except (ValueError, OverflowError):
        pass
    raise UsageError(f"cannot read the day {text!r} (use 2026-10-01, today, yesterday or 7d)")


def at(at_ms: int, zone: tzinfo = UTC) -> datetime:
    """The moment as an aware datetime, exact to the millisecond; what the zone would call the year 10000 is the calendar's last moment."""
    try:
        return (_EPOCH_AT + timedelta(milliseconds=at_ms)).astimezone(zone)
    except OverflowError:
        return datetime.max.replace(tzinfo=zone)


def day_of(at_ms: int, zone: tzinfo) -> date:
    """The local day of a moment (R9)."""
    return at(at_ms, zone).date()


def day_start_ms(day: date, zone: tzinfo) -> int:
    """The first moment of a local day; where midnight does not exist, the first moment after it."""
    local = datetime(day.year, day.month, day.day, tzinfo=zone)
    return round((local - _EPOCH_AT) / timedelta(milliseconds=1))


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return (day - EPOCH).days


def day_from_number(number: int) -> date:
    return EPOCH + timedelta(days=min(number, _LAST_DAY))


def spans(zone: tzinfo, start_ms: int, end_ms: int) -> Iterator[Span]:
    """
    Cut [start_ms, end_ms) where the zone changes its offset.

    Found by bisection between noons, so a change is located to the quarter of an hour (no zone changes inside one).
    """
    first = start_ms
    offset = _offset_ms(first, zone)
    probe = first
    while probe < end_ms:
        following = min(probe + DAY_MS, end_ms)
        if _offset_ms(following, zone) != offset:
            change = _change_between(probe, following, zone)
            yield Span(first, min(change, end_ms), offset)
            first, offset = change, _offset_ms(change, zone)
            following = change
        probe = following
    if first < end_ms:
        yield Span(first, end_ms, offset)


def _change_between(low_ms: int, high_ms: int, zone: tzinfo) -> int:
    before = _offset_ms(low_ms, zone)
    low, high = low_ms // QUARTER_MS, -(-high_ms // QUARTER_MS)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset_ms(middle * QUARTER_MS, zone) == before:
            low = middle
        else:
            high = middle
    return high * QUARTER_MS


def _offset_ms(at_ms: int, zone: tzinfo) -> int:
    offset = at(at_ms, zone).utcoffset()
    return 0 if offset is None else round(offset / timedelta(milliseconds=1))


def _system_zone() -> ZoneInfo:
    """The machine's zone by name, from TZ or /etc/localtime; UTC where neither names one."""
    named = os.environ.get("TZ", "").lstrip(":")
    if not named:
        target = os.path.realpath("/etc/localtime")
        named = target.partition("zoneinfo/")[2]
    try:
        return ZoneInfo(named or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")
