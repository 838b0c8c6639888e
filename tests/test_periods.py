"""Tests of `tokentail.periods`: days of every length, in zones of every kind, against the plain answer of `datetime`."""

from __future__ import annotations

import itertools
import os
import re
import time
import zoneinfo
from collections import Counter
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokentail import periods
from tokentail.errors import UsageError
from tokentail.periods import DAY_MS, QUARTER_MS

HOUR_MS = 4 * QUARTER_MS
MINUTE_MS = 60_000
BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
LORD_HOWE, KATHMANDU, APIA = ZoneInfo("Australia/Lord_Howe"), ZoneInfo("Asia/Kathmandu"), ZoneInfo("Pacific/Apia")
HAVANA, BEIRUT = ZoneInfo("America/Havana"), ZoneInfo("Asia/Beirut")  # change at midnight
TODAY = date(2026, 11, 23)


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def length_ms(day: date, zone: ZoneInfo) -> int:
    return periods.day_start_ms(day + timedelta(days=1), zone) - periods.day_start_ms(day, zone)


# Days


@pytest.mark.parametrize(
    ("zone", "day", "minutes"),
    [
        (BERLIN, date(2026, 3, 29), 23 * 60),
        (BERLIN, date(2026, 10, 25), 25 * 60),
        (BERLIN, date(2026, 10, 26), 24 * 60),
        (NEW_YORK, date(2026, 3, 8), 23 * 60),
        (NEW_YORK, date(2026, 11, 1), 25 * 60),
        (LORD_HOWE, date(2026, 10, 4), 23 * 60 + 30),
        (LORD_HOWE, date(2026, 4, 5), 24 * 60 + 30),
        (KATHMANDU, date(2026, 3, 29), 24 * 60),
        (APIA, date(2011, 12, 29), 24 * 60),
        (APIA, date(2011, 12, 30), 0),
        (APIA, date(2011, 12, 31), 24 * 60),
        (HAVANA, date(2026, 3, 8), 23 * 60),
        (BEIRUT, date(2026, 3, 29), 23 * 60),
    ],
)
def test_days_are_as_long_as_they_are(zone: ZoneInfo, day: date, minutes: int) -> None:
    """A local day runs from midnight to midnight: 23 or 25 hours, half an hour off, or not at all."""
    assert length_ms(day, zone) == minutes * MINUTE_MS


@pytest.mark.parametrize(
    ("zone", "day", "start"),
    [
        (BERLIN, date(2026, 10, 1), "2026-09-30T22:00:00+00:00"),
        (KATHMANDU, date(2026, 10, 1), "2026-09-30T18:15:00+00:00"),
        (HAVANA, date(2026, 3, 8), "2026-03-08T05:00:00+00:00"),
        (ZoneInfo("UTC"), date(1970, 1, 1), "1970-01-01T00:00:00+00:00"),
        (NEW_YORK, date(1970, 1, 1), "1970-01-01T05:00:00+00:00"),
        (BERLIN, date(1970, 1, 1), "1969-12-31T23:00:00+00:00"),
    ],
)
def test_a_day_starts_at_its_first_moment(zone: ZoneInfo, day: date, start: str) -> None:
    """At local midnight, or where that does not exist at the first moment after it."""
    assert periods.day_start_ms(day, zone) == ms(start)


@pytest.mark.parametrize("day", [date.min, date.max])
@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))])
def test_the_calendars_ends_have_a_start(day: date, zone: ZoneInfo) -> None:
    """`--since 0001-01-01` and `--until 9999-12-31` mean everything, in every zone."""
    assert abs(periods.day_start_ms(day, zone) - (day - date(1970, 1, 1)).days * DAY_MS) <= 14 * HOUR_MS


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, UTC])
def test_the_last_moment_of_the_calendar_has_a_day(zone: ZoneInfo) -> None:
    """A line from the last hour of the year 9999 belongs to a day, in a zone where that is in the year 10000 too."""
    last_ms = ms("9999-12-31T23:59:59.999+00:00")
    assert periods.day_of(last_ms, zone) == date(9999, 12, 31)


ZONES = sorted(name for name in available_timezones() if not name.startswith(("Etc/", "SystemV/", "posix", "right")))
RECENT = st.integers(ms("2023-01-01T00:00:00+00:00"), ms("2029-01-01T00:00:00+00:00"))


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(ZONES), RECENT)
def test_a_day_begins_where_the_day_before_ends(name: str, at_ms: int) -> None:
    """In every zone the first moment of a day belongs to it, and the millisecond before does not."""
    zone = ZoneInfo(name)
    day = periods.day_of(at_ms, zone)
    start = periods.day_start_ms(day, zone)
    assert periods.day_of(start, zone) == day
    assert periods.day_of(start - 1, zone) == day - timedelta(days=1)
    assert start <= at_ms < periods.day_start_ms(day + timedelta(days=1), zone)


def test_days_have_numbers() -> None:
    """Days are counted from 1970, backwards too."""
    assert [periods.day_from_number(number) for number in (-1, 0, 20727)] == [date(1969, 12, 31), date(1970, 1, 1), date(2026, 10, 1)]


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, KATHMANDU, LORD_HOWE])
@pytest.mark.parametrize("at_ms", [0, 1_790_848_859_999, 1_774_746_000_000, 253_402_300_799_999, 2**53])
def test_a_moment_on_the_clock(zone: ZoneInfo, at_ms: int) -> None:
    """The local minute that it is in; what the calendar cannot name is its last one."""
    assert periods.clock_text(at_ms, zone) == periods.at(at_ms, zone).strftime("%Y-%m-%d %H:%M")


@given(st.integers(0, 253_402_300_799_999), st.integers(0, 999))
def test_a_moment_has_its_millisecond(at_ms: int, microseconds: int) -> None:
    """Whatever its zone, and to the last one of the calendar."""
    moment = periods.at(at_ms, UTC) + timedelta(microseconds=microseconds)
    assert periods.at_ms(moment) == at_ms
    assert periods.at_ms(moment.replace(tzinfo=timezone(timedelta(hours=-5)))) == at_ms + 5 * HOUR_MS


def test_a_moment_is_exact() -> None:
    """No millisecond is lost on the way to a datetime, however far from 1970."""
    for at_ms in (0, 1, 1_790_000_000_123, 253_402_300_799_999):
        assert periods.at(at_ms) == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)


# Spans of one offset


def offset_ms(at_ms: int, zone: ZoneInfo) -> int:
    offset = datetime.fromtimestamp(at_ms / 1000, zone).utcoffset()
    assert offset is not None
    return round(offset.total_seconds() * 1000)


def check_spans(zone: ZoneInfo, start_ms: int, end_ms: int) -> None:
    """Spans cover the stretch without gap or overlap, and each quarter of an hour has its own offset."""
    found = list(periods.spans(zone, start_ms, end_ms))
    assert [span.start_ms for span in found] == [start_ms, *(span.end_ms for span in found[:-1])]
    assert found[-1].end_ms == end_ms
    changes = [span.start_ms for span in found[1:]]
    assert [span.offset_ms for span in found] == [offset_ms(span.start_ms, zone) for span in found]
    quarters = range(start_ms, end_ms, QUARTER_MS)
    offsets = [offset_ms(quarter, zone) for quarter in quarters]
    assert changes == [quarter for quarter, one, other in zip(quarters[1:], offsets, offsets[1:], strict=False) if one != other]


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, LORD_HOWE, KATHMANDU, HAVANA, BEIRUT], ids=str)
def test_spans_of_a_year(zone: ZoneInfo) -> None:
    """A year is cut exactly where the zone changes its offset."""
    check_spans(zone, ms("2026-01-01T00:00:00+00:00"), ms("2027-01-01T00:00:00+00:00"))


def test_spans_over_a_day_that_never_was() -> None:
    """Where a zone jumps over a whole day the offset grows by 24 hours."""
    spans = list(periods.spans(APIA, ms("2011-12-01T00:00:00+00:00"), ms("2012-01-15T00:00:00+00:00")))
    assert [(span.end_ms, span.offset_ms // HOUR_MS) for span in spans] == [
        (ms("2011-12-30T10:00:00+00:00"), -10),
        (ms("2012-01-15T00:00:00+00:00"), 14),
    ]


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(ZONES), st.integers(ms("2023-01-01T00:00:00+00:00") // QUARTER_MS, 1_900_000), st.integers(1, 3000))
def test_spans_by_the_quarter_of_an_hour(name: str, first: int, count: int) -> None:
    """Cut at any quarter, in any zone: the same as looking at each quarter by itself."""
    check_spans(ZoneInfo(name), first * QUARTER_MS, (first + count) * QUARTER_MS)


def test_nothing_has_no_spans() -> None:
    """An empty stretch is cut into nothing."""
    assert list(periods.spans(BERLIN, 5 * QUARTER_MS, 5 * QUARTER_MS)) == []


def test_spans_to_the_end_of_the_calendar() -> None:
    """A line of the year 9999 neither stops a report nor holds it up."""
    end = ms("9999-12-31T23:45:00+00:00") + QUARTER_MS
    first, *_, last = periods.spans(BERLIN, end - 400 * DAY_MS, end)
    assert (first.start_ms, last.end_ms) == (end - 400 * DAY_MS, end)


@pytest.mark.parametrize("name", ZONES[::7])
def test_every_zone_is_whole_quarters_of_an_hour_from_utc(name: str) -> None:
    """What the summaries stand on: since 2023 no zone is off by less than a quarter of an hour."""
    zone = ZoneInfo(name)
    hours = range(ms("2023-01-01T00:00:00+00:00"), ms("2027-01-01T00:00:00+00:00"), 24 * HOUR_MS)
    assert Counter(offset_ms(at_ms, zone) % QUARTER_MS for at_ms in hours).keys() == {0}


# What people type


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-10-01", date(2026, 10, 1)),
        ("20261001", date(2026, 10, 1)),
        ("today", TODAY),
        (" Yesterday ", date(2026, 11, 22)),
        ("1d", TODAY),
        ("0d", TODAY),
        ("7D", date(2026, 11, 17)),
        ("365d", date(2025, 11, 24)),
        ("0001-01-01", date.min),
    ],
)
def test_a_day_as_people_type_it(text: str, day: date) -> None:
    """A date, a word, or a number of days that ends today."""
    assert periods.parse_day(text, today=TODAY) == day


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026-W40", date(2026, 9, 28), date(2026, 10, 4)),
        ("2026w01", date(2025, 12, 29), date(2026, 1, 4)),
        ("2026-02", date(2026, 2, 1), date(2026, 2, 28)),
        ("2028-02", date(2028, 2, 1), date(2028, 2, 29)),
        ("2026-12", date(2026, 12, 1), date(2026, 12, 31)),
        ("yesterday", date(2026, 10, 4), date(2026, 10, 4)),
    ],
)
def test_weeks_and_months_have_a_first_and_a_last_day(text: str, first: date, last: date) -> None:
    """A week is that of ISO 8601, from Monday to Sunday; a month ends with its last day."""
    assert periods.parse_days(text, today=date(2026, 10, 5)) == (first, last)


@pytest.mark.parametrize("text", ["2026-W54", "2026-W00", "2026-13", "0000-01", "2025-W53", "10000-01"])
def test_what_is_no_week_or_month(text: str) -> None:
    """A number that the calendar does not have is refused like any other word."""
    with pytest.raises(UsageError, match=re.escape(f"cannot read the day {text!r}")):
        periods.parse_days(text, today=date(2026, 10, 5))


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(ZONES), st.lists(st.integers(0, 40_000), max_size=5, unique=True).map(sorted))
def test_local_days_cover_the_days_of_utc(name: str, utc_days: list[int]) -> None:
    """Without gap or overlap, and each moment has the day that its zone says."""
    zone = ZoneInfo(name)
    found = list(periods.local_days(zone, utc_days))
    assert sum(day.end_ms - day.start_ms for day in found) == len(utc_days) * DAY_MS
    assert all(one.end_ms <= other.start_ms for one, other in itertools.pairwise(found))
    for day, start_ms, end_ms in found:
        assert periods.day_of(start_ms, zone) == periods.day_of(end_ms - 1, zone) == day


def test_clocks_that_go_back_over_midnight() -> None:
    """In St. John's of 1990 a minute of the next day came before an hour of the old one again: that day has two pieces."""
    zone, midnight = ZoneInfo("America/St_Johns"), ms("1990-10-28T02:30:00+00:00")
    found = [day.day.day for day in periods.local_days(zone, [midnight // DAY_MS])]
    assert found == [27, 28, 27, 28]


@pytest.mark.parametrize(("starts", "expected"), [(0, date(2026, 9, 28)), (6, date(2026, 9, 27)), (3, date(2026, 10, 1))])
def test_a_week_starts_on_the_day_that_is_asked_for(starts: int, expected: date) -> None:
    """On Monday or any other day; the day itself is the first of its week."""
    assert periods.week_of(date(2026, 10, 1), starts=starts) == expected


def test_the_first_week_of_the_calendar_is_cut_off() -> None:
    """0001-01-01 is a Monday; a week that would begin before it begins there."""
    assert periods.week_of(date(1, 1, 3), starts=6) == date(1, 1, 1)


@pytest.mark.parametrize(
    "text", ["", "tomorrow", "2026-13-01", "2026-02-30", "26-10-01", "2026-1-1", "7", "d", "-7d", "7 d", "2026-W40-4", "999999d", "٧d"]
)
def test_what_is_no_day(text: str) -> None:
    """Anything else is named as it was typed, with the forms that work."""
    message = f"cannot read the day {text!r} (use 2026-10-01, today, yesterday, 7d, a week like 2026-W40 or a month like 2026-10)"
    with pytest.raises(UsageError, match=re.escape(message)) as raised:
        periods.parse_day(text, today=TODAY)
    assert raised.value.exit_code == 2


@pytest.mark.parametrize("name", ["Europe/Berlin", "UTC", "America/Argentina/Buenos_Aires"])
def test_a_zone_by_its_name(name: str) -> None:
    """IANA names are taken as they are."""
    assert periods.parse_zone(name).key == name


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "/etc/localtime", "Europe", "Europe/Berlin\0", "+02:00", "x" * 5000])
def test_what_is_no_zone(name: str) -> None:
    """A name that is none, a folder of zones and a path out of the zones are all named as typed, with what works."""
    with pytest.raises(UsageError, match=r"unknown time zone .* \(use an IANA name like Europe/Berlin or UTC"):
        periods.parse_zone(name)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Europe/Berln", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("EUROPE/BERLIN", "Europe/Berlin"),
        ("Berlin", "Europe/Berlin"),
        ("New York", "America/New_York"),
        ("Asia/Calcuta", "Asia/Calcutta"),
    ],
)
def test_a_zone_that_is_nearly_one(name: str, meant: str) -> None:
    """What was perhaps meant is named."""
    with pytest.raises(UsageError, match=rf"\(use an IANA name like Europe/Berlin or UTC; did you mean '{meant}'\?\)$"):
        periods.parse_zone(name)


@pytest.mark.parametrize("name", ["", "CEST", "IST", "GMT+2", "qqqqqq"])
def test_a_zone_that_is_like_none(name: str) -> None:
    """Nothing is guessed where nothing is near; short forms mean zones that are not spelt like them."""
    with pytest.raises(UsageError, match=r"\(use an IANA name like Europe/Berlin or UTC\)$"):
        periods.parse_zone(name)


@pytest.mark.parametrize(
    ("setting", "key"), [("Asia/Kathmandu", "Asia/Kathmandu"), (":Europe/Berlin", "Europe/Berlin"), ("No/Where", "UTC"), ("../x", "UTC")]
)
def test_the_machines_own_zone(monkeypatch: pytest.MonkeyPatch, setting: str, key: str) -> None:
    """Without a name the zone is that of TZ; one that does not exist is UTC."""
    monkeypatch.setenv("TZ", setting)
    assert periods.parse_zone(None).key == key


@pytest.mark.parametrize("setting", ["UTC+3", "CET-1CEST,M3.5.0,M10.5.0/3", ":No/Where", "/no/where"])
def test_a_tz_that_is_no_zone(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    """UTC is used, and a person is told."""
    monkeypatch.setenv("TZ", setting)
    problem = f"TZ={setting.lstrip(':')} is no IANA zone: UTC is used (set it to a name like Europe/Berlin)"
    assert periods.machine_zone() == (ZoneInfo("UTC"), problem)


@pytest.mark.parametrize("setting", ["", "Europe/Berlin", ":Europe/Berlin", "UTC"])
def test_a_tz_that_is_a_zone(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    """There is nothing to tell; nor where it is not set."""
    monkeypatch.setenv("TZ", setting)
    assert periods.machine_zone()[1] == ""


def test_a_tz_that_is_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of the system's zones is named by its path there."""
    place = next((Path(folder) for folder in zoneinfo.TZPATH if (Path(folder) / "Asia" / "Kathmandu").exists()), None)
    if place is None:
        pytest.skip("this system has no files of zones")
    monkeypatch.setenv("TZ", f":{place}/Asia/Kathmandu")
    assert periods.machine_zone() == (ZoneInfo("Asia/Kathmandu"), "")


def test_the_machines_own_zone_without_tz(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without TZ the zone is the one that /etc/localtime points to: its clock is the machine's."""
    monkeypatch.delenv("TZ", raising=False)
    time.tzset()
    zone = periods.parse_zone(None)
    assert isinstance(zone, ZoneInfo)
    if "zoneinfo/" in os.path.realpath("/etc/localtime"):
        assert datetime.fromtimestamp(0, zone).utcoffset() == datetime.fromtimestamp(0).astimezone().utcoffset()


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        (ZoneInfo("America/St_Johns"), date(2010, 11, 6)),
        (ZoneInfo("America/St_Johns"), date(2010, 11, 7)),
        (HAVANA, date(2026, 11, 1)),
        (BEIRUT, date(2026, 3, 29)),
        (APIA, date(2011, 12, 29)),
        (APIA, date(2011, 12, 31)),
        (BERLIN, date(2026, 10, 25)),
    ],
)
def test_the_reach_of_a_day_holds_all_of_its_moments(zone: ZoneInfo, day: date) -> None:
    """Also where a zone leaves a day out, or goes back over midnight, so that a day ends twice; and hardly any of other days."""
    start_ms, end_ms = periods.reach(zone, day, day)
    assert start_ms is not None
    assert end_ms is not None
    moments = range(start_ms - 2 * DAY_MS, end_ms + 2 * DAY_MS, MINUTE_MS)
    of_day = [at_ms for at_ms in moments if periods.day_of(at_ms, zone) == day]
    assert (of_day[0], of_day[-1] + MINUTE_MS) == (start_ms, end_ms)


@pytest.mark.parametrize("day", [date.min, date(1969, 12, 31), date(1970, 1, 1), date.max])
def test_at_the_ends_of_the_calendar_nothing_is_bounded(day: date) -> None:
    """A zone's day may begin before the first moment that counts."""
    assert periods.reach(ZoneInfo("UTC"), day, day) == (None, None)
