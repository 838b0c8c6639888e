"""The only place that knows what a project is called, which projects are worktrees of one repository, and which ones a name means."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import translate
from pathlib import Path

_OWN_WORKTREES = re.compile(r"(.+)/\.claude/worktrees/[^/]+((?:/.*)?)")  # where Claude Code makes them
_GIT_WORKTREE = re.compile(r"gitdir: *(.+)/\.git/worktrees/[^/]+/?")


class Projects:
    """
    The projects of a store, by their slugs.

    A project is shown by an alias, or else by the last part of its folder, with as much before it as tells it from the others.
    """

    def __init__(self, folders: Mapping[str, str], aliases: Mapping[str, str] | None = None) -> None:
        """
        Args:
            folders: the real folder of each slug, "" where no log names it.
            aliases: names to show, by slug or by folder.
        """
        self.folders = folders
        self._aliases = {_home(known): name for known, name in (aliases or {}).items()}
        self._names: dict[str, str] | None = None

    def name(self, slug: str) -> str:
        """What to show for a project."""
        if self._names is None:
            self._names = {**_shortest(self.folders), **self._aliased()}
        return self._names.get(slug, slug)

    def matching(self, asked: Sequence[str]) -> set[str]:
        """The slugs of the projects that any of the given names means: a slug, a shown name or a folder, whole or with wildcards."""
        return {slug for slug in self.folders if any(matches(self._called(slug), name) for name in asked)}

    def all_names(self) -> set[str]:
        """All that `matching` knows."""
        return {name for slug in self.folders for name in self._called(slug)}

    def repository(self, slug: str) -> str:
        """The slug of the repository that a project is a worktree of; its own where it is none, or where that cannot be told any more."""
        folder = self.folders.get(slug, "")
        found = main_folder(folder) if folder else folder
        return slug if found == folder else slug_of(found)

    def _called(self, slug: str) -> list[str]:
        folder = self.folders[slug]
        return [slug, self.name(slug), *([folder, *_parts(folder)[-1:]] if folder else ())]

    def _aliased(self) -> dict[str, str]:
        by_slug = {slug: self._aliases.get(slug) or self._aliases.get(folder) for slug, folder in self.folders.items()}
        return {slug: name for slug, name in by_slug.items() if name}


def matches(names: Iterable[str], asked: str) -> bool:
    """Is one of the names the one that was asked for, whatever its case? `*`, `?` and `[...]` stand for what they do in a shell."""
    pattern = _pattern(asked.casefold())
    return any(name.casefold() == asked.casefold() or pattern.match(name.casefold()) for name in names)


def slug_of(folder: str) -> str:
    """The slug that Claude Code makes of a folder."""
    return re.sub("[^a-zA-Z0-9]", "-", folder)


def main_folder(folder: str) -> str:
    """The folder of the main checkout that corresponds to a folder in a worktree; the same folder where it is in none."""
    if own := _OWN_WORKTREES.fullmatch(folder):
        return own[1] + own[2]
    for root in (Path(folder), *Path(folder).parents):
        git = root / ".git"
        try:
            if git.is_file():
                found = _GIT_WORKTREE.match(git.read_text(encoding="utf-8", errors="surrogateescape"))
                return folder if found is None else os.path.join(found[1], os.path.relpath(folder, root)).removesuffix("/.")
            if git.is_dir():
                return folder
        except (OSError, ValueError):
            return folder
    return folder


def _shortest(folders: Mapping[str, str]) -> dict[str, str]:
    """The fewest last parts of each folder that no other one ends with."""
    parts = {slug: _parts(folder) for slug, folder in folders.items() if _parts(folder)}
    names: dict[str, str] = {}
    count = 1
    while parts:
        shared: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
        for slug, each in parts.items():
            shared[tuple(each[-count:])].append(slug)
        for end, slugs in shared.items():
            for slug in slugs:
                # Two slugs of one folder, or one folder that ends another one: more parts tell no more.
                if len(slugs) == 1 or count >= len(parts[slug]):
                    names[slug] = "/".join(end)
                    del parts[slug]
        count += 1
    return names


def _parts(folder: str) -> list[str]:
    """The parts of a folder's name, whichever system wrote it."""
    return [part for part in re.split(r"[/\\]", folder) if part]


def _home(known: str) -> str:
    return os.path.expanduser(known) if known.startswith("~") else known


def _pattern(asked: str) -> re.Pattern[str]:
    return re.compile(translate(asked))
