"""
Write docs/config.md from the list of settings.

    python scripts/make_docs.py
"""

from __future__ import annotations

from pathlib import Path

from tokentail.config import pages

DOCS = Path(__file__).resolve().parents[1] / "docs"

if __name__ == "__main__":
    (DOCS / "config.md").write_text(pages.reference(), encoding="utf-8")
