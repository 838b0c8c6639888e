"""The only place that remembers how a person last had the live screen: a small file beside the store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from tokentail.atomic import whole_file
from tokentail.errors import TokentailError

_NAME = "screen.json"


class Memory(NamedTuple):
    """What was chosen with keys; every value may be one that an older or newer program knew."""

    theme: str = ""  # "": what suits the terminal
    window_minutes: int = 60
    shows_cost: bool = False
    orders: tuple[tuple[str, str], ...] = ()  # of each table, what its rows are ordered by


def remembered(home: Path) -> Memory:
    """What the file says; where it says nothing that can be used, what a new screen has."""
    try:
        said = json.loads((home / _NAME).read_bytes()[:100_000])
    except (OSError, ValueError, RecursionError):
        return Memory()
    if not isinstance(said, dict):
        return Memory()
    usual = Memory()
    orders = said.get("orders")
    pairs = [(key, order) for key, order in orders.items() if isinstance(order, str)] if isinstance(orders, dict) else []
    found = {name: said[name] for name in ("theme", "window_minutes", "shows_cost") if type(said.get(name)) is type(getattr(usual, name))}
    return usual._replace(**found, orders=tuple(sorted(pairs)))


def remember(home: Path, memory: Memory) -> None:
    """Write it down; where that cannot be done, the next screen starts anew, which is no reason to trouble anybody."""
    try:
        with whole_file(home / _NAME, overwrite=True) as part:
            part.write_text(json.dumps({**memory._asdict(), "orders": dict(memory.orders)}, indent=2) + "\n", encoding="utf-8")
    except (TokentailError, OSError):
        return
