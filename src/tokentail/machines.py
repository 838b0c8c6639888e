"""The only place that knows what machines and people are called, and which ones a name means: an empty one is this machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tokentail.projects import matches

THIS = "this"  # how this machine is asked for
_SHOWN = "(this machine)"


def shown(name: str) -> str:
    """A host or a user, for people."""
    return name or _SHOWN


def is_meant(name: str, asked: Sequence[str]) -> bool:
    """Is a host or a user one of those that were asked for, whole or with wildcards?"""
    return any(matches((name,), each) or (not name and each.casefold() == THIS) for each in asked)


def meant(names: Iterable[str], asked: Sequence[str]) -> set[str]:
    """The hosts or users that are meant."""
    return {name for name in names if is_meant(name, asked)}
