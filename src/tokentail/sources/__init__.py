"""Places that hold log files."""

from __future__ import annotations

from tokentail.sources.local import LocalFolders

__all__ = ["LocalFolders"]
