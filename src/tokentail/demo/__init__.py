"""Made-up Claude Code logs, to try tokentail on, to test it and to measure it; nothing in them is anybody's."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from tokentail.demo.tree import TreePlan, write_tree


def write_demo(root: Path, *, now: datetime, seed: int = 1) -> None:
    """
    Write four months of made-up history to `root/projects`, up to two minutes before `now`, busy in its last hour and fortnight.

    `now` is aware; its offset from UTC says when the made-up people sleep.
    """
    write_tree(root, demo_plan(now, seed=seed))


def demo_plan(now: datetime, *, seed: int = 1) -> TreePlan:
    """What the demo's tree looks like: under 12 MB, 120 days, 6 projects, and a team that takes to it: ever more of it."""
    return TreePlan(
        seed=seed,
        total_bytes=9_600_000,
        files=420,
        spread=0.7,
        days=120,
        end=now - timedelta(minutes=2),
        projects=6,
        subagent_share=0.35,
        resumed_share=0.05,
        fast_share=0.05,
        old_share=0.05,
        image_share=0.0,
        text_scale=0.05,
        recent_sessions=4,
        growth=150.0,
    )
