"""A screen that stays open: what it keeps has an end, however long it is used."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lived import REPLIES_A_MINUTE, life
from tokentail.tui.keys import Keys
from tokentail.tui.looks import MOST_LOOKS
from tokentail.tui.rolling import MOST_MINUTES
from tokentail.tui.snapshot import FEED_ROWS
from tokentail.tui.table import _MOST_STRIPS, Table


@pytest.mark.slow
async def test_what_is_kept_has_an_end(tmp_path: Path) -> None:
    """An hour by a fast clock, with all pages used on the way: rows, looks, minutes and strips are no more than they may be."""
    async with life(tmp_path) as lived:
        for minute in range(60):
            await lived.minute()
            if minute % 30 == 29:
                await lived.use()
        app = lived.app
        assert lived.replies == 60 * REPLIES_A_MINUTE
        assert lived.app._snapshot is not None
        assert lived.app._snapshot.figures.overview.today.replies == lived.replies
        assert len(app._feed.rows) <= FEED_ROWS + 200
        assert len(app._history.looks) <= MOST_LOOKS
        assert len(lived.watch._rolling._minutes) <= MOST_MINUTES
        assert len(app.screen_stack) == 1
        assert all(len(table._strips) <= _MOST_STRIPS for table in app.query(Table))
        assert list(app.workers) == []
        assert sum(len(watching) for watching in getattr(app.query_one(Keys), "__watchers", {}).values()) < 20


@pytest.mark.slow
def test_a_day_takes_no_more_memory_than_some_hours() -> None:
    """In a process of its own: what grows in the first hours are caches with an end, then only the lists of sessions and days do."""
    command = [sys.executable, str(Path(__file__).with_name("lived.py")), "24"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    hours = json.loads(done.stdout)
    memory_mb, objects = zip(*hours, strict=True)
    assert memory_mb[-1] < 1.15 * memory_mb[11], hours
    assert objects[-1] < 1.15 * objects[11], hours
