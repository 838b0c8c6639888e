"""The only place that remembers which crossings were told: a small file beside the store, so that a restart tells nothing twice."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tokentail import database
from tokentail.atomic import whole_file
from tokentail.config import Budget
from tokentail.digest import hex_digest

SCHEMA = "tokentail/budgets/1"
_WAIT_S = 5.0


class Crossing(NamedTuple):
    """A budget that was crossed and has not come back since."""

    rule: str  # a hash of what the budget says: one that was changed begins anew
    period: str  # `Standing.instance`
    crossed_ms: int
    told: tuple[str, ...] = ()  # the ways in which it was told: desktop, webhook, command
    tries: int = 0  # of those that failed
    next_ms: int = 0  # nobody tries again before


Crossings = dict[str, Crossing]  # by the budget's name


def rule_of(budget: Budget) -> str:
    """What tells a budget from an older one of the same name; not where it is told."""
    return hex_digest(json.dumps([*budget[1:6]]).encode())


class Memory:
    """The crossings that one store's budgets have made."""

    def __init__(self, store: Path) -> None:
        self.path = store.with_name(f"{store.name}.budgets")
        self.problem = ""  # why what was remembered cannot be used

    @contextmanager
    def changing(self) -> Iterator[Crossings]:
        """
        The crossings, to be changed; what they are at the end is kept. One process at a time.

        Raises:
            StoreError: the file cannot be written, or another process keeps it.
        """
        with database.locked(self.path, wait_s=_WAIT_S):
            before = self.read()
            crossings = dict(before)
            yield crossings
            if crossings != before or self.problem:
                self._write(crossings)

    def read(self) -> Crossings:
        """The crossings as they are; none where the file is missing or damaged."""
        try:
            document = json.loads(self.path.read_bytes())
            return {str(name): _crossing(fields) for name, fields in document["crossings"].items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self.problem = f"cannot read {self.path}: {type(error).__name__} (crossings that were told may be told again)"
            return {}

    def _write(self, crossings: Mapping[str, Crossing]) -> None:
        document = {"schema": SCHEMA, "crossings": {name: crossing._asdict() for name, crossing in crossings.items()}}
        with whole_file(self.path, overwrite=True) as part:
            part.write_text(json.dumps(document, indent=1), encoding="utf-8")


def _crossing(fields: Mapping[str, object]) -> Crossing:
    rule, period, crossed, told, tries, next_ms = (fields[name] for name in Crossing._fields)
    if not (isinstance(told, list) and isinstance(crossed, int) and isinstance(tries, int) and isinstance(next_ms, int)):
        raise TypeError
    return Crossing(str(rule), str(period), crossed, tuple(map(str, told)), tries, next_ms)
