"""The only place that knows TOML: a file's bytes to values, values to what the file or a message says."""

from __future__ import annotations

import tomllib
from pathlib import Path

MAX_DOTS = 100  # in a line
_HINTS = {
    "Invalid value": " (a text stands in quotes)",
    "Illegal character '\\n'": " (a text ends on its line, with the quote that it begins with)",
    "Cannot overwrite a value": " (the same key stands above)",
}


class Decimal(str):
    """A number with a point or an exponent, as it is written. It is no plain text: `"1.5"` in quotes is not a number."""

    __slots__ = ()


def parse(data: bytes) -> dict[str, object]:
    """
    The document; numbers with a point are `Decimal`.

    Raises:
        ValueError: it is no TOML; the message says in words where and why.
    """
    try:
        text = data.decode().removeprefix("\ufeff")  # some editors begin a file so
    except UnicodeDecodeError as error:
        broken = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {broken} is not UTF-8 (save the file as UTF-8)") from error
    # The decoder needs memory by the square of a dotted name's parts, and a name stands on one line.
    for number, line in enumerate(text.splitlines(), start=1):
        if line.count(".") > MAX_DOTS and not line.lstrip().startswith("#"):
            raise ValueError(f"line {number} has more than {MAX_DOTS} dots")
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(_in_words(str(error))) from error
    except RecursionError as error:
        raise ValueError("its lists and tables are nested too deeply") from error
    except ValueError as error:
        raise ValueError("a number in it has too many digits") from error


def as_toml(value: object) -> str:
    """A value as the file says it. What cannot be seen is escaped, so it is safe to show."""
    match value:
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case str() | Path():
            return f'"{"".join(map(_escaped, str(value)))}"'
        case tuple():
            return f"[{', '.join(map(as_toml, value))}]"
        case _:
            raise TypeError(f"no setting is a {type(value).__name__}")


def dotted(path: tuple[str, ...]) -> str:
    """The name of a key or a table as the file says it."""
    return ".".join(part if _is_bare(part) else as_toml(part) for part in path)


def shown(value: object) -> str:
    """A value of a document in a message."""
    match value:
        case dict():
            return "a table"
        case list():
            return "a list"
        case Decimal():
            return short(str(value))
        case str() | bool():
            return short(as_toml(value))
        case int():
            # Python refuses to write one of thousands of digits.
            return str(value) if abs(value) < 10**20 else "a very long number"
        case _:
            return "a date or a time"


def short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:79]}…"


def _in_words(message: str) -> str:
    """What the decoder says, with the place in front."""
    what, _, place = message.rpartition(" (at ")
    what = what.replace("('", "[").replace("', '", ".").replace("',)", "]").replace("')", "]")  # it names a table as a tuple
    return f"{place.removesuffix(')')}: {what[:1].lower()}{short(what[1:])}{_HINTS.get(what, '')}"


def _is_bare(name: str) -> bool:
    return name.isascii() and name.replace("-", "a").replace("_", "a").isalnum()


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable():
        return char
    return f"\\u{ord(char):04x}" if char <= "\uffff" else f"\\U{ord(char):08x}"
