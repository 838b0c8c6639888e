"""`tokentail doctor --store URL`: can this ClickHouse be a central store, and does it count as the rules say?"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokentail.fleet.clickhouse.schema import Layout


def configure(parser: argparse.ArgumentParser, name: str) -> None:
    parser.description = (
        "Try out a ClickHouse that is to be the central store: whether it can be reached, whose tables it has (they are made where there "
        "are none), and whether records that are written twice, in parts and out of order are read back exactly. "
        "That is done in a database of its own, which is dropped again. Exit code 1 where something is wrong."
    )
    parser.add_argument(
        "--store", required=True, metavar="URL", help="clickhouse://user@host:8443/database?secure=1; see docs/fleet-clickhouse.md"
    )
    parser.add_argument(
        "--collector",
        metavar="TABLE",
        help="only print the statements that bring in what an OpenTelemetry Collector writes into that table, like otel.otel_logs",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from tokentail.fleet.clickhouse.address import parse
    from tokentail.fleet.clickhouse.examination import examine
    from tokentail.reports import text

    address, failures = parse(args.store), 0
    if args.collector:
        return _collecting(address.layout, args.collector)
    print(text.safe(str(address)))
    for check in examine(address):
        failures += bool(check.why)
        mark, said = ("FAILED", check.why) if check.why else ("ok", check.said)
        print(f"  {mark:<6}  {check.what}{f': {text.safe(said)}' if said else ''}", flush=True)
    print("It can be the central store." if not failures else f"{failures} of these failed.")
    return 1 if failures else 0


def _collecting(layout: Layout, table: str) -> int:
    from tokentail.fleet.clickhouse import collector

    for statement in (*collector.statements(layout, table), *collector.catching_up(layout, table)):
        print(f"{statement};")
    return 0
