"""The only place that does arithmetic on the paths of watched folders."""

from __future__ import annotations

from collections.abc import Collection, Iterator


def child(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}"


def parent(path: str) -> str:
    return path.rpartition("/")[0] or "/"


def within(path: str, folders: Collection[str]) -> str | None:
    """The nearest of the folders that the path is, or lies in."""
    return next((folder for folder in _upwards(path) if folder in folders), None) if folders else None


def outermost(folders: Collection[str]) -> frozenset[str]:
    """The folders without those that lie in another one."""
    return frozenset(folder for folder in folders if folder == "/" or within(parent(folder), folders) is None)


def _upwards(path: str) -> Iterator[str]:
    """A path and all folders it lies in."""
    while True:
        yield path
        if path in ("", "/"):
            return
        path = parent(path)
