"""The only place that knows calendars: days in a time zone, dates as people type them, quarters of an hour."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from tokentail.errors import UsageError
from tokentail.spelling import near

MINUTE_MS = 60_000
QUARTER_MS = 900_000  # every time zone is a whole number of quarters of an hour from UTC
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
LAST_MS = 253_402_300_799_999  # the calendar's last moment, in UTC
EPOCH = date(1970, 1, 1)
_EPOCH_AT = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_DAY = (date.max - EPOCH).days


class LocalDay(NamedTuple):
    """A stretch of time, [start, end), and the day of a zone that it is in."""

    day: date
    start_ms: int
    end_ms: int


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
        return machine_zone()[0]
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        is_short = name.isupper() and "/" not in name  # IST, CEST, GMT+2: they mean zones that are not spelt like them
        like = [] if is_short or not name else near(name.replace(" ", "_"), available_timezones())
        perhaps = f"; did you mean {like[0]!r}?" if like else ""
        raise UsageError(f"unknown time zone {name!r} (use an IANA name like Europe/Berlin or UTC{perhaps})") from error


def machine_zone() -> tuple[ZoneInfo, str]:
    """
    The machine's zone by name, from TZ or /etc/localtime; UTC where neither names one.

    With it what a person should know: that TZ names none. "" for nothing.
    """
    asked = named = os.environ.get("TZ", "").lstrip(":")
    if not asked or asked.startswith("/"):
        named = os.path.realpath(asked or "/etc/localtime").partition("zoneinfo/")[2]
    try:
        return ZoneInfo(named), ""
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC"), f"TZ={asked} is no IANA zone: UTC is used (set it to a name like Europe/Berlin)" if asked else ""


def parse_days(text: str, *, today: date) -> tuple[date, date]:
    """
    The first and the last day of a time as people type it: a day (see `parse_day`), a week `2026-W40`, a month `2026-10`.

    Weeks are those of ISO 8601, from Monday to Sunday.

    Raises:
        UsageError: it is none of these.
    """
    word = text.strip().lower()
    try:
        if re.fullmatch(r"[0-9]{4}-?w[0-9]{2}", word):
            monday = date.fromisoformat(f"{word[:4]}-W{word[-2:]}-1")
            return monday, monday + timedelta(days=6)
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}", word):
            first = date.fromisoformat(f"{word}-01")
            return first, (first.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    except (ValueError, OverflowError) as error:
        raise _no_day(text) from error
    day = parse_day(text, today=today)
    return day, day


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
    raise _no_day(text)


def _no_day(text: str) -> UsageError:
    return UsageError(f"cannot read the day {text!r} (use 2026-10-01, today, yesterday, 7d, a week like 2026-W40 or a month like 2026-10)")


def at(at_ms: int, zone: tzinfo = UTC) -> datetime:
    """The moment as an aware datetime, exact to the millisecond; what the zone would call the year 10000 is the calendar's last moment."""
    try:
        return (_EPOCH_AT + timedelta(milliseconds=at_ms)).astimezone(zone)
    except OverflowError:
        return datetime.max.replace(tzinfo=zone)


def at_ms(moment: datetime) -> int:
    """The millisecond that an aware datetime is in."""
    return (moment - _EPOCH_AT) // timedelta(milliseconds=1)


def utc_text(at_ms: int, *, digits: str = "seconds") -> str:
    """The moment in ISO 8601, as in 2026-10-01T10:00:00Z, to the seconds or milliseconds."""
    return at(at_ms).isoformat(timespec=digits).removesuffix("+00:00") + "Z"


def clock_text(at_ms: int, zone: tzinfo) -> str:
    """The moment as a person in that zone reads it, to the minute, as in 2026-10-01 12:00."""
    try:
        local = datetime.fromtimestamp(at_ms // 1000, zone)  # a third of the time of `at`, which is exact
    except (OverflowError, ValueError):
        local = at(at_ms, zone)
    return str(local)[:16]


def day_of(at_ms: int, zone: tzinfo) -> date:
    """The local day of a moment (R9)."""
    return at(at_ms, zone).date()


def day_start_ms(day: date, zone: tzinfo) -> int:
    """The first moment of a local day; where midnight does not exist, the first moment after it."""
    local = datetime(day.year, day.month, day.day, tzinfo=zone)
    return round((local - _EPOCH_AT) / timedelta(milliseconds=1))


def day_from_number(number: int) -> date:
    return EPOCH + timedelta(days=min(number, _LAST_DAY))


def week_of(day: date, *, starts: int = 0) -> date:
    """The first day of a day's week; weeks start on Monday (0) or, with `starts`, on another weekday, to Sunday (6)."""
    since = (day.weekday() - starts) % 7
    return day - timedelta(days=min(since, (day - date.min).days))


def month_of(day: date) -> str:
    """The month that a day is in, as in 2026-10."""
    return day.isoformat()[:7]


def local_days(zone: tzinfo, utc_days: Iterable[int]) -> Iterator[LocalDay]:
    """
    Cut UTC days, given by their ascending numbers, into local days; the first and the last one may be cut off.

    A local day comes in two pieces where clocks go back over midnight, and not at all where a zone leaves it out.
    """
    for first, beyond in _runs(utc_days):
        for span in spans(zone, first * DAY_MS, beyond * DAY_MS):
            start = span.start_ms
            while start < span.end_ms:
                number = (start + span.offset_ms) // DAY_MS
                end = min((number + 1) * DAY_MS - span.offset_ms, span.end_ms)
                yield LocalDay(day_from_number(number), start, end)
                start = end


def reach(zone: tzinfo, since: date | None, until: date | None) -> tuple[int | None, int | None]:
    """
    From which moment on, and before which one, all of the local days from `since` to `until` lie; None where there is no bound.

    Where clocks go back over midnight a few moments of another day lie between.
    """
    start_ms = end_ms = None
    if since is not None and (numbers := _days_around(since)):
        start_ms = min(piece.start_ms for piece in local_days(zone, numbers) if piece.day >= since)
    if until is not None and (numbers := _days_around(until)):
        end_ms = max(piece.end_ms for piece in local_days(zone, numbers) if piece.day <= until)
    return start_ms, end_ms


def _days_around(day: date) -> Sequence[int]:
    """The numbers of the UTC days that a local day may be in, and of others on each side; none at the ends of the calendar."""
    number = (day - EPOCH).days
    return range(number - 3, number + 4) if 3 <= number <= _LAST_DAY - 4 else ()


def _runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Stretches of numbers that follow one another: [first, beyond)."""
    first = beyond = None
    for number in numbers:
        if number != beyond:
            if first is not None and beyond is not None:
                yield first, beyond
            first = number
        beyond = number + 1
    if first is not None and beyond is not None:
        yield first, beyond


def spans(zone: tzinfo, start_ms: int, end_ms: int) -> Iterator[Span]:
    """
    Cut [start_ms, end_ms) where the zone changes its offset.

    Found by bisection between two looks a day apart, so a change is located to the millisecond.
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
    while high_ms - low_ms > 1:
        middle_ms = (low_ms + high_ms) // 2
        if _offset_ms(middle_ms, zone) == before:
            low_ms = middle_ms
        else:
            high_ms = middle_ms
    return high_ms


def _offset_ms(at_ms: int, zone: tzinfo) -> int:
    offset = at(at_ms, zone).utcoffset()
    return 0 if offset is None else round(offset / timedelta(milliseconds=1))
