"""`tokentail push`: this machine's records to a central store, once or for as long as it runs."""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
import time
from typing import TYPE_CHECKING

from tokentail.commands import fleet, options
from tokentail.errors import TokentailError, UsageError
from tokentail.reports import text

if TYPE_CHECKING:
    from tokentail.coordinator import UpdateCoordinator
    from tokentail.fleet.push import Post, Sent

ONCE_WITHIN_S = 300
INTERVAL_S = 1.0
MOST_INTERVAL_S = 3_600.0


def configure(parser: argparse.ArgumentParser, name: str) -> None:
    parser.description = (
        "Send this machine's records to a central store: counts, ids, times and names, never content (docs/fleet.md). What the central "
        "store has not said it keeps waits in the store here, and is sent again."
    )
    options.add_places(parser)
    fleet.add_address(parser)
    parser.add_argument(
        "--once", action="store_true", help="end when all is acknowledged, as a CI runner needs it; exit code 1 if it is not"
    )
    parser.add_argument(
        "--timeout", type=options.seconds, default=ONCE_WITHIN_S, metavar="SECONDS", help=f"how long --once tries ({ONCE_WITHIN_S})"
    )
    parser.add_argument(
        "--interval",
        type=interval,
        default=INTERVAL_S,
        metavar="SECONDS",
        help="how long records are gathered before they go (1); 0: at once",
    )
    parser.add_argument("--dry-run", action="store_true", help="send nothing, and print exactly what would travel, a body a line")
    parser.add_argument("--leave", action="store_true", help="send nothing there any more: what waits for that address is dropped")
    parser.set_defaults(run=run)


def interval(word: str) -> float:
    number = float(word)
    if not 0 <= number <= MOST_INTERVAL_S:
        raise ValueError(word)
    return number


interval.__name__ = "number of seconds"  # argparse names it in its message


def run(args: argparse.Namespace) -> int:
    from tokentail.coordinator import UpdateCoordinator

    if args.once + args.dry_run + args.leave > 1:
        raise UsageError("--once, --dry-run and --leave exclude each other (choose one)")
    agent = fleet.agent(args)
    made = UpdateCoordinator(options.source(args), options.store_path(args), prices=options.price_list(args), progress=options.progress())
    with contextlib.closing(made) as coordinator:
        if args.leave:
            return _leave(coordinator, agent)
        if args.dry_run:
            return _dry_run(coordinator, agent)
        with options.stopping(coordinator) as stop, fleet.only_sender(agent.url, coordinator.store_path):
            if args.once:
                return _once(args, coordinator, agent.post(coordinator.store_path, stop, text.warn))
            return _follow(args, coordinator, agent.post(coordinator.store_path, stop, text.warn), stop)


def _once(args: argparse.Namespace, coordinator: UpdateCoordinator, post: Post) -> int:
    """All that there is, in the time that there is."""
    from tokentail import outbox

    ends = time.monotonic() + args.timeout
    update = coordinator.check_for_updates()
    with post:
        post.note(outbox.retry_refused)
        sent = post.send_all(until_s=lambda: ends - time.monotonic())
        waiting = post.waiting()
    _tell(sent)
    if waiting.records:
        text.warn(f"{waiting.records:,} records are not acknowledged ({waiting.refused:,} of them refused); they wait in the store here")
    return options.tell_problems(update.problems) or bool(waiting.records)


def _follow(args: argparse.Namespace, coordinator: UpdateCoordinator, post: Post, stop: threading.Event) -> int:
    from tokentail.fleet.push import Pusher

    pusher: Pusher | None = None
    told: set[str] = set()
    try:
        for update in coordinator.follow(stop):
            if pusher is None:
                pusher = Pusher(post, args.interval, stop)
                pusher.start()
                print("ready", file=sys.stderr, flush=True)
            pusher.wake()
            if pusher.error is not None:
                raise pusher.error
            for reason in (*update.degraded, *(f"cannot read {problem.where}: {problem.why}" for problem in update.problems)):
                if reason not in told:
                    told.add(reason)
                    text.warn(reason)
    finally:
        stop.set()
        if pusher is not None:
            pusher.end()
    if pusher is not None:
        _tell(pusher.sent)
    return 0


def _dry_run(coordinator: UpdateCoordinator, agent: fleet.Agent) -> int:
    """What would go if it went now, to the letter; the store stays as it is but for what the logs gave."""
    from tokentail.fleet.push import bodies

    update = coordinator.check_for_updates()
    records = size = packed = 0
    for body in bodies(coordinator.db, agent.url, agent.labels, version=agent.version):
        print(body.text)
        records, size, packed = records + body.records, size + len(body.text), packed + body.compressed_bytes
    token = "a token" if agent.trust.token else "no token"
    print(
        f"{records:,} records would go to {agent.url} with {token}: {size:,} bytes as printed, {packed:,} compressed.",
        file=sys.stderr,
    )
    return options.tell_problems(update.problems)


def _leave(coordinator: UpdateCoordinator, agent: fleet.Agent) -> int:
    from tokentail import outbox
    from tokentail.store import Store

    def work(store: Store) -> bool:
        with store.transaction():
            return outbox.leave(store.connection, agent.url)

    if not coordinator.change_store(work):
        raise TokentailError(f"nothing was ever sent to {agent.url} from this store (`tokentail status` names where it sends to)")
    print(f"Nothing is kept for {agent.url} any more. What it has stays there.")
    return 0


def _tell(sent: Sent) -> None:
    each = f", {sent.bytes / sent.records:,.0f} bytes each" if sent.records else ""
    batches = "1 batch" if sent.batches == 1 else f"{sent.batches:,} batches"
    news = f"; {sent.news:,} of them were news there" if sent.records else ""
    print(f"{sent.records:,} records sent in {batches}{each}{news}.", file=sys.stderr)
