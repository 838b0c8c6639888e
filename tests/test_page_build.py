"""What is built of the page: how much it is, and that a strict security policy lets it work."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STATIC = ROOT / "src" / "tokentail" / "web" / "static"
MOST_BYTES = 400_000


@pytest.fixture(name="built")
def fixture_built() -> Path:
    if not (STATIC / "index.html").is_file():
        pytest.skip("the page is not built: make web")
    return STATIC


def test_it_is_small(built: Path) -> None:
    """All scripts and styles together, compressed."""
    packed = {path.name: len(gzip.compress(path.read_bytes(), 9)) for path in built.rglob("*") if path.suffix in (".js", ".css")}
    assert packed
    assert sum(packed.values()) <= MOST_BYTES, packed


def test_nothing_stands_inline(built: Path) -> None:
    """No script, style or handler in the document: the policy forbids them."""
    document = (built / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", document) == []


def test_nothing_comes_from_elsewhere(built: Path) -> None:
    """Every file that the document and its styles name lies beside it."""
    document = (built / "index.html").read_text(encoding="utf-8")
    named = [(built, name) for name in re.findall(r'(?:src|href)="([^"]+)"', document)]
    named += [
        (path.parent, name) for path in built.rglob("*.css") for name in re.findall(r"url\(([^)]+)\)", path.read_text(encoding="utf-8"))
    ]
    assert len(named) >= 4
    assert [name for folder, name in named if not (folder / name).resolve().is_relative_to(built) or not (folder / name).is_file()] == []


def test_licences_are_shipped(built: Path) -> None:
    """Of the packages that are built into it, and of the font."""
    told = (built / "licenses.md").read_text(encoding="utf-8")
    assert all(name in told for name in ("preact", "echarts", "zrender"))
    assert "SIL Open Font License" in (built / "font-license.txt").read_text(encoding="utf-8")


def test_the_lock_names_no_address() -> None:
    """Each package by its version and hash; where it comes from is the business of whoever installs."""
    packages = json.loads((ROOT / "web" / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert [name for name, package in packages.items() if name and ("resolved" in package or "integrity" not in package)] == []
