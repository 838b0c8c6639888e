"""The only place that guesses which name was meant by one that is none."""

from __future__ import annotations

from collections.abc import Iterable


def near(asked: str, names: Iterable[str]) -> list[str]:
    """The names that were perhaps meant: at most three, the likeliest first."""
    from difflib import get_close_matches  # a right name does without

    asked = asked[:100].casefold()
    by_case = {name.casefold(): name for name in sorted(names)}
    within = [name for folded, name in by_case.items() if asked in folded]
    return (within or [by_case[name] for name in get_close_matches(asked, list(by_case))])[:3]
