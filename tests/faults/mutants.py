"""The suite itself is tested: the only place that switches off a protection of the product, in a copy, to see a scenario go red."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from faults.processes import SOURCE


class Mutant(NamedTuple):
    """
    A protection, and how it is switched off.

    Attributes:
        scenario: what must go red without the protection, in that mode, and is green with it.
        file: of the package.
        edits: texts that stand there, each once, and what they become.
        control: edits that leave the protection on: they are as slow, or otherwise as odd.
    """

    protection: str
    scenario: str
    mode: str
    file: str
    edits: tuple[tuple[str, str], ...]
    control: tuple[tuple[str, str], ...] = ()


_WATCH = """            watch = self._add(path)
            # After the watch stands, never before: what is made between a listing and a watch would be seen by neither.
            names = _subfolders(path)
"""
_PAUSE = """            __import__("time").sleep(0.003)
"""

MUTANTS = (
    Mutant(
        "the marker check: the bytes before the cursor are proven in the read that takes the new ones",
        *("S22", "events", "parser.py"),  # stopped meanwhile: a reader that sees the file while it is short needs no marker
        edits=(("        if start and _digest(view[:start]) != cursor.marker_hash:", "        if False:"),),
    ),
    Mutant(
        "the new life: a file whose proof fails is read from its start, as another one",
        *("S21", "events", "parser.py"),
        edits=(
            ("                cursor, restarted, bytes_read = START, True, chunk.bytes_read\n", "                return\n"),
            ("                cursor, restarted = START, True\n", "                return\n"),
        ),
    ),
    Mutant(
        "the safety rescan: all places are looked at now and then, whatever events say",
        *("S02", "muted", "following.py"),
        edits=(("        if now >= self._rescan_due and", "        if False and"),),
    ),
    Mutant(
        "the transaction: what was read and how far it was read, together or not at all",
        *("S13", "events", "store.py"),
        edits=(('self.connection.execute("BEGIN IMMEDIATE")\n', "pass\n"), ('self.connection.execute("COMMIT")\n', "pass\n")),
    ),
    Mutant(
        "watch before list: what is made in a new folder while it is listed is not missed",
        *("S37", "events", "watcher/inotify.py"),
        edits=((_WATCH, "            names = _subfolders(path)\n" + _PAUSE + "            watch = self._add(path)\n"),),
        control=((_WATCH, "            watch = self._add(path)\n" + _PAUSE + "            names = _subfolders(path)\n"),),
    ),
)


def copy_with(edits: tuple[tuple[str, str], ...], file: str, folder: Path) -> Path:
    """A copy of the package with these edits; the folder to import it from."""
    source = folder / "src"
    shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns("__pycache__"))
    path = source / "tokentail" / file
    text = path.read_text(encoding="utf-8")
    for before, after in edits:
        assert text.count(before) == 1, f"{file} does not hold this once, so the mutant must be written anew: {before}"
        text = text.replace(before, after)
    path.write_text(text, encoding="utf-8")
    return source
