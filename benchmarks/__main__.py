"""Measures the groups that are named, or all that hold budgets, and shows them as one table."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import (
    bloom,
    clickhouse,
    cold,
    corpus,
    fleet,
    history,
    index,
    line,
    live,
    page,
    parallel,
    remote,
    scale,
    schema,
    screen,
    start,
    told,
    warm,
    watch,
    web,
)
from benchmarks.bench import FILES, GIGABYTES, REPLIES, Bench
from benchmarks.measure import MeasureError
from benchmarks.results import Row, document, machine, table

CACHE = Path(__file__).resolve().parents[1] / ".bench"
GROUPS: Mapping[str, Callable[[Bench], list[Row]]] = {
    "start": start.run,
    "warm": warm.run,
    "cold": cold.run,
    "history": history.run,
    "index": index.run,
    "line": line.run,
    "told": told.run,
    "corpus": corpus.run,
    "live": live.run,
    "schema": schema.run,
    "watch": watch.run,
    "screen": screen.run,
    "web": web.run,
    "page": page.run,
    "remote": remote.run,
    "bloom": bloom.run,
    "parallel": parallel.run,
    "scale": scale.run,
    "fleet": fleet.run,
    "clickhouse": clickhouse.run,
}
USUAL = (
    "start",
    "warm",
    "cold",
    "history",
    "index",
    "line",
    "told",
    "corpus",
    "watch",
    "screen",
    "web",
    "page",
    "remote",
    "live",
)  # schema and bloom measure designs that were not chosen, parallel how it is shared out, clickhouse has ten million replies


def main() -> int:
    args = _arguments()
    CACHE.mkdir(exist_ok=True)
    (CACHE / ".gitignore").write_text("*\n")
    print("  ".join(f"{name} {value}" for name, value in machine().items()), f" runs {args.runs}", flush=True)
    bench = Bench(CACHE, args.runs, args.seconds, args.replies, args.files, args.gigabytes)
    measured: dict[str, list[Row]] = {}
    failures = 0
    for name in args.names or USUAL:
        began = time.monotonic()
        try:
            measured[name] = GROUPS[name](bench)
        except MeasureError as error:
            failures += 1
            measured[name] = [Row(what=name, note=f"failed: {error}")]
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    print(table([row for rows in measured.values() for row in rows]), end="")
    if args.json:
        Path(args.json).write_text(document(measured, args.runs), encoding="utf-8")
    return 1 if failures else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(GROUPS)}; without a name: {', '.join(USUAL)}")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="how often each thing is measured (5)")
    parser.add_argument("--seconds", type=float, default=15, metavar="N", help="how long each live measurement writes (15)")
    parser.add_argument("--replies", type=int, default=REPLIES, metavar="N", help=f"in the store of bloom ({REPLIES})")
    parser.add_argument("--files", type=int, default=FILES, metavar="N", help=f"in the largest tree of scale ({FILES})")
    parser.add_argument(
        "--gigabytes", type=float, metavar="N", help=f"of the history of scale ({GIGABYTES:g}, with fewer files as much less)"
    )
    parser.add_argument("--json", metavar="FILE", help="write everything there too, with every single run")
    args = parser.parse_args()
    if unknown := [name for name in args.names if name not in GROUPS]:
        parser.error(f"there is no benchmark {unknown[0]!r} (there are {', '.join(GROUPS)})")
    if args.runs < 1:
        parser.error("--runs must be at least 1")
    if args.gigabytes is None:
        args.gigabytes = GIGABYTES * min(args.files / FILES, 1)
    return args


if __name__ == "__main__":
    sys.exit(main())
