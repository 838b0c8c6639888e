"""tokentail: what your coding agents use, counted exactly, while they use it."""

from __future__ import annotations

__version__ = "0.1.0"
