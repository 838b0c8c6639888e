"""
A hub and simulated machines: bytes of a reply on the wire, replies a second, how late a reply is to be seen, what the hub costs.

Then the same while things go wrong: the hub is killed and started again, goes back to an older copy of its store, the network is cut,
batches come twice and in another order, clocks are wrong. The hub must hold exactly what the machines ever had.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from multiprocessing.queues import Queue
from pathlib import Path
from statistics import quantiles

from benchmarks import agents
from benchmarks.agents import Done, Plan
from benchmarks.bench import Bench
from benchmarks.measure import Command, MeasureError
from benchmarks.results import Row
from benchmarks.screen import log_line
from benchmarks.web import Heard, Server
from tokentail import database
from tokentail.fleet import hub_tokens
from tokentail.interned import records_of
from tokentail.model import Record

MACHINES, PROCESSES = 1_000, 2
MAX_BYTES, MIN_A_SECOND, MAX_SEEN_S, MAX_SEEN_AT_ONCE_MS = 80, 5_000, 2.0, 200
FAILING = 1_000  # machines
_PAUSE_S = 1.0
NETWORK, OUTSIDE, INSIDE = "tokentail-hub", "10.77.31.1", "10.77.31.2"


class Hub(Server):
    """A hub, with its tokens."""

    def __init__(self, process: subprocess.Popen[str], port: int, home: Path, address: str, agent: str, viewer: str) -> None:
        super().__init__(process, port)
        self.home, self.address, self.agent, self.viewer = home, address, agent, viewer

    @property
    def store(self) -> Path:
        return database.store_path(self.home, None)


def run(bench: Bench) -> list[Row]:
    """Bytes, throughput, lateness; then everything that goes wrong at once."""
    rows = _bytes()
    with bench.scratch() as scratch, hub(bench, scratch / "hub") as there:
        rows += _throughput(bench, there)
        rows += _connected(bench, there, gather_s=1.0)
        rows += _connected(bench, there, gather_s=0.0)
    with bench.scratch() as scratch, hub(bench, scratch / "hub") as there:
        rows += _real(bench, scratch, there)
    return [*rows, *_failing(bench)]


def _bytes() -> list[Row]:
    """Of one machine's replies, as they go."""
    rows = []
    for many in (500, 5_000):
        machine = agents.Machine(1, Plan("", 0, "", 1, 1, 1.0, batch=many))
        for _ in range(many):
            machine.reply()
        size = len(agents.body(machine.batch())) / many
        rows.append(Row(what=f"fleet, {many} replies in a batch: of one", values=(size,), unit="bytes", at_most=MAX_BYTES))
    return rows


def _throughput(bench: Bench, there: Hub) -> list[Row]:
    """Batches of 500 as fast as they are taken, while a page's stream is open."""
    stream = _stream(there)
    before, began = there.cpu_s(), time.monotonic()
    seconds = max(bench.seconds, 15.0)
    plans = [Plan(there.address, there.port, there.agent, 100_000 + n * 4, 4, seconds) for n in range(PROCESSES)]
    with simulated(plans) as results:
        found = results()
    took = time.monotonic() - began
    stream.close()
    busy = sum(sum(done.acknowledged_s) for done in found) / (4 * PROCESSES)
    rate = sum(done.records for done in found) / busy
    share = (there.cpu_s() - before) / took * 100
    return [
        Row(
            what="fleet, hub on SQLite, batches of 500, the page live: replies",
            values=(rate,),
            unit="/s",
            note=f"(budget: at least {MIN_A_SECOND:,}; {'ok' if rate >= MIN_A_SECOND else 'MISS'})",
        ),
        Row(what="fleet, the hub meanwhile", values=(share,), unit="% of a core", note=f"{there.memory_mb():.0f} MB"),
    ]


def _connected(bench: Bench, there: Hub, gather_s: float) -> list[Row]:
    """A thousand machines that stay connected, each with a reply now and then."""
    stream = _stream(there)
    heard = Heard([stream])
    seconds, before = max(bench.seconds, 20.0), there.cpu_s()
    each = MACHINES // PROCESSES
    first = 200_000 if gather_s else 300_000
    plans = [
        Plan(there.address, there.port, there.agent, first + n * each, each, seconds, every_s=20.0, gather_s=gather_s)
        for n in range(PROCESSES)
    ]
    with simulated(plans) as results:
        found = results()
    time.sleep(2.0)
    heard.stop()
    stream.close()
    written = {group.encode(): at for done in found for group, at in done.written.items()}
    missing = written.keys() - heard.at.keys()
    if missing:
        raise MeasureError(f"{len(missing)} of {len(written)} replies were never seen")
    late = sorted(heard.at[key][0] - at for key, at in written.items())
    cuts = quantiles(late, n=100, method="inclusive")
    how = "gathered for a second" if gather_s else "at once"
    what = f"fleet, {MACHINES:,} machines connected, {how}"
    note = f"({len(late) / seconds:.0f} replies/s)"
    rows = [Row(what=f"{what}: reply to page, p50", values=(cuts[49] * 1000,), unit="ms", note=note)]
    most = MAX_SEEN_S * 1000 if gather_s else MAX_SEEN_AT_ONCE_MS
    rows.append(Row(what=f"{what}: reply to page, p99", values=(cuts[98] * 1000,), unit="ms", at_most=most))
    share = (there.cpu_s() - before) / (seconds + 2.0) * 100
    return [*rows, Row(what=f"{what}: the hub", values=(share,), unit="% of a core", note=f"{there.memory_mb():.0f} MB")]


def _real(bench: Bench, scratch: Path, there: Hub) -> list[Row]:
    """Real `tokentail push` processes: from a line's being written on a machine to its event at the hub."""
    rows = []
    for interval, most in (("1", MAX_SEEN_S * 1000), ("0", float(MAX_SEEN_AT_ONCE_MS))):
        stream = _stream(there)
        heard = Heard([stream])
        with pushing(bench, scratch / f"machines-{interval}", there, interval, 3) as logs:
            written: dict[bytes, float] = {}
            for number in range(int(max(bench.seconds, 15.0) * 10)):
                time.sleep(0.1)
                name = f"real{interval}x{number}"
                with logs[number % len(logs)].open("ab") as log:
                    log.write(log_line(name))
                written[f"msg_{name}".encode()] = time.time()
            until = time.monotonic() + 10.0
            while written.keys() - heard.at.keys() and time.monotonic() < until:
                time.sleep(0.05)
        heard.stop()
        stream.close()
        if missing := written.keys() - heard.at.keys():
            raise MeasureError(f"{len(missing)} of {len(written)} lines were never seen at the hub")
        late = sorted((heard.at[key][0] - at) * 1000 for key, at in written.items())
        cuts = quantiles(late, n=100, method="inclusive")
        what = f"fleet, tokentail push --interval {interval}, line to page"
        rows += [
            Row(what=f"{what}, p50", values=(cuts[49],), unit="ms"),
            Row(what=f"{what}, p99", values=(cuts[98],), unit="ms", at_most=most, note=f"({len(late)} lines)"),
        ]
    return rows


def _failing(bench: Bench) -> list[Row]:
    """Everything goes wrong; the totals are exact all the same."""
    has_network = os.geteuid() == 0 and shutil.which("ip") is not None and _network(up=True)
    try:
        with bench.scratch() as scratch:
            return _failed(bench, scratch, has_network=has_network)
    finally:
        if has_network:
            _network(up=False)


def _failed(bench: Bench, scratch: Path, *, has_network: bool) -> list[Row]:
    home, seconds = scratch / "hub", max(bench.seconds * 2, 30.0)
    address = INSIDE if has_network else "127.0.0.1"
    words = ("ip", "netns", "exec", NETWORK) if has_network else ()
    with hub(bench, home, address=address, before=words) as first:
        port, agent = first.port, first.agent
    kills = cuts = 0
    copy = scratch / "copy.db"
    each = FAILING // PROCESSES
    plans = [Plan(address, port, agent, n * each, each, seconds, batch=50, every_s=1.5, fails=True, seed=7) for n in range(PROCESSES)]
    with simulated(plans) as results:
        ends = time.monotonic() + seconds
        while True:
            with hub(bench, home, address=address, before=words, port=port, is_killed=True):
                is_last = time.monotonic() > ends
                if is_last:
                    found = results()
                    break
                time.sleep(seconds / 12)
                if has_network and kills % 2:
                    _ip("link", "set", "tokentail0", "down")
                    time.sleep(_PAUSE_S)
                    _ip("link", "set", "tokentail0", "up")
                    cuts += 1
                time.sleep(seconds / 12)
            kills += 1
            store = database.store_path(home, None)
            if kills == 2:
                _copied(store, copy)
            if kills == 4:  # a hub that was restored from a backup has lost what it had acknowledged
                for end in ("", "-wal", "-shm"):
                    store.with_name(f"{store.name}{end}").unlink(missing_ok=True)
                shutil.copy(copy, store)
    truth: dict[agents.Key, Record] = {}
    for done in found:
        truth.update(done.truth)
    with closing(database.open_for_reading(database.store_path(home, None))) as db:
        held = {record[:3]: record for _, record in records_of(db) if record.owner.host}
        (tokens,) = db.execute("SELECT sum(input + output + cache_read + cache_write_5m + cache_write_1h) FROM replies").fetchone()
        tokens -= sum(record.tokens.total for _, record in records_of(db) if not record.owner.host)
    ours = sum(record.tokens.total for record in truth.values())
    if held != truth or tokens != ours:
        wrong = sum(held.get(key) != record for key, record in truth.items())
        raise MeasureError(
            f"the hub is not exact: {len(held)} records for {len(truth)}, {wrong} of them others, {tokens} tokens for {ours}"
        )
    refused = sum(done.refused for done in found)
    cut = f"{cuts} cuts of the network" if has_network else "no network namespaces here"
    how = f"{kills} kills, {cut}, 1 restored copy, {refused:,} failed requests"
    return [Row(what=f"fleet, {FAILING} machines, all goes wrong: exact", values=(float(len(truth)),), unit="records", note=f"({how})")]


def _copied(store: Path, copy: Path) -> None:
    with closing(database.open_for_reading(store)) as db:
        db.execute("PRAGMA query_only = 0")
        db.execute("VACUUM INTO ?", (str(copy),))


@contextmanager
def simulated(plans: Sequence[Plan]) -> Iterator[Callable[[], list[Done]]]:
    """Processes of machines, from the block's start on; what is given is called for their results."""
    context = multiprocessing.get_context("spawn")
    queue: Queue[Done] = context.Queue()
    processes = [context.Process(target=agents.run, args=(plan, queue), daemon=True) for plan in plans]
    for process in processes:
        process.start()

    def results() -> list[Done]:
        found = [queue.get(timeout=max(plan.seconds * 4, 120) + 60) for plan in plans]
        for process in processes:
            process.join()
        return found

    try:
        yield results
    finally:
        for process in processes:
            process.kill()


@contextmanager
def hub(
    bench: Bench, home: Path, *, address: str = "127.0.0.1", before: Sequence[str] = (), port: int = 0, is_killed: bool = False
) -> Iterator[Hub]:
    """`tokentail web --accept`; it ends by SIGTERM, or by SIGKILL."""
    logs = home / "logs"
    seed = logs / "projects" / "-home-dev-hub" / "own.jsonl"  # the first replies of an empty store are loaded, not told
    seed.parent.mkdir(parents=True, exist_ok=True)
    if not seed.exists():
        seed.write_bytes(log_line("own"))
    known = hub_tokens.read(home)
    tokens = [hub_tokens.add(home, f"{role}-{len(known)}", role) for role in (hub_tokens.AGENT, hub_tokens.VIEWER)]
    listen = "127.0.0.1" if address == "127.0.0.1" else "0.0.0.0"  # in a network of its own
    made = bench.ours("web", "--accept", "--no-browser", "--host", listen, "--port", str(port), logs=logs, home=home)
    command = Command((*before, *made.words), made.environment)
    environment = {**os.environ, **command.environment}
    with subprocess.Popen(command.words, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True) as process:
        found = port
        for line in process.stderr or ():
            if at := re.match(r"tokentail: http://[^:]+:(\d+)/", line):
                found = int(at[1])
            if line == "ready\n":
                break
        if process.poll() is not None or not found:
            raise MeasureError("the hub did not start")
        threading.Thread(target=lambda: [None for _ in process.stderr or ()], daemon=True).start()
        try:
            yield Hub(process, found, home, address, *tokens)
        finally:
            os.killpg(process.pid, signal.SIGKILL if is_killed else signal.SIGTERM)
            process.wait(20)


@contextmanager
def pushing(bench: Bench, root: Path, there: Hub, interval: str, many: int) -> Iterator[list[Path]]:
    """Machines with logs that are sent as they come."""
    processes, paths = [], []
    for number in range(many):
        logs, home = root / f"m{number}" / "logs", root / f"m{number}" / "home"
        path = logs / "projects" / "-home-dev-app" / "live.jsonl"
        path.parent.mkdir(parents=True)
        path.write_bytes(log_line(f"old{interval}{number}"))
        words = ("push", f"http://127.0.0.1:{there.port}", "--interval", interval, "--host", f"real{number}", "--user", "real")
        made = bench.ours(*words, logs=logs, home=home)
        environment = {**os.environ, **made.environment, "TOKENTAIL_PUSH_TOKEN": there.agent}
        process = subprocess.Popen(made.words, stderr=subprocess.PIPE, text=True, env=environment)
        if process.stderr is None or process.stderr.readline() != "ready\n":
            raise MeasureError("tokentail push did not start")
        processes.append(process)
        paths.append(path)
    time.sleep(2.0)
    try:
        yield paths
    finally:
        for process in processes:
            process.terminate()
            process.communicate(timeout=20)


def _stream(there: Hub) -> socket.socket:
    found = socket.create_connection((there.address, there.port))
    head = f"GET /api/v1/stream HTTP/1.1\r\nHost: {there.address}:{there.port}\r\nAuthorization: Bearer {there.viewer}\r\n\r\n"
    found.sendall(head.encode())
    return found


def _network(*, up: bool) -> bool:
    """A network of its own for the hub, with a cable that can be pulled; False where there can be none."""
    try:
        subprocess.run(["ip", "netns", "delete", NETWORK], capture_output=True, check=False)
        subprocess.run(["ip", "link", "delete", "tokentail0"], capture_output=True, check=False)
        if up:
            _ip("netns", "add", NETWORK)
            _ip("link", "add", "tokentail0", "type", "veth", "peer", "name", "tokentail1", "netns", NETWORK)
            _ip("address", "add", f"{OUTSIDE}/24", "dev", "tokentail0")
            _ip("link", "set", "tokentail0", "up")
            for words in (
                ("address", "add", f"{INSIDE}/24", "dev", "tokentail1"),
                ("link", "set", "tokentail1", "up"),
                ("link", "set", "lo", "up"),
            ):
                _ip("-n", NETWORK, *words)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"no network namespaces: {error}", file=sys.stderr)
        return False
    return True


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
