"""Tests of `tokentail.tui.painting`: what it uses of Textual beyond its promises is there."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from desk import desk, reply
from tokentail.tui.painting import INTERNAL_VALUES, INTERNALS


@pytest.mark.parametrize("place", sorted(INTERNALS))
def test_textual_has_what_is_used_of_it(place: str) -> None:
    """A Textual that has moved it is found here, by name, and not by a screen that stays as it was."""
    module, _, name = place.partition(":")
    found = getattr(importlib.import_module(module), name)
    missing = [each for each in INTERNALS[place] if not hasattr(found, each)]
    assert missing == [], f"this Textual has no {place} {missing}: see tui/painting.py"


async def test_a_screen_has_what_is_used_of_it(tmp_path: Path) -> None:
    """The same of values that each app and screen has of its own; and a widget has its place there."""
    async with desk(tmp_path, reply(60)) as at_desk:
        for name, values in INTERNAL_VALUES.items():
            owner = at_desk.app if name == "app" else at_desk.app.screen
            assert [each for each in values if not hasattr(owner, each)] == []
        placed = at_desk.app.screen._compositor.visible_widgets[at_desk.app._feed_view]
        assert placed[1].intersection(placed[0]) == placed[0]
