"""The only place that changes one member of a JSON object and leaves every other byte of it as a person wrote it."""

from __future__ import annotations

import json
from typing import NamedTuple

_SPACE = " \t\r\n"


class Member(NamedTuple):
    """Where a member of the object stands in the text."""

    name: str
    start: int  # of its name
    value_start: int
    end: int


def members(text: str) -> list[Member]:
    """
    The members of the object that the text is, in their order.

    Raises:
        ValueError: it is no JSON object; the message says where and why, and quotes nothing.
    """
    _check(text)
    decoder = json.JSONDecoder()
    found: list[Member] = []
    place = _skip(text, text.index("{") + 1)
    while text[place] != "}":
        name, end = decoder.raw_decode(text, place)
        value = _skip(text, _skip(text, end) + 1)  # behind the colon
        _, end = decoder.raw_decode(text, value)
        found.append(Member(name, place, value, end))
        place = _skip(text, end)
        place = _skip(text, place + 1) if text[place] == "," else place
    return found


def value_of(text: str, name: str) -> str | None:
    """A member's value as it is written; of several of that name the last, which is what JSON goes by."""
    found = [text[each.value_start : each.end] for each in members(text) if each.name == name]
    return found[-1] if found else None


def with_value(text: str, name: str, value: str) -> str:
    """The text with that value for that member, which is added at the end where there is none."""
    there = members(text)
    for each in reversed(there):
        if each.name == name:
            return text[: each.value_start] + value + text[each.end :]
    if not there:
        place = text.index("{") + 1
        return f'{text[:place]}\n  "{name}": {value}\n{text[_skip(text, place) :]}'
    # As far in as the one before it, and on a line of its own where that has one.
    before = there[-1].start
    blank = text[len(text[:before].rstrip(_SPACE)) : before]
    return f'{text[: there[-1].end]},{blank}"{name}": {value}{text[there[-1].end :]}'


def without(text: str, name: str) -> str:
    """The text without that member, of several the last, and without the comma that went with it."""
    there = members(text)
    for place, each in reversed(list(enumerate(there))):
        if each.name != name:
            continue
        if place:
            return text[: there[place - 1].end] + text[each.end :]
        end = there[1].start if len(there) > 1 else _skip(text, each.end)
        start = each.start if len(there) > 1 else text.index("{") + 1
        return text[:start] + text[end:]
    return text


def _check(text: str) -> None:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}, column {error.colno}: {error.msg[:1].lower()}{error.msg[1:]}") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(document, dict):
        raise ValueError("it is no JSON object")


def _skip(text: str, place: int) -> int:
    """The next place that is no white space."""
    while text[place] in _SPACE:
        place += 1
    return place
