"""Simulated machines that send to a hub: thousands of them in a few processes, each with records of its own and its own luck."""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.queues import Queue

from tokentail.fleet import wire
from tokentail.formats.claude import read_usage
from tokentail.merge import join
from tokentail.model import Owner, Record

Key = tuple[str, str, bool]
_SIGNS = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_MODELS = ("claude-opus-5", "claude-opus-5", "claude-sonnet-4-5", "claude-haiku-4-5")
_ANSWER_WITHIN_S = 30.0
_A_SESSION = 40  # records


@dataclass(frozen=True, slots=True)
class Plan:
    """What a process of machines does."""

    address: str
    port: int
    token: str
    first: int  # the number of its first machine
    machines: int
    seconds: float
    batch: int = 500
    every_s: float = 0.0  # between a machine's replies; 0: as fast as it is answered
    gather_s: float = 0.0  # how long replies are gathered before they go
    fails: bool = False  # sends things twice, in another order, later, with wrong clocks
    seed: int = 1


@dataclass(slots=True)
class Done:
    """What came of it."""

    records: int = 0  # acknowledged
    batches: int = 0
    bytes: int = 0
    refused: int = 0  # answers that were none of success
    acknowledged_s: list[float] = field(default_factory=list)  # how long each request took
    written: dict[str, float] = field(default_factory=dict)  # when each reply came to be, by its group
    truth: dict[Key, Record] = field(default_factory=dict)  # all that the machines ever had, joined


class Machine:
    """One machine: what it has, and what it has still to send."""

    def __init__(self, number: int, plan: Plan) -> None:
        self.rng = random.Random(plan.seed * 1_000_003 + number)
        self.user, self.host = f"user{number % 997}", f"host{number}"
        self.plan = plan
        # A clock that is wrong is wrong by a year at most, and by so much as long as the machine lives.
        self.skew_ms = self.rng.choice((0, 0, 0, 365 * 86_400_000, -400 * 86_400_000, 3_600_000)) if plan.fails else 0
        self.known: dict[Key, Record] = {}
        self.unsent: list[Record] = []
        self.older: list[Record] = []  # that were acknowledged, to be sent again by mistake
        self._session, self._count = "", 0

    def reply(self) -> Record:
        """A reply comes to be; some were seen before, with less."""
        if self._count % _A_SESSION == 0:
            self._session = str(uuid.UUID(int=self.rng.getrandbits(128)))
        self._count += 1
        rng = self.rng
        usage = {
            "input_tokens": rng.randrange(12),
            "output_tokens": int(rng.expovariate(1 / 400)) + 1,
            "cache_read_input_tokens": rng.randrange(150_000),
            "cache_creation_input_tokens": (writes := rng.randrange(4_000)),
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": writes},
            "inference_geo": "",
            "server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 0},
            "service_tier": "standard",
            "speed": "standard",
        }
        read = read_usage(usage)
        owner = Owner(False, False, self._session, f"-home-dev-project-{rng.randrange(9)}", "", self.user, self.host)
        group, request = f"msg_01{''.join(rng.choices(_SIGNS, k=22))}", f"req_011C{''.join(rng.choices(_SIGNS, k=20))}"
        at_ms = int(time.time() * 1000) + self.skew_ms
        made = Record(
            *(group, request, False, at_ms, rng.choice(_MODELS), "2.1.220", read.tokens, read.thinking, read.form),
            *(read.flags, True, True, read.web_searches, owner),
        )
        if self.plan.fails and rng.random() < 0.3:
            partly = made._replace(tokens=made.tokens._replace(output=made.tokens.output // 2), stopped=False, final=False)
            self.has(partly)
        self.has(made)
        return made

    def has(self, record: Record) -> None:
        before = self.known.get(record[:3])
        self.known[record[:3]] = record if before is None else join(before, record)
        self.unsent.append(record)

    def batch(self) -> list[Record]:
        """What goes next; where things go wrong, in any order, and some of it once more."""
        some, self.unsent = self.unsent[: self.plan.batch], self.unsent[self.plan.batch :]
        if self.plan.fails:
            some += self.rng.sample(self.older, min(len(self.older), self.rng.randrange(4)))
            self.rng.shuffle(some)
        return some

    def sums(self) -> dict[str, list[int]]:
        """What its sessions add up to, as a comparison asks it."""
        found: defaultdict[str, list[int]] = defaultdict(lambda: [0] * 8)
        for each in self.known.values():
            i, o, r, w5, w1 = each.tokens
            row = (1, i, o, r, w5, w1, each.web_searches, int(each.final))
            found[each.owner.session] = [a + b for a, b in zip(found[each.owner.session], row, strict=True)]
        return dict(found)


class Line:
    """A connection that stays; a new one where it broke."""

    def __init__(self, plan: Plan, done: Done) -> None:
        self._plan, self._done = plan, done
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """The status and the body of the answer; 0 where there was none."""
        began = time.monotonic()
        was_open = self._streams is not None
        status, answer = await self._tried(path, body)
        if not status and was_open:  # the other side may have closed it meanwhile
            status, answer = await self._tried(path, body)
        self._done.acknowledged_s.append(time.monotonic() - began)
        return status, answer

    async def _tried(self, path: str, body: bytes) -> tuple[int, bytes]:
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                return await self._post(path, body)
        except (OSError, EOFError, ValueError, IndexError):
            self.close()
            return 0, b""

    async def _post(self, path: str, body: bytes) -> tuple[int, bytes]:
        plan = self._plan
        if self._streams is None:
            self._streams = await asyncio.open_connection(plan.address, plan.port)
        reader, writer = self._streams
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {plan.address}:{plan.port}\r\nAuthorization: Bearer {plan.token}\r\n"
            f"Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        await writer.drain()
        said = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = int(said.lower().split("content-length:")[1].split("\r\n")[0])
        return int(said.split()[1]), await reader.readexactly(length)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def run(plan: Plan, results: Queue[Done]) -> None:
    """A process of machines."""
    results.put(asyncio.run(_run(plan)))


async def _run(plan: Plan) -> Done:
    done = Done()
    machines = [Machine(number, plan) for number in range(plan.first, plan.first + plan.machines)]
    work = _flood if plan.every_s == 0 and not plan.fails else _live
    ends = time.monotonic() + plan.seconds
    await asyncio.gather(*(work(machine, Line(plan, done), done, ends) for machine in machines))
    if plan.fails:
        for machine in machines:
            done.truth.update(machine.known)
    return done


async def _flood(machine: Machine, line: Line, done: Done, ends: float) -> None:
    """Batches that are made before, as fast as they are answered."""
    bodies = []
    for _ in range(max(int(machine.plan.seconds), 1) * 2):
        for _ in range(machine.plan.batch):
            machine.reply()
        bodies.append(body(machine.batch()))
        await asyncio.sleep(0)
    ends = time.monotonic() + machine.plan.seconds
    for made in bodies:
        if time.monotonic() > ends:
            break
        await _sent(line, done, made, machine.plan.batch)
    line.close()


async def _live(machine: Machine, line: Line, done: Done, ends: float) -> None:
    """Replies come to be now and then, and go soon after; at the end all that was not acknowledged."""
    plan, rng = machine.plan, machine.rng
    every_s = plan.every_s or 0.2
    await asyncio.sleep(rng.random() * every_s)
    while time.monotonic() < ends:
        made = machine.reply()
        done.written[made.group] = time.time()
        if plan.gather_s:
            await asyncio.sleep(plan.gather_s * rng.uniform(0.5, 1.0))
        await _send_some(machine, line, done)
        await asyncio.sleep(min(rng.expovariate(1 / every_s), max(ends - time.monotonic(), 0.0)))
    while machine.unsent:
        if not await _send_some(machine, line, done):
            await asyncio.sleep(rng.uniform(0.2, 1.0))
    if plan.fails:
        await _reconcile(machine, line, done)
    line.close()


async def _send_some(machine: Machine, line: Line, done: Done) -> bool:
    some = machine.batch()
    if await _sent(line, done, body(some), len(some)):
        machine.older = (machine.older + some)[-50:]
        return True
    machine.unsent = some + machine.unsent
    return False


async def _reconcile(machine: Machine, line: Line, done: Done) -> None:
    """Ask until all of its sessions are counted as here; what differs goes again."""
    for _ in range(50):
        asked = json.dumps({"user": machine.user, "host": machine.host, "sessions": machine.sums()}).encode()
        status, answer = await line.post("/v1/reconcile", wire.compressed(asked))
        if status == 200:
            differ = set(json.loads(answer)["differ"])
            if not differ:
                return
            again = [each for each in machine.known.values() if each.owner.session in differ]
            await _sent(line, done, body(again), len(again))
        await asyncio.sleep(machine.rng.uniform(0.1, 0.5))


async def _sent(line: Line, done: Done, body: bytes, records: int) -> bool:
    status, _ = await line.post("/v1/logs", body)
    if status != 200:
        done.refused += 1
        return False
    done.records += records
    done.batches += 1
    done.bytes += len(body)
    return True


def body(records: Sequence[Record]) -> bytes:
    """As it goes."""
    return wire.compressed(wire.encode(records, {}, user="", host="", version="simulated"))
