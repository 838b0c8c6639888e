"""From nothing to a daily report: an empty store, and all logs to be read."""

from __future__ import annotations

from benchmarks import trees
from benchmarks.bench import OURS, Bench, comparable, count_rows, measured
from benchmarks.measure import Runs, peaks
from benchmarks.peers import AIBURN, CCUSAGE, PEERS, TOKSCALE, Peer
from benchmarks.results import Row

MAX_SHARE_OF_CCUSAGE = 0.5
MAX_PEAK_MB = 150


def run(bench: Bench) -> list[Row]:
    """Cold time and memory on the usual tree, beside all peers."""
    logs = trees.tree(bench.cache, trees.USUAL)
    files, size = trees.size_of(logs)
    with bench.scratch() as scratch:
        results = measured(bench.subjects(logs, scratch, PEERS, fresh=True), bench)
        memory = peaks(bench.ours("daily", "--json", logs=logs, home=scratch / "memory"))
    where = f"cold, {size / 1e6:.0f} MB in {files} files"
    return _times(where, results) + _memory(results[OURS], memory) + count_rows("cold", results, PEERS)


def _times(where: str, results: dict[str, Runs]) -> list[Row]:
    ours = results[OURS].wall_ms
    rows = [
        Row(what=where, values=ours, unit="ms", share=MAX_SHARE_OF_CCUSAGE, peer="ccusage", peer_values=_walls(CCUSAGE, results)),
        Row(what="cold, the fastest peer", values=ours, unit="ms", share=1.0, peer="aiburn", peer_values=_walls(AIBURN, results), aim=True),
        Row(what="cold, CPU of all processes", values=results[OURS].cpu_ms, unit="ms"),
    ]
    for peer in (CCUSAGE, TOKSCALE, AIBURN):
        if peer.name in results:
            rows.append(Row(what=f"cold: {peer.name}", values=results[peer.name].wall_ms, unit="ms"))
            rows.append(Row(what=f"cold: {peer.name}, peak of a process", values=results[peer.name].peak_mb, unit="MB"))
    return rows


def _memory(ours: Runs, memory: list[int]) -> list[Row]:
    rows = [Row(what="cold, peak of the largest process", values=ours.peak_mb, unit="MB", at_most=MAX_PEAK_MB)]
    if len(memory) > 1:
        rows.append(Row(what=f"cold, peaks of {len(memory)} processes together", values=(sum(memory) / 1e6,), unit="MB"))
    return rows


def _walls(peer: Peer, results: dict[str, Runs]) -> tuple[float, ...]:
    return results[peer.name].wall_ms if comparable(peer, results) else ()
