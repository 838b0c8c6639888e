"""
Five thousand logs in a bucket of a real server of the S3 protocol on this machine: what a look costs when ten of them have grown.

The requests are counted by somebody in between, in a run of its own, because that takes longer than the requests.
"""

from __future__ import annotations

import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.bench import Bench, program
from benchmarks.measure import Command, MeasureError
from benchmarks.measure import run as run_command
from benchmarks.results import Row
from benchmarks.screen import log_line

TESTS = Path(__file__).resolve().parents[1] / "tests"
FILES, GROWN = 5_000, 10
MAX_REFRESH_S = 1.0
_LINES = 8  # of a log
_LARGE_BYTES = 200_000_000  # of logs of some megabytes each, to be read from scratch


def run(bench: Bench) -> list[Row]:
    sys.path.insert(0, str(TESTS))  # the servers are those that the tests start
    from between import Between
    from clouds import BUCKET, Seaweed

    with TemporaryDirectory(prefix="cloud-", dir=bench.cache) as folder, bench.scratch() as scratch:
        cloud = Seaweed(Path(folder) / "s3")
        try:
            logs = {f"many/-home-dev-app/s{number}.jsonl": _log(number, _LINES) for number in range(FILES)}
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(cloud.put, logs, logs.values()))

            def command(name: str, home: str, port: int | None = None) -> Command:
                words = (*program(), "daily", "--json", "--source", f"s3://{BUCKET}/{name}")
                own = {"HOME": str(scratch / home), "TOKENTAIL_HOME": str(scratch / home)}
                (scratch / home).mkdir(exist_ok=True)
                return Command(words, {**own, **cloud.environment(port=port)})

            def grow(round: int) -> None:
                for number in range(GROWN):
                    name = f"many/-home-dev-app/s{number * 37}.jsonl"
                    logs[name] += log_line(f"grown-{round}-{number}")
                    cloud.put(name, logs[name])

            first = [run_command(command("many", f"first-{number}")).wall_s for number in range(2)]
            run_command(command("many", "home"))
            nothing, refresh = [], []
            for number in range(bench.runs):
                nothing.append(run_command(command("many", "home")).wall_s)
                grow(number)
                refresh.append(run_command(command("many", "home")).wall_s)
            grow(bench.runs)
            with Between(cloud.port) as between:
                run_command(command("many", "home", between.port))
                listings, reads = len(between.listings), len(between.reads)
            pages = -(-FILES // 1_000)
            if listings != pages or reads != GROWN:
                raise MeasureError(f"a look with {GROWN} grown objects took {listings} pages of a listing and {reads} ranges")
            whole = _log(0, 25_000)
            sizes = [whole] * (_LARGE_BYTES // len(whole))
            for number, data in enumerate(sizes):
                cloud.put(f"large/-home-dev-app/s{number}.jsonl", data)
            total = sum(map(len, sizes))
            cold = [total / 1e6 / run_command(command("large", f"cold-{number}")).wall_s for number in range(3)]
            own = scratch / "large" / "projects" / "-home-dev-app"
            own.mkdir(parents=True)
            for number, data in enumerate(sizes):
                (own / f"s{number}.jsonl").write_bytes(data)
            here = [
                total / 1e6 / run_command(bench.ours("daily", "--json", logs=scratch / "large", home=scratch / f"here-{number}")).wall_s
                for number in range(3)
            ]
            shutil.rmtree(scratch / "large")
        finally:
            cloud.stop()
    return [
        Row(
            what=f"a look, {FILES} objects, {GROWN} grown",
            values=tuple(refresh),
            unit="s",
            at_most=MAX_REFRESH_S,
            note=f"1 listing ({listings} pages), {reads} ranges",
        ),
        Row(what="a look, nothing new", values=tuple(nothing), unit="s"),
        Row(what=f"all {FILES} for the first time", values=tuple(first), unit="s"),
        Row(
            what=f"{total / 1e6:.0f} MB for the first time, from the bucket",
            values=tuple(cold),
            unit="MB/s",
            peer="from a folder",
            peer_values=tuple(here),
        ),
    ]


def _log(number: int, lines: int) -> bytes:
    return b"".join(log_line(f"{number}-{index}") for index in range(lines))
