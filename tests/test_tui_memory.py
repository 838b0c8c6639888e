"""What the screen remembers from one run to the next: whatever stands in its file, there is a screen."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tokentail.tui.memory import Memory, remember, remembered


def test_what_was_chosen_comes_back(tmp_path: Path) -> None:
    """Every value is there again; nobody but its owner may read the file."""
    chosen = Memory("tokentail-light", 360, True, (("models", "tokens"), ("sessions", "cost")))

    remember(tmp_path, chosen)

    assert remembered(tmp_path) == chosen
    assert [path.name for path in tmp_path.iterdir()] == ["screen.json"]
    assert stat.S_IMODE((tmp_path / "screen.json").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "said",
    [b"", b"{", b"[1]", b"null", b"\xff\xfe", b'{"theme": 7, "window_minutes": "x", "shows_cost": 1, "orders": [1]}', b"[" * 90_000],
)
def test_file_that_says_nothing_is_a_new_screen(tmp_path: Path, said: bytes) -> None:
    """A file of another program, another version or half a file costs nobody the screen."""
    (tmp_path / "screen.json").write_bytes(said)

    assert remembered(tmp_path) == Memory()


def test_no_file_is_a_new_screen(tmp_path: Path) -> None:
    """The first run has none, and a folder that is not there is not made."""
    assert remembered(tmp_path / "nowhere") == Memory()
    remember(tmp_path / "nowhere", Memory())
    assert not (tmp_path / "nowhere").exists()


def test_what_is_known_is_taken_from_a_newer_file(tmp_path: Path) -> None:
    """A value that we do not know does not hide the others."""
    (tmp_path / "screen.json").write_text('{"theme": "tokentail-dark", "flavour": "mint", "orders": {"models": "name", "x": 3}}')

    assert remembered(tmp_path) == Memory("tokentail-dark", orders=(("models", "name"),))
