"""What the tests of watchers share."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tokentail.watcher.paths import within

SOURCE = Path(__file__).resolve().parents[1] / "src"
DEADLINE_S = 20.0
NEVER_S = 10_000.0


def append(path: Path | str, data: bytes = b"x\n") -> Path:
    """Write at the end of a file, in a folder that is made if need be."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(data)
    return path


class Told:
    """A sink that keeps what it is told."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.files: list[str] = []
        self.trees: list[str] = []
        self.losses = 0

    def dirty(self, path: str) -> None:
        self.files.append(path)

    def dirty_tree(self, folder: str) -> None:
        self.trees.append(folder)

    covered = dirty_tree

    def lost(self) -> None:
        self.losses += 1

    def covers(self, path: Path | str) -> bool:
        """Would whoever acts on all this look at that file?"""
        return self.losses > 0 or str(path) in self.files or within(str(path), set(self.trees)) is not None


def in_namespace(script: str, *words: str) -> str:
    """
    Run Python as root of a user namespace, whose limits are its own; what it prints.

    Skips the test where namespaces are refused.
    """
    if subprocess.run(["unshare", "-Ur", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system refuses user namespaces")
    environment = {**os.environ, "PYTHONPATH": f"{SOURCE}:{Path(__file__).parent}"}
    ran = subprocess.run(
        ["unshare", "-Ur", sys.executable, "-c", script, *words], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
