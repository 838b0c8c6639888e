"""The only place that empties the outbox: which records go together, when they go again, and which the central store has said it keeps."""

from __future__ import annotations

import random
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tokentail import database, outbox, queries
from tokentail.additions import addition
from tokentail.errors import StoreError
from tokentail.fleet import wire
from tokentail.fleet.labels import Labels
from tokentail.fleet.sender import Answer, Outcome, Sender, shown
from tokentail.outbox import Parcel, Waiting

MOST_RECORDS = 5_000  # in a batch
MOST_BYTES = 8_000_000  # of a batch that is not compressed; about so many records, and never less than one
_LEAST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 60.0
STORE_AGAIN_S = 2.0  # until a store that could not be written is tried again
_WAIT_MS = 10_000  # for who writes into the store
_BYTES_A_RECORD = 1_200


class Sent(NamedTuple):
    """What a sending came to."""

    records: int = 0
    batches: int = 0
    bytes: int = 0  # of the bodies, as they went
    news: int = 0  # how many records told the central store something, as far as it says so
    refused: int = 0

    def plus(self, other: Sent) -> Sent:
        return Sent(*(a + b for a, b in zip(self, other, strict=True)))


class Post:
    """Brings the outbox of a store to one central store. Of one thread."""

    def __init__(
        self,
        store: Path,
        sender: Sender,
        labels: Labels,
        *,
        version: str,
        stop: threading.Event,
        tell: Callable[[str], None] = lambda _: None,
        rng: random.Random | None = None,
    ) -> None:
        """`tell` hears why something was not taken, and when that is over."""
        self._store, self._sender, self._labels, self._version = store, sender, labels, version
        self._stop, self._tell = stop, tell
        self._rng = rng or random.Random()  # nothing secret: when to try again
        self._failures = 0
        self._told = ""
        self._db: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def __enter__(self) -> Post:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send_all(self, *, until_s: Callable[[], float]) -> Sent:
        """
        Send until nothing waits, the event is set or no time is left; `until_s` says how much is.

        Raises:
            StoreError: the store cannot be read or written.
        """
        sent = Sent()
        destination = self._registered()
        while not self._stop.is_set():
            parcels, gone = outbox.parcels(self._open(), destination, MOST_RECORDS)
            if not parcels:
                if not gone:
                    return sent
                self._note(partial(outbox.delivered, destination=destination, sent=(), gone=gone))
            for batch in _batches(parcels):
                one, answer = self._deliver(destination, batch, gone)
                sent, gone = sent.plus(one), []
                if answer.outcome in (Outcome.LATER, Outcome.BARRED) and not self._pause(answer, until_s()):
                    return sent
                if self._stop.is_set() or answer.outcome in (Outcome.LATER, Outcome.BARRED):
                    break  # what waits may have changed meanwhile
        return sent

    def waiting(self) -> Waiting:
        """What the central store does not have."""
        found = outbox.find(self._open(), self._sender.url)
        return Waiting(0, 0) if found is None else outbox.waiting(self._open(), found[0])

    def note(self, work: Callable[[sqlite3.Connection, int], object]) -> None:
        """
        Have something noted for the destination, whose number `work` is told.

        Raises:
            StoreError: the store cannot be written.
        """
        destination = self._registered()
        self._note(lambda db: work(db, destination))

    def _deliver(self, destination: int, batch: Sequence[Parcel], gone: Sequence[int]) -> tuple[Sent, Answer]:
        """A batch; one that is refused in parts, until it is known which record it is that will not be had."""
        body = wire.compressed(self._encoded(batch))
        answer = self._sender.post(wire.LOGS, body, is_compressed=True)
        sent = Sent(batches=1, bytes=len(body), news=answer.news or 0)
        match answer.outcome:
            case Outcome.KEPT:
                self._note(lambda db: outbox.delivered(db, destination, batch, gone))
                self._over()
                return sent._replace(records=len(batch)), answer
            case Outcome.LATER | Outcome.BARRED:
                return sent, answer
            case _ if len(batch) == 1:
                self._note(lambda db: outbox.refused(db, destination, batch))
                self.say(f"a record is refused, and waits until it changes: {answer.why}")
                return sent._replace(refused=1), answer
        for half in (batch[: len(batch) // 2], batch[len(batch) // 2 :]):
            one, answer = self._deliver(destination, half, ())
            sent = sent.plus(one)
            if answer.outcome in (Outcome.LATER, Outcome.BARRED) or self._stop.is_set():
                break
        return sent, answer

    def _encoded(self, batch: Sequence[Parcel]) -> bytes:
        """
        A batch in the words of the wire.

        What a project is called is asked by its slug here, and told by the name that the record travels by.
        """
        records = [self._labels.on(parcel.record) for parcel in batch]
        folders = self._labels.folders(queries.project_folders(self._open()))
        user, host = self._labels.own
        return wire.encode(records, folders, user=user, host=host, version=self._version)

    def _pause(self, answer: Answer, left_s: float) -> bool:
        """Wait before it is tried again: twice as long each time, and never all machines at once. False where there is no time for it."""
        self._failures += 1
        longest = min(_LEAST_PAUSE_S * 2 ** min(self._failures, 10), _LONGEST_PAUSE_S)
        if answer.outcome is Outcome.BARRED:
            longest = _LONGEST_PAUSE_S
        pause_s = max(answer.after_s, 0.0) + self._rng.uniform(longest / 2, longest)
        self.say(answer.why)
        if pause_s > left_s or (answer.outcome is Outcome.BARRED and left_s < float("inf")):
            return False
        self._stop.wait(pause_s)
        return True

    def say(self, why: str) -> None:
        """Tell why nothing goes on, once as long as it is the same."""
        if why != self._told:
            self._told = why
            self._tell(f"{shown(self._sender.url)}: {why}")

    def _over(self) -> None:
        if self._failures and self._told:
            self._tell(f"{shown(self._sender.url)}: it takes records again")
        self._failures, self._told = 0, ""

    def _registered(self) -> int:
        """The destination's number; after the store was made anew, all is noted again."""
        url, mark = self._sender.url, self._labels.mark
        found = outbox.find(self._open(), url)
        if found is not None and found[1] == mark:
            return found[0]
        self._note(lambda db: outbox.register(db, url, mark))
        return self._registered()

    def _note(self, work: Callable[[sqlite3.Connection], object]) -> None:
        db = self._open()
        try:
            with addition(db):
                work(db)
        except sqlite3.Error as error:
            raise StoreError(
                f"cannot note in the store {self._store} what was sent: {error} (what was sent may go again, which changes nothing)"
            ) from error

    def _open(self) -> sqlite3.Connection:
        """The store's connection; a new one where another file has come into its place."""
        identity = database.identity(self._store)
        if self._db is None or identity != self._identity:
            self.close()
            try:
                self._db = database.open_to_add(self._store, wait_ms=_WAIT_MS)
                if not database.is_current(self._db, self._store):
                    raise StoreError(f"the store {self._store} is of an earlier version (run `tokentail daily` once)")
            except sqlite3.Error as error:
                raise StoreError(f"cannot read the store {self._store}: {error} (`tokentail verify` compares it with the logs)") from error
            self._identity = identity
        return self._db


class Pusher(threading.Thread):
    """Sends while somebody follows: soon after something was committed, and not all machines at the same moment."""

    def __init__(self, post: Post, interval_s: float, stop: threading.Event, rng: random.Random | None = None) -> None:
        super().__init__(name="pusher", daemon=True)
        self._post, self._interval_s, self._ends = post, interval_s, stop
        self._rng = rng or random.Random()
        self._woken = threading.Event()
        self.sent = Sent()
        self.error: Exception | None = None

    def wake(self) -> None:
        """Something may have been committed."""
        self._woken.set()

    def run(self) -> None:
        try:
            with self._post:
                while not self._ends.is_set():
                    self._woken.wait()
                    if self._ends.wait(self._interval_s * self._rng.uniform(0.5, 1.0)):
                        break
                    self._woken.clear()
                    try:
                        self.sent = self.sent.plus(self._post.send_all(until_s=lambda: float("inf")))
                    except StoreError as error:  # a full disk, somebody who holds it for long: what was sent may go again
                        self._post.say(str(error))
                        self._woken.set()
                        self._ends.wait(STORE_AGAIN_S)
        except Exception as error:  # noqa: BLE001  # a thread's last frame: who follows raises it again
            self.error = error

    def end(self) -> None:
        """Once the event is set."""
        self._woken.set()
        self.join(10.0)


def _batches(parcels: Sequence[Parcel]) -> Iterator[Sequence[Parcel]]:
    """Parcels in the order given, so many at once that a body stays small."""
    start = size = 0
    for index, parcel in enumerate(parcels):
        size += _BYTES_A_RECORD + 2 * len(parcel.record.form)
        if size > MOST_BYTES and index > start:
            yield parcels[start:index]
            start, size = index, 0
    if parcels:
        yield parcels[start:]


class Body(NamedTuple):
    """What one request would hold."""

    text: str
    records: int
    compressed_bytes: int


def bodies(db: sqlite3.Connection, url: str, labels: Labels, *, version: str) -> Iterator[Body]:
    """All that would go to an address now: what waits for it, or everything where nothing ever went there by these names."""
    found = outbox.find(db, url)
    after, destination = 0, found[0] if found is not None and found[1] == labels.mark else None
    folders = labels.folders(queries.project_folders(db))
    user, host = labels.own
    while any(some := outbox.parcels(db, destination, MOST_RECORDS, after)):
        parcels, gone = some
        after = max(*(parcel.number for parcel in parcels), *gone, 0)
        for batch in _batches(parcels):
            text = wire.encode([labels.on(parcel.record) for parcel in batch], folders, user=user, host=host, version=version)
            yield Body(text.decode("ascii"), len(batch), len(wire.compressed(text)))
