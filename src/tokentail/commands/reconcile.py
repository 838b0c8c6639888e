"""`tokentail reconcile`: this machine's sessions against the central store's; what differs is sent again."""

from __future__ import annotations

import argparse
import contextlib
import time

from tokentail.commands import fleet, options
from tokentail.reports import text

WITHIN_S = 300


def configure(parser: argparse.ArgumentParser, name: str) -> None:
    parser.description = (
        "Compare what this machine and the central store count for each of this machine's sessions, and send again what differs. "
        "That changes nothing where all is in order, and mends a central store that was restored from a backup."
    )
    options.add_places(parser)
    fleet.add_address(parser)
    parser.add_argument("--dry-run", action="store_true", help="only compare; exit code 1 where something differs")
    parser.add_argument("--timeout", type=options.seconds, default=WITHIN_S, metavar="SECONDS", help=f"how long it is tried ({WITHIN_S})")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from tokentail import outbox
    from tokentail.coordinator import UpdateCoordinator
    from tokentail.fleet.reconciling import compare
    from tokentail.fleet.sender import Sender

    agent = fleet.agent(args)
    sender = Sender(agent.url, agent.trust)
    made = UpdateCoordinator(options.source(args), options.store_path(args), prices=options.price_list(args), progress=options.progress())
    with (
        contextlib.closing(made) as coordinator,
        options.stopping(coordinator) as stop,
        agent.post(coordinator.store_path, stop, text.warn) as post,
    ):
        update = coordinator.check_for_updates()
        before = compare(coordinator.db, sender, agent.labels)
        print(f"{before.sessions:,} sessions were compared: {_of(len(before.differ))} there.")
        if args.dry_run:
            for session in before.differ:
                print(f"  {text.safe(session)}")
            return options.tell_problems(update.problems) or bool(before.differ)
        if before.differ:
            ends = time.monotonic() + args.timeout
            post.note(lambda db, destination: outbox.again(db, destination, before.differ))
            sent = post.send_all(until_s=lambda: ends - time.monotonic())
            print(f"{sent.records:,} records were sent again; {sent.news:,} of them were news there.")
            after = compare(coordinator.db, sender, agent.labels)
            if after.differ:
                print(
                    f"{_of(len(after.differ))} still: other machines hold copies of their replies. "
                    "Nothing of this machine's is missing there."
                    if not post.waiting().records
                    else f"{_of(len(after.differ))} still, and {post.waiting().records:,} records are not acknowledged."
                )
            return options.tell_problems(update.problems) or bool(post.waiting().records)
    return options.tell_problems(update.problems)


def _of(count: int) -> str:
    return "none differs" if not count else f"{count:,} differ{'s' if count == 1 else ''}"
