"""Tests of `tokentail.explain.meaning`: a word means one thing, or it is said what it may mean."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

import pytest

from builders import line
from explaining import Logs, logs
from tokentail.errors import UsageError
from tokentail.explain.meaning import Meant, meaning

TODAY = date(2026, 10, 7)
FILES = {
    "-home-dev-app/3f9c1111-aaaa.jsonl": line("msg_01abc", sessionId="3f9c1111-aaaa", requestId="req_01x", uuid="u1")
    + line("msg_01abd", sessionId="3f9c1111-aaaa", requestId="req_02y", uuid="u2")
    + line("msg_shared", sessionId="3f9c1111-aaaa", requestId="req_a", uuid="u3")
    + line("msg_shared", sessionId="3f9c1111-aaaa", requestId="req_b", uuid="u4"),
    "-home-dev-app/3f9c2222-bbbb.jsonl": line("7d", sessionId="3f9c2222-bbbb", requestId=None, uuid="u5")
    + line("msg/odd", sessionId="3f9c2222-bbbb", requestId="req_c", uuid="u6"),
    "-home-dev-app/20261001-cccc.jsonl": line("msg_09", sessionId="20261001-cccc", requestId="req_03z", uuid="u7")
    + line("msg_09", sessionId="20261001-cccc", requestId="req_04z", uuid="u8", isSidechain=True),
}


@pytest.fixture(name="made", scope="module")
def fixture_made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logs]:
    with logs(tmp_path_factory.mktemp("meaning"), FILES) as made:
        yield made


def meant(made: Logs, word: str, kind: str = "") -> Meant:
    return meaning(made.engine.db, word, today=TODAY, kind=kind)


@pytest.mark.parametrize(
    ("word", "key"),
    [
        ("msg_01abc", "msg_01abc"),
        ("msg_09", "msg_09"),
        ("msg_0", None),
        ("msg_01abd", "msg_01abd"),
        ("msg_sh", None),
        ("msg_shared/req_a", "msg_shared/req_a"),
        ("req_01x", "msg_01abc"),
        ("req_02", "msg_01abd"),
        ("req_b", "msg_shared/req_b"),
        ("req_04z", "msg_09"),
        ("msg/odd", "msg%2Fodd"),
        ("msg%2Fodd", "msg%2Fodd"),
        ("7d", "7d"),
    ],
)
def test_a_reply_is_named_by_key_message_or_request(made: Logs, word: str, key: str | None) -> None:
    """All of it, or a beginning that no other one has."""
    if key is None:
        with pytest.raises(UsageError, match="may mean reply"):
            meant(made, word)
    else:
        assert meant(made, word) == Meant("reply", key)


@pytest.mark.parametrize("word", ["3f9c1111-aaaa", "3f9c1", "3f9c1111"])
def test_a_session_is_named_by_the_beginning_of_its_id(made: Logs, word: str) -> None:
    """As the sessions report shows it."""
    assert meant(made, word) == Meant("session", "3f9c1111-aaaa")


@pytest.mark.parametrize(
    ("word", "since", "until"),
    [
        ("2026-10-01", date(2026, 10, 1), date(2026, 10, 1)),
        ("today", TODAY, TODAY),
        ("yesterday", date(2026, 10, 6), date(2026, 10, 6)),
        ("3d", date(2026, 10, 5), TODAY),
        ("2026-W40", date(2026, 9, 28), date(2026, 10, 4)),
        ("2026-10", date(2026, 10, 1), date(2026, 10, 31)),
        ("20261001", date(2026, 10, 1), date(2026, 10, 1)),
    ],
)
def test_a_day_is_a_day(made: Logs, word: str, since: date, until: date) -> None:
    """Also where the beginning of a session's id looks like one."""
    assert meant(made, word) == Meant("day", "", since, until)


def test_a_kind_settles_what_could_be_two_things(made: Logs) -> None:
    """A day's name may be the beginning of a session's."""
    assert meant(made, "20261001", "session") == Meant("session", "20261001-cccc")
    assert meant(made, "7d", "day") == Meant("day", "", date(2026, 10, 1), TODAY)


@pytest.mark.parametrize(
    ("word", "kind", "says"),
    [
        ("3f9c", "", "'3f9c' may mean session 3f9c1111-aaaa, session 3f9c2222-bbbb (give more of it"),
        ("msg_shared", "", "may mean reply msg_shared/req_a, reply msg_shared/req_b"),
        ("3f9d1111", "", "there is no reply, session or day '3f9d1111' (did you mean 3f9c1111-aaaa"),
        ("msg_01abe", "", "(did you mean msg_01ab"),
        ("", "", "there is no reply, session or day ''"),
        ("msg_01abc", "session", "there is no session 'msg_01abc' (`tokentail sessions`"),
        ("tomorow", "day", "there is no day 'tomorow'"),
        ("%", "", "there is no reply, session or day '%'"),
        ("a" * 5000, "", "there is no reply"),
    ],
)
def test_what_is_no_name_is_answered_with_what_may_be_meant(made: Logs, word: str, kind: str, says: str) -> None:
    """The nearest names, or where names are to be had."""
    with pytest.raises(UsageError, match=re.escape(says)):
        meant(made, word, kind)
