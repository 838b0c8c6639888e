"""The request feed: one line for every reply that is new, has grown, was corrected or is gone."""

from __future__ import annotations

import contextlib
import gc
import sqlite3
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo

from tokentail import machines, periods, queries
from tokentail.coordinator import UpdateCoordinator
from tokentail.model import Owner, Problem, ReplyChange
from tokentail.prices import PriceList
from tokentail.projects import Projects
from tokentail.reports import text
from tokentail.reports.as_json import feed_json
from tokentail.totals import counts_of


def run(
    coordinator: UpdateCoordinator,
    write: Callable[[ReplyChange], None],
    *,
    since_ms: int | None,
    stop: threading.Event,
    flush: Callable[[], None] = lambda: None,
) -> int:
    """
    Write changes as they are committed, until `stop` is set; `flush` is called after those of each commit.

    With `since_ms` the replies from then on come first, as new. The word `ready` goes to stderr once the
    watches stand and all that was there is committed.

    Returns:
        1 when a file could not be read, each one named once; otherwise 0.
    """
    first = True
    told: set[Problem | str] = set()
    for update in coordinator.follow(stop):
        if first and not update.catching_up:
            first = False
            # What is known by now stays: ten thousand logs' lives would be gone through at each collection, 20 ms in which no line is told.
            gc.freeze()
            gc.enable()
            for reply in queries.replies_since(coordinator.db, since_ms) if since_ms is not None else ():
                write(ReplyChange(0, "new", reply.key, reply))
            flush()
            print("ready", file=sys.stderr, flush=True)
        elif not first:
            changes = update.changes
            for change in changes:
                write(change)
            if changes:
                flush()
        for problem in update.problems:
            if problem not in told:
                text.warn(f"cannot read {problem.where}: {problem.why}")
        for reason in update.degraded:
            if reason not in told:
                text.warn(reason)
        told.update(update.problems, update.degraded)
    return 1 if any(isinstance(one, Problem) for one in told) else 0


def of_machines(write: Callable[[ReplyChange], None], *, hosts: Sequence[str], users: Sequence[str]) -> Callable[[ReplyChange], None]:
    """
    `write` for changes of replies of these machines only; without a name for all.

    A reply that is gone belongs to nobody any more, so all of those are written.
    """

    def chosen(change: ReplyChange) -> None:
        owner = None if change.reply is None else change.reply.owner
        if owner is None or (_is_meant(owner.host, hosts) and _is_meant(owner.user, users)):
            write(change)

    return chosen if hosts or users else write


def _is_meant(name: str, asked: Sequence[str]) -> bool:
    return not asked or machines.is_meant(name, asked)


class Lines:
    """Changes as lines of text."""

    def __init__(self, coordinator: UpdateCoordinator, prices: PriceList, zone: tzinfo, aliases: Mapping[str, str]) -> None:
        """`aliases` are names to show for projects, by slug or folder."""
        self._coordinator = coordinator
        self._prices = prices
        self._zone = zone
        self._aliases = aliases
        self._projects = Projects({})

    def json(self, change: ReplyChange) -> str:
        """The contract of docs/json.md; times are UTC whatever the zone."""
        return feed_json(change, self._prices)

    def text(self, change: ReplyChange) -> str:
        """A line for people: time, event, project, model, tokens, cost."""
        reply = change.reply
        if reply is None:
            return f"{'':19}  {change.event:9}  {text.safe(change.key)}"
        if reply.owner.project not in self._projects.folders:
            with contextlib.suppress(sqlite3.DatabaseError):  # a damaged store is replaced by the next look; until then the slug will do
                self._projects = Projects(queries.project_folders(self._coordinator.db), self._aliases)
        counts = counts_of(reply, self._prices)
        used = f"in {text.short(reply.tokens.prompt):>6}  out {text.short(reply.tokens.output):>6}"
        at = periods.at(reply.at_ms, self._zone).strftime("%Y-%m-%d %H:%M:%S")
        project, model = (text.safe(name) for name in (self._projects.name(reply.owner.project), reply.model))
        return f"{at}  {change.event:9}  {project:20}  {model:26}  {used}  $ {text.cost(counts, places=4)}{_whose(reply.owner)}"


def _whose(owner: Owner) -> str:
    """Of a reply of another machine that one's name, and the person's."""
    return "".join(f"  {text.safe(name)}" for name in (owner.host, owner.user) if name)
