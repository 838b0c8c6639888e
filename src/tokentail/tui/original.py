"""The only place that makes the line of a log fit to be read: it is content, and hostile text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from tokentail.reports import text

MOST_CHARACTERS = 2_000_000
_INDENT = 2
# An even number of backslashes before it: then it is the end of a line, and no backslash followed by an n.
_LINE_END = re.compile(r"(?<!\\)((?:\\\\)*)\\n")


def as_logged(line: str) -> list[str]:
    """The line as it stands there."""
    return [*_short(text.safe(line[:MOST_CHARACTERS]), line)]


def laid_out(line: str) -> list[str]:
    """The same as indented JSON, the line ends within its texts as line ends; what is no JSON stays as it is."""
    try:
        said = json.dumps(json.loads(line), indent=_INDENT, ensure_ascii=False)
    except (ValueError, RecursionError):
        return as_logged(line)
    return [*_short("", line), *(text.safe(part) for each in said[:MOST_CHARACTERS].split("\n") for part in _broken(each))]


def _broken(line: str) -> list[str]:
    """A text of several lines goes on below its beginning."""
    first, *rest = _LINE_END.sub(r"\1" + "\n", line).split("\n")
    indent = " " * (len(first) - len(first.lstrip()) + _INDENT)
    return [first, *(f"{indent}{each}" for each in rest)]


def _short(shown: str, line: str) -> Iterator[str]:
    if len(line) > MOST_CHARACTERS:
        yield f"the first {MOST_CHARACTERS:,} of {len(line):,} characters"
    if shown:
        yield shown
